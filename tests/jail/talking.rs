//! A service that logs as fast as it can, to each of the places where that may go. How many messages
//! it sends is 10^5, or `GAOLER_MESSAGES`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{Machine, machine};

/// A user that every Debian system has, whom nothing runs as.
const USER: &str = "games";

/// Longer than a flood takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(500);

const SPEC: &str = "/etc/gaoler/talker.toml";

fn messages() -> u64 {
    let given = std::env::var("GAOLER_MESSAGES").ok();
    given.map_or(100_000, |text| text.parse().unwrap())
}

/// Compiles the talker and learns it, with three messages of each kind.
fn learn(m: &Machine) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jail/talker.c");
    m.run(&["cc", "-O2", "-Wall", "-o", "/opt/talker", source])
        .ok();
    let words = ["up", "talker", "--user", USER, "--ready", "log:^ready$"];
    let exercises = [
        "kill -s USR1 '$PID'",
        "sleep 0.3",
        "kill -s USR2 '$PID'",
        "sleep 0.4",
    ];
    let exercises = exercises.map(|exercise| ["--exercise", exercise]).concat();
    let exercises = [&exercises[..], &["--", "/opt/talker", "3"]].concat();
    m.gaoler(&[&words[..], &exercises[..]].concat()).ok();
    m.sound("talker");
}

/// Starts it anew, to send so many messages at once and log to this place.
fn restart(m: &Machine, count: u64, to: &str) {
    m.gaoler(&["stop", "talker"]).ok();
    let spec = fs::read_to_string(SPEC).unwrap();
    let (before, journal) = spec.split_once("[log]\n").unwrap();
    let (_, command) = before.split_once("command = ").unwrap();
    let command = command.lines().next().unwrap();
    let before = before.replace(command, &format!("[\"/opt/talker\", \"{count}\"]"));
    let journal = journal.lines().filter(|line| !line.starts_with("to = "));
    let journal: Vec<&str> = journal.collect();
    let size = "file_size_kib = 1048576\n";
    let size = if spec.contains(size) { "" } else { size };
    let log = format!("[log]\nto = \"{to}\"\n{size}{}\n", journal.join("\n"));
    fs::write(SPEC, before + &log).unwrap();
    m.gaoler(&["start", "talker"]).ok();
}

/// Has it send, waits until it says that it has, and answers what became of everything that it has
/// said in this run: `ready`, the messages, and that it has sent them.
fn speak(m: &Machine, signal: &str, count: u64) -> Value {
    let begun = Instant::now();
    m.run(&["kill", "-s", signal, &m.pid("talker").to_string()])
        .ok();
    let log = loop {
        let log = m.json(&["status", "talker"])["log"].clone();
        if log["sent"].as_u64() >= Some(count + 2) && log["waiting"] == 0 {
            break log;
        }
        assert!(begun.elapsed() < PATIENCE, "{log}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{signal}: {rate:.0} messages a second, {log}");
    let number = |key: &str| log[key].as_u64().unwrap();
    assert_eq!(number("sent"), count + 2, "{log}");
    assert_eq!(number("forwarded") + number("dropped"), count + 2, "{log}");
    log
}

#[test]
fn all_of_a_flood_is_accounted_for() {
    machine(|m| {
        let count = messages();
        learn(m);
        into_a_file(m, count);
        to_syslog(m, count);
        to_a_log_that_nobody_reads(m, count);
        to_a_collector(m, count);
        m.gaoler(&["stop", "talker"]).ok();
        let log = m.json(&["status", "talker"])["log"].clone();
        let number = |key: &str| log[key].as_u64().unwrap();
        assert_eq!(
            number("sent"),
            number("forwarded") + number("dropped"),
            "{log}"
        );
        m.nothing_left("talker", &[]);
    });
}

fn into_a_file(m: &Machine, count: u64) {
    restart(m, count, "file");
    fs::write("/var/log/gaoler-talker.log", "").unwrap();
    // It was emptied after `ready`.
    let log = speak(m, "USR1", count);
    assert_eq!(log["dropped"], 0, "{log}");
    let file = fs::File::open("/var/log/gaoler-talker.log").unwrap();
    let mark = format!(
        " daemon.notice talker/1/talker[{}]: message ",
        m.pid("talker")
    );
    let lines = BufReader::new(file).lines().map(Result::unwrap);
    let numbers = lines.filter_map(|line| {
        let (_, text) = line.split_once(&mark)?;
        text.split_once(' ')?.0.parse::<u64>().ok()
    });
    assert!(numbers.eq(0..count), "each once, in order");
}

/// Reads a socket until it is told to end, and answers how many messages and told losses there were.
fn reader(socket: UnixDatagram) -> (std::thread::JoinHandle<(u64, u64)>, Receiver<()>) {
    let (ended, end) = channel();
    let thread = std::thread::spawn(move || {
        let (mut read, mut lost) = (0, 0);
        let mut buffer = [0; 65536];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text == "end" {
                drop(ended);
                return (read, lost);
            }
            match told(&text) {
                Some(told) => lost += told,
                None => read += 1,
            }
        }
    });
    (thread, end)
}

