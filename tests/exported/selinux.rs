//! A module for SELinux, compiled by secilc(8) with the policy that Debian has.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gaoler::build::{Entry, EntryKind, Manifest};
use gaoler::export::Subject;
use gaoler::export::selinux::{self, Class, Label, Options};
use gaoler::spec::{
    CallRule, CapabilityRule, Direction, Evidence, FamilyRule, PortRule, Protocol, Spec, parse,
};
use gaoler::sys::{calls, caps, families};

/// What has the policy, and what makes CIL of its modules. They are unpacked and not installed: that would
/// make this machine ready for SELinux.
const PACKAGES: [&str; 2] = ["selinux-policy-default", "policycoreutils"];

/// The modules that a jail's needs names of.
const MODULES: [&str; 2] = ["base", "unconfined"];

/// Debian's policy as CIL, made if it was not before; why not, if it cannot be.
fn policy() -> Result<Vec<PathBuf>, String> {
    let cache = std::env::var_os("GAOLER_TEST_CACHE");
    let cache = cache.map_or_else(|| PathBuf::from("/var/cache/gaoler-tests"), PathBuf::from);
    fs::create_dir_all(&cache).unwrap();
    let directory = cache.join("selinux-policy");
    // Of two at once, one waits.
    let lock = File::create(cache.join("selinux-policy.lock")).unwrap();
    lock.lock().unwrap();
    let modules = MODULES.map(|name| directory.join(format!("{name}.cil")));
    if !directory.exists() {
        let beside = tempfile::tempdir_in(&cache).unwrap();
        unpacked(beside.path())?;
        // Only a whole one has the name.
        fs::rename(beside.keep(), &directory).unwrap();
    }
    Ok(modules.into())
}

fn unpacked(directory: &Path) -> Result<(), String> {
    let mut download = Command::new("apt-get");
    download.args(["-q", "download"]).args(PACKAGES);
    succeeded(&mut download, directory)?;
    let packages = fs::read_dir(directory).unwrap();
    let packages: Vec<PathBuf> = packages.map(|entry| entry.unwrap().path()).collect();
    for package in packages {
        let mut unpack = Command::new("dpkg-deb");
        succeeded(unpack.arg("-x").arg(&package).arg("tree"), directory)?;
        fs::remove_file(package).unwrap();
    }
    for name in MODULES {
        // Which user a login is belongs to modules that are not here.
        let line = format!(
            "set -e; bzcat tree/usr/share/selinux/default/{name}.pp.bz2 >{name}.pp; \
             tree/usr/libexec/selinux/hll/pp {name}.pp whole; \
             grep -v '^(selinuxuser' whole >{name}.cil; rm {name}.pp whole"
        );
        succeeded(Command::new("sh").args(["-c", &line]), directory)?;
    }
    fs::remove_dir_all(directory.join("tree")).unwrap();
    Ok(())
}

fn succeeded(command: &mut Command, directory: &Path) -> Result<(), String> {
    let told = command.current_dir(directory).stdin(Stdio::null()).output();
    let told = told.map_err(|error| format!("{command:?}: {error}"))?;
    let error = String::from_utf8_lossy(&told.stderr);
    match told.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", error.trim())),
    }
}

/// Compiles a module with the policy.
fn compile(policy: &[PathBuf], text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("gaoler_example.cil");
    fs::write(&module, text).unwrap();
    Command::new("secilc")
        .args(["--output", "/dev/null", "--filecontext"])
        .arg(directory.path().join("contexts"))
        .args(policy)
        .arg(&module)
        .output()
        .unwrap()
}

fn entry(path: &str, mode: &str, reason: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: EntryKind::File,
        source: Some(path.into()),
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.to_owned(),
        target: None,
        device: None,
        size: Some(1),
        reason: reason.to_owned(),
    }
}

fn example() -> Spec {
    parse(include_str!("../docs/example.toml"), "example.toml").unwrap()
}

