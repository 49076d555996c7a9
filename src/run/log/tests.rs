//! Relays between real sockets. What a message becomes is tested in `rewriting`.

mod collectors;
mod entries;
mod kept;
mod rewriting;
mod sinks;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::*;
use crate::plan::{LogSink, LogTo};

/// A jail's log directory and a host with nothing in it yet.
struct Scene {
    place: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn directory(&self) -> OwnedFd {
        rustix::fs::open(
            self.place.path(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap()
    }

    fn sink(&self) -> Sink {
        self.sink_to(LogTo::Auto)
    }

    fn sink_to(&self, to: LogTo) -> Sink {
        let log = LogSink {
            to,
            ..LogSink::default()
        };
        self.sink_of(&log)
    }

    fn sink_of(&self, log: &LogSink) -> Sink {
        let places = Places {
            syslog: &self.path("host-log"),
            journal: &self.path("journal"),
            file: &self.path("file"),
        };
        Sink::of(log, &places)
    }

    /// The host's syslogd.
    fn host(&self) -> UnixDatagram {
        UnixDatagram::bind(self.path("host-log")).unwrap()
    }

    fn relay(&self) -> Relay {
        self.relay_to(self.sink())
    }

    fn relay_to(&self, sink: Sink) -> Relay {
        let socket = LogSocket::bind(self.directory(), "log").unwrap();
        Relay::new(socket, sink, "dns", 3, Words::default())
    }

    /// A jailed process that logs.
    fn client(&self) -> UnixDatagram {
        let client = UnixDatagram::unbound().unwrap();
        client.connect(self.path("log")).unwrap();
        client
    }
}

fn text(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 2 * LIMIT];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn me() -> u32 {
    std::process::id()
}

#[test]
fn a_message_arrives_with_its_jail_and_process() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay();
    scene
        .client()
        .send(b"<30>Nov 21 22:41:00 named[1]: running\n")
        .unwrap();
    assert!(!relay.pump().unwrap());
    assert_eq!(
        text(&host),
        format!("<30>Nov 21 22:41:00 dns/3/named[{}]: running", me())
    );
    let expected = Counts {
        received: 1,
        forwarded: 1,
        ..Counts::default()
    };
    assert_eq!(relay.counts(), expected);
}

#[test]
fn the_last_words_are_those_of_both_ways() {
    let scene = Scene::new();
    let mut relay = scene.relay();
    scene
        .client()
        .send(b"<30>Nov 21 22:41:00 named[1]: cannot load\nthis \x1b[2J\n")
        .unwrap();
    relay.pump().unwrap();
    relay.printed(b"exiting", "named", 7);
    let words = relay.words().text();
    assert_eq!(words, "named: cannot load this \u{1b}[2J\nexiting");
}

#[test]
fn another_process_is_told_apart() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay();
    let mut logger = std::process::Command::new("logger")
        .args(["-p", "mail.err", "-t", "named", "-u"])
        .arg(scene.path("log"))
        .arg("from logger(1)")
        .spawn()
        .unwrap();
    assert!(logger.wait().unwrap().success());
    relay.pump().unwrap();
    let text = text(&host);
    assert!(text.starts_with("<19>"), "{text}");
    assert!(
        text.ends_with(&format!(" dns/3/named[{}]: from logger(1)", logger.id())),
        "{text}"
    );
}

