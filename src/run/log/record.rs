//! The last of what a jail said, in its own directory: for `gaoler logs` where the host's log is not
//! a file of the jail's.

use std::path::Path;

use super::message::{LIMIT, Message};
use super::sink::RotatedFile;
use super::{Source, now};

/// The file's name.
const FILE: &str = "recent.log";

/// How large it becomes before it is put aside, bytes. One such is kept.
const LARGEST: u64 = 128 << 10;

/// As much is gathered before it is written, bytes.
const ENOUGH: usize = 16 << 10;

/// Lines as of a log file. What does not fit on the disk is not kept: the log itself is elsewhere.
#[derive(Debug)]
pub(super) struct Record {
    file: RotatedFile,
    line: Vec<u8>,
    lines: Vec<u8>,
}

impl Record {
    /// The record in the jail's directory.
    pub fn new(directory: &Path) -> Self {
        Self {
            file: RotatedFile::new(&directory.join(FILE), LARGEST, 1),
            line: Vec::with_capacity(LIMIT),
            lines: Vec::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub fn add(&mut self, message: &Message<'_>, source: &Source<'_>) {
        message.to_line(now().seconds, source, &mut self.line);
        if self.lines.len() + self.line.len() > ENOUGH {
            self.write();
        }
        self.lines.extend_from_slice(&self.line);
    }

    /// Whether something is not written yet.
    pub fn waits(&self) -> bool {
        !self.lines.is_empty()
    }

    pub fn write(&mut self) {
        if self.waits() {
            self.file.append(&self.lines);
            self.lines.clear();
        }
    }
}
