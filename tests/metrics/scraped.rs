//! Two jails as they are seen from outside.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::busy::{allow, busy};
use crate::common::{DONE, Place, eventually, port};
use crate::exporter::{Exporter, Scraped, promtool};

/// More than the service needs, bytes.
const LIMIT: u32 = 64 << 20;

/// Two jails: the place's own, which serves a port, and a second one, which does something forbidden at
/// SIGUSR1. And the spec of a third one.
pub struct Jails {
    pub place: Place,
    pub second: String,
    pub third: String,
    port: u16,
}

impl Jails {
    pub fn start() -> Self {
        let port = port();
        let mut place = busy(&["serve", &port.to_string()]);
        allow(&mut place, "bind", "tcp", port);
        place.text.service = format!("ready = [\"tcp:{port}\"]");
        place.text.tables +=
            &format!("[check]\nevery = \"1s\"\n[limits]\nmemory_bytes = {LIMIT}\nprocesses = 20\n");
        place.start();
        let mut other = place.text.clone();
        other.service = String::new();
        other.command.truncate(1);
        other
            .command
            .extend(["signal", "foreign"].map(str::to_owned));
        let named = |name: &str| format!("{}-{name}", place.name);
        let (second, third) = (named("second"), named("third"));
        for name in [&second, &third] {
            fs::write(place.etc().join(format!("{name}.toml")), other.render(name)).unwrap();
        }
        place.gaoler(&["start", &second]).is(DONE, &["started"]);
        Self {
            place,
            second,
            third,
            port,
        }
    }

    /// Has a client that has sent 10 bytes and got them back.
    fn visit(&self) -> TcpStream {
        let mut client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        client.write_all(b"0123456789").unwrap();
        client.read_exact(&mut [0; 10]).unwrap();
        client
    }

    /// The service of the second one does what is forbidden.
    pub fn misbehave(&self) {
        let status = self.place.gaoler(&["status", &self.second, "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
        let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::USR1).unwrap();
    }
}

impl Drop for Jails {
    fn drop(&mut self) {
        drop(self.place.gaoler(&["stop", &self.second]));
        drop(fs::remove_file(format!(
            "/var/log/gaoler-{}.log",
            self.second
        )));
    }
}

/// Prometheus' own reader of OpenMetrics takes it. It wants a time with each sample.
#[track_caller]
fn is_open_metrics(text: &str, directory: &Path) {
    let timed = text.lines().map(|line| match line.starts_with('#') {
        true => format!("{line}\n"),
        false => format!("{line} 1700000000\n"),
    });
    fs::write(directory.join("timed"), timed.collect::<String>()).unwrap();
    let words = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "timed",
        "blocks",
    ];
    promtool(&words, "", directory);
}

