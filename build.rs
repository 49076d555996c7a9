//! Builds the prober: the program that `gaoler attack` puts into a jail in place of the service.
//! It stands alone, without a C library, so that it makes no system call but those that it tries
//! (docs/decisions/0012-the-prober.md). Its bytes become part of gaoler.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=prober");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if let Err(why) = build() {
        println!("cargo::error=the prober cannot be built: {why}");
    }
}

fn build() -> Result<(), String> {
    let directory = PathBuf::from(variable("OUT_DIR")?);
    let numbers = directory.join("numbers.rs");
    fs::write(&numbers, call_numbers(&variable("CARGO_CFG_TARGET_ARCH")?)?)
        .map_err(|error| format!("write {}: {error}", numbers.display()))?;
    compile(&numbers, &directory.join("prober"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// The numbers of all system calls as constants, from the tables that gaoler itself uses.
fn call_numbers(architecture: &str) -> Result<String, String> {
    let calls: Vec<(&str, usize)> = match architecture {
        "x86_64" => syscalls::x86_64::Sysno::iter()
            .map(|call| (call.name(), call.id() as usize))
            .collect(),
        "aarch64" => syscalls::aarch64::Sysno::iter()
            .map(|call| (call.name(), call.id() as usize))
            .collect(),
        other => return Err(format!("there are no system calls for {other} here")),
    };
    let mut text = String::new();
    for (name, number) in calls {
        writeln!(text, "pub const {}: usize = {number};", name.to_uppercase())
            .map_err(|error| error.to_string())?;
    }
    Ok(text)
}

/// A program without interpreter, relocations or start files: nothing but the prober's own code.
fn compile(numbers: &Path, output: &Path) -> Result<(), String> {
    let mut compiler = Command::new(variable("RUSTC")?);
    compiler
        .args(["--edition", "2024", "--crate-name", "prober"])
        .args(["--crate-type", "bin", "--target", &variable("TARGET")?])
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=s",
            "-C",
            "strip=symbols",
        ])
        .args([
            "-C",
            "relocation-model=static",
            "-C",
            "target-feature=+crt-static",
        ])
        .args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles"])
        .args([
            "-C",
            "link-arg=-static",
            "-C",
            "link-arg=-Wl,--build-id=none",
        ])
        // core was compiled to unwind, though nothing here does.
        .args(["-C", "link-arg=-Wl,--defsym=rust_eh_personality=0"])
        .args(["-D", "warnings", "-D", "unsafe_op_in_unsafe_fn"])
        .env("PROBER_NUMBERS", numbers)
        .arg("-o")
        .arg(output)
        .arg("prober/main.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let done = compiler
        .output()
        .map_err(|error| format!("run the compiler: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).replace('\n', " ")),
    }
}
