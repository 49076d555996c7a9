//! A line of a log file, read again.

use serde::Serialize;

use super::message::priority_named;

/// What a line of a log file says, which gaoler wrote:
/// `TIME FACILITY.SEVERITY JAIL/GENERATION/PROGRAM[PID]: TEXT`. The program and the text are the
/// jail's word, with control characters as `#` and three octal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it came, as `2026-11-22T11:40:20Z`.
    pub time: String,
    /// The jail.
    pub jail: String,
    /// The generation that ran.
    pub generation: u64,
    /// The process on the host; 0 if the kernel did not name one.
    pub pid: i32,
    /// What the process calls itself; `-` if nothing.
    pub program: String,
    /// As `logger(1)` has it: `daemon`.
    pub facility: &'static str,
    /// The same: `info`.
    pub severity: &'static str,
    /// The message.
    pub text: String,
}

impl Line {
    /// Reads one; `None` if it is none, as what stood in the file before gaoler wrote to it.
    pub fn parse(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (priority, rest) = rest.split_once(' ')?;
        let (source, text) = rest.split_once("]: ")?;
        let (names, pid) = source.rsplit_once('[')?;
        let (jail, names) = names.split_once('/')?;
        let (generation, program) = names.split_once('/')?;
        let (facility, severity) = priority_named(priority)?;
        Some(Self {
            time: time.to_owned(),
            jail: jail.to_owned(),
            generation: generation.parse().ok()?,
            pid: pid.parse().ok()?,
            program: program.to_owned(),
            facility,
            severity,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, Source};
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let texts: [&[u8]; 4] = [b"plain", b"a]: b[7]: c/d", b"\x1b[2J \xFF", b""];
        for text in texts {
            let message = Message {
                priority: 3 * 8 + 4,
                timestamp: None,
                tag: "sbin/named",
                text,
                truncated: false,
            };
            let source = Source {
                jail: "dns",
                generation: 12,
                pid: 345,
            };
            let mut out = Vec::new();
            message.to_line(0, &source, &mut out);
            let out = String::from_utf8(out).unwrap();
            let line = Line::parse(out.trim_end_matches('\n')).unwrap();
            assert_eq!(
                (line.jail.as_str(), line.generation, line.pid),
                ("dns", 12, 345)
            );
            assert_eq!((line.facility, line.severity), ("daemon", "warning"));
            assert_eq!(line.program, "sbin/named");
            assert_eq!(line.time, "1970-01-01T00:00:00Z");
            assert!(out.ends_with(&format!("]: {}\n", line.text)), "{out}");
        }
        for other in [
            "",
            "x",
            "T daemon.info dns/named[7]: x",
            "T d.i dns/1/x[7]: y",
        ] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }
}
