//! Where BIND's messages and figures go.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::machine::{eventually, machine};

#[test]
fn log_files_rotate() {
    machine(|m| {
        m.own_directory("/var/log/named");
        m.configure(
            "",
            "logging { channel queries { file \"/var/log/named/queries.log\" versions 3 size 20k; print-time yes; };\n\
             category queries { queries; }; };\n",
        );
        m.up();
        for _ in 0..12 {
            let batch: String = (0..40)
                .map(|number| format!("n{number}.localhost\n"))
                .collect();
            m.write("/run/batch", &batch);
            m.run(&["dig", "@127.0.0.1", "-f", "/run/batch", "+noall"])
                .ok();
        }
        let text = fs::read_to_string("/var/log/named/queries.log").unwrap();
        assert!(text.contains("n39.localhost"), "{text}");
        let rolled = || fs::metadata("/var/log/named/queries.log.1").is_ok();
        eventually(rolled, |rolled| *rolled);
        m.rndc(&["querylog", "off"]);
        m.rndc(&["querylog", "on"]);
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["localhost"], "127.0.0.1");
    });
}

#[test]
fn syslog_has_the_true_pid() {
    machine(|m| {
        let receiver = UnixDatagram::bind("/dev/log").unwrap();
        // A log that nobody reads would hold named up, jailed or not.
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length) = receiver.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                seen.lock().unwrap().push(line);
            }
        });
        let pid = m.up();
        let mark = format!("named/1/named[{pid}]: ");
        m.rndc(&["querylog", "on"]);
        m.answers(&["marker.localhost", "A"], "");
        let said = |word: &'static str| {
            let line = || {
                let lines = lines.lock().unwrap();
                lines
                    .iter()
                    .find(|line| line.contains(&mark) && line.contains(word))
                    .cloned()
            };
            eventually(line, Option::is_some).unwrap()
        };
        // Facility daemon (3), severity info (6).
        let query = said("marker.localhost");
        assert!(query.starts_with("<30>"), "{query}");
        said("received control channel command 'querylog on'");
        m.gaoler(&["stop", "named"]).ok();
        said("exiting");
    });
}

#[test]
fn figures_are_written() {
    machine(|m| {
        m.own_directory("/srv/dns/figures");
        m.configure(
            "statistics-file \"/srv/dns/figures/stats\"; zone-statistics full; allow-query-cache { any; };",
            "",
        );
        m.up();
        m.rndc(&["stats"]);
        let stats = fs::read_to_string("/srv/dns/figures/stats").unwrap();
        assert!(stats.contains("+++ Statistics Dump +++"), "{stats}");
        m.rndc(&["dumpdb", "-all"]);
        let ask = || fs::read_to_string("/var/cache/bind/named_dump.db").unwrap_or_default();
        eventually(ask, |dump| {
            dump.contains("; Dump complete") && dump.contains("localhost")
        });
        m.rndc(&["recursing"]);
        assert!(fs::metadata("/var/cache/bind/named.recursing").is_ok());
        m.rndc(&["querylog"]);
        m.rndc(&["secroots"]);
        m.rndc(&["zonestatus", "localhost"]);
        m.rndc(&["flush"]);
        m.rndc(&["trace", "3"]);
        m.rndc(&["notrace"]);
        assert!(fs::metadata("/var/cache/bind/named.run").is_ok());
    });
}

#[test]
fn statistics_over_http() {
    machine(|m| {
        m.configure(
            "",
            "statistics-channels { inet 127.0.0.1 port 8053 allow { 127.0.0.1; }; };\n",
        );
        m.up();
        let answer = get("/json/v1/server");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"boot-time\""), "{answer}");
        let answer = get("/xml/v3/status");
        assert!(answer.contains("<statistics version="), "{answer}");
    });
}

fn get(path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect("127.0.0.1:8053").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
