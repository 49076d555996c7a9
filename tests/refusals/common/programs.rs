//! The C programs of these tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Where the compiled programs are.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals");
    fs::create_dir_all(&directory).unwrap();
    for (name, source, arguments) in [
        ("service", include_str!("../service.c"), &["-static"][..]),
        ("dynamic", include_str!("../service.c"), &[]),
        ("caller", include_str!("../caller.c"), &["-static"]),
        ("chatter", include_str!("../chatter.c"), &["-static"]),
        ("hostile", include_str!("../hostile.c"), &["-static"]),
        (
            "phases",
            include_str!("../phases.c"),
            &["-static", "-pthread"],
        ),
        ("intruder", include_str!("../intruder.c"), &["-static"]),
        ("warm", include_str!("../warm.c"), &["-static"]),
        ("managed", include_str!("../managed.c"), &["-static"]),
    ] {
        compile(source, &directory.join(name), arguments);
    }
    directory
});

/// Compiles a C program.
pub fn compile(source: &str, output: &Path, arguments: &[&str]) {
    use std::io::Write;
    let mut gcc = Command::new("gcc")
        .args(["-O1", "-x", "c", "-", "-o"])
        .arg(output)
        .args(["-x", "none"])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gcc.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(gcc.wait().unwrap().success());
}

/// One of the compiled programs: `service`, `dynamic`, `caller`, `hostile`, `phases`,
/// `intruder`, `warm`, `managed`.
pub fn program(name: &str) -> PathBuf {
    PROGRAMS.join(name)
}
