//! Builds small programs and libraries, and asks the dynamic linker about them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::build::elf::{Object, Resolver};
use crate::error::Result;

/// A directory to build in.
pub(super) struct Lab(TempDir);

impl Lab {
    pub(super) fn new(directories: &[&str]) -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        for directory in directories {
            std::fs::create_dir_all(lab.path(directory)).unwrap();
        }
        lab
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub(super) fn text(&self, relative: &str) -> String {
        self.path(relative).to_str().unwrap().to_owned()
    }

    /// Compiles `source` to `output`; `DIR` in an argument stands for this directory.
    pub(super) fn gcc(&self, source: &str, output: &str, arguments: &[&str]) {
        let source_file = self.path("source.c");
        std::fs::write(&source_file, source).unwrap();
        let directory = self.text("");
        let directory = directory.trim_end_matches('/');
        let status = Command::new("gcc")
            .args(["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-o"])
            .arg(self.path(output))
            .arg(&source_file)
            .args(
                arguments
                    .iter()
                    .map(|argument| argument.replace("DIR", directory)),
            )
            .status();
        assert!(status.unwrap().success(), "gcc {output} {arguments:?}");
    }

    /// A library without the C library; its soname is its file name.
    pub(super) fn library(&self, output: &str, arguments: &[&str]) {
        let name = Path::new(output).file_name().unwrap().to_str().unwrap();
        let soname = format!("-Wl,-soname,{name}");
        self.gcc(
            "",
            output,
            &[&["-shared", "-fPIC", "-nostdlib", &soname], arguments].concat(),
        );
    }

    pub(super) fn program(&self, output: &str, arguments: &[&str]) {
        self.gcc("int main(void) { return 0; }", output, arguments);
    }

    pub(super) fn closure(&self, program: &str) -> Result<Vec<Object>> {
        Resolver::new(Path::new("/"))
            .unwrap()
            .closure(&self.path(program))
    }

    /// The paths of the closure, without the interpreter and the C library, checked against
    /// what the dynamic linker says when the kernel starts the program.
    pub(super) fn confirmed(&self, program: &str) -> Vec<String> {
        self.confirmed_but(program, &[])
    }

    /// As [`Lab::confirmed`], where the dynamic linker does without `absent`.
    pub(super) fn confirmed_but(&self, program: &str, absent: &[&str]) -> Vec<String> {
        let ours = paths(&self.closure(program).unwrap());
        let (theirs, missing) = self.traced(program);
        assert_eq!(missing, absent);
        assert_eq!(sorted(&ours), sorted(&theirs));
        let in_lab = |path: &String| path.starts_with(&self.text(""));
        ours.into_iter().filter(in_lab).collect()
    }

    /// The library that both this module and the dynamic linker find missing.
    pub(super) fn confirmed_missing(&self, program: &str, name: &str) -> String {
        let error = self.closure(program).unwrap_err().to_string();
        let (_, missing) = self.traced(program);
        assert!(missing.iter().any(|theirs| theirs == name), "{missing:?}");
        assert!(error.contains(name), "{error}");
        error
    }

    /// What the dynamic linker loads, and what it misses (ld.so(8), `LD_TRACE_LOADED_OBJECTS`).
    pub(super) fn traced(&self, program: &str) -> (Vec<String>, Vec<String>) {
        let output = Command::new(self.path(program))
            .env_clear()
            .env("LD_TRACE_LOADED_OBJECTS", "1")
            .output()
            .unwrap();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for line in String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::trim)
        {
            let (name, path) = line.split_once(" => ").unwrap_or((line, line));
            if path == "not found" {
                missing.push(name.to_owned());
            } else if path.starts_with('/') {
                found.push(path.split(" (0x").next().unwrap().to_owned());
            }
        }
        (found, missing)
    }
}

/// The paths of a closure, in order.
pub(super) fn paths(objects: &[Object]) -> Vec<String> {
    objects
        .iter()
        .map(|object| object.path.to_str().unwrap().to_owned())
        .collect()
}

fn sorted(paths: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = paths.iter().collect();
    sorted.sort();
    sorted
}