/// The module of a spec whose tree has a program, a library and data.
fn module(spec: &Spec) -> String {
    let manifest = Manifest {
        entries: vec![
            entry("/lib/x86_64-linux-gnu/libc.so.6", "0644", "a library"),
            entry("/usr/sbin/exampled", "0755", "the service itself"),
            entry("/usr/share/example/a (b) \"c\"", "0644", "data"),
            entry("/usr/share/example/run \"it\"", "0755", "an odd name"),
        ],
    };
    let subject = Subject {
        spec,
        manifest: &manifest,
        tree: Path::new("/var/lib/gaoler/example/current/root"),
        uid: 995,
        gid: 995,
        groups: &[44],
        user_option: None,
        other_groups: &[],
    };
    let labels = [Class::Directory, Class::File, Class::Socket].map(|class| Label {
        kind: "etc_t".to_owned(),
        class,
    });
    let options = Options {
        labels: [(PathBuf::from("/etc/example"), labels.into())].into(),
        ..Options::default()
    };
    let exported = selinux::export(subject, &options).unwrap();
    exported.files[0].text.clone()
}

/// What Debian's policy has a `neverallow` for.
const NEVER: [&str; 2] = ["MAC_OVERRIDE", "SYS_MODULE"];

/// Everything that a spec can allow and the policy takes.
fn everything() -> Spec {
    let because = || "a test".to_owned();
    let mut spec = example();
    spec.service.writable_executable = true;
    spec.calls = (0..1000)
        .filter(|number| calls::name(*number).is_some())
        .map(|number| CallRule {
            number,
            start_only: false,
            because: because(),
            evidence: Evidence::Person,
        })
        .collect();
    spec.families = (0..64)
        .filter(|family| families::name(*family).is_some())
        .map(|family| FamilyRule {
            family,
            because: because(),
            evidence: Evidence::Person,
        })
        .collect();
    spec.capabilities = (0..64)
        .filter(|capability| caps::name(*capability).is_some_and(|name| !NEVER.contains(&name)))
        .map(|capability| CapabilityRule {
            capability,
            because: because(),
            evidence: Evidence::Person,
        })
        .collect();
    let directions = [Direction::Bind, Direction::Connect];
    let ports = known_ports().into_iter().map(|(it, port, _)| (it, port));
    let others = [0, 1011, 31_337].map(|port| (Protocol::Tcp, port));
    for (protocol, port) in ports.chain(others) {
        spec.ports.extend(directions.map(|direction| PortRule {
            direction,
            protocol,
            port,
            because: because(),
            evidence: Evidence::Person,
        }));
    }
    spec
}

fn known_ports() -> Vec<(Protocol, u16, &'static str)> {
    let all = [Protocol::Tcp, Protocol::Udp].into_iter();
    let all = all.flat_map(|protocol| (1..=u16::MAX).map(move |port| (protocol, port)));
    let known = |(protocol, port)| Some((protocol, port, selinux::port_type(protocol, port)?));
    all.filter_map(known).collect()
}

#[test]
fn debian_s_policy_takes_the_module() {
    let policy = match policy() {
        Ok(policy) => policy,
        Err(why) => {
            println!("skipped: Debian's policy cannot be had: {why}");
            return;
        }
    };
    let text = module(&example());
    let told = compile(&policy, &text);
    assert!(told.status.success(), "{told:?}\n{text}");
    let all = module(&everything());
    let told = compile(&policy, &all);
    assert!(told.status.success(), "{told:?}\n{all}");
    // What no domain may have, it refuses.
    for name in NEVER {
        let mut spec = example();
        spec.capabilities[0].capability = caps::number(name).unwrap();
        let told = compile(&policy, &module(&spec));
        let error = String::from_utf8_lossy(&told.stderr);
        assert!(
            error.contains("neverallow check failed"),
            "{name}: {told:?}"
        );
    }
    // And what it does not know.
    for wrong in [
        "(allow gaoler_example_t no_such_t (file (read)))",
        "(allow gaoler_example_t etc_t (file (entypoint)))",
    ] {
        let told = compile(&policy, &format!("{text}\n{wrong}\n"));
        assert!(!told.status.success(), "{wrong}: {told:?}");
    }
}

#[test]
fn the_types_of_ports_are_debian_s() {
    let Ok(policy) = policy() else {
        println!("skipped: Debian's policy cannot be had");
        return;
    };
    let text = fs::read_to_string(&policy[0]).unwrap();
    let known = known_ports();
    assert!(known.len() > 40);
    for (protocol, port, kind) in known {
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let line = format!("(portcon {protocol} {port} (system_u object_r {kind} ");
        assert!(text.contains(&line), "{line}");
    }
}
