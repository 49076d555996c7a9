//! Services that say by themselves that they are ready (`sd_notify(3)`), as systemd's units of them
//! expect; and what is refused where nobody would hear it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::common::{DONE, NOT_SET_UP, Place, answers, eventually, port};
use crate::managed::{Manager, Run};
use crate::phases::{NO_SUCH_CALL, RUNS, ask, starter};

/// A place that is not below `/tmp`, which these daemons get as an empty one of their own.
fn place() -> (Place, tempfile::TempDir) {
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    (Place::new(&[]), files)
}

/// Learns, builds and starts a daemon of Debian's that says when it is ready.
fn up(place: &Place, user: &str, exercise: &str, command: &[&str]) {
    let mut words = vec![
        "up",
        &place.name,
        "--user",
        user,
        "--ready",
        "notify",
        "--exercise",
        exercise,
        "--for",
        "0",
        "--",
    ];
    words.extend(command);
    place.gaoler(&words).is(DONE, &["runs in its jail"]);
    let spec = fs::read_to_string(place.spec()).unwrap();
    assert!(spec.contains("ready = [\"notify\"]"), "{spec}");
    assert!(spec.contains("phase = \"start\""), "{spec}");
    assert!(!spec.contains("gaoler-notify"), "{spec}");
}

/// It is started again in its jail, is exercised there, also under the tracer, and stops; a manager
/// hears what it says of itself.
fn holds(place: &Place, said: &[&str]) {
    let again = |words: &[&str]| place.gaoler(words);
    place.verb("restart").is(DONE, &["started"]);
    let state = fs::read_to_string(place.run().join(&place.name).join("state.json")).unwrap();
    assert!(state.contains("\"serving\":true") && state.contains("\"notified\":true"));
    let check = again(&["check", &place.name, "--live", "--exercise"]);
    check.is(DONE, &[]);
    assert!(!check.out.contains("live."), "{check:?}");
    place.verb("stop").is(DONE, &["stopped"]);
    let why = place.verb("why");
    assert!(
        !why.out.contains("not ready") && !why.error.contains("not ready"),
        "{why:?}"
    );
    let manager = Manager::of(place);
    let run = Run::of_written(place, &manager, &[], &[]);
    let mut heard = Vec::new();
    while !heard.contains(&"READY=1".to_owned()) {
        heard.extend(manager.hears().lines().map(str::to_owned));
    }
    assert_eq!(run.ends(), Some(0));
    while !said
        .iter()
        .all(|line| heard.iter().any(|it| it.starts_with(line)))
    {
        heard.extend(manager.hears().lines().map(str::to_owned));
    }
    place.nothing_runs();
}

#[test]
fn redis_says_it_and_takes_memory_afterwards() {
    let ((place, files), port) = (place(), port());
    let configuration = files.path().join("redis.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsupervised systemd\nsave \"\"\ndir {}\n",
        files.path().display()
    );
    fs::write(&configuration, text).unwrap();
    let exercise = format!("redis-cli -p {port} set a b");
    let server = ["redis-server", configuration.to_str().unwrap()];
    up(&place, "redis", &exercise, &server);
    // Far more than it had when it was learned: memory is not a matter of starting.
    let script = format!("head -c 20000000 /dev/zero | redis-cli -p {port} -x set big");
    let stored = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(stored.stdout, b"OK\n");
    holds(
        &place,
        &["STATUS=Ready to accept connections", "STOPPING=1"],
    );
}

#[test]
fn haproxy_says_it_from_its_master_process() {
    let ((place, files), port) = (place(), port());
    let configuration = files.path().join("haproxy.cfg");
    let text = format!(
        "global\n user haproxy\n group haproxy\ndefaults\n mode http\n timeout connect 5s\n \
         timeout client 5s\n timeout server 5s\nfrontend f\n bind 127.0.0.1:{port}\n \
         http-request return status 200 content-type text/plain string \"hello\"\n"
    );
    fs::write(&configuration, text).unwrap();
    let exercise = format!("curl -sf http://127.0.0.1:{port}/");
    let server = ["haproxy", "-Ws", "-f", configuration.to_str().unwrap()];
    up(&place, "haproxy", &exercise, &server);
    // Its MAINPID is the process that is followed anyway, and it says nothing else.
    holds(&place, &[]);
}

#[test]
fn unbound_says_it() {
    let ((place, files), port) = (place(), port());
    let configuration = files.path().join("unbound.conf");
    let text = format!(
        "server:\n interface: 127.0.0.1\n port: {port}\n do-daemonize: no\n use-syslog: no\n \
         chroot: \"\"\n username: unbound\n pidfile: \"\"\n directory: \"{}\"\n \
         local-data: \"a.test. A 192.0.2.7\"\nremote-control:\n control-enable: no\n",
        files.path().display()
    );
    fs::write(&configuration, text).unwrap();
    let exercise = format!("dig @127.0.0.1 -p {port} a.test +tries=1");
    let server = ["unbound", "-d", "-p", "-c", configuration.to_str().unwrap()];
    up(&place, "unbound", &exercise, &server);
    holds(&place, &["STOPPING=1"]);
}

/// It listens, but has not said anything: its start goes on, whatever others say.
#[test]
fn nobody_else_can_say_it() {
    let (mut place, port) = starter(&[]);
    place.text.service = "ready = [\"notify\"]".to_owned();
    place.write();
    let mut starting = place.command(&["start", &place.name]);
    let mut starting = starting
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it listens", || answers_anything(port));
    let socket = place.run().join(&place.name).join("log/notify");
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let send = |user: &str| {
        let script = "socket(S, AF_UNIX, SOCK_DGRAM, 0); \
                      exit !defined send(S, \"READY=1\", 0, sockaddr_un($ARGV[0]))";
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            user,
            "--clear-groups",
            "perl",
            "-MSocket",
            "-e",
            script,
        ]);
        let sent = command.arg(&socket).stderr(Stdio::null()).status();
        sent.unwrap().success()
    };
    assert!(!send("man"), "another user must not reach it");
    assert_eq!(ask(port), RUNS.repeat(8));
    assert!(send("games"), "its own user may");
    assert!(starting.wait().unwrap().success());
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(8));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

fn answers_anything(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn with_exec_a_start_that_somebody_would_have_to_hear_of_is_refused() {
    for sign in ["log:^up$", "notify"] {
        let (mut place, port) = starter(&[]);
        place.text.service = format!("ready = [\"tcp:{port}\", \"{sign}\"]");
        place.write();
        place.verb("build").is(DONE, &[]);
        let refused = place.gaoler(&["run", "--exec", &place.name]);
        refused.is(
            NOT_SET_UP,
            &[&format!("nobody hears {sign}"), "without --exec"],
        );
        assert!(!answers(port));
        place.nothing_runs();
        // Where nothing ends with the start, nobody need hear of it.
        place.text.calls.append(&mut place.text.start_calls);
        place.write();
        place.verb("build").is(DONE, &[]);
        let mut command = place.command(&["run", "--exec", &place.name]);
        let mut service = command.stdout(Stdio::null()).spawn().unwrap();
        eventually("it listens", || answers_anything(port));
        service.kill().unwrap();
        service.wait().unwrap();
        place.nothing_runs_after(&["--exec"]);
    }
}
