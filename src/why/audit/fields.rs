//! The fields of a record: `key=value`, and the kernel's ways of writing values.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;

use super::Fault;

/// More fields than any record that is read has: `SYSCALL`, the longest, has about 35 when enriched.
const MAX_FIELDS: usize = 96;

/// What auditd's enrichment writes, in capitals, behind a separator (0x1D) that copying a log
/// through a terminal or a web page loses (`auparse/interpret.c` of the audit tools).
const ENRICHED: [&[u8]; 13] = [
    b"AUID", b"EUID", b"SUID", b"FSUID", b"OAUID", b"OUID", b"UID", b"EGID", b"SGID", b"FSGID",
    b"OGID", b"GID", b"ARCH",
];

/// The fields of one record, in their order.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pairs: Vec<(&'a [u8], Value<'a>)>,
    interpreted: bool,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Quoted(&'a [u8]),
    Bare(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// Splits a record's text. `interpreted` is text of `ausearch -i`, in which strings are not
    /// quoted, numbers are words, and nothing is hexadecimal that would otherwise be text.
    pub(super) fn new(text: &'a [u8], interpreted: bool) -> Result<Self, Fault> {
        let mut fields = Self {
            pairs: Vec::new(),
            interpreted,
        };
        let mut rest = without_space(text);
        while !rest.is_empty() {
            rest = without_space(fields.take(rest)?);
        }
        Ok(fields)
    }

    /// Takes one `key=value` from the beginning of `text`; answers with what follows it.
    fn take(&mut self, text: &'a [u8]) -> Result<&'a [u8], Fault> {
        let end = position(text, |byte| is_space(byte) || byte == b'=').unwrap_or(text.len());
        let (key, rest) = text.split_at(end);
        let Some(rest) = rest.strip_prefix(b"=") else {
            // A word without a key that follows no bare value says nothing.
            return Ok(rest);
        };
        let (value, rest) = match rest.first() {
            Some(quote @ (b'"' | b'\'')) => quoted(rest, *quote)?,
            _ => bare(rest),
        };
        self.add(key, value)?;
        Ok(rest)
    }

    fn add(&mut self, key: &'a [u8], value: Value<'a>) -> Result<(), Fault> {
        match self.pairs.iter().find(|(known, _)| *known == key) {
            // The enriched part may repeat itself where two records were pasted in one line.
            Some((_, known))
                if *known == value || key.first().is_some_and(u8::is_ascii_uppercase) =>
            {
                Ok(())
            }
            Some(_) => Err(Fault::Twice),
            None if self.pairs.len() == MAX_FIELDS => Err(Fault::TooManyFields),
            None => {
                self.pairs.push((key, value));
                Ok(())
            }
        }
    }

    fn find(&self, key: &str) -> Option<Value<'a>> {
        let (_, value) = self
            .pairs
            .iter()
            .find(|(known, _)| *known == key.as_bytes())?;
        match value {
            Value::Bare(b"(null)" | b"?" | b"(none)" | b"unset" | b"") => None,
            value => Some(*value),
        }
    }

    /// Whether there is such a field, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(known, _)| *known == key.as_bytes())
    }

    /// A value that the kernel chooses, as text.
    pub(super) fn word(&self, key: &str) -> Option<String> {
        let (Value::Quoted(text) | Value::Bare(text)) = self.find(key)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// A value that a program chooses. The kernel writes it between quotes, or, if it has a quote,
    /// a space, a control character or a byte beyond ASCII, as capital hexadecimal digits without
    /// quotes (`audit_log_untrustedstring`). What is neither comes from a kernel that is too old for
    /// that, and is taken as it is.
    pub(super) fn untrusted(&self, key: &str) -> Option<OsString> {
        let bytes = match self.find(key)? {
            Value::Quoted(text) => text.to_vec(),
            Value::Bare(text) if self.interpreted => text.to_vec(),
            Value::Bare(text) => decoded(text).unwrap_or_else(|| text.to_vec()),
        };
        Some(OsString::from_vec(bytes))
    }

    /// As [`Fields::untrusted`], a path.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.untrusted(key).map(PathBuf::from)
    }

    /// As [`Fields::untrusted`], as text; what is no UTF-8 is replaced.
    pub(super) fn untrusted_word(&self, key: &str) -> Option<String> {
        let value = self.untrusted(key)?;
        Some(value.to_string_lossy().into_owned())
    }

    /// A decimal number.
    pub(super) fn number<T: FromStr>(&self, key: &'static str) -> Result<Option<T>, Fault> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// A hexadecimal number, with or without `0x`.
    pub(super) fn hexadecimal(&self, key: &'static str) -> Result<Option<u64>, Fault> {
        self.parsed(key, |text| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hexadecimal.then(|| u64::from_str_radix(digits, 16).ok())?
        })
    }

    /// The number of a user or group; `None` for -1, which means nobody.
    pub(super) fn id(&self, key: &'static str) -> Result<Option<u32>, Fault> {
        let id: Option<i64> = self.number(key)?;
        match id {
            None | Some(-1 | 0xFFFF_FFFF) => Ok(None),
            Some(id) => u32::try_from(id).map(Some).map_err(|_| Fault::Value(key)),
        }
    }

    /// An address of the internet.
    pub(super) fn address(&self, key: &'static str) -> Result<Option<IpAddr>, Fault> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// A value that must be readable where the kernel wrote it; in interpreted text it may be a
    /// word, and then there is none.
    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(Value::Quoted(text) | Value::Bare(text)) = self.find(key) else {
            return Ok(None);
        };
        match std::str::from_utf8(text).ok().and_then(parse) {
            None if !self.interpreted => Err(Fault::Value(key)),
            value => Ok(value),
        }
    }

    /// Whether this is text of `ausearch -i`.
    pub(super) fn is_interpreted(&self) -> bool {
        self.interpreted
    }
}

