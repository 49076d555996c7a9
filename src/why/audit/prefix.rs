//! What stands before a record in a line: that of the kernel log, of syslog, of journald.

use std::borrow::Cow;

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

/// `journalctl` has English days in the C locale.
const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// What stood before the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Nothing: auditd's own line.
    None,
    /// `/dev/kmsg`'s, which says whether the kernel wrote the message.
    Kmsg { by_kernel: bool },
    /// Text of `dmesg` or syslog.
    Text,
    /// journald's `audit[PID]: ` or `audit: `, after which the type stands alone.
    Journald,
}

/// Takes away what stands before the record.
pub(super) fn prefixed(line: &[u8]) -> Option<(Prefix, &[u8])> {
    if line.starts_with(b"type=") || line.starts_with(b"node=") {
        return Some((Prefix::None, line));
    }
    if let Some(found) = kmsg(line) {
        return Some(found);
    }
    let rest = without_priority(line);
    let rest = without_level(rest);
    if let Some(rest) = without_brackets(rest) {
        // `journalctl --output short-monotonic` has a host and a tag behind the brackets.
        return tagged(rest).or(Some((Prefix::Text, rest)));
    }
    if is_head(rest) {
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

/// A line of `/dev/kmsg` with its backslashes, which are escaped there, as they were; any other as
/// it is. Nothing else that is escaped there is in an audit record.
pub(super) fn unescaped(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'\\') || kmsg(line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, others)) = rest.split_first() {
        text.push(*first);
        rest = match others.strip_prefix(b"x5c") {
            Some(behind) if *first == b'\\' => behind,
            _ => others,
        };
    }
    Cow::Owned(text)
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
/// RFC 5424, also with a space for its `T`; or one of `journalctl --output`, `short-unix` and
/// `short-full`.
fn without_date(text: &[u8]) -> Option<&[u8]> {
    let (first, rest) = word(text);
    if DAYS.contains(&first) {
        let (day, rest) = word(rest.trim_ascii_start());
        let (time, rest) = word(rest.trim_ascii_start());
        let (_zone, rest) = word(rest.trim_ascii_start());
        let is_date = day.len() == 10 && is_iso_day(day) && is_clock(time);
        return is_date.then(|| rest.trim_ascii_start());
    }
    let seconds = split(first, b'.');
    if seconds.is_some_and(|(whole, part)| is_number(whole) && is_number(part)) {
        return Some(rest.trim_ascii_start());
    }
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
    if name == b"audit" && !is_head(rest) {
        return Some((Prefix::Journald, rest));
    }
    (!has_pid || name != b"kernel").then_some((Prefix::Text, rest))
}

/// Whether this may be the head of a record.
fn is_head(text: &[u8]) -> bool {
    ["type=", "node=", "audit:", "audit("]
        .iter()
        .any(|head| text.starts_with(head.as_bytes()))
}

/// What is before the first space, and what begins with it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ');
    text.split_at(end.unwrap_or(text.len()))
}

/// What is before and behind the first such byte.
pub(super) fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

/// Decimal digits and nothing else.
pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    is_number(text).then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}
