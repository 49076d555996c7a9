//! What `strace -f -yy -X raw` wrote, line by line: who called what with which arguments, and
//! what came of it. It says nothing of what that means.

use std::collections::BTreeMap;

/// Options that the lines are written with: descriptors with what they lead to, numbers instead
/// of names, all of every path, little of all else.
pub const OPTIONS: &[&str] = &["-f", "-qq", "-yy", "-X", "raw", "-s", "64"];

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The thread.
    pub tid: i32,
    /// The call's name.
    pub name: String,
    /// Its arguments as they were written.
    pub arguments: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With this number.
    Value(i64),
    /// With the error of this name.
    Error(String),
    /// It did not return: it never does, or the thread was killed.
    None,
    /// A signal came, and it was made again or ended: the program did not see an end.
    Interrupted,
}

/// Every call, in the order in which they returned.
pub fn lines(text: &str) -> Vec<Line> {
    let mut unfinished: BTreeMap<i32, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let (tid, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let tid: i32 = tid.parse().unwrap_or_else(|_| panic!("{line}"));
        let rest = rest.trim_start();
        // Signals, exits, and threads that execve has replaced.
        if rest.starts_with("---") || rest.starts_with("+++") {
            continue;
        }
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(tid, begin.to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").unwrap().1;
            // After execve by another thread the line is under another number.
            let begin = unfinished.remove(&tid).unwrap_or_else(|| panic!("{line}"));
            lines.push(parse(tid, &(begin + end)));
        } else {
            lines.push(parse(tid, rest));
        }
    }
    let open = unfinished.into_iter();
    lines.extend(open.map(|(tid, begin)| parse(tid, &(begin + ") = ?"))));
    lines
}

fn parse(tid: i32, text: &str) -> Line {
    let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("{text}"));
    let (arguments, rest) = arguments(rest);
    let result = rest.trim_start().strip_prefix("= ");
    let result = result.unwrap_or_else(|| panic!("no result: {text}"));
    let mut words = result.split(' ');
    let number = words.next().unwrap_or_default();
    let outcome = match (number, words.next()) {
        ("?", Some(why)) if why.starts_with("ERESTART") => Outcome::Interrupted,
        ("?", _) => Outcome::None,
        ("-1", Some(error)) if error.starts_with('E') => Outcome::Error(error.to_owned()),
        _ => Outcome::Value(integer(number).unwrap_or_else(|| panic!("result: {text}"))),
    };
    Line {
        tid,
        name: name.to_owned(),
        arguments,
        outcome,
    }
}

/// Splits at the commas that are in no quotes and no brackets, up to the closing one.
fn arguments(text: &str) -> (Vec<String>, &str) {
    let mut found = Vec::new();
    let mut depth = 0;
    let mut begin = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += quoted(&text[at..]),
            // What a descriptor leads to, right after its number.
            b'<' if at > 0 && bytes[at - 1].is_ascii_digit() => at += annotation(&text[at..]),
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                if begin < at || !found.is_empty() {
                    found.push(text[begin..at].trim().to_owned());
                }
                return (found, &text[at + 1..]);
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[begin..at].trim().to_owned());
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    panic!("no end: {text}");
}

/// The distance from an opening quote to its closing one.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or_else(|| panic!("no end: {text}")) + 1
}

/// The distance from `<` to its `>`: quotes may hold one, and `->` is none.
fn annotation(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += quoted(&text[at..]),
            b'>' if bytes[at - 1] != b'-' => return at,
            _ => {}
        }
        at += 1;
    }
    panic!("no end: {text}");
}

/// A number as strace writes it, without what it leads to: decimal, hexadecimal, octal, or several
/// of these with bars between.
pub fn integer(text: &str) -> Option<i64> {
    let number = text.split('<').next()?;
    let mut parts = number.split('|');
    parts.try_fold(0, |sum, part| Some(sum | part_of_integer(part)?))
}

fn part_of_integer(number: &str) -> Option<i64> {
    if number == "NULL" {
        return Some(0);
    }
    if let Some(digits) = number.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
    }
    match number.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => i64::from_str_radix(digits, 8).ok(),
        _ => number.parse().ok(),
    }
}

/// What a descriptor leads to: `/path`, `TCP:[127.0.0.1:53]`.
pub fn leads_to(text: &str) -> Option<&str> {
    text.split_once('<')?.1.strip_suffix('>')
}

/// A string in quotes, without them and with its bytes as they were.
pub fn string(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix('"')?;
    let inside = inside.strip_suffix("...").unwrap_or(inside);
    let bytes = inside.strip_suffix('"')?.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            found.push(bytes[at]);
            at += 1;
            continue;
        }
        let rest = &inside[at + 1..];
        let digits = |radix: u32, most: usize, from: usize| {
            let text: String = (rest[from..].chars().take(most))
                .take_while(|digit| digit.is_digit(radix))
                .collect();
            let byte = u8::from_str_radix(&text, radix).unwrap();
            (byte, from + text.len())
        };
        let (byte, length) = match bytes[at + 1] {
            b'x' => digits(16, 2, 1),
            b'0'..=b'7' => digits(8, 3, 0),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'r' => (b'\r', 1),
            b'v' => (0x0b, 1),
            b'f' => (0x0c, 1),
            other => (other, 1),
        };
        found.push(byte);
        at += 1 + length;
    }
    Some(found)
}

#[test]
fn lines_are_read() {
    let text = "7 openat(-100</tmp>, \"/a, \\\"b\\\")\", 0x80000) = 3</a, \"b\")>\n\
        7 --- SIGCHLD {si_signo=17} ---\n\
        7 wait4(9,  <unfinished ...>\n\
        8 read(3<TCP:[127.0.0.1:80->127.0.0.1:9]>, \"\\0x\\x41\\12\"..., 64) = -1 EAGAIN (Resource)\n\
        7 <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = ? ERESTARTSYS (To be restarted)\n\
        7 getpid()           = 7\n\
        8 exit_group(0) = ?\n\
        9 pause( <unfinished ...>\n";
    let lines = lines(text);
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    let expected = ["openat", "read", "wait4", "getpid", "exit_group", "pause"];
    assert_eq!(names, expected);
    assert_eq!(lines[0].arguments.len(), 3);
    assert_eq!(string(&lines[0].arguments[1]).unwrap(), b"/a, \"b\")");
    assert_eq!(leads_to(&lines[0].arguments[0]), Some("/tmp"));
    assert_eq!(integer(&lines[0].arguments[0]), Some(-100));
    assert_eq!(lines[0].outcome, Outcome::Value(3));
    assert_eq!(integer("0x1|0x80800"), Some(0x80801));
    assert_eq!(string(&lines[1].arguments[1]).unwrap(), b"\0xA\n");
    assert_eq!(lines[1].outcome, Outcome::Error("EAGAIN".to_owned()));
    assert_eq!(
        leads_to(&lines[1].arguments[0]),
        Some("TCP:[127.0.0.1:80->127.0.0.1:9]")
    );
    assert_eq!(lines[2].arguments.len(), 4);
    assert_eq!(lines[2].outcome, Outcome::Interrupted);
    assert_eq!(lines[3].arguments, [""; 0]);
    assert_eq!(lines[5].outcome, Outcome::None);
}
