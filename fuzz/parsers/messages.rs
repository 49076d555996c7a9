//! Datagrams from jails, and what is asked of the metrics.

use std::os::fd::AsFd;

use gaoler::host::notifications;
use gaoler::run::log::{Arrival, LIMIT, Line, Message, NATIVE_LIMIT, Native, Source, rewrite};
use gaoler::verbs::{HTTP_LONGEST_HEAD, HttpAsked};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

const DNS: Source<'_> = Source {
    jail: "dns",
    generation: 3,
    pid: 42,
};

/// How much of a notification counts.
const LONGEST: usize = 4096;

/// A message for the log, in each of the forms that it is passed on in: of bounded length, without
/// a control character, from nobody but this jail and process, never of the kernel's facility.
pub fn log(bytes: &[u8]) {
    let mut out = Vec::with_capacity(LIMIT + 1);
    rewrite(bytes, &DNS, &mut out);
    assert!(out.len() <= LIMIT);
    let text = str::from_utf8(&out).expect("it is UTF-8");
    assert!(!text.contains(char::is_control), "{text:?}");
    let (priority, rest) = text
        .strip_prefix('<')
        .and_then(|text| text.split_once('>'))
        .expect("it begins with its priority");
    assert!((8..192).contains(&priority.parse::<u8>().expect("a number")));
    let after_time = || rest.get(16..)?.strip_prefix("dns/3/");
    assert_source(rest.strip_prefix("dns/3/").or_else(after_time));

    for truncated in [false, true] {
        let message = Message {
            truncated,
            ..Message::parse(bytes)
        };
        assert_each_form(&message, &[]);
    }
}

/// An entry in journald's own protocol: the same, and among its fields none that says whose it is.
pub fn journal(bytes: &[u8]) {
    let bytes = bytes.get(..NATIVE_LIMIT).unwrap_or(bytes);
    for truncated in [false, true] {
        let entry = Native::parse(bytes, truncated);
        assert!((8..192).contains(&entry.message.priority));
        assert!(!truncated || entry.message.truncated);
        for (name, value) in &entry.fields {
            assert!(name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_uppercase()));
            assert!(!name.contains(['\n', '=']), "{name}");
            let own = ["GAOLER_", "SYSLOG_", "OBJECT_", "COREDUMP"];
            assert!(!own.iter().any(|own| name.starts_with(own)), "{name}");
            assert!(!["MESSAGE", "PRIORITY", "MESSAGE_ID", "UNIT"].contains(name));
            assert!(value.len() <= bytes.len());
        }
        assert!(entry.fields.len() <= 64);
        assert_each_form(&entry.message, &entry.fields);
    }
}

fn assert_each_form(message: &Message<'_>, fields: &[(&str, &[u8])]) {
    let mut out = Vec::new();
    let whole = message.to_line(1_000_000_000, &DNS, &mut out);
    assert!(out.len() <= LIMIT);
    let line = str::from_utf8(&out).expect("it is UTF-8");
    let inside = line.strip_suffix('\n').expect("it is a line");
    assert!(!inside.contains(char::is_control), "{inside:?}");
    assert!(whole || inside.ends_with(" [truncated]"));
    assert!(!(whole && message.truncated));
    let read = Line::parse(inside).expect("it is read as what it is");
    assert_eq!(
        (read.jail.as_str(), read.generation, read.pid),
        ("dns", 3, 42)
    );

    let arrival = Arrival {
        seconds: 1_000_000_000,
        microseconds: 7,
        host: "host",
    };
    message.to_ietf(&arrival, &DNS, 2048, &mut out);
    assert!(out.len() <= 2048);
    let text = str::from_utf8(&out).expect("it is UTF-8");
    assert!(!text.contains(char::is_control), "{text:?}");
    let (head, rest) = text.split_once(" host dns/").expect("it has its header");
    assert!(head.ends_with(">1 2001-09-09T01:46:40.000007Z"), "{head}");
    let (_, rest) = rest.split_once(' ').expect("it has a process");
    let data = "42 - [gaoler@32473 jail=\"dns\" generation=\"3\" pid=\"42\"] ";
    assert!(rest.starts_with(data), "{rest}");

    message.to_journal(&DNS, &[], &mut out);
    assert_journal(&out);
    let plain = out.len();
    message.to_journal(&DNS, fields, &mut out);
    let more = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 10);
    assert_eq!(out.len(), plain + more.sum::<usize>());
}

/// `TAG[pid]: `, and a tag that cannot be mistaken for what is around it.
fn assert_source(rest: Option<&str>) {
    let (tag, after) = rest
        .and_then(|rest| rest.split_once('['))
        .expect("it names its source");
    assert!(!tag.is_empty() && !tag.contains([' ', ':', ']']), "{tag}");
    assert!(after.starts_with("42]: "), "{after}");
}

/// The journal's native form: six fields of a line each, then the message with its length.
fn assert_journal(out: &[u8]) {
    const MARK: &[u8] = b"\nMESSAGE\n";
    assert!(out.len() <= LIMIT);
    let at = out
        .windows(MARK.len())
        .position(|part| part == MARK)
        .expect("it has a message");
    let fields = str::from_utf8(&out[..at]).expect("they are UTF-8");
    assert_eq!(fields.lines().count(), 6);
    let (length, text) = out[at + MARK.len()..].split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let (end, text) = text.split_last().expect("it has an end");
    assert_eq!((*end, text.len() as u64), (b'\n', length));
    let text = str::from_utf8(text).expect("it is UTF-8");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// What a service says of itself (`sd_notify(3)`): it is ready if a whole line of the datagram
/// says so, and only then; what a manager is told of it are lines that can be shown.
pub fn notify(bytes: &[u8]) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
        .expect("there are descriptors");
    match send(&theirs, bytes, SendFlags::empty()) {
        Ok(_) => {}
        // Longer than a socket's buffer: no service can send it.
        Err(Errno::MSGSIZE) => return,
        Err(errno) => panic!("cannot send: {errno}"),
    }
    // A line that is cut is no whole one.
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let ends = lines.scan(0, |end, line| {
        *end += line.len();
        Some((*end, line.strip_suffix(b"\n").unwrap_or(line)))
    });
    let expected = ends
        .take_while(|(end, _)| *end <= LONGEST)
        .any(|(_, line)| line == b"READY=1");
    let mut heard = Vec::new();
    notifications::take(ours.as_fd(), &mut |said| heard.push(said));
    assert_eq!(heard.iter().any(|said| said.ready), expected);
    for line in heard.iter().flat_map(|said| &said.lines) {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            line.contains('=') && !line.starts_with("NOTIFYACCESS"),
            "{line:?}"
        );
    }
    notifications::take(ours.as_fd(), &mut |_| panic!("it counts once"));
}

/// A request for metrics: nobody is waited for who has said too much, and what was understood stays so,
/// whatever follows.
pub fn http(bytes: &[u8]) {
    let asked = HttpAsked::read(bytes);
    if asked == HttpAsked::Unfinished {
        assert!(bytes.len() < HTTP_LONGEST_HEAD + 2);
        return;
    }
    let more = [bytes, b"\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n\0"].concat();
    assert_eq!(HttpAsked::read(&more), asked);
    let is_metrics = matches!(asked, HttpAsked::Metrics { .. });
    let words = [&b"/metrics"[..], b"HTTP/1."];
    let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(!is_metrics || words.iter().all(|word| has(word)));
}
