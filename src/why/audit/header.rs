//! The head of a record: its type, its time and its serial number.

use super::prefix::{Prefix, number, prefixed, split, word};
use super::{Channel, Fault, Origin, Time, Verdict};

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing that is read here.
    Other,
    /// Like an audit record of a type that is read, and yet not one.
    Unreadable(Fault),
    /// A record of a type that is read.
    Record(Header<'a>),
}

/// The head of a record, and the text behind it.
#[derive(Debug, PartialEq)]
pub(super) struct Header<'a> {
    pub(super) kind: Kind,
    pub(super) channel: Channel,
    pub(super) node: Option<&'a [u8]>,
    pub(super) time: Option<Time>,
    pub(super) serial: Option<u64>,
    /// Whether it is text of `ausearch -i`.
    pub(super) interpreted: bool,
    pub(super) body: &'a [u8],
}

/// The types of records that are read (`linux/audit.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Syscall,
    Path,
    Cwd,
    Proctitle,
    EndOfEvent,
    Seccomp,
    /// `ANOM_ABEND`, which seccomp used before it had a type of its own.
    AbnormalEnd,
    /// SELinux's, and AppArmor's since Linux 2.6.36.
    Avc,
    /// AppArmor's own types, as Ubuntu and SUSE had them before.
    AppArmor(Verdict),
    LandlockAccess,
    LandlockDomain,
}

const KINDS: [(&str, &str, Kind); 17] = [
    ("SYSCALL", "1300", Kind::Syscall),
    ("PATH", "1302", Kind::Path),
    ("CWD", "1307", Kind::Cwd),
    ("EOE", "1320", Kind::EndOfEvent),
    ("SECCOMP", "1326", Kind::Seccomp),
    ("PROCTITLE", "1327", Kind::Proctitle),
    ("AVC", "1400", Kind::Avc),
    ("LANDLOCK_ACCESS", "1423", Kind::LandlockAccess),
    ("LANDLOCK_DOMAIN", "1424", Kind::LandlockDomain),
    ("APPARMOR", "1500", Kind::AppArmor(Verdict::Denied)),
    ("APPARMOR_AUDIT", "1501", Kind::AppArmor(Verdict::Audited)),
    ("APPARMOR_ALLOWED", "1502", Kind::AppArmor(Verdict::Allowed)),
    ("APPARMOR_DENIED", "1503", Kind::AppArmor(Verdict::Denied)),
    ("APPARMOR_HINT", "1504", Kind::AppArmor(Verdict::Hint)),
    ("APPARMOR_ERROR", "1506", Kind::AppArmor(Verdict::Error)),
    ("APPARMOR_KILL", "1507", Kind::AppArmor(Verdict::Killed)),
    ("ANOM_ABEND", "1701", Kind::AbnormalEnd),
];

/// Reads the head of a line.
pub(super) fn parse(line: &[u8], origin: Origin) -> Line<'_> {
    let found = prefixed(line).and_then(|(prefix, rest)| record(prefix, rest));
    let Some((prefix, mut header)) = found else {
        return if claims(line) {
            Line::Unreadable(Fault::Header)
        } else {
            Line::Other
        };
    };
    header.channel = match (prefix, origin) {
        (Prefix::Kmsg { by_kernel: false }, _) => return Line::Unreadable(Fault::NotTheKernel),
        (Prefix::Kmsg { by_kernel: true }, Origin::Kmsg) => Channel::KernelLog,
        (Prefix::None, Origin::AuditFile) if !header.interpreted => Channel::Audit,
        _ => Channel::Text,
    };
    Line::Record(header)
}

/// Whether a line in which no head was found has the text of one somewhere.
fn claims(line: &[u8]) -> bool {
    line.windows(5)
        .enumerate()
        .filter(|(_, window)| *window == b"type=")
        .filter_map(|(at, _)| line.get(at + 5..))
        .any(|rest| {
            let (name, rest) = word(rest);
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            kind_of(name).is_some()
                && (rest.starts_with(b"msg=audit(") || rest.starts_with(b"audit("))
        })
}

/// The head of the record itself.
fn record(prefix: Prefix, text: &[u8]) -> Option<(Prefix, Header<'_>)> {
    if prefix == Prefix::Journald {
        let (name, body) = word(text);
        // Older ones wrote types that they had no name for as `<audit-1326>`.
        let number = name
            .strip_prefix(b"<audit-")
            .and_then(|rest| rest.strip_suffix(b">"));
        let kind = number.map_or_else(|| kind_named(name), kind_of)?;
        return Some((prefix, header(kind, None, body)));
    }
    let text = text.strip_prefix(b"audit: ").unwrap_or(text);
    let (node, text) = match text.strip_prefix(b"node=") {
        Some(rest) => {
            let (node, rest) = word(rest);
            (Some(node), rest.trim_ascii_start())
        }
        None => (None, text),
    };
    let (kind, rest) = match text.strip_prefix(b"type=") {
        Some(rest) => {
            let (name, rest) = word(rest);
            let rest = rest.strip_prefix(b" ")?;
            (kind_of(name)?, rest.strip_prefix(b"msg=").unwrap_or(rest))
        }
        // Linux before 2.6.18 printed no type.
        None => (Kind::Avc, text),
    };
    let (stamp, rest) = split(rest.strip_prefix(b"audit(")?, b')')?;
    let body = rest.trim_ascii_start().strip_prefix(b":")?;
    let is_untyped = !text.starts_with(b"type=");
    if is_untyped && !body.trim_ascii_start().starts_with(b"avc:") {
        return None;
    }
    let mut header = header(kind, node, body);
    (header.time, header.serial) = stamped(stamp)?;
    header.interpreted = header.time.is_none();
    Some((prefix, header))
}

fn header<'a>(kind: Kind, node: Option<&'a [u8]>, body: &'a [u8]) -> Header<'a> {
    Header {
        kind,
        channel: Channel::Text,
        node,
        time: None,
        serial: None,
        interpreted: false,
        body,
    }
}

/// `SECONDS.MILLISECONDS:SERIAL`; or a date in local time, of which only the serial number is
/// taken.
fn stamped(text: &[u8]) -> Option<(Option<Time>, Option<u64>)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let serial = number(text.get(colon + 1..)?)?;
    let date = text.get(..colon)?;
    let time = split(date, b'.').and_then(|(seconds, fraction)| {
        Some(Time {
            seconds: number(seconds)?,
            milliseconds: number(fraction).filter(|_| fraction.len() == 3)?,
        })
    });
    // A date and a time of day, in whatever form a locale has them.
    let is_date = date.contains(&b' ');
    (time.is_some() || is_date).then_some((time, Some(serial)))
}

/// The type with this name or number; also as an auditd writes it that is older than the type.
fn kind_of(name: &[u8]) -> Option<Kind> {
    let unknown = [&b"UNKNOWN["[..], &b"unknown["[..]]
        .iter()
        .find_map(|head| name.strip_prefix(*head)?.strip_suffix(b"]"));
    let number = unknown.unwrap_or(name);
    KINDS
        .iter()
        .find(|(_, known, _)| known.as_bytes() == number)
        .map(|(_, _, kind)| *kind)
        .or_else(|| kind_named(name))
}

fn kind_named(name: &[u8]) -> Option<Kind> {
    KINDS
        .iter()
        .find(|(known, _, _)| known.as_bytes() == name)
        .map(|(_, _, kind)| *kind)
}
