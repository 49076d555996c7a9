//! Names that only the file has: signals and the signs of readiness, and the nearest known
//! name for a hint.
use std::fmt;
use std::path::{Path, PathBuf};

use super::Ready;
use super::pattern::pattern;

/// Signals that a service is told something with, by the numbers that x86 and ARM share
/// (`signal(7)`). KILL and STOP are missing: no service can handle them.
const SIGNALS: [(&str, i32); 14] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("TSTP", 20),
    ("URG", 23),
    ("WINCH", 28),
    ("IO", 29),
];

/// The first real-time signal that glibc leaves to programs (`signal(7)`).
const FIRST_REAL_TIME: i32 = 34;
/// The last one.
const LAST_REAL_TIME: i32 = 64;

/// The number of a signal: `HUP`, `SIGHUP`, `RTMIN+1`.
pub(super) fn signal_number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        let number = FIRST_REAL_TIME.checked_add(offset.parse().ok()?)?;
        return (FIRST_REAL_TIME..=LAST_REAL_TIME)
            .contains(&number)
            .then_some(number);
    }
    SIGNALS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// The name that a spec has for a signal, as in `HUP`; the number itself if a spec
/// cannot name it.
pub fn signal_name(number: i32) -> String {
    if (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&number) {
        return format!("RTMIN+{}", number - FIRST_REAL_TIME);
    }
    match SIGNALS.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => (*name).to_owned(),
        None => number.to_string(),
    }
}

/// The signals' names.
pub fn signal_names() -> impl Iterator<Item = &'static str> {
    SIGNALS.iter().map(|(name, _)| *name)
}

/// The signs of readiness that there are.
pub(super) const SIGNS: &str =
    "tcp:PORT, udp:PORT, file:PATH (absolute), log:REGEX, notify or quiet:MILLISECONDS";

/// A sign of readiness: `tcp:80`, `udp:53`, `file:/run/x.sock`, `log:ready$`, `notify`,
/// `quiet:500`.
pub(super) fn ready(text: &str) -> Option<Ready> {
    if text == "notify" {
        return Some(Ready::Notify);
    }
    let (kind, value) = text.split_once(':')?;
    match kind {
        "tcp" => value.parse().ok().filter(|port| *port != 0).map(Ready::Tcp),
        "udp" => value.parse().ok().filter(|port| *port != 0).map(Ready::Udp),
        "file" => is_plain_absolute(Path::new(value)).then(|| Ready::File(PathBuf::from(value))),
        "log" => pattern(value).ok().map(|_| Ready::Log(value.to_owned())),
        "quiet" => value.parse().ok().map(Ready::Quiet),
        _ => None,
    }
}

/// How a sign of readiness is written.
pub(super) fn ready_text(ready: &Ready) -> String {
    match ready {
        Ready::Tcp(port) => format!("tcp:{port}"),
        Ready::Udp(port) => format!("udp:{port}"),
        Ready::File(path) => format!("file:{}", path.display()),
        Ready::Log(expression) => format!("log:{expression}"),
        Ready::Notify => "notify".to_owned(),
        Ready::Quiet(milliseconds) => format!("quiet:{milliseconds}"),
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ready_text(self))
    }
}

/// Absolute and without `.`, `..`, doubled slashes or NUL: it means the same to everybody.
pub(super) fn is_plain_absolute(path: &Path) -> bool {
    let Some(text) = path.to_str() else {
        return false;
    };
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(plain))
}

/// Longer names than this are not compared: the hint is not worth the time.
const LONGEST_COMPARED: usize = 64;

/// The known name nearest to `name`, if one is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_COMPARED {
        return None;
    }
    let name = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    known
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one of the other
/// (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut two_above: Vec<usize> = Vec::new();
    for (row, from) in left.iter().enumerate() {
        let before = row.checked_sub(1).and_then(|row| left.get(row));
        let mut current = vec![row + 1];
        for (column, to) in right.iter().enumerate() {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&current, column) + 1)
                .min(at(&above, column + 1) + 1)
                .min(at(&above, column) + usize::from(from != to));
            if let Some(earlier) = column.checked_sub(1)
                && before == Some(to)
                && right.get(earlier) == Some(from)
            {
                least = least.min(at(&two_above, earlier) + 1);
            }
            current.push(least);
        }
        two_above = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_come_back() {
        for (name, number) in SIGNALS {
            assert_eq!(signal_number(name), Some(number));
            assert_eq!(signal_name(number), name);
        }
        assert_eq!(signal_number("SIGHUP"), Some(1));
        assert_eq!(signal_number("RTMIN+30"), Some(64));
        assert_eq!(signal_number("RTMIN+31"), None);
        assert_eq!(signal_number("RTMIN+2147483647"), None);
        assert_eq!(signal_number("KILL"), None);
    }

    #[test]
    fn nearest_name() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("raed", "read"), 1);
        let known = ["openat", "open", "close"];
        assert_eq!(nearest("opnat", known.into_iter()), Some("openat"));
        assert_eq!(nearest("CLOSE", known.into_iter()), Some("close"));
        assert_eq!(nearest("zzzzzz", known.into_iter()), None);
    }

    #[test]
    fn plain_paths() {
        for good in ["/", "/etc", "/a/b.c", "/a/..b"] {
            assert!(is_plain_absolute(Path::new(good)), "{good}");
        }
        for bad in ["", "etc", "/a/", "/a//b", "/a/./b", "/a/..", "//", "/a\0"] {
            assert!(!is_plain_absolute(Path::new(bad)), "{bad}");
        }
    }

    #[test]
    fn signs_of_readiness() {
        for text in [
            "tcp:80",
            "udp:53",
            "file:/run/x.sock",
            "notify",
            "quiet:500",
        ] {
            assert_eq!(
                ready(text).map(|sign| ready_text(&sign)).as_deref(),
                Some(text)
            );
        }
        for text in [
            "tcp",
            "notify:",
            "tcp:",
            "tcp:0",
            "tcp:65536",
            "tcp:-1",
            "file:x",
            "file:/a/../b",
            "x:1",
        ] {
            assert_eq!(ready(text), None, "{text}");
        }
    }
}
