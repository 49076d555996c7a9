use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::host::users::{Group, User};
use crate::spec::{BindRule, DeviceRule, ScratchRule};

const LIB: &str = "usr/lib/x86_64-linux-gnu";

fn account() -> Account {
    let user = User {
        name: "u".into(),
        uid: 7,
        gid: 8,
        gecos: String::new(),
        home: "/".into(),
        shell: String::new(),
    };
    let group = Group {
        name: "g".into(),
        gid: 8,
        members: Vec::new(),
    };
    Account {
        user,
        group,
        groups: Vec::new(),
        others: Vec::new(),
    }
}

/// A host with `true`, a C library of the given real name, and that library's modules.
fn host(libc: &str) -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    let at = |path: &str| host.path().join(path);
    fs::create_dir_all(at(LIB)).unwrap();
    fs::create_dir_all(at("usr/bin")).unwrap();
    fs::create_dir_all(at("etc")).unwrap();
    fs::create_dir_all(at("usr/lib64")).unwrap();
    for link in ["lib", "lib64", "bin"] {
        symlink(format!("usr/{link}"), at(link)).unwrap();
    }
    fs::copy("/bin/true", at("usr/bin/true")).unwrap();
    let linker = "/lib64/ld-linux-x86-64.so.2";
    fs::copy(linker, at(LIB).join("ld-linux-x86-64.so.2")).unwrap();
    let text = "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    symlink(text, at("usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    fs::copy(
        Path::new("/").join(LIB).join("libc.so.6"),
        at(LIB).join(libc),
    )
    .unwrap();
    if libc != "libc.so.6" {
        symlink(libc, at(LIB).join("libc.so.6")).unwrap();
    }
    for module in ["libnss_files.so.2", "libnss_dns.so.2"] {
        fs::copy(Path::new("/").join(LIB).join(module), at(LIB).join(module)).unwrap();
    }
    fs::write(at("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    fs::set_permissions(at("etc/resolv.conf"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    host
}

fn spec() -> Spec {
    let mut spec = Spec {
        name: "test".into(),
        ..Spec::default()
    };
    spec.service.command = vec!["/bin/true".into()];
    spec.service.workdir = "/".into();
    spec
}

fn take(host: &tempfile::TempDir, spec: &Spec, layout: Layout) -> Result<Inventory> {
    let tree = HostTree::open(host.path())?;
    let mut resolver = Resolver::new(host.path())?;
    inventory(spec, &tree, &mut resolver, &account(), layout)
}

fn data(path: &str) -> FileRule {
    FileRule {
        path: path.into(),
        kind: FileKind::Data,
        because: "a test".into(),
        evidence: crate::spec::Evidence::Person,
    }
}

#[test]
fn modules_come_only_with_a_libc_that_loads_them() {
    let has = |inventory: &Inventory, name: &str| {
        inventory
            .wanted
            .contains_key(&Path::new("/").join(LIB).join(name))
    };
    let new = take(&host("libc.so.6"), &spec(), Layout::Jail).unwrap();
    assert!(has(&new, "libc.so.6") && !has(&new, "libnss_files.so.2"));
    let old = host("libc-2.31.so");
    let without = take(&old, &spec(), Layout::Jail).unwrap();
    assert!(has(&without, "libnss_files.so.2") && !has(&without, "libnss_dns.so.2"));
    let mut resolving = spec();
    resolving.files = vec![data("/etc/resolv.conf")];
    let with = take(&old, &resolving, Layout::Jail).unwrap();
    assert!(has(&with, "libnss_files.so.2") && has(&with, "libnss_dns.so.2"));
}

#[test]
fn links_are_links_and_the_linker_is_executable() {
    let inventory = take(&host("libc.so.6"), &spec(), Layout::Jail).unwrap();
    let what = |path: &str| {
        inventory
            .wanted
            .get(Path::new(path))
            .map(|wanted| &wanted.what)
    };
    for (path, target) in [
        ("/bin", "usr/bin"),
        ("/lib64", "usr/lib64"),
        ("/lib", "usr/lib"),
    ] {
        assert_eq!(what(path), Some(&What::Symlink(target.into())), "{path}");
    }
    let linker = Path::new("/").join(LIB).join("ld-linux-x86-64.so.2");
    assert_eq!(inventory.wanted[&linker].mode, 0o555);
    assert_eq!(inventory.wanted[Path::new("/dev")].mode, 0o111);
    assert!(what("/etc/ld.so.cache").is_none());
}

#[test]
fn what_a_mount_hides_is_not_made() {
    let host = host("libc.so.6");
    fs::create_dir_all(host.path().join("srv/inner")).unwrap();
    fs::write(host.path().join("srv/inner/file"), "").unwrap();
    let bind = |path: &str| BindRule {
        path: path.into(),
        writable: true,
        because: "b".into(),
        evidence: crate::spec::Evidence::Person,
    };
    let mut spec = spec();
    spec.binds = vec![bind("/srv"), bind("/srv/inner")];
    spec.files = vec![data("/srv/inner/file")];
    spec.scratch = vec![ScratchRule {
        path: "/tmp".into(),
        size_kib: 4,
        because: "scratch".into(),
        evidence: crate::spec::Evidence::Person,
    }];
    let jail = take(&host, &spec, Layout::Jail).unwrap();
    let has = |inventory: &Inventory, path: &str| inventory.wanted.contains_key(Path::new(path));
    assert_eq!(
        jail.wanted[Path::new("/srv")].what,
        What::Mountpoint { directory: true }
    );
    assert_eq!(
        jail.wanted[Path::new("/tmp")].what,
        What::Mountpoint { directory: true }
    );
    assert!(!has(&jail, "/srv/inner") && !has(&jail, "/srv/inner/file"));
    let standalone = take(&host, &spec, Layout::Standalone).unwrap();
    assert!(has(&standalone, "/srv/inner/file") && !has(&standalone, "/dev/log"));
    assert_eq!((standalone.wanted[Path::new("/tmp")].uid, 0), (7, 0));
}

#[test]
fn a_device_elsewhere_gets_its_directories() {
    let mut spec = spec();
    let path = PathBuf::from("/var/lib/x/dev/null");
    spec.devices = vec![DeviceRule {
        path: path.clone(),
        device: Device::Null,
        because: "d".into(),
        evidence: crate::spec::Evidence::Person,
    }];
    let inventory = take(&host("libc.so.6"), &spec, Layout::Jail).unwrap();
    assert_eq!(inventory.wanted[&path].what, What::Device(Device::Null));
    assert_eq!(inventory.wanted[path.parent().unwrap()].mode, 0o755);
}

#[test]
fn an_empty_command_is_an_error() {
    let mut spec = spec();
    spec.service.command.clear();
    let error = take(&host("libc.so.6"), &spec, Layout::Jail).unwrap_err();
    assert!(error.to_string().contains("nothing to run"), "{error}");
}