/// How many messages were lost, if this tells that.
fn told(text: &str) -> Option<u64> {
    let (_, text) = text.split_once("/gaoler[")?;
    let (text, _) = text.split_once(" messages were lost")?;
    text.rsplit(' ').next()?.parse().ok()
}

fn to_syslog(m: &Machine, count: u64) {
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    let (thread, end) = reader(socket);
    restart(m, count, "syslog");
    let log = speak(m, "USR1", count);
    m.gaoler(&["stop", "talker"]).ok();
    let client = UnixDatagram::unbound().unwrap();
    client.send_to(b"end", "/dev/log").unwrap();
    end.recv().unwrap_err();
    let (read, lost) = thread.join().unwrap();
    assert_eq!(Some(read), log["forwarded"].as_u64());
    assert_eq!(
        Some(lost),
        log["dropped"].as_u64(),
        "told at the end if not before"
    );
    fs::remove_file("/dev/log").unwrap();
}

fn to_a_log_that_nobody_reads(m: &Machine, count: u64) {
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    restart(m, count, "syslog");
    let log = speak(m, "USR1", count);
    let dropped = log["dropped"].as_u64().unwrap();
    assert!(dropped > count / 2, "{log}");
    // Read after all, it is told within a second or two how many it has lost.
    let mut buffer = [0; 65536];
    let lost = loop {
        let length = socket.recv(&mut buffer).unwrap();
        if let Some(lost) = told(&String::from_utf8_lossy(&buffer[..length])) {
            break lost;
        }
    };
    assert_eq!(lost, dropped);
    let shown = m.gaoler(&["status", "talker"]).ok();
    assert!(
        shown.contains(&format!("LOST         {dropped} of ")),
        "{shown}"
    );
    drop(socket);
    fs::remove_file("/dev/log").unwrap();
}

fn to_a_collector(m: &Machine, count: u64) {
    let listener = TcpListener::bind("127.0.0.2:6514").unwrap();
    restart(m, count, "tcp:127.0.0.2:6514");
    let collected = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut read = 0;
        let mut head = Vec::new();
        while stream.read_until(b' ', &mut head).unwrap() > 0 {
            let length = str::from_utf8(&head).unwrap().trim_end().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).unwrap();
            let message = String::from_utf8(message).unwrap();
            assert!(message.contains(" [gaoler@32473 jail=\"talker\" generation=\"1\" pid=\""));
            read += u64::from(!message.contains(" messages were lost"));
            head.clear();
        }
        read
    });
    let log = speak(m, "USR1", count);
    let forwarded = log["forwarded"].as_u64();
    assert!(forwarded > Some(count / 10), "{log}");
    m.gaoler(&["stop", "talker"]).ok();
    assert_eq!(Some(collected.join().unwrap()), forwarded);
}

