//! The kernel's audit records of denials, read from text: seccomp, AppArmor, SELinux, Landlock.
//!
//! Read are the lines of auditd's own file, raw, `log_format = ENRICHED` and as `ausearch -i`
//! prints them, and those of the kernel log in every dress that it comes in: `/dev/kmsg`, `dmesg`,
//! `kern.log`, syslog, `journalctl`. Records of one event (the same serial number) are joined: what
//! was denied takes its call from `SYSCALL`, its path from `PATH` and `CWD`, its command line from
//! `PROCTITLE`. What is no audit record is skipped; what looks like one and cannot be read is
//! counted, with its line. The journal's binary files are not read: `journalctl` prints them as text
//! or, with `--output json`, as JSON, which are.
//!
//! **Everything in such a log is hostile.** A jailed process chooses its `comm`, its `exe` and the
//! names of files; who may write to `/dev/log` writes whole lines. So the head of a record is looked
//! for only where the kernel or auditd puts it, never in the middle of a line; a field that is there
//! twice makes a line unreadable rather than a guess; and each record says by which [`Channel`] it
//! came. Strings are handed over as they were, control characters too: whoever prints them escapes
//! them. Memory is bounded: [`MAX_LINE`], [`MAX_RECORDS`], [`MAX_BYTES`].
//!
//! Sources: `kernel/audit.c`, `kernel/auditsc.c`, `security/lsm_audit.c`, `security/apparmor/audit.c`,
//! `security/landlock/audit.c` and `Documentation/admin-guide/LSM/landlock.rst` of Linux;
//! `auditd.conf(5)`, `ausearch(8)`; `Documentation/ABI/testing/dev-kmsg`.

mod call;
mod decode;
mod event;
mod fields;
mod header;
mod journal;
mod prefix;
mod record;
mod selinux;
mod sources;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead};

use crate::{Doing, Result};
use event::{Events, Place};
use header::Line;

pub use call::{Abi, Action, Arch, Call};
pub use record::{
    AppArmor, Channel, Endpoint, Landlock, Network, Object, Process, Record, Seccomp, Selinux,
    Syscall, Time, Verdict, What,
};
pub use sources::{Source, Sources, sources, sources_under};

/// The longest line that is read, in bytes. The kernel ends a record at 8970
/// (`MAX_AUDIT_MESSAGE_LENGTH`) and auditd's enrichment adds less than that.
pub const MAX_LINE: usize = 16 * 1024;

/// How many records are kept; of more, the last.
pub const MAX_RECORDS: usize = 16 * 1024;

/// How many bytes the kept records take, counted by their lines; of more, the last.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many unreadable lines are kept with their number. All are counted.
pub const MAX_UNREADABLE: usize = 100;

/// Where lines come from, as far as the caller knows. It decides which [`Channel`] a record can
/// have come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file that auditd wrote and nobody else may write to.
    AuditFile,
    /// `/dev/kmsg` itself, with its prefix, which says who wrote a message.
    Kmsg,
    /// Anything else: a syslog file, the output of a program, a file that somebody sent.
    Text,
}

/// Why a line that looks like an audit record was not taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The head of a record is not where it belongs, or its time and serial number are no numbers.
    Header,
    /// The line is longer than [`MAX_LINE`].
    TooLong,
    /// A quoted value has no end: the record was cut, as the kernel log cuts near 1000 bytes.
    Cut,
    /// One field is there twice with different values.
    Twice,
    /// There are more fields than any record has.
    TooManyFields,
    /// A field that every such record has is not there.
    Missing(&'static str),
    /// A field has a value that it cannot have.
    Value(&'static str),
    /// A program wrote it to `/dev/kmsg`; the kernel did not.
    NotTheKernel,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Header => f.write_str("the head of the record is not where it belongs"),
            Fault::TooLong => write!(f, "longer than {MAX_LINE} bytes"),
            Fault::Cut => f.write_str("a quoted value has no end"),
            Fault::Twice => f.write_str("a field is there twice with different values"),
            Fault::TooManyFields => f.write_str("more fields than any record has"),
            Fault::Missing(field) => write!(f, "no field {field}"),
            Fault::Value(field) => write!(f, "{field} has a value that it cannot have"),
            Fault::NotTheKernel => f.write_str("a program wrote it, not the kernel"),
        }
    }
}