/// What can be seen at one look.
#[track_caller]
fn is_seen(text: &Scraped, jails: &Jails) {
    let (first, second, third) = (jails.place.name.as_str(), &*jails.second, &*jails.third);
    let state = |jail, state| {
        text.value(&format!(
            "gaoler_state{{jail=\"{jail}\",state=\"{state}\"}}"
        ))
    };
    for (jail, up) in [(first, 1.0), (second, 1.0), (third, 0.0)] {
        assert_eq!(text.of("gaoler_up", jail), Some(up), "{text:?}");
        assert_eq!(state(jail, "running"), Some(up));
        assert_eq!(state(jail, "stopped"), Some(1.0 - up));
        assert_eq!(text.of("gaoler_generation", jail).is_some(), up > 0.0);
        assert_eq!(
            text.of("gaoler_cpu_seconds_total", jail).is_some(),
            up > 0.0
        );
        assert_eq!(text.of("gaoler_restarts_total", jail), Some(0.0));
    }
    assert_eq!(
        text.of("gaoler_memory_limit_bytes", first),
        Some(LIMIT.into())
    );
    // A cgroup of version 1 counts the few pages of such a service later, if at all.
    assert!(text.of("gaoler_memory_bytes", first).is_some());
    assert!(text.of("gaoler_memory_shared_bytes", first) > Some(4096.0));
    assert_eq!(text.of("gaoler_connections", first), Some(1.0));
    // The service and gaoler's own first process.
    assert_eq!(text.of("gaoler_processes", first), Some(2.0));
    assert!(text.of("gaoler_open_descriptors", first) > Some(2.0));
    assert!(text.of("gaoler_start_time_seconds", first) > Some(1.7e9));
    let version = format!(
        "gaoler_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(text.value(&version), Some(1.0));
}

#[test]
fn two_jails_are_seen_by_a_port_a_unix_socket_and_a_file() {
    let jails = Jails::start();
    let place = &jails.place;
    let client = jails.visit();
    let socket = place.path("socket");
    let address = format!("unix:{}", socket.display());
    for address in ["127.0.0.1:0", &address] {
        let exporter = Exporter::at(place, address);
        let (head, text) = exporter.get();
        let media = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(head.contains(media), "{head}");
        is_open_metrics(&text, place.directory.path());
        let text = Scraped(text);
        is_seen(&text, &jails);
        let received = text.of("gaoler_network_receive_bytes_total", &place.name);
        assert_eq!(received, Some(10.0), "{text:?}");
        let is_unix = address != "127.0.0.1:0";
        assert_eq!(socket.exists(), is_unix);
        if is_unix {
            assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o7777, 0o660);
        }
        assert_eq!(exporter.end(Signal::TERM).code(), Some(0));
        assert!(!socket.exists(), "it stayed");
    }
    // Once, and as a file.
    let printed = place.gaoler(&["metrics"]);
    printed.is(DONE, &["# EOF"]);
    is_open_metrics(&printed.out, place.directory.path());
    let printed = Scraped(printed.out);
    is_seen(&printed, &jails);
    let counted = "gaoler_network_receive_bytes_total";
    assert_eq!(printed.of(counted, &place.name), None, "it looked once");
    let file = place.path("gaoler.prom");
    place
        .gaoler(&["metrics", "--textfile", file.to_str().unwrap()])
        .is(DONE, &[]);
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(
        promtool(&["check", "metrics"], &written, place.directory.path()),
        ""
    );
    is_seen(&Scraped(written), &jails);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    // One jail of them.
    let one = place.gaoler(&["metrics", &jails.second]).out;
    assert!(one.contains(&jails.second) && !one.contains(&format!("\"{}\"", place.name)));
    drop(client);
}

#[test]
fn a_file_is_kept_until_a_signal_ends_it() {
    let place = busy(&[]);
    place.start();
    let file = place.path("gaoler.prom");
    let words = [
        "metrics",
        "--every",
        "1",
        "--textfile",
        file.to_str().unwrap(),
    ];
    let mut child = place.command(&words).spawn().unwrap();
    let up = |value| {
        let text = Scraped(fs::read_to_string(&file).unwrap_or_default());
        text.of("gaoler_up", &place.name) == Some(value)
    };
    eventually("a file", || up(1.0));
    place.verb("stop").is(DONE, &[]);
    eventually("another one", || up(0.0));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn counters_grow_whatever_ends() {
    let jails = Jails::start();
    let (place, name) = (&jails.place, jails.place.name.as_str());
    let exporter = Exporter::at(place, "127.0.0.1:0");
    let value = |metric: &str, jail: &str| exporter.scrape().of(metric, jail);
    let received = "gaoler_network_receive_bytes_total";
    for visits in 1..=2 {
        let client = jails.visit();
        eventually("what came", || {
            value(received, name) == Some(f64::from(visits) * 10.0)
        });
        drop(client);
        eventually("its end", || value("gaoler_connections", name) == Some(0.0));
        assert_eq!(value(received, name), Some(f64::from(visits) * 10.0));
    }
    place.verb("restart").is(DONE, &[]);
    eventually("the restart", || {
        value("gaoler_restarts_total", name) == Some(1.0)
    });
    assert_eq!(value(received, name), Some(20.0));
    if value("gaoler_denials_total", &jails.second).is_none() {
        println!("skipped: this kernel does not tell what it denies");
        return;
    }
    // What these services try at their start is no matter here.
    let denials = || [name, &jails.second].map(|jail| value("gaoler_denials_total", jail).unwrap());
    let mut before = denials();
    eventually("quiet", || {
        // Longer than a text is kept.
        std::thread::sleep(Duration::from_millis(600));
        std::mem::replace(&mut before, denials()) == before
    });
    jails.misbehave();
    eventually("the denial", || denials()[1] == before[1] + 1.0);
    assert_eq!(denials()[0], before[0], "it was not its own");
}
