//! A running `gaoler metrics`, and asking it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::Place;

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// `gaoler metrics --listen`.
pub struct Exporter {
    child: Child,
    at: String,
}

impl Exporter {
    /// Listens at `address` once this is there.
    pub fn at(place: &Place, address: &str) -> Self {
        let mut child = place
            .command(&["metrics", "--listen", address])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let at = line.trim().strip_prefix("the metrics are served at ");
        let at = at.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, at }
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.at.strip_prefix("unix:")?.split_once(',')?.0.into())
    }

    fn port(&self) -> Option<&str> {
        let address = self.at.strip_prefix("http://")?;
        address.strip_suffix("/metrics")
    }

    /// A connection to it.
    pub fn connect(&self) -> Box<dyn Stream> {
        match self.path() {
            Some(path) => Box::new(UnixStream::connect(path).unwrap()),
            None => Box::new(TcpStream::connect(self.port().unwrap()).unwrap()),
        }
    }

    /// The head and the text that it answers.
    pub fn get(&self) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(GET.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        (head.to_owned(), text.to_owned())
    }

    /// Its metrics.
    pub fn scrape(&self) -> Scraped {
        Scraped(self.get().1)
    }

    /// Ends it by a signal.
    pub fn end(mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A text of metrics.
#[derive(Debug)]
pub struct Scraped(pub String);

impl Scraped {
    /// The value of the series that is written so; nothing if it is not there.
    pub fn value(&self, series: &str) -> Option<f64> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// The same, of a jail.
    pub fn of(&self, metric: &str, jail: &str) -> Option<f64> {
        self.value(&format!("{metric}{{jail=\"{jail}\"}}"))
    }

    /// What its samples are called.
    pub fn names(&self) -> BTreeSet<String> {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
        samples.map(name).collect()
    }
}

/// Runs promtool on this input, which must do.
#[track_caller]
pub fn promtool(words: &[&str], input: &str, directory: &Path) -> String {
    let mut child = Command::new("promtool")
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{words:?}: {said}\n{input}");
    said
}
