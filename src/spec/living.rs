//! What becomes of a service that has ended, and how it is known to live.

use serde::{Deserialize, Serialize};

use super::Ready;

/// The longest time that a spec can name, milliseconds: a day.
const MOST: u32 = 24 * 60 * 60 * 1000;

/// The highest limit of restarts: so many are written down one by one.
pub const MOST_RESTARTS: u32 = 64;

/// The units of times, the largest first, in milliseconds.
const UNITS: [(&str, u32); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a time, as in `500ms`, `90s`, `5m` or `1h`: at least a millisecond, at most a day; in
/// milliseconds. `None` if it is not that.
pub fn duration(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, sign) = text.split_at(end);
    let (_, unit) = UNITS.into_iter().find(|(known, _)| *known == sign)?;
    let time = digits.parse::<u32>().ok()?.checked_mul(unit)?;
    (1..=MOST).contains(&time).then_some(time)
}

/// The same time as text: in the largest unit of which it is a whole number.
pub fn duration_text(milliseconds: u32) -> String {
    let whole = UNITS
        .into_iter()
        .find(|(_, unit)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit));
    let (sign, unit) = whole.unwrap_or(("ms", 1));
    format!("{}{sign}", milliseconds / unit)
}

/// Which ends of a service are followed by a new start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// None.
    #[default]
    Never,
    /// An exit code other than 0; a signal other than HUP, INT, TERM and PIPE, which say that it
    /// was to end; a failed look whether it lives.
    OnFailure,
    /// Each, but by `stop`.
    Always,
}

impl When {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            When::Never => "never",
            When::OnFailure => "on-failure",
            When::Always => "always",
        }
    }
}

/// When a service is started again by its supervisor: `[restart]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// After which ends.
    pub when: When,
    /// How long the first one waits; each one more within the period waits twice as long.
    pub delay_ms: u32,
    /// The longest wait.
    pub longest_delay_ms: u32,
    /// After so many within the period it stays down.
    pub limit: u32,
    /// The period.
    pub period_ms: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            when: When::Never,
            delay_ms: 1000,
            longest_delay_ms: 60_000,
            limit: 5,
            period_ms: 600_000,
        }
    }
}

/// How it is known that a service which is ready still does its work: `[liveness]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// From the end of one look to the next.
    pub every_ms: u32,
    /// How long the command may take.
    pub timeout_ms: u32,
    /// After so many failed looks in a row it counts as dead.
    pub failures: u32,
    /// Run on the host, found in PATH; the word `$PID` stands for the service's process. It must
    /// exit with 0. Empty: there is none.
    pub command: Vec<String>,
    /// A port at which it must wait.
    pub port: Option<Ready>,
    /// It must send `WATCHDOG=1` (`sd_notify(3)`) at least this often.
    pub watchdog_ms: Option<u32>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            every_ms: 30_000,
            timeout_ms: 10_000,
            failures: 3,
            command: Vec::new(),
            port: None,
            watchdog_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let times = [
            ("1ms", 1),
            ("1500ms", 1500),
            ("90s", 90_000),
            ("5m", 300_000),
            ("24h", MOST),
        ];
        for (text, time) in times {
            assert_eq!(
                (duration(text), duration_text(time).as_str()),
                (Some(time), text)
            );
        }
        let same = [("1000ms", "1s"), ("60s", "1m"), ("120m", "2h")];
        for (text, shorter) in same {
            assert_eq!(duration_text(duration(text).unwrap()), shorter);
        }
        for text in [
            "",
            "0s",
            "1",
            "ms",
            "-1s",
            "1.5s",
            "1 s",
            "25h",
            "86400001ms",
            "99999999999h",
            "1d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