/// What stands between fields: white space, and the separator of an enriched record.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x1D
}

fn without_space(text: &[u8]) -> &[u8] {
    let start = position(text, |byte| !is_space(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn position(text: &[u8], test: impl Fn(u8) -> bool) -> Option<usize> {
    text.iter().position(|byte| test(*byte))
}

/// A value between quotes, of which the kernel never writes one inside.
fn quoted(text: &[u8], quote: u8) -> Result<(Value<'_>, &[u8]), Fault> {
    let inside = text.get(1..).unwrap_or_default();
    let end = position(inside, |byte| byte == quote).ok_or(Fault::Cut)?;
    let (value, rest) = inside.split_at(end);
    Ok((Value::Quoted(value), rest.get(1..).unwrap_or_default()))
}

/// A value up to the next field. Words without a key belong to it: a label such as
/// `docker-default (enforce)`, or a file name with spaces as `ausearch -i` prints it.
fn bare(text: &[u8]) -> (Value<'_>, &[u8]) {
    let mut end = position(text, is_space).unwrap_or(text.len());
    if let Some(cut) = text.get(..end).and_then(pasted) {
        end = cut;
    } else {
        while let Some(more) = next_word(text.get(end..).unwrap_or_default()) {
            end += more;
        }
    }
    let (value, rest) = text.split_at(end);
    (Value::Bare(value), rest)
}

/// The length of the space and the word at the beginning of `text`, if it is no field.
fn next_word(text: &[u8]) -> Option<usize> {
    let spaces = position(text, |byte| byte != b' ').filter(|spaces| *spaces > 0)?;
    let rest = text.get(spaces..)?;
    let length = position(rest, is_space).unwrap_or(rest.len());
    let is_field = rest.get(..length)?.contains(&b'=');
    (length > 0 && !is_field).then_some(spaces + length)
}

/// Where an enriched field begins in a word such as `0x80000000AUID="unset"`.
fn pasted(word: &[u8]) -> Option<usize> {
    let equals = position(word, |byte| byte == b'=')?;
    let before = word.get(..equals)?;
    ENRICHED
        .iter()
        .filter(|key| before.ends_with(key))
        .map(|key| equals - key.len())
        .min()
}

/// The bytes of capital hexadecimal digits, if it is nothing else and of even length.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
