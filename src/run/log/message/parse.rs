//! Reading what a process sent. Nothing is refused: what is not understood is text.

use super::{DAEMON, Message, OWN_TAG, USER_NOTICE};

/// The longest program name that is taken for one (RFC 5424 allows APP-NAME this much).
const MAXIMUM_TAG: usize = 48;

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

impl<'a> Message<'a> {
    /// Reads a message of either kind.
    pub fn parse(input: &'a [u8]) -> Self {
        let (priority, rest) = priority(trimmed(input));
        let priority = if priority < 8 {
            DAEMON * 8 + priority
        } else {
            priority
        };
        if let Some((tag, text)) = structured(rest) {
            return Self {
                priority,
                timestamp: None,
                tag,
                text,
                truncated: false,
            };
        }
        let (timestamp, rest) = timestamp(rest);
        let (tag, text) = tag(rest);
        Self {
            priority,
            timestamp,
            tag,
            text,
            truncated: false,
        }
    }
}

/// Without the line feeds, blanks and NULs that many clients put at the end.
fn trimmed(input: &[u8]) -> &[u8] {
    let end = input
        .iter()
        .rposition(|byte| !matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n'));
    end.and_then(|last| input.get(..=last)).unwrap_or_default()
}

/// `<PRI>`: one to three digits, at most 191 (RFC 5424, 6.2.1).
fn priority(input: &[u8]) -> (u8, &[u8]) {
    let read = || {
        let inner = input.strip_prefix(b"<")?;
        let end = inner.iter().take(4).position(|byte| *byte == b'>')?;
        let digits = inner
            .get(..end)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let number: u8 = str::from_utf8(digits).ok()?.parse().ok()?;
        Some((number, inner.get(end + 1..)?)).filter(|(number, _)| *number <= 191)
    };
    read().unwrap_or((USER_NOTICE, input))
}

/// `Mmm dd hh:mm:ss ` (RFC 3164, 4.1.2; the day has a blank or a zero before it).
fn timestamp(input: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let valid = |text: &&[u8]| {
        let number = |from: usize, low: u8, high: u8| {
            let tens = match text.get(from) {
                Some(b' ') if from == 4 => 0,
                Some(digit @ b'0'..=b'9') => digit - b'0',
                _ => return false,
            };
            match text.get(from + 1) {
                Some(digit @ b'0'..=b'9') => (low..=high).contains(&(10 * tens + (digit - b'0'))),
                _ => false,
            }
        };
        let sign = |at: usize, sign: u8| text.get(at) == Some(&sign);
        let month = text.get(..3).is_some_and(|month| MONTHS.contains(&month));
        let signs = sign(3, b' ') && sign(6, b' ') && sign(9, b':') && sign(12, b':');
        // 60 is a leap second.
        month
            && signs
            && number(4, 1, 31)
            && number(7, 0, 23)
            && number(10, 0, 59)
            && number(13, 0, 60)
    };
    let found = input
        .get(..15)
        .filter(valid)
        .filter(|_| input.get(15) == Some(&b' '));
    match (found, input.get(16..)) {
        (Some(text), Some(rest)) => (Some(text), rest),
        _ => (None, input),
    }
}

/// `TAG: ` or `TAG[pid]: `. What only looks like one is text.
fn tag(input: &[u8]) -> (&str, &[u8]) {
    let read = || {
        let end = input
            .iter()
            .take(MAXIMUM_TAG + 16)
            .position(|byte| *byte == b' ');
        let word = input
            .get(..end.unwrap_or(input.len()))?
            .strip_suffix(b":")?;
        let name = match word.strip_suffix(b"]") {
            None => word,
            Some(open) => {
                let bracket = open.iter().position(|byte| *byte == b'[')?;
                let digits = open.get(bracket + 1..)?;
                open.get(..bracket)
                    .filter(|_| digits.iter().all(u8::is_ascii_digit))?
            }
        };
        let text = end.and_then(|end| input.get(end + 1..)).unwrap_or_default();
        Some((name_of_program(name)?, text))
    };
    read().unwrap_or(("", input))
}

/// The name, if nothing in it can be mistaken for what gaoler writes around it.
pub(super) fn name_of_program(name: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./()@+".contains(byte);
    let fits = (1..=MAXIMUM_TAG).contains(&name.len()) && name.iter().all(allowed);
    if fits && !name.eq_ignore_ascii_case(OWN_TAG.as_bytes()) {
        str::from_utf8(name).ok()
    } else {
        None
    }
}

/// RFC 5424 after its priority: `1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID DATA [MSG]`.
/// Answers APP-NAME and MSG; if there is no MSG, DATA is the message.
fn structured(input: &[u8]) -> Option<(&str, &[u8])> {
    let rest = input.strip_prefix(b"1 ")?;
    let (time, rest) = word(rest)?;
    if time != b"-" && !time.first()?.is_ascii_digit() {
        return None;
    }
    let (_host, rest) = word(rest)?;
    let (name, rest) = word(rest)?;
    let (_process, rest) = word(rest)?;
    let (_kind, rest) = word(rest)?;
    let data = data_length(rest)?;
    let text = match rest.get(data..)? {
        [] => rest
            .get(..data)
            .filter(|data| *data != b"-")
            .unwrap_or_default(),
        [b' ', text @ ..] => text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text),
        _ => return None,
    };
    let name = if name == b"-" {
        ""
    } else {
        name_of_program(name).unwrap_or("")
    };
    Some((name, text))
}

/// Up to the next blank, and what follows it.
fn word(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input
        .iter()
        .position(|byte| *byte == b' ')
        .filter(|end| *end > 0)?;
    Some((input.get(..end)?, input.get(end + 1..)?))
}

/// How long the structured data is: `-`, or elements in brackets, whose values are in quotes and
/// may have `\"`, `\\` and `\]` in them (RFC 5424, 6.3).
fn data_length(input: &[u8]) -> Option<usize> {
    if input.first() == Some(&b'-') {
        return Some(1);
    }
    let (mut inside, mut quoted, mut escaped) = (false, false, false);
    for (index, byte) in input.iter().enumerate() {
        match byte {
            b'[' if !inside => inside = true,
            _ if !inside => return Some(index).filter(|length| *length > 0),
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => inside = false,
            _ => {}
        }
    }
    Some(input.len()).filter(|length| !inside && *length > 0)
}
