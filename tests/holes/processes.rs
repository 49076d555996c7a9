//! Whom gaoler takes for the service, when it signals one.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{DONE, FAILED, GAOLER, Place, eventually, mode};
use crate::lab::{builder, jail};

/// A process of the host's that nobody has a reason to end.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("600").stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// What became of it.
    fn harm(&mut self) -> Vec<String> {
        // A signal takes a moment to arrive.
        std::thread::sleep(Duration::from_millis(20));
        let ended = self.0.try_wait().unwrap();
        ended
            .map(|status| format!("it has ended: {status}"))
            .into_iter()
            .collect()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The wrong way to stop something: what a file says is its number.
fn stop_by_file(directory: &Path, pid: i32) {
    let file = directory.join("pid");
    fs::write(&file, pid.to_string()).unwrap();
    builder("signal", &file).is(DONE, &[]);
}

/// firejail's `--join` believed files in the sandbox, which anybody can make. gaoler has no such
/// verb; those that signal a service believe what root wrote on the host, and nothing in the jail.
#[test]
fn a_jail_that_says_it_is_another_process() {
    let help = Command::new(GAOLER).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for verb in ["enter", "join", "exec", "attach", "shell", "sh", "nsenter"] {
        assert!(!help.contains(&format!("\n  {verb} ")), "{help}");
        let answer = jail(&[]).gaoler(&[verb, "x"]);
        answer.is(2, &["unrecognized subcommand"]);
    }
    let mut victim = Victim::new();
    let pid = victim.pid();
    let state = |place: &Place| {
        format!(
            "{{\"name\":{:?},\"generation\":1,\"service\":{{\"pid\":{},\"start_time\":0}},\
             \"init\":null,\"supervisor\":null,\"cgroups\":[],\"serving\":true}}",
            place.name, pid
        )
    };
    // In the jail, wherever it may write: also where its pid file is expected.
    let mut place = jail(&["pause"]);
    let data = place.bind("data", true);
    place.text.service = format!("pid_file = {:?}", data.join("service.pid"));
    place.write();
    fs::write(data.join("state.json"), state(&place)).unwrap();
    fs::write(data.join("service.pid"), pid.to_string()).unwrap();
    place.verb("start").is(DONE, &[]);
    fs::write(data.join("service.pid"), pid.to_string()).unwrap();
    assert_ne!(place.pid(), pid);
    for verb in ["status", "restart", "stop"] {
        place.verb(verb).is(DONE, &[]);
        assert_eq!(victim.harm(), Vec::<String>::new(), "{verb}");
    }
    place.nothing_runs();
    // On the host, by somebody else, and by root with another start time.
    let directory = place.run().join(&place.name);
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("state.json");
    let text = state(&place);
    fs::write(&file, &text).unwrap();
    chown(&file, Some(47_011), None).unwrap();
    place
        .verb("stop")
        .is(FAILED, &["somebody else could have written it"]);
    assert_eq!(victim.harm(), Vec::<String>::new());
    fs::remove_file(&file).unwrap();
    fs::write(&file, &text).unwrap();
    place.verb("stop").is(DONE, &["did not run"]);
    assert_eq!(victim.harm(), Vec::<String>::new());
    place.nothing_runs();

    stop_by_file(place.directory.path(), pid);
    assert_ne!(victim.harm(), Vec::<String>::new());
}

/// Makes a process with this number, which must be free or become so. `None` if others were faster.
fn with_pid(pid: i32) -> Option<Victim> {
    for _ in 0..50 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let victim = Victim::new();
        if victim.pid() == pid {
            return Some(victim);
        }
    }
    None
}

/// How often a number must really have been used again.
const REUSED: usize = 10;

#[test]
fn a_number_that_somebody_else_has_by_now() {
    let place = jail(&["ids"]);
    place.write();
    let file = place.run().join(&place.name).join("state.json");
    let begun = Instant::now();
    let mut reused = 0;
    while reused < REUSED && begun.elapsed() < Duration::from_secs(10) {
        place.gaoler(&["run", "--exec", &place.name]).is(DONE, &[]);
        let state: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let pid = i32::try_from(state["service"]["pid"].as_i64().unwrap()).unwrap();
        let Some(mut victim) = with_pid(pid) else {
            continue;
        };
        place.verb("stop").is(DONE, &["did not run"]);
        assert_eq!(victim.harm(), Vec::<String>::new());
        reused += 1;
        if reused == REUSED {
            stop_by_file(place.directory.path(), pid);
            assert_ne!(victim.harm(), Vec::<String>::new());
        }
    }
    assert_eq!(reused, REUSED, "the numbers were not used again");
    place.nothing_runs();
}

/// `reload` tests the configuration first, which takes its time: meanwhile the service may end, and
/// somebody else get its number.
#[test]
fn a_service_that_ends_while_it_is_reloaded() {
    let mut place = jail(&["pause"]);
    let (asked, go) = (place.path("asked"), place.path("go"));
    let test = place.path("test");
    let script = format!(
        "#!/bin/sh\n[ -e {0} ] || exit 0\ntouch {1}\nwhile [ -e {0} ]; do sleep 0.02; done\n",
        go.display(),
        asked.display()
    );
    fs::write(&test, script).unwrap();
    mode(&test, 0o755);
    place.text.service = format!("config_test = [{test:?}]\nreload_signal = \"TERM\"");
    place.write();
    let mut reused = 0;
    for _ in 0..5 {
        place.verb("start").is(DONE, &[]);
        let pid = place.pid();
        fs::write(&go, "").unwrap();
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| place.verb("reload"));
            eventually("the test runs", || asked.exists());
            let killed = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
            assert!(killed.unwrap().success());
            eventually("it is gone", || {
                !Path::new(&format!("/proc/{pid}")).exists()
            });
            let victim = with_pid(pid);
            fs::remove_file(&go).unwrap();
            let answer = reload.join().unwrap();
            if let Some(mut victim) = victim {
                answer.is(FAILED, &["it has ended meanwhile"]);
                assert_eq!(victim.harm(), Vec::<String>::new());
                reused += 1;
            }
        });
        fs::remove_file(&asked).unwrap();
    }
    assert!(reused > 0, "the number was never used again");
    place.nothing_runs();
}
