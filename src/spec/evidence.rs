//! How an allowance is known, in one short line of the spec.
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeSet;
use std::fmt;

/// How the evidence of something that is needed ends.
const FAILS: &str = " fails without it";

/// As many names of programs or exercises are in the spec; the trace has all.
const MOST_NAMED: usize = 4;

/// How an item of a spec is known. Written as one line, such as
/// `observed: start 12, serve 3, by named, in ns-tcp soa-udp, runs 2 of 3`,
/// `closure: /usr/sbin/named`, `rule: services/named.toml`, `imported: FILE`, `person`,
/// `proven: ns-tcp fails without it` or `unproven: ORIGIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// It comes with something else: what needs it.
    Closure(String),
    /// It was taken over from another tool's file.
    Imported(String),
    /// A run showed it.
    Observed(Observed),
    /// A person says so; also if the file says nothing.
    #[default]
    Person,
    /// An exercise fails without it, and nothing does with it: which exercise.
    Proven(String),
    /// A rule says so: the service file, or [`Evidence::BUILT_IN`].
    Rule(String),
    /// No exercise fails without it: how it was known before.
    Unproven(Box<Evidence>),
}

/// What runs showed of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// How often before the service was ready.
    pub start: u64,
    /// How often afterwards.
    pub serve: u64,
    /// The programs that did it.
    pub programs: Names,
    /// The exercises during which it was done.
    pub exercises: Names,
    /// In how many runs; of an item that was seen in several ways, the most for one of them.
    pub runs: u32,
    /// Of how many.
    pub of: u32,
}

/// Names of which only the first few are kept. A service chooses the names of its programs, so
/// they are written without blanks, commas and whatever else could be taken for more than a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    named: BTreeSet<String>,
    more: usize,
}

impl Evidence {
    /// The rules that hold for every service.
    pub const BUILT_IN: &str = "built in";

    /// A rule that holds for every service.
    pub fn built_in() -> Self {
        Self::Rule(Self::BUILT_IN.to_owned())
    }

    /// As after it was tried to do without: nothing missed it.
    #[must_use]
    pub fn unproven(self) -> Self {
        match self {
            Self::Unproven(_) => self,
            origin => Self::Unproven(Box::new(origin)),
        }
    }

    /// How it was known before anybody tried to do without it.
    pub fn origin(&self) -> &Self {
        match self {
            Self::Unproven(origin) => origin,
            known => known,
        }
    }

    /// Reads what [`fmt::Display`] has written, and nothing else: what it means shall not depend
    /// on who reads it. `None` if it is not that.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, what) = text.split_once(": ").unwrap_or((text, ""));
        let evidence = match (kind, what) {
            ("proven", what) => Self::Proven(what.strip_suffix(FAILS)?.to_owned()),
            // Once: what is in it twice could be in it a million times.
            ("unproven", what) if !what.starts_with("unproven") => {
                Self::Unproven(Box::new(Self::read(what)?))
            }
            ("person", "") => Self::Person,
            (_, "") => return None,
            ("closure", what) => Self::Closure(what.to_owned()),
            ("imported", what) => Self::Imported(what.to_owned()),
            ("observed", what) => Self::Observed(Observed::read(what)?),
            ("rule", what) => Self::Rule(what.to_owned()),
            _ => return None,
        };
        (evidence.to_string() == text).then_some(evidence)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closure(what) => write!(f, "closure: {what}"),
            Self::Imported(from) => write!(f, "imported: {from}"),
            Self::Observed(observed) => write!(f, "observed: {observed}"),
            Self::Person => write!(f, "person"),
            Self::Proven(exercise) => write!(f, "proven: {exercise}{FAILS}"),
            Self::Rule(file) => write!(f, "rule: {file}"),
            Self::Unproven(origin) => write!(f, "unproven: {origin}"),
        }
    }
}

impl Observed {
    /// Adds another way in which the same item was seen in the same runs.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            start: self.start.saturating_add(other.start),
            serve: self.serve.saturating_add(other.serve),
            programs: self.programs.and(other.programs),
            exercises: self.exercises.and(other.exercises),
            runs: self.runs.max(other.runs),
            of: self.of.max(other.of),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut observed = Self {
            start: 0,
            serve: 0,
            programs: Names::default(),
            exercises: Names::default(),
            runs: 1,
            of: 1,
        };
        for part in text.split(", ") {
            let (key, value) = part.split_once(' ')?;
            match key {
                "start" => observed.start = value.parse().ok()?,
                "serve" => observed.serve = value.parse().ok()?,
                "by" => observed.programs = Names::read(value)?,
                "in" => observed.exercises = Names::read(value)?,
                "runs" => {
                    let (runs, of) = value.split_once(" of ")?;
                    observed.runs = runs.parse().ok()?;
                    observed.of = of.parse().ok()?;
                }
                _ => return None,
            }
        }
        (1..=observed.of)
            .contains(&observed.runs)
            .then_some(observed)
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.start > 0 || self.serve == 0 {
            parts.push(format!("start {}", self.start));
        }
        if self.serve > 0 {
            parts.push(format!("serve {}", self.serve));
        }
        if !self.programs.is_empty() {
            parts.push(format!("by {}", self.programs));
        }
        if !self.exercises.is_empty() {
            parts.push(format!("in {}", self.exercises));
        }
        if self.of > 1 {
            parts.push(format!("runs {} of {}", self.runs, self.of));
        }
        f.write_str(&parts.join(", "))
    }
}

impl Names {
    /// The first names in their order, and how many there are beyond them. Empty ones say
    /// nothing and are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let mut named: BTreeSet<String> = names
            .into_iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect();
        let mut more = 0;
        while named.len() > MOST_NAMED {
            named.pop_last();
            more += 1;
        }
        Self { named, more }
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0
    }

    /// Both. Which of those beyond the first few are the same is not known: they are counted as
    /// far as they must differ.
    #[must_use]
    fn and(self, other: Self) -> Self {
        let both = Self::of(self.named.iter().chain(&other.named));
        Self {
            more: both.more.max(self.more).max(other.more),
            ..both
        }
    }

    /// In words, for a reason: `a, b and 3 more`.
    pub fn words(&self) -> String {
        let names: Vec<String> = self.named.iter().map(|name| Self::escaped(name)).collect();
        match self.more {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }

    /// One name, as it is written among others.
    fn escaped(name: &str) -> String {
        name.bytes().fold(String::new(), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._/:@".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
            text
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut names = Self::default();
        for word in text.split(' ') {
            match word.strip_prefix('+') {
                Some(more) => names.more = more.parse().ok().filter(|more| *more > 0)?,
                None => {
                    let name = unescaped(word).filter(|name| !name.is_empty())?;
                    names.named.insert(name);
                }
            }
        }
        (names.named.len() <= MOST_NAMED).then_some(names)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.named.iter().map(|name| Self::escaped(name)).collect();
        if self.more > 0 {
            words.push(format!("+{}", self.more));
        }
        f.write_str(&words.join(" "))
    }
}

/// The name behind what [`Names::escaped`] has written.
fn unescaped(word: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
