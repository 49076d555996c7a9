//! Paths that need not stop a call in the second pass, because the first has shown them. Pure.
//!
//! A name is known when a call has used it in serving with success, with the same flags, and it led
//! to itself: absolute, no symlink on the way, in the host's own root. The kernel compares it where
//! the call is entered. What it cannot read, or does not find among these, stops, so that the call
//! is recorded by name whether it succeeds or fails.
//!
//! **What is left.** A known name that leads elsewhere for a while (the end of the pass looks again),
//! or that another program of the service uses with other ids: the capability that would take was
//! then seen in no pass.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::calls::{self, named::Named};
use super::record::Recorder;
use crate::sys::abi;
use crate::sys::perf::{self, LONGEST_FILTER};

/// A name that is used less often than this stops: a stop costs less than looking through names.
const OFTEN: u64 = 16;
/// As many names of one call are compared: a longer list would cost as much as a stop.
const MOST: usize = 32;
/// The kernel takes no longer ones into a filter: `MAX_FILTER_STR_VAL` of its `trace.h`.
const LONGEST: usize = 255;

/// A call that runs without a stop as long as it names what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its number.
    pub call: u32,
    /// What is known about it.
    pub named: &'static Named,
    /// With these flags it runs; empty if it has none.
    pub flags: Vec<u64>,
    /// What it may name.
    pub names: Vec<PathBuf>,
    /// Holds when the call has those flags and another name.
    pub filter: std::ffi::CString,
}

/// The calls that are worth it. None if the service changed its root, where a name may be another
/// file's, or has something of its own to do with the signal that tells of a new name.
pub fn watched(first: &Recorder) -> Vec<Watched> {
    if first.has_changed_root() || first.has_handled(abi::SIGTRAP) {
        return Vec::new();
    }
    let mut uses: BTreeMap<u32, Vec<Usage<'_>>> = BTreeMap::new();
    for ((number, flags), names) in first.names() {
        if calls::named((*number).into()).is_none_or(|named| named.is_of_descriptor(*flags)) {
            continue;
        }
        let often = names
            .iter()
            .filter(|(path, count)| **count >= OFTEN && is_plain(path));
        uses.entry(*number)
            .or_default()
            .extend(often.map(|(path, count)| Usage {
                flags: *flags,
                path,
                count: *count,
            }));
    }
    uses.into_iter()
        .filter_map(|(number, usages)| watch(number, usages))
        .collect()
}

/// How often a name was used with some flags.
#[derive(Clone, Copy, Debug)]
struct Usage<'a> {
    flags: u64,
    path: &'a Path,
    count: u64,
}

fn watch(number: u32, mut usages: Vec<Usage<'_>>) -> Option<Watched> {
    let named = calls::named(number.into())?;
    // What is used most is found first.
    usages.sort_by_key(|usage| std::cmp::Reverse(usage.count));
    usages.truncate(MOST);
    while !usages.is_empty() {
        let (text, flags) = filter(named, &usages);
        if let Some(filter) = perf::filter(&text) {
            let names = usages.iter().map(|usage| usage.path.to_owned()).collect();
            return Some(Watched {
                call: number,
                named,
                flags: if named.flags.is_some() {
                    flags
                } else {
                    Vec::new()
                },
                names,
                filter,
            });
        }
        usages.pop();
    }
    None
}

/// `Documentation/trace/events.rst`, "Event filtering". Where the kernel cannot read a string, the
/// comparison does not hold, and its negation does.
fn filter(named: &Named, usages: &[Usage<'_>]) -> (String, Vec<u64>) {
    let mut flags: Vec<u64> = Vec::new();
    for usage in usages {
        if !flags.contains(&usage.flags) {
            flags.push(usage.flags);
        }
    }
    let mut text = String::with_capacity(LONGEST_FILTER);
    for (index, value) in flags.iter().enumerate() {
        let or = if index == 0 { "" } else { "||" };
        let names: Vec<String> = usages
            .iter()
            .filter(|usage| usage.flags == *value)
            .map(|usage| format!("{}.ustring==\"{}\"", named.path, usage.path.display()))
            .collect();
        let unknown = format!("!({})", names.join("||"));
        let written = match named.flags {
            Some(field) => write!(text, "{or}({field}=={value}&&{unknown})"),
            None => write!(text, "{or}{unknown}"),
        };
        // Writing to a string cannot fail.
        written.unwrap_or_default();
    }
    (text, flags)
}

/// Can it stand in a filter, and mean the same to every process? The kernel gives `*`, `?`, `[`, `\`
/// and quotation marks a meaning of their own.
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let own = ["/proc/self", "/proc/thread-self"];
    bytes.first() == Some(&b'/')
        && bytes.len() <= LONGEST
        && !own.iter().any(|own| path.starts_with(own))
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@,=% ".contains(byte))
}

#[cfg(test)]
mod tests;
