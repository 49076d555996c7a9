//! How often a running jail is looked at.

use std::fmt;

/// How often a running jail is compared with what was started: `[check]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Seconds from the end of one comparison to the beginning of the next; 0 for never.
    pub every_s: u32,
}

impl Schedule {
    /// Seconds, if the spec does not say.
    const USUAL: u32 = 60;

    /// The most seconds: a day.
    const MOST: u32 = 24 * 60 * 60;

    /// Reads `off`, or a number of seconds, minutes or hours as in `90s`, `5m`, `1h`: at least a
    /// second, at most a day. `None` if it is not that.
    pub fn read(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self { every_s: 0 });
        }
        let units = [("s", 1), ("m", 60), ("h", 60 * 60)];
        let (digits, unit) = units
            .into_iter()
            .find_map(|(sign, unit)| Some((text.strip_suffix(sign)?, unit)))?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let every_s = plain
            .then(|| digits.parse::<u32>().ok())??
            .checked_mul(unit)?;
        (1..=Self::MOST)
            .contains(&every_s)
            .then_some(Self { every_s })
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            every_s: Self::USUAL,
        }
    }
}

/// As [`Schedule::read`] takes it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.every_s {
            0 => f.write_str("off"),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_what_is_none_is_not() {
        let times = [
            ("off", 0),
            ("1s", 1),
            ("90s", 90),
            ("5m", 300),
            ("24h", 86_400),
        ];
        for (text, every_s) in times {
            assert_eq!(Schedule::read(text), Some(Schedule { every_s }), "{text}");
        }
        let wrong = [
            "",
            "s",
            "0s",
            "1",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1d",
            "25h",
            "86401s",
            "99999999999h",
            "4294967295m",
            "\u{661}s",
        ];
        for text in wrong {
            assert_eq!(Schedule::read(text), None, "{text}");
        }
    }
}
