//! One message of a jail: read as RFC 3164, RFC 5424 or an entry of the journal, and written anew.

mod ietf;
mod native;
mod parse;
mod write;

pub use ietf::{Arrival, DATAGRAM_LIMIT};
pub use native::{NATIVE_LIMIT, Native};
pub use write::LIMIT;
pub(super) use write::priority_named;
pub(in crate::run) use write::write_time;

use super::Source;

/// The priority of a message that names none: facility user, severity notice (RFC 3164, 4.3.3).
const USER_NOTICE: u8 = 13;

/// The facility in place of kern, which no process may claim (`syslog(3)`).
const DAEMON: u8 = 3;

/// The program's name in what gaoler itself says of a jail; no process in one has it.
pub(super) const OWN_TAG: &str = "gaoler";

/// What a process logged, as far as its word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Facility times eight and severity; never of facility kern.
    pub priority: u8,
    /// `Mmm dd hh:mm:ss` as it was sent, if it is one.
    pub timestamp: Option<&'a [u8]>,
    /// The program's name: letters, digits and a few signs, or empty.
    pub tag: &'a str,
    /// The rest, as it was sent: any bytes.
    pub text: &'a [u8],
    /// Its end did not arrive.
    pub truncated: bool,
}

/// Writes a message anew, for syslogd, as one that comes from `source`:
/// `<PRI>TIMESTAMP jail/generation/TAG[pid]: TEXT`, without the timestamp if there was none (the receiver
/// has a clock). The message's own process id is dropped, and so is its host name.
///
/// A priority that is missing or wrong becomes user.notice, facility kern becomes daemon, a
/// missing tag, or one that is gaoler's own, `-`. Each byte of a control character (C0, DEL, C1) and
/// each byte that is not UTF-8 becomes `#` and three octal digits, as rsyslog writes them. The result
/// has at most [`LIMIT`] bytes and ends in ` [truncated]` if something is missing.
pub fn rewrite(input: &[u8], source: &Source<'_>, out: &mut Vec<u8>) {
    Message::parse(input).to_syslog(source, out);
}
