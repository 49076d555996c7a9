//! Checks of single values. A check that fails notes the mistake and gives some value back:
//! the whole is thrown away at the end.
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::document::{
    AcceptedTable, CallPhase, CallTable, ExerciseTable, LogTable, PortTable, Text, Words,
};
use super::problem::Problems;
use crate::spec::names::{SIGNS, is_plain_absolute, nearest, ready, signal_names, signal_number};
use crate::spec::{
    Accepted, CHECKS, CallRule, Date, Evidence, Exercise, Log, LogSink, LogTo, PortRule, Ready,
    Schedule,
};
use crate::sys::calls;

/// The longest name of a jail or exercise, bytes.
const LONGEST_NAME: usize = 64;
/// The longest user name, bytes (`useradd(8)`).
const LONGEST_USER: usize = 32;
/// Users and groups that many services share, so that a break-in reaches them all.
const GENERIC: [&str; 5] = ["daemon", "nfsnobody", "nobody", "nogroup", "nonroot"];
/// Numbers above every system call and capability and family there is.
const NUMBERS: std::ops::Range<u16> = 0..1024;

/// Where values of one kind have been seen, to find those that come twice.
pub(super) type Seen<K> = BTreeMap<K, usize>;

impl Problems<'_> {
    /// Text without NUL: the kernel would end it there.
    pub fn text(&mut self, text: &Text) -> String {
        if text.get_ref().contains('\0') {
            self.add(text.span(), "a NUL character is not allowed here");
        }
        text.get_ref().clone()
    }

    /// A reason: not empty.
    pub fn because(&mut self, text: &Text) -> String {
        if text.get_ref().trim().is_empty() {
            self.add_with_hint(text.span(), "an empty reason", "say what needs it");
        }
        text.get_ref().clone()
    }

    /// How an allowance is known; if the file does not say, by a person.
    pub fn evidence(&mut self, text: Option<&Text>) -> Evidence {
        let Some(text) = text else {
            return Evidence::Person;
        };
        Evidence::read(&self.text(text)).unwrap_or_else(|| {
            let title = format!("`{}` is no evidence", shown(text.get_ref()));
            let hint = "leave it out, or as gaoler writes it: \"person\", \"rule: FILE\", \"observed: start 1, serve 2, by PROGRAM\"";
            self.add_with_hint(text.span(), title, hint);
            Evidence::Person
        })
    }

    /// How often the running jail is compared with what was started.
    pub fn schedule(&mut self, text: Option<&Text>) -> Schedule {
        let Some(text) = text else {
            return Schedule::default();
        };
        Schedule::read(text.get_ref()).unwrap_or_else(|| {
            let title = format!("`{}` is no time between checks", shown(text.get_ref()));
            let hint = "as in \"90s\", \"5m\" or \"1h\", from a second to a day; or \"off\"";
            self.add_with_hint(text.span(), title, hint);
            Schedule::default()
        })
    }

    /// Where what it logs goes.
    pub fn log(&mut self, table: &LogTable) -> Log {
        let usual = LogSink::default();
        let to = table.to.as_ref().map_or(usual.to, |text| {
            LogTo::read(text.get_ref()).unwrap_or_else(|| {
                let title = format!("`{}` is no place for messages", shown(text.get_ref()));
                self.add_with_hint(text.span(), title, LogTo::FORMS);
                usual.to
            })
        });
        let mut number = |given: &Option<Spanned<u32>>, usual, allowed: RangeInclusive<u32>| {
            let Some(given) = given else {
                return usual;
            };
            if !allowed.contains(given.get_ref()) {
                let hint = format!("from {} to {}", allowed.start(), allowed.end());
                self.add_with_hint(
                    given.span(),
                    format!("{} is too much or too little", given.get_ref()),
                    hint,
                );
            }
            *given.get_ref()
        };
        let (size, old) = (&table.file_size_kib, &table.old_files);
        Log {
            sink: LogSink {
                to,
                file_size_kib: number(size, usual.file_size_kib, LogSink::SIZES_KIB),
                old_files: number(old, usual.old_files, 0..=LogSink::MOST_OLD_FILES),
            },
            journal: table.journal,
        }
    }

    /// A path that means the same to everybody.
    pub fn path(&mut self, text: &Text) -> PathBuf {
        let path = Path::new(text.get_ref());
        if !path.is_absolute() {
            self.add_with_hint(text.span(), "the path is not absolute", "begin with `/`");
        } else if !is_plain_absolute(path) {
            let hint = "without `..`, `.`, `//`, NUL or a slash at the end";
            self.add_with_hint(text.span(), "the path is not plain", hint);
        }
        path.to_owned()
    }

    /// As [`Problems::path`], but not the root of everything.
    pub fn path_below_root(&mut self, text: &Text) -> PathBuf {
        let path = self.path(text);
        if path == Path::new("/") {
            self.add(text.span(), "the whole root cannot stand here");
        }
        path
    }

    /// A command: at least a program.
    pub fn command(&mut self, words: &Words) -> Vec<String> {
        if words
            .get_ref()
            .first()
            .is_none_or(|program| program.get_ref().is_empty())
        {
            self.add_with_hint(words.span(), "an empty command", "name a program");
        }
        words.get_ref().iter().map(|word| self.text(word)).collect()
    }

    /// A command, or none if the key is absent.
    pub fn optional_command(&mut self, words: Option<&Words>) -> Vec<String> {
        words.map(|words| self.command(words)).unwrap_or_default()
    }

    /// A name that is also a file name and a cgroup name.
    pub fn name(&mut self, text: &Text) -> String {
        let name = text.get_ref();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty()
            || name.len() > LONGEST_NAME
            || name.starts_with(['.', '-'])
            || !name.bytes().all(good)
        {
            let hint = "letters, digits, `-`, `_`, `.`; not `.` or `-` first; at most 64";
            self.add_with_hint(
                text.span(),
                format!("`{}` cannot be a name", shown(name)),
                hint,
            );
        }
        name.clone()
    }

    /// A user or group by name, who is not shared with other services. `kind` is `user` or
    /// `group`. A name that begins with a digit could be taken for a number (CVE-2026-30892).
    pub fn account(&mut self, text: &Text, kind: &str, root_allowed: bool) -> String {
        let name = text.get_ref();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte);
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        if name.len() > LONGEST_USER
            || !name.bytes().all(good)
            || !name.bytes().next().is_some_and(first)
        {
            let title = format!("`{}` cannot be the name of a {kind}", shown(name));
            self.add_with_hint(text.span(), title, "a name, not a number");
        } else if GENERIC.contains(&name.as_str()) {
            let title = format!("the generic {kind} `{name}`");
            self.add_with_hint(
                text.span(),
                title,
                format!("give the service its own {kind}"),
            );
        } else if name == "root" && !root_allowed {
            let title = format!("the {kind} `root`");
            self.add_with_hint(text.span(), title, "its own, or set start_as_root = true");
        }
        name.clone()
    }

    /// A file mode creation mask, as in `0022`.
    pub fn umask(&mut self, text: &Text) -> u32 {
        let digits = text.get_ref();
        let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mask = u32::from_str_radix(digits, 8)
            .ok()
            .filter(|mask| octal && *mask <= 0o777);
        if mask.is_none() {
            let title = format!("`{}` is not an octal mask", shown(digits));
            self.add_with_hint(text.span(), title, "such as \"0022\"");
        }
        mask.unwrap_or_default()
    }

    /// A sign of readiness.
    pub fn ready(&mut self, text: &Text) -> Ready {
        ready(text.get_ref()).unwrap_or_else(|| {
            let title = format!("`{}` is no sign of readiness", shown(text.get_ref()));
            self.add_with_hint(text.span(), title, SIGNS);
            Ready::Quiet(0)
        })
    }

    /// A signal's number, by its name.
    pub fn signal(&mut self, text: &Text) -> i32 {
        self.look_up(
            text,
            "signal",
            signal_number(text.get_ref()),
            signal_names(),
        )
    }

    /// A number that was looked up by name; `known` are the names that there are.
    pub fn look_up<N: Default>(
        &mut self,
        text: &Text,
        kind: &str,
        number: Option<N>,
        known: impl Iterator<Item = &'static str>,
    ) -> N {
        number.unwrap_or_else(|| {
            let title = format!("unknown {kind} `{}`", shown(text.get_ref()));
            match nearest(without_prefix(text.get_ref()), known.map(without_prefix)) {
                Some(name) => {
                    self.add_with_hint(text.span(), title, format!("did you mean `{name}`?"));
                }
                None => self.add(text.span(), title),
            }
            N::default()
        })
    }

    /// Notes a value that was there before.
    pub fn once<K: Ord>(
        &mut self,
        seen: &mut Seen<K>,
        key: K,
        span: Range<usize>,
        what: impl Into<String>,
    ) {
        let line = self.line(span.start);
        if let Some(first) = seen.insert(key, line) {
            let title = format!("{} is here twice", what.into());
            self.add_with_hint(span, title, format!("first on line {first}"));
        }
    }

    /// An exercise.
    pub fn exercise(&mut self, table: &ExerciseTable) -> Exercise {
        Exercise {
            name: self.name(&table.name),
            command: self.command(&table.command),
            expect: table.expect,
            output: table
                .output
                .as_ref()
                .map(|text| self.text(text))
                .unwrap_or_default(),
            phase: table.phase,
            because: self.because(&table.because),
        }
    }

    /// A risk that is taken until a day.
    pub fn accepted(&mut self, table: &AcceptedTable) -> Accepted {
        let check = CHECKS.iter().find(|known| **known == table.check.get_ref());
        let known = CHECKS.into_iter();
        let check: &str = self.look_up(&table.check, "rule of check", check.copied(), known);
        let subject = self.text(&table.subject);
        if subject.trim_matches(['*', ' ']).is_empty() {
            let hint = "as `check` prints it; with `*` at its end, whatever begins so";
            self.add_with_hint(table.subject.span(), "every subject at once", hint);
        }
        let until = Date::read(table.until.get_ref());
        if until.is_none() {
            let title = format!("`{}` is no day", shown(table.until.get_ref()));
            self.add_with_hint(table.until.span(), title, "such as \"2027-01-31\"");
        }
        Accepted {
            check: check.to_owned(),
            subject,
            because: self.because(&table.because),
            until: until.unwrap_or_else(Date::today),
        }
    }

    /// An allowed system call of this architecture.
    pub fn call(&mut self, table: &CallTable) -> CallRule {
        let number = calls::number(table.call.get_ref());
        let known = numbers::<u32>().filter_map(calls::name);
        CallRule {
            number: self.look_up(&table.call, "system call", number, known),
            start_only: matches!(table.phase, Some(CallPhase::Start)),
            because: self.because(&table.because),
            evidence: self.evidence(table.evidence.as_ref()),
        }
    }

    /// An allowed port.
    pub fn port(&mut self, table: &PortTable) -> PortRule {
        PortRule {
            direction: table.direction,
            protocol: table.protocol,
            port: *table.port.get_ref(),
            because: self.because(&table.because),
            evidence: self.evidence(table.evidence.as_ref()),
        }
    }
}

/// Every number that may have a name, in the type that a table wants.
pub(super) fn numbers<N: TryFrom<u16>>() -> impl Iterator<Item = N> {
    NUMBERS.filter_map(|number| N::try_from(number).ok())
}

/// The name without what C puts before it, so that the hint depends on the rest.
fn without_prefix(name: &str) -> &str {
    let prefixes = ["CAP_", "AF_", "SIG"];
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// Enough of a text from a file to recognise it, without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .take(LONGEST_NAME)
        .flat_map(char::escape_debug)
        .collect()
}
