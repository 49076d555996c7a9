//! Writing a message anew, for each kind of log. Whatever a jail sent is escaped on its way.

use std::io::Write;

use super::{Message, Source};

/// The longest message, bytes: what rsyslog takes unless told otherwise (`$MaxMessageSize`).
pub const LIMIT: usize = 8192;

/// What a message ends in that lacks something.
const MARK: &[u8] = b" [truncated]";

/// The most of a jail's name, bytes.
pub(super) const MAXIMUM_NAME: usize = 128;

/// RFC 5424, table 1, in `logger(1)`'s words where it has them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// RFC 5424, table 2, as above.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// The names of facility and severity in `daemon.info`.
pub(in crate::run::log) fn priority_named(text: &str) -> Option<(&'static str, &'static str)> {
    let (facility, severity) = text.split_once('.')?;
    let known = |names: &'static [&'static str], name: &str| {
        names.iter().find(|known| **known == name).copied()
    };
    Some((known(&FACILITIES, facility)?, known(&SEVERITIES, severity)?))
}

impl Message<'_> {
    /// Writes it for syslogd; see [`super::rewrite`]. Answers whether all of it is there.
    pub fn to_syslog(&self, source: &Source<'_>, out: &mut Vec<u8>) -> bool {
        out.clear();
        append(out, format_args!("<{}>", self.priority));
        if let Some(timestamp) = self.timestamp {
            out.extend_from_slice(timestamp);
            out.push(b' ');
        }
        self.source(source, out);
        self.text(LIMIT, out)
    }

    /// Writes it for journald's own socket, with these fields of the jail's besides. Answers whether
    /// all of it is there.
    pub fn to_journal(
        &self,
        source: &Source<'_>,
        fields: &[(&str, &[u8])],
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        let (facility, severity) = (self.priority / 8, self.priority % 8);
        let Source {
            jail,
            generation,
            pid,
        } = *source;
        append(
            out,
            format_args!("PRIORITY={severity}\nSYSLOG_FACILITY={facility}\n"),
        );
        out.extend_from_slice(b"SYSLOG_IDENTIFIER=");
        name(jail, out);
        append(out, format_args!("/{}\n", self.name_of_program()));
        append(out, format_args!("SYSLOG_PID={pid}\nGAOLER_JAIL="));
        name(jail, out);
        append(out, format_args!("\nGAOLER_GENERATION={generation}\n"));
        let whole = with_length("MESSAGE", out, |out| self.text(LIMIT - 1, out));
        for (field, value) in fields {
            with_length(field, out, |out| out.extend_from_slice(value));
        }
        whole
    }

    /// Writes it as a line for people: the receiver's time (`now`, seconds since 1970), facility
    /// and severity by name, source and text. Answers whether all of it is there.
    pub fn to_line(&self, now: u64, source: &Source<'_>, out: &mut Vec<u8>) -> bool {
        out.clear();
        write_time(now, None, out);
        let facility = FACILITIES
            .get(usize::from(self.priority / 8))
            .unwrap_or(&"user");
        let severity = SEVERITIES
            .get(usize::from(self.priority % 8))
            .unwrap_or(&"notice");
        append(out, format_args!(" {facility}.{severity} "));
        self.source(source, out);
        let whole = self.text(LIMIT - 1, out);
        out.push(b'\n');
        whole
    }

    /// `jail/generation/TAG[pid]: `. The jail comes first: what a process says of itself cannot hide
    /// it.
    fn source(&self, source: &Source<'_>, out: &mut Vec<u8>) {
        name(source.jail, out);
        let (generation, pid) = (source.generation, source.pid);
        let tag = self.name_of_program();
        append(out, format_args!("/{generation}/{tag}[{pid}]: "));
    }

    fn name_of_program(&self) -> &str {
        if self.tag.is_empty() { "-" } else { self.tag }
    }

    /// The text, and the mark if it is not all there; `out` ends up with `limit` bytes at most.
    pub(super) fn text(&self, limit: usize, out: &mut Vec<u8>) -> bool {
        let whole = escape(self.text, limit - MARK.len(), out) && !self.truncated;
        if !whole {
            out.extend_from_slice(MARK);
        }
        whole
    }
}

/// The jail's name.
fn name(jail: &str, out: &mut Vec<u8>) {
    escape(jail.as_bytes(), out.len() + MAXIMUM_NAME, out);
}

/// A field in the form with a length (little-endian), which cannot be ended early by what is in it.
fn with_length<T>(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    append(out, format_args!("{name}\n"));
    let length_at = out.len();
    out.extend_from_slice(&[0; 8]);
    let text_at = out.len();
    let written = write(out);
    let length = u64::try_from(out.len() - text_at).unwrap_or(0);
    if let Some(place) = out.get_mut(length_at..text_at) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    out.push(b'\n');
    written
}

/// Appends `input` until `out` has `limit` bytes, with control characters and what is not UTF-8
/// as `#` and three octal digits per byte. Answers whether all of it fitted; no character is cut.
pub(super) fn escape(input: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            let fitted = if character.is_control() {
                octal(bytes, limit, out)
            } else {
                let fits = out.len() + bytes.len() <= limit;
                if fits {
                    out.extend_from_slice(bytes);
                }
                fits
            };
            if !fitted {
                return false;
            }
        }
        if !octal(chunk.invalid(), limit, out) {
            return false;
        }
    }
    true
}

fn octal(bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let fits = out.len() + 4 * bytes.len() <= limit;
    if fits {
        for byte in bytes {
            let digit = |shift: u8| b'0' + (byte >> shift & 7);
            out.extend_from_slice(&[b'#', digit(6), digit(3), digit(0)]);
        }
    }
    fits
}

/// `YYYY-MM-DDThh:mm:ssZ` (RFC 3339), or `YYYY-MM-DDThh:mm:ss.uuuuuuZ`. Days are counted in years that begin in March, so that the
/// leap day comes last.
pub fn write_time(seconds: u64, microseconds: Option<u32>, out: &mut Vec<u8>) {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // From 0000-03-01, in eras of 400 years, which have 146097 days.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = 400 * era + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    append(
        out,
        format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
    );
    if let Some(microseconds) = microseconds {
        append(out, format_args!(".{microseconds:06}"));
    }
    out.push(b'Z');
}

/// Writing to a vector fails only if formatting does, and then nothing is missing that was there.
pub(super) fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let before = out.len();
    if out.write_fmt(text).is_err() {
        out.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_right() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            let mut out = Vec::new();
            write_time(seconds, None, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
