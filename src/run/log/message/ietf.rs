//! A message for a collector: RFC 5424.

use super::write::{MAXIMUM_NAME, append, escape, write_time};
use super::{LIMIT, Message};
use crate::run::log::Source;

/// The longest message over UDP, bytes: every receiver should take as much (RFC 5426, section 3.2).
pub const DATAGRAM_LIMIT: usize = 2048;

/// The longest APP-NAME (RFC 5424, section 6).
const LONGEST_NAME: usize = 48;

/// The longest HOSTNAME.
const LONGEST_HOST: usize = 255;

/// The name of the structured data. The number is the one for examples (RFC 5612): gaoler has none
/// of its own.
const DATA: &str = "gaoler@32473";

/// When and on which host a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Seconds since 1970.
    pub seconds: u64,
    /// And microseconds.
    pub microseconds: u32,
    /// This host's name.
    pub host: &'a str,
}

impl Message<'_> {
    /// Writes it as RFC 5424 has it, with at most `limit` bytes: APP-NAME is `jail/TAG`, PROCID the
    /// process on the host, and jail, generation and process are structured data too. Answers
    /// whether all of it is there.
    pub fn to_ietf(
        &self,
        arrival: &Arrival<'_>,
        source: &Source<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        append(out, format_args!("<{}>1 ", self.priority));
        write_time(arrival.seconds, Some(arrival.microseconds), out);
        out.push(b' ');
        word(arrival.host, LONGEST_HOST, out);
        out.push(b' ');
        let tag = if self.tag.is_empty() { "-" } else { self.tag };
        let names = source.jail.bytes().chain(*b"/").chain(tag.bytes());
        out.extend(names.filter(u8::is_ascii_graphic).take(LONGEST_NAME));
        match source.pid {
            0 => out.extend_from_slice(b" - - "),
            pid => append(out, format_args!(" {pid} - ")),
        }
        append(out, format_args!("[{DATA} jail=\""));
        value(source.jail, out);
        let (generation, pid) = (source.generation, source.pid);
        append(
            out,
            format_args!("\" generation=\"{generation}\" pid=\"{pid}\"] "),
        );
        self.text(limit.min(LIMIT), out)
    }
}

/// A word without blanks, or `-`.
fn word(text: &str, longest: usize, out: &mut Vec<u8>) {
    let before = out.len();
    out.extend(text.bytes().filter(u8::is_ascii_graphic).take(longest));
    if out.len() == before {
        out.push(b'-');
    }
}

/// The value of a parameter, in which `"`, `\` and `]` are escaped (section 6.3.3).
fn value(text: &str, out: &mut Vec<u8>) {
    let mut plain = Vec::new();
    escape(text.as_bytes(), MAXIMUM_NAME, &mut plain);
    for byte in plain {
        if matches!(byte, b'"' | b'\\' | b']') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
