//! A script in the making.

use crate::export::sh;

/// The script so far.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub text: String,
    /// The last comment, which is not said twice.
    reason: String,
}

impl Script {
    /// A comment for what follows.
    pub fn because(&mut self, reason: &str) {
        if self.reason != reason {
            self.reason = reason.to_owned();
            self.text += &format!("{}\n", sh::comment(reason));
        }
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.reason.clear();
        self.text.push('\n');
    }

    /// More arguments for bubblewrap: words that are quoted already.
    pub fn argument(&mut self, reason: &str, words: &str) {
        self.because(reason);
        self.line(&format!("set -- \"$@\" {words}"));
    }
}
