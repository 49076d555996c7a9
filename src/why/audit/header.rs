//! The head of a line: what put it there, and the time, serial number and type of the record.

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

/// What the tags of a syslog line may be whose text is the kernel's or auditd's: the kernel,
/// journald for the records that it gets itself, and the dispatchers of auditd.
const TAGS: [&[u8]; 6] = [
    b"kernel",
    b"audit",
    b"auditd",
    b"audispd",
    b"audisp-syslog",
    b"audisp-remote",
];

/// Syslog's months are English everywhere (RFC 3164).
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// What stood before the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// Nothing: auditd's own line.
    None,
    /// `/dev/kmsg`'s, which says whether the kernel wrote the message.
    Kmsg { by_kernel: bool },
    /// Text of `dmesg` or syslog.
    Text,
    /// journald's `audit[PID]: ` or `audit: `, after which the type stands alone.
    Journald,
}

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

/// Takes away what stands before the record.
fn prefixed(line: &[u8]) -> Option<(Prefix, &[u8])> {
    if line.starts_with(b"type=") || line.starts_with(b"node=") {
        return Some((Prefix::None, line));
    }
    if let Some(found) = kmsg(line) {
        return Some(found);
    }
    let rest = without_priority(line);
    let rest = without_level(rest);
    if let Some(rest) = without_brackets(rest) {
        return Some((Prefix::Text, rest));
    }
    if rest.starts_with(b"audit") {
        return Some((Prefix::Text, rest));
    }
    tagged(without_date(rest)?)
}

/// `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;`. The facility, `PRIORITY / 8`, is 0 for the kernel and
/// never for a program that writes to `/dev/kmsg`.
fn kmsg(line: &[u8]) -> Option<(Prefix, &[u8])> {
    let (head, text) = split(line, b';')?;
    let mut parts = head.split(|byte| *byte == b',');
    let priority: u32 = number(parts.next()?)?;
    for _ in 0..2 {
        let _sequence_and_time: u64 = number(parts.next()?)?;
    }
    parts.next()?;
    let by_kernel = priority >> 3 == 0;
    Some((Prefix::Kmsg { by_kernel }, text))
}

/// Without the `<N>` of `dmesg --raw` and of syslog's wire.
fn without_priority(text: &[u8]) -> &[u8] {
    let inside = text
        .strip_prefix(b"<")
        .and_then(|rest| split(rest, b'>'))
        .filter(|(inside, _)| number::<u32>(inside).is_some());
    inside.map_or(text, |(_, rest)| rest)
}

/// Without the `kern  :notice: ` of `dmesg --decode`.
fn without_level(text: &[u8]) -> &[u8] {
    let Some(rest) = text.strip_prefix(b"kern") else {
        return text;
    };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b":") else {
        return text;
    };
    match split(rest, b':') {
        Some((level, rest)) if level.iter().all(|byte| is_level(*byte)) => rest.trim_ascii_start(),
        _ => text,
    }
}

fn is_level(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b' '
}

/// Without the time in brackets of the kernel log, and the thread in brackets of
/// `CONFIG_PRINTK_CALLER`. `None` if there are no brackets.
fn without_brackets(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    let mut found = false;
    while let Some((_, after)) = rest
        .strip_prefix(b"[")
        .and_then(|inside| split(inside, b']'))
        .filter(|(inside, _)| inside.len() <= 40)
    {
        rest = after.trim_ascii_start();
        found = true;
    }
    found.then_some(rest)
}

/// Without syslog's date: `Nov 22 04:00:00`, with a year before it or behind the day, or that of
/// RFC 5424, also with a space for its `T`.
fn without_date(text: &[u8]) -> Option<&[u8]> {
    let (first, rest) = word(text);
    if first.get(..10).is_some_and(is_iso_day) {
        let rest = rest.trim_ascii_start();
        return match first.len() {
            10 => Some(word(rest).1.trim_ascii_start()),
            _ => Some(rest),
        };
    }
    let is_year = first.len() == 4 && number::<u16>(first).is_some();
    let text = if is_year {
        rest.trim_ascii_start()
    } else {
        text
    };
    let (month, rest) = word(text);
    let (day, rest) = word(rest.trim_ascii_start());
    let (time, rest) = word(rest.trim_ascii_start());
    if !MONTHS.contains(&month) || number::<u8>(day).is_none() {
        return None;
    }
    let is_year = time.len() == 4 && number::<u16>(time).is_some();
    let (time, rest) = if is_year {
        word(rest.trim_ascii_start())
    } else {
        (time, rest)
    };
    is_clock(time).then(|| rest.trim_ascii_start())
}

/// `HH:MM:SS`, with or without a fraction.
fn is_clock(text: &[u8]) -> bool {
    text.get(..8).is_some_and(|clock| {
        clock.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
    })
}

fn is_iso_day(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

/// After syslog's date: the host, which `journalctl --no-hostname` leaves out, and the tag.
fn tagged(text: &[u8]) -> Option<(Prefix, &[u8])> {
    let (first, rest) = word(text);
    let (tag, rest) = match first.strip_suffix(b":") {
        Some(tag) => (tag, rest),
        None => {
            let (second, rest) = word(rest.trim_ascii_start());
            (second.strip_suffix(b":")?, rest)
        }
    };
    let (name, has_pid) = match split(tag, b'[') {
        Some((name, _)) => (name, true),
        None => (tag, false),
    };
    let rest = rest.trim_ascii_start();
    if !TAGS.contains(&name) {
        return None;
    }
    let rest = without_brackets(rest).unwrap_or(rest);
    let is_head = ["type=", "node=", "audit:", "audit("]
        .iter()
        .any(|head| rest.starts_with(head.as_bytes()));
    if name == b"audit" && !is_head {
        return Some((Prefix::Journald, rest));
    }
    (!has_pid || name != b"kernel").then_some((Prefix::Text, rest))
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

/// What is before the first space, and what begins with it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ');
    text.split_at(end.unwrap_or(text.len()))
}

/// What is before and behind the first such byte.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

/// Decimal digits and nothing else.
fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}
