//! What a script says is found out here by having sh run it, with programs in place of gaoler's and
//! the system's that write down how they are called.

mod rcd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::{accounted, built, subject};
use crate::export::init::{self, Options, System};
use crate::export::{Exported, Item};
use crate::spec::{Listen, LogTo, Spec, generate};

/// A program that writes down its words.
const WITNESS: &str = "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done >\"$0.said\"\n";

/// What openrc-run(8) has ready for a script, and root.
const OPENRC: &str =
    "id() { echo 0; }\nebegin() { :; }\neend() { return \"$1\"; }\nservice_started() { false; }\n";

/// A file that can be run.
fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether sh can read it.
fn is_shell(text: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    script(&path, text);
    Command::new("sh")
        .arg("-n")
        .arg(&path)
        .status()
        .unwrap()
        .success()
}

/// The words that a witness was called with.
fn said(witness: &Path) -> Vec<String> {
    let text = fs::read(format!("{}.said", witness.display())).unwrap_or_default();
    let text = String::from_utf8(text).unwrap();
    let words: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    words
}

/// Has sh run `rest` after the part of a script that defines things.
fn run(text: &str, rest: &str) {
    let defined = text.split("\ncase \"$1\" in\n").next().unwrap();
    let whole = format!("{OPENRC}{defined}\n{rest}\n");
    let ended = Command::new("sh")
        .args(["-c", &whole])
        .env("RC_CMD", "start")
        .output();
    let ended = ended.unwrap();
    assert!(ended.stderr.is_empty(), "{ended:?}\n{whole}");
}

fn options(system: System) -> Options {
    Options {
        system,
        program: PathBuf::from("/usr/local/sbin/gaoler"),
        spec: PathBuf::from("/etc/gaoler/web.toml"),
        directories: Vec::new(),
    }
}

fn export(spec: &Spec, options: &Options) -> crate::Result<Exported> {
    init::export(subject(spec, &built(spec)), options)
}

/// Directories with anything in their names.
fn directory() -> impl Strategy<Value = PathBuf> {
    "(?s)/[^\0]{0,12}".prop_map(PathBuf::from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// gaoler is called with the jail and its directories, whatever they are called, and enforces all
    /// but what is in a gap.
    #[test]
    fn each_item_is_gaolers_or_a_gap(
        spec in generate::spec(),
        directories in proptest::collection::vec(directory(), 2),
        place in "(?s)[^/\0]{0,9}",
        openrc in any::<bool>(),
    ) {
        let system = if openrc { System::OpenRc } else { System::Sysv };
        let below = tempfile::tempdir().unwrap();
        let program = below.path().join(format!("x{place}"));
        script(&program, WITNESS);
        let options = Options {
            program: program.clone(),
            directories: vec![("--etc", directories[0].clone()), ("--run", directories[1].clone())],
            ..options(system)
        };
        let exported = export(&spec, &options).unwrap();
        let text = &exported.files[0].text;
        prop_assert!(is_shell(text), "{text}");
        prop_assert!(exported.files[0].executable);
        run(text, if openrc { "start" } else { "gaoler start \"$jail\"" });
        let path = |at: usize| directories[at].to_str().unwrap();
        let wanted = ["--etc", path(0), "--run", path(1), "start", &spec.name];
        prop_assert_eq!(said(&program), wanted);
        accounted(&spec, &exported, |item| match item {
            Item::Socket(name) => {
                let mut sockets = spec.sockets.iter();
                !sockets.any(|it| it.name == *name && it.listen == Listen::Manager)
            }
            Item::Log => spec.log.sink.to != LogTo::Stderr,
            _ => true,
        })?;
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let (spec, _) = super::example();
    for system in [System::Sysv, System::OpenRc] {
        let mut options = options(system);
        options.directories.push(("--etc", PathBuf::from("etc")));
        assert!(export(&spec, &options).is_err());
    }
    let named = |name: &str| {
        let mut spec = spec.clone();
        spec.name = name.to_owned();
        spec
    };
    for system in [System::Sysv, System::OpenRc, System::RcD] {
        assert!(export(&named("$(reboot)"), &options(system)).is_err());
        assert!(export(&named("a-b.c"), &options(system)).is_ok());
    }
}

#[test]
fn the_scripts_for_linux_of_an_example() {
    let (spec, _) = super::example();
    let scripts = [System::Sysv, System::OpenRc].map(|system| {
        let mut options = options(system);
        options
            .directories
            .push(("--run", PathBuf::from("/run/it's")));
        super::shown(&export(&spec, &options).unwrap())
    });
    insta::assert_snapshot!(scripts.concat());
}
