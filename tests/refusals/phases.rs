//! Calls that only starting needs: they run until the service is ready, and fail from then on, in
//! every thread and every way to run it.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::common::{DONE, Place, USAGE, eventually, port};

/// What a call answers that nobody listens for any more: ENOSYS.
pub const NO_SUCH_CALL: &str = "-1 38\n";
/// The answer while the service starts.
pub const RUNS: &str = "20 0\n";
pub const THREADS: usize = 8;

/// A jail whose eight threads may ask for their priority while it starts.
pub fn starter(words: &[&str]) -> (Place, u16) {
    let port = port();
    let number = port.to_string();
    let mut all = vec![number.as_str()];
    all.extend(words);
    let mut place = Place::with("phases", &all);
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place
        .text
        .calls
        .extend(["futex", "madvise", "rt_sigreturn"]);
    place.text.start_calls = vec!["getpriority"];
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    (place, port)
}

pub fn ask(port: u16) -> String {
    let mut text = String::new();
    TcpStream::connect(("127.0.0.1", port))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn every_thread_is_refused_once_it_is_ready() {
    let (place, port) = starter(&[]);
    place.start();
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn without_the_phase_it_runs_for_ever() {
    let (mut place, port) = starter(&[]);
    place.text.calls.append(&mut place.text.start_calls);
    place.start();
    assert_eq!(ask(port), RUNS.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn it_starts_for_as_long_as_it_takes() {
    let (mut place, port) = starter(&[]);
    let signs = place.path("signs");
    std::fs::create_dir(&signs).unwrap();
    // Nobody makes that file, so the service listens but is never ready.
    place.text.service = format!(
        "ready = [\"tcp:{port}\", \"file:{}\"]",
        signs.join("x").display()
    );
    place.write();
    let mut starting = place.command(&["start", &place.name]);
    let mut starting = starting
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(ask(port), RUNS.repeat(THREADS));
    let check = || place.gaoler(&["check", &place.name, "--live"]);
    check().is(DONE, &["1 system calls of the start are still let through"]);
    std::fs::write(signs.join("x"), "").unwrap();
    assert!(starting.wait().unwrap().success());
    assert!(!check().out.contains("of the start"));
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

/// The processes of gaoler's that are left over from `place`, by the last word of their command.
fn helpers(place: &Place) -> usize {
    let processes = place.processes();
    let own = processes
        .iter()
        .filter(|(_, command)| command.contains("--exec"));
    own.count()
}

#[test]
fn the_helper_of_exec_ends_when_it_is_ready() {
    let (place, port) = starter(&[]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let mut command = place.command(&["run", "--exec", &place.name]);
    let mut service = command.stdout(Stdio::null()).spawn().unwrap();
    eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    eventually("the helper is gone", || helpers(&place) == 0);
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(THREADS));
    let children = format!("/proc/{0}/task/{0}/children", service.id());
    assert_eq!(
        std::fs::read_to_string(children).unwrap(),
        "",
        "no child that it did not make"
    );
    service.kill().unwrap();
    service.wait().unwrap();
    place.nothing_runs_after(&["--exec"]);
}

#[test]
fn a_service_that_ends_while_it_starts_leaves_no_helper() {
    let (mut place, _) = starter(&["/no/such/file"]);
    place.text.command[1] = "1".to_owned();
    place.write();
    place.verb("build").is(DONE, &[]);
    let mut command = place.command(&["run", "--exec", &place.name]);
    let mut service = command
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    eventually("the helper is there", || helpers(&place) > 0);
    service.kill().unwrap();
    service.wait().unwrap();
    eventually("the helper is gone", || helpers(&place) == 0);
    place.nothing_runs_after(&["--exec"]);
}

#[test]
fn what_must_always_run_has_no_phase_that_matters() {
    let (mut place, port) = starter(&[]);
    place.text.calls.retain(|call| *call != "exit_group");
    place.text.start_calls.push("exit_group");
    place.start();
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn another_phase_is_refused_with_its_place() {
    let (place, _) = starter(&[]);
    place.write();
    let text = std::fs::read_to_string(place.spec()).unwrap();
    std::fs::write(
        place.spec(),
        text.replace("phase = \"start\"", "phase = \"late\""),
    )
    .unwrap();
    place.verb("build").is(USAGE, &["late", "start", ":"]);
}
