//! What a host's log makes of a message, and whether that is what a probe wants it to believe.

use crate::run::log::LIMIT;

/// What a message without one has (RFC 3164, 4.3.3).
const USER_NOTICE: u32 = 13;

/// As long as `Mmm dd hh:mm:ss ` (RFC 3164, 4.1.2).
const TIMESTAMP: usize = 16;

/// What the log believes, if it believes this probe, which claims to be the process `victim`.
pub fn believed(probe: &str, message: &[u8], victim: u32) -> Option<&'static str> {
    let header = Header::of(message);
    let (is, what) = match probe {
        "log-forged-jail" => (
            header.source.starts_with(b"other/"),
            "the host's log has it as another jail's",
        ),
        "log-forged-gaoler" => (
            header.program() == b"gaoler",
            "the host's log has it as gaoler's own",
        ),
        "log-forged-process" => (
            header.pid == Some(victim),
            "the host's log has it as another process's",
        ),
        "log-forged-facility" => (
            header.priority < 8,
            "the host's log has it as the kernel's, an emergency",
        ),
        "log-forged-line" => (
            message.contains(&b'\n'),
            "the host's log has a second line, as the kernel's",
        ),
        "log-control-characters" => (
            has_control_characters(message),
            "the host's log has control characters",
        ),
        "log-huge" => (message.len() > LIMIT, "the host's log was given all of it"),
        _ => (false, ""),
    };
    is.then_some(what)
}

/// How many messages gaoler says, in this one, that the log did not take.
pub fn lost(message: &[u8]) -> Option<u64> {
    let header = Header::of(message);
    let count = str::from_utf8(header.text).ok()?;
    let count = count.strip_suffix(" messages were lost here: this log did not take them")?;
    (header.program() == b"gaoler")
        .then(|| count.parse().ok())
        .flatten()
}

/// What a message says of itself, as syslogd reads it.
struct Header<'a> {
    priority: u32,
    source: &'a [u8],
    pid: Option<u32>,
    text: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(message: &'a [u8]) -> Self {
        let (priority, rest) = priority(message).unwrap_or((USER_NOTICE, message));
        let rest = match rest.get(TIMESTAMP - 1) {
            Some(b' ') if rest.get(6) == Some(&b' ') => rest.get(TIMESTAMP..).unwrap_or_default(),
            _ => rest,
        };
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'[' | b':' | b' '));
        let (source, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let (pid, rest) = match pid(rest) {
            Some((pid, rest)) => (Some(pid), rest),
            None => (None, rest),
        };
        Self {
            priority,
            source,
            pid,
            text: rest.strip_prefix(b": ").unwrap_or(rest),
        }
    }

    /// The part of its source that names a program: what is after the jail and the generation.
    fn program(&self) -> &'a [u8] {
        let mut parts = self.source.splitn(3, |byte| *byte == b'/');
        parts.nth(2).unwrap_or(self.source)
    }
}

/// `<NUMBER>`, and what follows.
fn priority(message: &[u8]) -> Option<(u32, &[u8])> {
    bracketed(message, b'<', b'>')
}

/// `[NUMBER]`, and what follows.
fn pid(rest: &[u8]) -> Option<(u32, &[u8])> {
    bracketed(rest, b'[', b']')
}

fn bracketed(text: &[u8], open: u8, close: u8) -> Option<(u32, &[u8])> {
    let inside = text.strip_prefix(&[open])?;
    let end = inside.iter().position(|byte| *byte == close)?;
    let number = str::from_utf8(inside.get(..end)?).ok()?.parse().ok()?;
    Some((number, inside.get(end + 1..)?))
}

/// What a terminal may obey, or what is no text.
fn has_control_characters(message: &[u8]) -> bool {
    str::from_utf8(message).map_or(true, |text| text.chars().any(char::is_control))
}
