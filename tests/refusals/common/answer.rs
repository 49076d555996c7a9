//! What a command answered.

use std::process::Output;

/// Its exit code and both its outputs.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Holds that the command answered with `code` and said each of `words`, on one output or
    /// the other.
    #[track_caller]
    pub fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(
                self.error.contains(word) || self.out.contains(word),
                "no {word:?} in {self:#?}"
            );
        }
        assert!(!self.error.contains("panicked"), "{self:#?}");
    }

    /// The lines of standard output that begin with `prefix`, without it.
    pub fn lines(&self, prefix: &str) -> Vec<&str> {
        let lines = self.out.lines();
        lines.filter_map(|line| line.strip_prefix(prefix)).collect()
    }
}
