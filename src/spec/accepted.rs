//! Risks that a person accepts: a finding of `check` that does not count until a day. Pure.
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// The rules of `check` whose findings can be accepted: the table of the audit, which is tested to
/// be the same.
pub const CHECKS: [&str; 85] = [
    "accepted.expired",
    "accepted.idle",
    "elf.cet",
    "elf.fortify",
    "elf.pie",
    "elf.relro",
    "elf.stack",
    "elf.stack-protector",
    "elf.writable-code",
    "host.guard",
    "host.login-shell",
    "host.outside",
    "host.same-number",
    "live.capabilities",
    "live.complain",
    "live.descriptor",
    "live.directory",
    "live.executable",
    "live.exercise",
    "live.gid",
    "live.groups",
    "live.init",
    "live.mapping",
    "live.mount",
    "live.mount-change",
    "live.namespace",
    "live.no-new-privs",
    "live.root",
    "live.seccomp",
    "live.stale",
    "live.start",
    "live.supervisor",
    "live.tracer",
    "live.uid",
    "live.writable-descriptor",
    "place.device",
    "place.executable",
    "place.link",
    "place.setuid",
    "place.volume",
    "rootless.groups",
    "rootless.neighbours",
    "rootless.owner",
    "run.killed",
    "shared.generic-user",
    "shared.place",
    "shared.processes",
    "shared.socket",
    "shared.uid",
    "spec.call",
    "spec.capability",
    "spec.config-writable",
    "spec.connect",
    "spec.environment",
    "spec.execute",
    "spec.family",
    "spec.group",
    "spec.host-place",
    "spec.incomplete",
    "spec.limit",
    "spec.looser",
    "spec.network",
    "spec.protection",
    "spec.root",
    "spec.umask",
    "spec.untested",
    "spec.writable-executable",
    "stack.filter",
    "stack.launcher",
    "stack.lsm",
    "stack.sandbox",
    "stack.unit",
    "tree.accounts",
    "tree.compiler",
    "tree.dangling",
    "tree.device",
    "tree.drift",
    "tree.hard-link",
    "tree.launcher",
    "tree.mode",
    "tree.secret",
    "tree.setuid",
    "tree.shell",
    "tree.stale",
    "tree.tool",
];

/// Seconds of a day.
const DAY: u64 = 86_400;

/// One accepted risk: `[[accepted]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The rule of `check`, by its id.
    pub check: String,
    /// What its findings are about, exactly; with `*` at the end, whatever begins so.
    pub subject: String,
    /// Why the risk is taken.
    pub because: String,
    /// The last day on which it is.
    pub until: Date,
}

impl Accepted {
    /// Whether it is about this finding.
    pub fn covers(&self, check: &str, subject: &str) -> bool {
        let same = match self.subject.strip_suffix('*') {
            Some(beginning) => subject.starts_with(beginning),
            None => subject == self.subject,
        };
        same && self.check == check
    }
}

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`; `None` if it is not that, or there is no such day.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = |length: usize| {
            let digits = parts.next()?;
            let plain = digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok())?
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let fine = parts.next().is_none()
            && (1970..).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day);
        fine.then_some(Self {
            year,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        })
    }

    /// The day that it is now, by the machine's clock.
    pub fn today() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self::at(since.map_or(0, |since| since.as_secs()))
    }

    /// The day of a time, in seconds since 1970-01-01.
    pub fn at(seconds: u64) -> Self {
        Self::of_days(seconds / DAY)
    }

    /// The day that comes so many days after 1970-01-01.
    fn of_days(mut days: u64) -> Self {
        let mut year = 1970;
        while days >= 365 + u64::from(is_leap(year)) && year < u16::MAX {
            days -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let mut month = 1;
        while days >= u64::from(days_of(year, month)) && month < 12 {
            days -= u64::from(days_of(year, month));
            month += 1;
        }
        Self {
            year,
            month: u8::try_from(month).unwrap_or(12),
            day: u8::try_from(days + 1).unwrap_or(31),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of(year: u16, month: u16) -> u16 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