#[test]
fn entries_of_the_journal_arrive_with_their_fields() {
    machine(|m| {
        learn(m);
        assert!(
            fs::read_to_string(SPEC)
                .unwrap()
                .contains("\njournal = true\n")
        );
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
        restart(m, 3, "journal");
        m.sound("talker");
        let pid = m.pid("talker");
        let log = speak(m, "USR2", 3);
        assert_eq!(log["dropped"], 0, "{log}");
        let mut buffer = [0; 65536];
        let mut next = || {
            let length = journal.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let ready = next();
        assert!(ready.contains("ready\n"), "{ready}");
        for number in 0..3 {
            let entry = next();
            let (tag, priority) = if number < 2 { ("talker", 3) } else { ("-", 4) };
            let head = format!(
                "PRIORITY={priority}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=talker/{tag}\n\
                 SYSLOG_PID={pid}\nGAOLER_JAIL=talker\nGAOLER_GENERATION=1\nMESSAGE\n"
            );
            assert!(entry.starts_with(&head), "{entry}");
            assert!(entry.contains(&format!("entry {number} of 3")), "{entry}");
            assert!(
                !entry.contains("_PID\n") && !entry.contains("other"),
                "{entry}"
            );
            let number = format!("\nNUMBER\n\x01\0\0\0\0\0\0\0{number}\n");
            assert_eq!(entry.contains(&number), tag == "talker", "{entry}");
        }
        m.gaoler(&["stop", "talker"]).ok();
    });
}

#[test]
fn logs_follow_a_jail_through_its_restarts() {
    machine(|m| {
        learn(m);
        restart(m, 2, "syslog");
        let shown = m.gaoler(&["logs", "talker"]).ok();
        assert!(shown.ends_with(": ready\n"), "{shown}");
        let mut follower = Command::new(env!("CARGO_BIN_EXE_gaoler"))
            .args(["logs", "talker", "-f", "-n", "1", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let mut next =
            || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
        assert_eq!(next()["text"], "ready");
        for round in 0..2 {
            let pid = m.pid("talker");
            m.run(&["kill", "-s", "USR1", &pid.to_string()]).ok();
            for number in 0..2 {
                let line = next();
                assert_eq!(line["text"], format!("message {number} of 2"));
                assert_eq!(
                    (&line["jail"], &line["program"]),
                    (&"talker".into(), &"talker".into())
                );
                assert_eq!(
                    (line["pid"].as_i64(), line["generation"].as_u64()),
                    (Some(pid.into()), Some(1))
                );
            }
            assert_eq!(next()["text"], "spoke 2");
            if round == 0 {
                m.gaoler(&["restart", "talker"]).ok();
                assert_eq!(next()["text"], "ready");
            }
        }
        m.run(&["kill", "-s", "INT", &follower.id().to_string()])
            .ok();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&follower.wait().unwrap()),
            Some(2)
        );
        let shown = m.gaoler(&["logs", "talker", "-n", "4"]).ok();
        let texts: Vec<&str> = shown
            .lines()
            .map(|line| line.split_once("]: ").unwrap().1)
            .collect();
        assert_eq!(
            texts,
            ["ready", "message 0 of 2", "message 1 of 2", "spoke 2"]
        );
        m.gaoler(&["stop", "talker"]).ok();
        // It stays readable, and so does what the jail has said in a file.
        assert_eq!(m.gaoler(&["logs", "talker", "-n", "4"]).ok(), shown);
        restart(m, 2, "file");
        let shown = m.gaoler(&["logs", "talker", "-n", "1"]).ok();
        assert!(shown.ends_with(": ready\n"), "{shown}");
        assert_eq!(
            fs::read_to_string("/var/log/gaoler-talker.log")
                .unwrap()
                .lines()
                .last(),
            shown.lines().last()
        );
        m.gaoler(&["stop", "talker"]).ok();
        assert_eq!(m.gaoler(&["logs", "nobody"]).code, 2);
    });
}
