//! journald's own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): a datagram, or a sealed
//! file, of fields, each as `NAME=value` on a line, or as `NAME`, a line feed, the length of the value
//! in eight bytes, the value, a line feed. Nothing is refused: what is not understood is left out.

use super::parse::name_of_program;
use super::{DAEMON, Message};

/// As much is read of one.
pub const NATIVE_LIMIT: usize = 65_536;

/// As many fields are passed on.
const MOST_FIELDS: usize = 64;

/// The longest name of a field.
const LONGEST_NAME: usize = 64;

/// The severity of an entry that names none: informational.
const INFORMATIONAL: u8 = 6;

/// Fields that gaoler itself writes, and such as are taken for the word of systemd if they come from
/// root, as what the supervisor sends does (systemd.journal-fields(7), journalctl(1) on `--unit`).
const NOT_THE_JAILS: [&str; 6] = [
    "INVOCATION_ID",
    "LEADER",
    "MESSAGE_ID",
    "UNIT",
    "USER_INVOCATION_ID",
    "USER_UNIT",
];

/// How others of them begin.
const NOR_WHAT_BEGINS_SO: [&str; 5] = ["COREDUMP", "GAOLER_", "JOB_", "OBJECT_", "SYSLOG_"];

/// An entry of the journal, as far as its word counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native<'a> {
    /// What every log gets.
    pub message: Message<'a>,
    /// Fields that only the journal has room for.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Native<'a> {
    /// Reads the first entry; `truncated` if more came than is in `input`.
    pub fn parse(input: &'a [u8], truncated: bool) -> Self {
        let mut entry = Self {
            message: Message {
                priority: 0,
                timestamp: None,
                tag: "",
                text: b"",
                truncated,
            },
            fields: Vec::new(),
        };
        let (mut severity, mut facility) = (None, None);
        let mut rest = input;
        while let Some(field) = next(&mut rest) {
            let Field { name, value, whole } = field;
            entry.message.truncated |= !whole;
            match name {
                b"MESSAGE" => entry.message.text = value,
                b"PRIORITY" => severity = number(value, 7),
                b"SYSLOG_FACILITY" => facility = number(value, 23),
                b"SYSLOG_IDENTIFIER" => entry.message.tag = name_of_program(value).unwrap_or(""),
                _ => entry.keep(name, value),
            }
        }
        entry.message.truncated |= !rest.is_empty();
        // Nor is anything here of the kernel's facility.
        let facility = facility.filter(|facility| *facility > 0).unwrap_or(DAEMON);
        entry.message.priority = 8 * facility + severity.unwrap_or(INFORMATIONAL);
        entry
    }

    fn keep(&mut self, name: &'a [u8], value: &'a [u8]) {
        let Some(name) = name_of_field(name) else {
            return;
        };
        if self.fields.len() < MOST_FIELDS {
            self.fields.push((name, value));
        }
    }
}

/// The name of a field that a jail may set.
fn name_of_field(name: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.first().is_some_and(u8::is_ascii_uppercase)
        && name.iter().all(allowed);
    let name = str::from_utf8(name).ok().filter(|_| fits)?;
    let begins = NOR_WHAT_BEGINS_SO.iter();
    let taken = NOT_THE_JAILS.contains(&name) || begins.into_iter().any(|so| name.starts_with(so));
    (!taken).then_some(name)
}

/// One field as it was sent.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// Its end is there.
    whole: bool,
}

/// Takes the next field off `rest`; `None` at the end of the entry.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    loop {
        let input = *rest;
        let end = input.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (input.get(..end)?, input.get(end + 1..)?),
            None => (input, &[][..]),
        };
        match (line.first(), end) {
            // An empty line ends an entry, and a last line without a line feed is none.
            (None, _) => {
                *rest = after;
                return None;
            }
            (Some(b'.' | b'#'), _) => *rest = after,
            (Some(_), _) if line.contains(&b'=') => {
                *rest = after;
                let at = line.iter().position(|byte| *byte == b'=')?;
                return Some(Field {
                    name: line.get(..at)?,
                    value: line.get(at + 1..)?,
                    whole: end.is_some(),
                });
            }
            (Some(_), None) => return None,
            (Some(_), Some(_)) => return with_length(line, after, rest),
        }
    }
}

/// A field whose value has its length before it.
fn with_length<'a>(name: &'a [u8], after: &'a [u8], rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let (length, value) = after.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    match value.split_at_checked(length) {
        Some((value, [b'\n', after @ ..])) => {
            *rest = after;
            Some(Field {
                name,
                value,
                whole: true,
            })
        }
        _ => {
            *rest = &[];
            Some(Field {
                name,
                value: value.get(..length).unwrap_or(value),
                whole: false,
            })
        }
    }
}

/// A decimal number up to `most`.
fn number(value: &[u8], most: u8) -> Option<u8> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = str::from_utf8(value).ok()?.parse().ok()?;
    Some(number).filter(|number| digits && *number <= most)
}