/// A line that looks like an audit record and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1; for `/dev/kmsg` that of the message.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The records, in the order of their lines.
    pub records: Vec<Record>,
    /// How many older records were left out to keep to [`MAX_RECORDS`] and [`MAX_BYTES`].
    pub dropped: u64,
    /// The first [`MAX_UNREADABLE`] unreadable lines.
    pub unreadable: Vec<Unreadable>,
    /// How many unreadable lines there were.
    pub unreadable_lines: u64,
    /// How many lines there were.
    pub lines: u64,
    /// How many bytes at the beginning of a very large file were not read.
    pub skipped_bytes: u64,
    /// How often the kernel had overwritten messages of `/dev/kmsg` before they were read.
    pub gaps: u64,
}

/// Reads lines until their end.
///
/// # Errors
/// Only what reading itself fails with; a line is never an error.
pub fn read(input: impl BufRead, origin: Origin) -> Result<Log> {
    let mut reader = Reader::new(origin);
    reader.take(input).doing(|| "read audit records")?;
    Ok(reader.finish())
}

/// Takes lines one by one, for sources that are no files.
#[derive(Debug)]
pub struct Reader {
    origin: Origin,
    events: Events,
    kept: Kept,
    unreadable: Vec<Unreadable>,
    unreadable_lines: u64,
    lines: u64,
}

impl Reader {
    /// A reader of lines that come from `origin`.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            events: Events::default(),
            kept: Kept::default(),
            unreadable: Vec::new(),
            unreadable_lines: 0,
            lines: 0,
        }
    }

    /// Takes one line, with or without its newline.
    pub fn push(&mut self, line: &[u8]) {
        self.lines += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (start, whole) = match line.get(..MAX_LINE) {
            Some(start) => (start, line.len() == MAX_LINE),
            None => (line, true),
        };
        if let Err(fault) = self.look_at(start, whole) {
            self.unreadable_lines += 1;
            if self.unreadable.len() < MAX_UNREADABLE {
                self.unreadable.push(Unreadable {
                    line: self.lines,
                    fault,
                });
            }
        }
    }

    /// What has been read; events that are still open are taken as they are.
    pub fn finish(mut self) -> Log {
        while let Some(event) = self.events.oldest() {
            self.kept.add(event);
        }
        let mut records: Vec<Record> = self
            .kept
            .records
            .into_iter()
            .map(|(_, record)| record)
            .collect();
        records.sort_by_key(|record| record.line);
        Log {
            records,
            dropped: self.kept.dropped,
            unreadable: self.unreadable,
            unreadable_lines: self.unreadable_lines,
            lines: self.lines,
            skipped_bytes: 0,
            gaps: 0,
        }
    }

    fn look_at(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        let line = match journal::plain(line) {
            Some(line) => Cow::Owned(line),
            None => prefix::unescaped(line),
        };
        let line = &*line;
        let header = match header::parse(line, self.origin) {
            Line::Other => return Ok(()),
            Line::Unreadable(fault) => return Err(fault),
            Line::Record(_) if !whole => return Err(Fault::TooLong),
            Line::Record(header) => header,
        };
        let Some(part) = decode::part(&header)? else {
            return Ok(());
        };
        let place = Place {
            line: self.lines,
            bytes: line.len(),
        };
        for finished in self.events.add(&header, place, part) {
            self.kept.add(finished);
        }
        Ok(())
    }

    /// Takes every line of `input`. Of a line that is too long only the beginning is held.
    fn take(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            let chunk = match input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |at| at + 1);
            // One byte more than the longest line, and its newline, tell that it is too long.
            let room = (MAX_LINE + 2).saturating_sub(line.len());
            line.extend(chunk.iter().take(used.min(room)));
            input.consume(used);
            if end.is_some() {
                self.push(&line);
                line.clear();
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
        Ok(())
    }
}

/// The records so far, the oldest first, each with what it counts for.
#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<(usize, Record)>,
    bytes: usize,
    dropped: u64,
}

impl Kept {
    fn add(&mut self, event: event::Event) {
        for (bytes, record) in event.into_records() {
            self.bytes += bytes;
            self.records.push_back((bytes, record));
            while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
                let Some((bytes, _)) = self.records.pop_front() else {
                    break;
                };
                self.bytes -= bytes;
                self.dropped += 1;
            }
        }
    }
}
