//! `monitor`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::busy::{allow, busy};
use crate::common::{DONE, Place, UID, USAGE, eventually, port};

/// How many short-lived processes there are, and with `GAOLER_WATCH=all`.
const CHILDREN: [usize; 2] = [1000, 10_000];

/// A running `monitor`, and what it has told.
struct Monitor {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Monitor {
    fn of(place: &Place, words: &[&str]) -> Self {
        let words = [&["monitor", "--json"], words].concat();
        let mut child = place
            .command(&words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kept = Arc::clone(&told);
        let reader = std::thread::spawn(move || {
            for line in lines {
                let event = serde_json::from_str(&line.unwrap()).unwrap();
                kept.lock().unwrap().push(event);
            }
        });
        // It polls once it has looked at everything.
        let state = format!("/proc/{}/wchan", child.id());
        eventually("it waits", || {
            std::fs::read_to_string(&state).is_ok_and(|it| it.contains("poll"))
        });
        Self {
            child,
            told,
            reader: Some(reader),
        }
    }

    fn all(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// How often this was told, with words in its detail.
    fn count(&self, event: &str, words: &str) -> usize {
        let all = self.all();
        let is_it =
            |it: &&Value| it["event"] == event && it["detail"].as_str().unwrap().contains(words);
        all.iter().filter(is_it).count()
    }

    #[track_caller]
    fn tells(&self, event: &str, words: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while self.count(event, words) == 0 {
            let is_late = std::time::Instant::now() > deadline;
            assert!(!is_late, "no {event} with {words:?}: {:#?}", self.all());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The kernel tells it of processes: it is not so in a namespace of its own, as in a container.
    fn hears(&self) -> bool {
        let hears = self.count("lost", "looked for once a second") == 0;
        if !hears {
            println!("skipped: the kernel tells nobody here of processes");
        }
        hears
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(self.reader.take().unwrap().join());
    }
}

#[test]
fn a_life_is_told_from_its_start_to_its_end() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (there, own) = (peer.local_addr().unwrap().port(), port());
    let (there, own_word) = (there.to_string(), own.to_string());
    let words = [
        "children", "2", "listen", &own_word, "connect", &there, "signal", "exit", "3",
    ];
    let mut place = busy(&words);
    allow(&mut place, "bind", "tcp", own);
    allow(&mut place, "connect", "tcp", there.parse().unwrap());
    let monitor = Monitor::of(&place, &[]);
    place.start();
    let pid = place.status()["pid"].clone();
    monitor.tells("start", "");
    monitor.tells("listen", &format!("tcp 127.0.0.1:{own}"));
    monitor.tells("connect", &format!("tcp 127.0.0.1:{there}"));
    let service = rustix::process::Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap());
    rustix::process::kill_process(service.unwrap(), rustix::process::Signal::USR1).unwrap();
    if monitor.hears() {
        monitor.tells("exec", "busy children 2");
        monitor.tells("uid", &format!("real {UID}, effective {UID}"));
        monitor.tells("exit", "it exited with code 3");
        assert_eq!(monitor.count("fork", &format!("by process {pid}")), 2);
    }
    monitor.tells("exit", "");
    for event in monitor.all() {
        assert_eq!(
            event["jail"],
            if event["event"] == "lost" {
                ""
            } else {
                &place.name
            }
        );
        assert!(event["time"].as_str().unwrap().ends_with('Z'), "{event}");
    }
    let starts = monitor
        .all()
        .into_iter()
        .filter(|it| it["event"] == "start");
    assert_eq!(
        starts.map(|it| it["pid"].clone()).collect::<Vec<_>>(),
        [pid]
    );
}

#[test]
fn no_process_is_missed_however_short_it_lives() {
    let all = std::env::var("GAOLER_WATCH").is_ok_and(|value| value == "all");
    let children = CHILDREN[usize::from(all)];
    let place = busy(&["children", &children.to_string()]);
    let other = busy(&["children", "5"]);
    place.write();
    let monitor = Monitor::of(&place, &[]);
    let only = Monitor::of(&place, &[&place.name]);
    // Not in a jail of these directories.
    other.start();
    place.start();
    if !monitor.hears() {
        return;
    }
    let pid = place.status()["pid"].to_string();
    let by = format!("by process {pid}");
    for monitor in [&monitor, &only] {
        eventually("every process", || monitor.count("fork", &by) >= children);
        eventually("every end", || monitor.count("exit", "") >= children);
        assert_eq!(monitor.count("fork", &by), children);
        assert_eq!(monitor.count("exit", ""), children);
        assert_eq!(monitor.count("lost", ""), 0, "{:#?}", monitor.all());
    }
    // Each is told with its own exit code.
    let code_7 = |it: &&Value| it["event"] == "exit" && it["detail"] == "it exited with code 7";
    assert_eq!(
        monitor.all().iter().filter(code_7).count(),
        (children - 7) / 128 + 1
    );
}

#[test]
fn what_a_supervisor_writes_is_passed_on() {
    let place = busy(&[]);
    place.start();
    let monitor = Monitor::of(&place, &[]);
    let event = gaoler::run::events::Event {
        time: "2026-11-22T11:40:20Z".to_owned(),
        jail: place.name.clone(),
        event: "drift".to_owned(),
        pid: Some(7),
        detail: "live.root: process 7: another root".to_owned(),
    };
    gaoler::run::events::append(&place.run().join(&place.name), &[event]).unwrap();
    monitor.tells("drift", "another root");
    assert_eq!(monitor.count("start", ""), 0, "it ran before");
    place
        .gaoler(&["monitor", "nobody"])
        .is(USAGE, &["there is none"]);
    // A reader that goes away ends it, and that is no error.
    let script = format!("{} | head -n 1", shell(&place, &["monitor"]));
    let mut child = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("its end", || {
        place.verb("restart").is(DONE, &[]);
        child.try_wait().unwrap().is_some()
    });
}

fn shell(place: &Place, words: &[&str]) -> String {
    let words = place.arguments(words);
    format!("{} {}", crate::common::GAOLER, words.join(" "))
}
