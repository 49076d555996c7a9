//! A service manager above gaoler: what the service says of itself reaches it (`sd_notify(3)`), and
//! what the manager gives reaches the service.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::common::{DONE, NOT_SET_UP, Place, UID, answers, eventually, port};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a manager is told how its service is.
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    pub fn of(place: &Place) -> Self {
        let path = place.path("manager");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // With --exec the service speaks to it itself.
        std::os::unix::fs::chown(&path, Some(UID), None).unwrap();
        Self { socket, path }
    }

    /// The next message.
    #[track_caller]
    pub fn hears(&self) -> String {
        let mut text = [0; 8192];
        let length = self.socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    /// Nothing more has come.
    #[track_caller]
    fn hears_nothing(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let more = self.socket.recv(&mut [0; 64]);
        self.socket.set_nonblocking(false).unwrap();
        assert!(more.is_err(), "it was told more");
    }
}

/// A jail that is run in the foreground by a manager.
pub struct Run {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Run {
    /// Of the place's own spec.
    fn of(place: &Place, manager: &Manager, words: &[&str], more: &[(&str, &str)]) -> Self {
        place.write();
        Self::of_written(place, manager, words, more)
    }

    /// Of the spec that is there.
    pub fn of_written(
        place: &Place,
        manager: &Manager,
        words: &[&str],
        more: &[(&str, &str)],
    ) -> Self {
        let mut all = vec!["run", place.name.as_str()];
        all.extend(words);
        let mut command = place.command(&all);
        command.env("NOTIFY_SOCKET", &manager.path);
        command.envs(more.iter().copied());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that the service prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, number: i32) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("kill");
        kill.args([&format!("-{number}"), &pid]);
        assert!(kill.status().unwrap().success());
    }

    /// Ends it by SIGTERM; how it ended.
    pub fn ends(mut self) -> Option<i32> {
        self.signal(15);
        self.ended()
    }

