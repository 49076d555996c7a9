//! Trees that run without gaoler.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gaoler::build::{Account, drift, standalone};
use gaoler::spec::{FileKind, Spec};

use crate::common::{Place, bind, file, named, permission, quiet, somebody, spec_of};

/// A free port of the loopback: named would otherwise take another one's.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// named's configuration and state, not the host's: a test must not depend on those.
fn with_configuration(place: &Place, spec: &mut Spec, account: &Account) -> String {
    let (etc, cache) = (place.path("etc"), place.path("cache"));
    fs::create_dir(&etc).unwrap();
    fs::create_dir(&cache).unwrap();
    let configuration = format!(
        "options {{ directory \"{}\"; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; allow-update {{ none; }}; }};\n\
         controls {{ }};\n\
         zone \"test\" {{ type primary; file \"{}/db.test\"; }};\n",
        cache.display(),
        etc.display()
    );
    fs::write(etc.join("named.conf"), configuration).unwrap();
    let zone = "$TTL 60\n@ SOA ns.test. root.test. 1 60 60 60 60\n@ NS ns.test.\nns A 192.0.2.7\n";
    fs::write(etc.join("db.test"), zone).unwrap();
    fs::set_permissions(etc.join("db.test"), fs::Permissions::from_mode(0o640)).unwrap();
    chown(etc.join("db.test"), Some(0), Some(account.group.gid)).unwrap();
    chown(&cache, Some(0), Some(account.group.gid)).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o775)).unwrap();
    spec.service.workdir.clone_from(&cache);
    spec.binds = vec![bind(&etc, false), bind(&cache, true)];
    etc.join("named.conf").to_str().unwrap().to_owned()
}

/// Waits for an answer from named and ends it.
fn answers(mut named: Child, port: u16) {
    let started = Instant::now();
    let mut answer = String::new();
    while !answer.contains("192.0.2.7") && started.elapsed() < Duration::from_secs(20) {
        if named.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        let dig = Command::new("dig")
            .args([
                "@127.0.0.1",
                "-p",
                &port.to_string(),
                "+short",
                "+tries=1",
                "+time=1",
            ])
            .arg("ns.test")
            .output()
            .unwrap();
        answer = String::from_utf8_lossy(&dig.stdout).into_owned();
    }
    if named.try_wait().unwrap().is_none() {
        named.kill().unwrap();
    }
    let output = named.wait_with_output().unwrap();
    assert!(
        answer.contains("192.0.2.7"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn named_answers_from_a_standalone_tree_by_its_own_chroot_and_by_chroot_8() {
    let place = Place::new();
    let mut spec = named();
    let account = Account::of(&spec).unwrap();
    let configuration = with_configuration(&place, &mut spec, &account);
    let tree = place.path("tree");
    let built = standalone(&spec, &account, &tree, &[], &quiet).unwrap();
    assert_eq!(drift(&tree, &built.manifest).unwrap(), []);
    assert_eq!(built.left_out, [] as [std::path::PathBuf; 0]);
    // The tree must not lean on what it was made from.
    fs::remove_dir_all(place.path("etc")).unwrap();
    fs::remove_dir_all(place.path("cache")).unwrap();

    let inside = |path: &Path| tree.join(path.strip_prefix("/").unwrap());
    let (uid, gid) = (account.user.uid, account.group.gid);
    assert_eq!(permission(&inside(&place.path("cache"))), (uid, gid, 0o775));
    assert_eq!(
        permission(&inside(&place.path("etc/db.test"))),
        (0, gid, 0o440)
    );
    assert_eq!(
        permission(&inside(Path::new("/run/named"))),
        (uid, gid, 0o700)
    );

    for own in [true, false] {
        let port = free_port();
        let mut command = Command::new(if own { "/usr/sbin/named" } else { "chroot" });
        if own {
            command.arg("-t").arg(&tree);
        } else {
            command.arg(&tree).arg("/usr/sbin/named");
        }
        let child = command
            .args([
                "-u",
                "bind",
                "-c",
                &configuration,
                "-p",
                &port.to_string(),
                "-g",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        answers(child, port);
    }
}

#[test]
fn only_an_empty_directory_of_roots_is_filled() {
    let place = Place::new();
    let spec = spec_of("/bin/true");
    let tree = place.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o777)).unwrap();
    let error = standalone(&spec, &somebody(), &tree, &[], &quiet)
        .unwrap_err()
        .to_string();
    assert!(error.contains("everybody can write to it"), "{error}");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.join("precious"), "").unwrap();
    let error = standalone(&spec, &somebody(), &tree, &[], &quiet)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not an empty directory"), "{error}");
    fs::remove_file(tree.join("precious")).unwrap();
    standalone(&spec, &somebody(), &tree, &[], &quiet).unwrap();
    let ran = Command::new("chroot")
        .arg(&tree)
        .arg("/bin/true")
        .status()
        .unwrap();
    assert!(ran.success());
    let building = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("building");
    assert!(
        !fs::read_dir(place.directory.path())
            .unwrap()
            .map(Result::unwrap)
            .any(building)
    );
}

#[test]
fn a_writable_bind_is_copied_with_its_state() {
    let place = Place::new();
    let data = place.path("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("deep/state"), "kept").unwrap();
    fs::set_permissions(data.join("deep/state"), fs::Permissions::from_mode(0o4646)).unwrap();
    std::os::unix::fs::symlink("deep/state", data.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    let mut spec = spec_of("/bin/true");
    spec.binds = vec![bind(&data, true)];
    spec.files = vec![file(data.join("deep/state"), FileKind::Data)];
    let tree = place.path("tree");
    let built = standalone(&spec, &somebody(), &tree, &[], &quiet).unwrap();
    let inside = tree.join(data.strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(inside.join("link")).unwrap(), "kept");
    assert_eq!(
        permission(&inside.join("deep/state")),
        (47_011, 47_012, 0o644)
    );
    assert_eq!(built.left_out, [data.join("socket")]);
}
