//! A directory with small programs.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Lab(tempfile::TempDir);

impl Lab {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles `source` to `output`, in the directory itself.
    pub fn gcc(&self, source: &str, output: &str, arguments: &[&str]) {
        std::fs::write(self.path("source.c"), source).unwrap();
        let status = Command::new("gcc")
            .current_dir(self.0.path())
            .args(["-O1", "-o", output, "source.c"])
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "gcc {output} {arguments:?}");
    }

    /// What a program prints to standard error, which it ends with a failure.
    pub fn stderr(&self, program: &Path, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(!output.status.success(), "{program:?} did not fail");
        output.stderr
    }
}