    fn ended(&mut self) -> Option<i32> {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// A jail of the service that does these words, and says of itself how it is.
fn speaks(words: &[&str]) -> Place {
    let mut place = Place::with("managed", words);
    place.text.service = "ready = [\"notify\"]".to_owned();
    place.allow_managed();
    place
}

#[test]
fn what_the_service_says_is_passed_on_translated() {
    let place = speaks(&[
        "child",
        "own",
        "say:STATUS=starting %e[31mred",
        "say:READY=1|STATUS=up|MAINPID=%p",
        "say:RELOADING=1|MONOTONIC_USEC=123",
        "say:READY=1",
        "say:MAINPID=1",
        "say:MAINPID=4000000",
        "say:NOTIFYACCESS=all|X=1",
        "store",
        "barrier",
        "say:WATCHDOG=1|ERRNO=5|EXTEND_TIMEOUT_USEC=7|WATCHDOG_USEC=9",
        "say:STATUS=moving|MAINPID=%c",
        "say:STOPPING=1",
        "wait",
    ]);
    let manager = Manager::of(&place);
    let mut run = Run::of(&place, &manager, &[], &[]);
    let own = run.line();
    let words: Vec<&str> = own.split(' ').collect();
    let inside: i32 = words[3].parse().unwrap();
    assert_eq!(run.line(), "barrier answered");
    for wanted in [
        "STATUS=starting [31mred",
        "STATUS=up",
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=123",
        "READY=1",
        "WATCHDOG=1\nERRNO=5\nEXTEND_TIMEOUT_USEC=7\nWATCHDOG_USEC=9",
    ] {
        assert_eq!(manager.hears(), wanted);
    }
    let moved = manager.hears();
    let (status, main) = moved.split_once("\nMAINPID=").unwrap();
    assert_eq!(status, "STATUS=moving");
    let status = fs::read_to_string(format!("/proc/{main}/status")).unwrap();
    let pids = status.lines().find(|line| line.starts_with("NSpid:"));
    let pids: Vec<&str> = pids.unwrap().split_whitespace().skip(1).collect();
    assert_eq!(pids, [main, &inside.to_string()], "outside and inside");
    assert_eq!(manager.hears(), "STOPPING=1");
    eventually("the other is the service", || {
        place.pid().to_string() == main
    });
    manager.hears_nothing();
    assert_eq!(run.ends(), Some(0), "signals reach the new one");
    place.nothing_runs();
}

#[test]
fn a_service_that_does_not_speak_is_said_to_be_ready_when_its_signs_show() {
    let port = port();
    let mut place = Place::new(&["serve", &port.to_string()]);
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    let manager = Manager::of(&place);
    let run = Run::of(&place, &manager, &[], &[("WATCHDOG_USEC", "1000000")]);
    assert_eq!(manager.hears(), "READY=1");
    assert!(answers(port));
    let pid = place.pid();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(environment, b"", "what it does not speak it is not told");
    manager.hears_nothing();
    assert_eq!(run.ends(), Some(128 + 15));
    place.nothing_runs();
}

/// The sign of the spec is not there, whatever the service says.
#[test]
fn a_service_is_not_ready_before_all_signs_show() {
    let mut place = speaks(&["say:READY=1|STATUS=up", "wait"]);
    let sign = place.path("sign");
    place.text.service = format!("ready = [\"notify\", \"file:{}\"]", sign.display());
    let manager = Manager::of(&place);
    let run = Run::of(&place, &manager, &[], &[]);
    assert_eq!(manager.hears(), "STATUS=up");
    manager.hears_nothing();
    fs::write(&sign, "").unwrap();
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(run.ends(), Some(128 + 15));
    place.nothing_runs();
}

#[test]
fn a_watchdog_of_the_manager_s_is_fed() {
    for (exec, watched) in [(false, true), (true, true), (false, false)] {
        let place = speaks(&["env:WATCHDOG_USEC", "say:READY=1", "ping", "exit:3"]);
        let manager = Manager::of(&place);
        let way: &[&str] = if exec { &["--exec"] } else { &[] };
        let mut more = vec![("WATCHDOG_USEC", "40000")];
        if !watched {
            // It is somebody else who is watched.
            more.push(("WATCHDOG_PID", "1"));
        }
        let mut run = Run::of(&place, &manager, way, &more);
        let wanted = if watched { "40000" } else { "none" };
        assert_eq!(run.line(), format!("WATCHDOG_USEC={wanted}"));
        if watched {
            let mut pings = 0;
            while pings < 3 {
                match manager.hears().as_str() {
                    "WATCHDOG=1" => pings += 1,
                    other => assert_eq!(other, "READY=1"),
                }
            }
        } else {
            assert_eq!(run.line(), "nobody watches");
        }
        assert_eq!(run.ended(), Some(3), "its exit status is kept");
        place.nothing_runs_after(way);
    }
}

/// Nobody stays between the service and the manager, who hears it itself.
#[test]
fn with_exec_the_service_has_the_manager_s_own_socket() {
    let place = speaks(&["env:NOTIFY_SOCKET", "say:READY=1|MAINPID=%p", "wait"]);
    let manager = Manager::of(&place);
    let mut run = Run::of(&place, &manager, &["--exec"], &[]);
    assert_eq!(run.line(), "NOTIFY_SOCKET=/dev/gaoler/notify");
    let pid = run.child.id();
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={pid}"));
    let check = place.gaoler(&["check", &place.name, "--live"]);
    assert!(!check.out.contains("mounted there"), "{check:?}");
    run.child.kill().unwrap();
    run.ended();
    place.nothing_runs_after(&["--exec"]);
}

/// Landlock keeps the jail from it, where it knows scopes: its supervisor is outside.
#[test]
fn a_socket_of_the_manager_s_without_a_path_is_spoken_to() {
    use std::os::linux::net::SocketAddrExt;
    let place = speaks(&["say:READY=1", "wait"]);
    let name = format!("{}-manager", place.name);
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager {
        socket: UnixDatagram::bind_addr(&address).unwrap(),
        path: format!("@{name}").into(),
    };
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let run = Run::of(&place, &manager, &[], &[]);
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(run.ends(), Some(128 + 15));
    place.nothing_runs();
}

#[test]
fn a_manager_that_cannot_be_spoken_to_is_refused() {
    let place = speaks(&["wait"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let mut command = place.command(&["run", &place.name]);
    command.env("NOTIFY_SOCKET", "vsock:2:1234");
    let refused = crate::common::Answer::of(command.output().unwrap());
    refused.is(NOT_SET_UP, &["neither an absolute path"]);
    place.nothing_runs();
}

/// Every signal that can be passed on is, those of real time too.
#[test]
fn signals_reach_the_service() {
    for number in [1, 10, 14, 27, 29, 30, 34, 64] {
        let place = speaks(&["env:NOTIFY_SOCKET", "say:READY=1", "wait"]);
        let manager = Manager::of(&place);
        let mut run = Run::of(&place, &manager, &[], &[]);
        assert_eq!(run.line(), "NOTIFY_SOCKET=/dev/gaoler/notify");
        assert_eq!(manager.hears(), "READY=1");
        run.signal(number);
        assert_eq!(run.ended(), Some(128 + number));
        place.nothing_runs();
    }
}