#[test]
fn ten_thousand_messages_are_all_accounted_for() {
    const MESSAGES: u64 = 10_000;
    let scene = Scene::new();
    let host = scene.host();
    let reader = std::thread::spawn(move || {
        let (mut read, mut told) = (0, 0);
        loop {
            let line = text(&host);
            if line == "end" {
                return (read, told);
            }
            match lost(&line) {
                Some(lost) => told += lost,
                None => read += 1,
            }
        }
    });
    let mut relay = scene.relay();
    let client = scene.client();
    let writer = std::thread::spawn(move || {
        for index in 0..MESSAGES {
            client
                .send(format!("<30>named[7]: query {index}\n").as_bytes())
                .unwrap();
        }
    });
    let resident = resident();
    let start = Instant::now();
    while relay.counts().received < MESSAGES {
        let mut wait = [PollFd::new(&relay.socket, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        assert_eq!(
            poll(&mut wait, Some(&timeout)),
            Ok(1),
            "{:?}",
            relay.counts()
        );
        relay.pump().unwrap();
    }
    let rate = MESSAGES as f64 / start.elapsed().as_secs_f64();
    let grown = self::resident().saturating_sub(resident);
    writer.join().unwrap();
    relay.tell_dropped();
    let end = UnixDatagram::unbound().unwrap();
    end.send_to(b"end", scene.path("host-log")).unwrap();
    let Counts {
        received,
        forwarded,
        dropped,
        truncated,
    } = relay.counts();
    println!("{forwarded} forwarded, {dropped} dropped, {rate:.0}/s, {grown} KiB more resident");
    assert_eq!((received, truncated), (MESSAGES, 0));
    assert_eq!(forwarded + dropped, MESSAGES);
    let (read, told) = reader.join().unwrap();
    assert_eq!(read, forwarded);
    // The last ones can be told only if there is room for that.
    assert!(told <= dropped, "{told} of {dropped}");
    assert!(forwarded > 0);
}

/// How many messages were lost, if the line tells that.
fn lost(line: &str) -> Option<u64> {
    let (_, told) = line.split_once(&format!("dns/3/gaoler[{}]: ", me()))?;
    told.split_once(" messages were lost")?.0.parse().ok()
}

#[test]
fn the_log_is_told_how_much_it_has_lost() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay();
    for _ in 0..500 {
        relay.printed(b"line", "named", 7);
    }
    let Counts {
        forwarded, dropped, ..
    } = relay.counts();
    assert!(dropped > 0, "{forwarded} forwarded");
    for _ in 0..forwarded {
        assert_eq!(lost(&text(&host)), None);
    }
    relay.printed(b"again", "named", 7);
    assert!(text(&host).ends_with(": again"));
    let notice = text(&host);
    assert!(notice.starts_with("<28>"), "{notice}");
    assert_eq!(lost(&notice), Some(dropped));
    relay.printed(b"and again", "named", 7);
    assert!(text(&host).ends_with(": and again"), "told once");
}

/// Resident memory of the whole test process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_log_that_is_not_read_costs_messages_and_no_time() {
    let scene = Scene::new();
    let _never_read = scene.host();
    let mut relay = scene.relay();
    let client = scene.client();
    let start = Instant::now();
    for _ in 0..500 {
        client.send(b"x").unwrap();
        relay.pump().unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    let Counts {
        received,
        forwarded,
        dropped,
        ..
    } = relay.counts();
    assert_eq!((received, forwarded + dropped), (500, 500));
    assert!(
        dropped > 0 && forwarded > 0,
        "{forwarded} forwarded, {dropped} dropped"
    );
}

#[test]
fn a_syslogd_that_restarts_is_found_again() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay();
    let client = scene.client();
    let mut log = |message: &str| {
        client.send(message.as_bytes()).unwrap();
        relay.pump().unwrap();
        (relay.counts().forwarded, relay.counts().dropped)
    };
    assert_eq!(log("one"), (1, 0));
    drop(host);
    assert_eq!(log("two, while its socket is dead"), (1, 1));
    std::fs::remove_file(scene.path("host-log")).unwrap();
    assert_eq!(log("three, while it is gone"), (1, 2));
    let host = scene.host();
    assert_eq!(log("four"), (2, 2));
    assert!(text(&host).ends_with(": four"));
    assert_eq!(lost(&text(&host)), Some(2));
    // At once, without a message in between to notice it.
    std::fs::remove_file(scene.path("host-log")).unwrap();
    drop(host);
    let host = scene.host();
    assert_eq!(log("five"), (3, 2));
    assert!(text(&host).ends_with(": five"));
}

#[test]
fn a_syslogd_with_a_stream_gets_whole_messages() {
    let scene = Scene::new();
    let listener = UnixListener::bind(scene.path("host-log")).unwrap();
    let mut relay = scene.relay();
    let client = scene.client();
    client.send(b"<14>a: one").unwrap();
    client.send(b"<14>b: two").unwrap();
    relay.pump().unwrap();
    let (mut first, _) = listener.accept().unwrap();
    let expected = format!("<14>dns/3/a[{0}]: one\0<14>dns/3/b[{0}]: two\0", me());
    let mut read = vec![0; expected.len()];
    first.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), expected);
    // Its end is closed: the next message finds a new connection.
    drop(first);
    client.send(b"<14>c: three").unwrap();
    relay.pump().unwrap();
    let (mut second, _) = listener.accept().unwrap();
    drop(relay);
    let mut read = String::new();
    second.read_to_string(&mut read).unwrap();
    assert_eq!(read, format!("<14>dns/3/c[{}]: three\0", me()));
}

#[test]
fn a_message_that_is_too_long_is_marked() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay();
    let client = scene.client();
    client.send(&[b'x'; LIMIT + 1]).unwrap();
    client.send(&[0x1B; LIMIT]).unwrap();
    relay.pump().unwrap();
    for _ in 0..2 {
        let text = text(&host);
        assert!(
            text.len() <= LIMIT && text.ends_with(" [truncated]"),
            "{}",
            text.len()
        );
    }
    assert_eq!((relay.counts().truncated, relay.counts().forwarded), (2, 2));
}

#[test]
fn a_flood_is_taken_in_parts() {
    let scene = Scene::new();
    let _host = scene.host();
    let mut relay = scene.relay();
    let client = scene.client();
    client.set_nonblocking(true).unwrap();
    let sending = (0..BATCH).take_while(|_| client.send(b"x").is_ok()).count();
    let more = relay.pump().unwrap();
    assert_eq!(relay.counts().received, sending as u64);
    assert_eq!(more, sending == BATCH);
}

#[test]
fn everyone_may_write_to_the_socket() {
    let scene = Scene::new();
    let _socket = LogSocket::bind(scene.directory(), "log").unwrap();
    let mode = |name| {
        std::fs::metadata(scene.path(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("log") & 0o7777, 0o666);
    // A second run finds the socket of the first.
    let _socket = LogSocket::bind(scene.directory(), "log").unwrap();
    assert_eq!(mode("log") & 0o7777, 0o666);
}

#[test]
fn a_socket_is_refused_where_others_could_replace_it() {
    let scene = Scene::new();
    for name in ["", ".", "..", "a/b", "/log"] {
        assert!(LogSocket::bind(scene.directory(), name).is_err(), "{name}");
    }
    std::fs::write(scene.path("taken"), "").unwrap();
    symlink("taken", scene.path("link")).unwrap();
    for name in ["taken", "link"] {
        let error = LogSocket::bind(scene.directory(), name).unwrap_err();
        assert_eq!(error.why(), "it is something else");
    }
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(scene.place.path(), open).unwrap();
    let error = LogSocket::bind(scene.directory(), "log").unwrap_err();
    assert_eq!(error.why(), "others may write to its directory");
    assert!(!Path::new(&scene.path("log")).exists());
}
