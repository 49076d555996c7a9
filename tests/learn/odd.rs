//! Daemons as they were written long ago: first processes that never come back, ends that take their
//! time, a process for each client.

use std::fs;
use std::time::Duration;

use gaoler::host::notifications::Notifications;
use gaoler::learn::trace::Phase;
use gaoler::learn::{Trace, learn};
use gaoler::spec::{Exercise, Ready};

use crate::common::*;

/// Clients of the storm.
const CLIENTS: u64 = 160;

/// Learns a program whose daemon makes the file `up` when it serves, and `clean` when it is asked to
/// end.
fn learn_daemon(first: &str, at_end: &str) -> (Trace, bool) {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let source = format!(
        "#include <fcntl.h>\n#include <signal.h>\n#include <unistd.h>\n\
         void term(int s) {{ (void)s; {at_end} close(creat(\"clean\", 0600)); _exit(0); }}\n\
         int main(void) {{ if (fork()) {{ {first} }} setsid(); signal(SIGTERM, term);\n\
         close(creat(\"up\", 0600)); for (;;) pause(); }}"
    );
    let program = compile(base, &source);
    let mut request = request(&[program.to_str().unwrap()], base);
    // A first process may never be quiet.
    request.ready = vec![Ready::File(base.join("up"))];
    request.serve_for = Duration::from_millis(200);
    let trace = learned(request);
    assert_gone(&program);
    (trace, base.join("clean").exists())
}

#[test]
fn a_first_process_that_waits_for_ever_is_not_the_service() {
    let (trace, clean) = learn_daemon("for (;;) pause();", "");
    assert_complete(&trace);
    assert!(clean, "the daemon was not asked to end");
    assert!(trace.certificate.forked);
}

#[test]
fn a_first_process_that_serves_is_the_service() {
    let (trace, clean) = learn_daemon("for (;;) usleep(10000);", "");
    assert_complete(&trace);
    assert!(clean, "what it left behind was not asked to end");
    assert!(!trace.certificate.forked);
}

#[test]
fn how_long_it_takes_to_end_is_seen() {
    let (trace, clean) = learn_daemon("_exit(0);", "usleep(1200000);");
    assert_complete(&trace);
    assert!(clean && trace.certificate.forked);
    assert!((2..=5).contains(&trace.certificate.ended_after_s));
    let (trace, _) = learn_daemon("_exit(0);", "");
    assert!(trace.certificate.ended_after_s <= 1);
}

#[test]
fn a_process_for_each_client_is_seen_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let config = base.join("inetd.conf");
    fs::write(
        &config,
        "127.0.0.1:15365 stream tcp nowait.60000 www-data /bin/echo echo a client\n",
    )
    .unwrap();
    let command = ["/usr/sbin/inetd", "-i", config.to_str().unwrap()];
    let mut request = request(&command, base);
    request.ready = vec![Ready::Tcp(15365)];
    let clients = CLIENTS / 4;
    let client = format!(
        "storm() {{ for i in $(seq {clients}); do exec 3<>/dev/tcp/127.0.0.1/15365 || exit 1; \
         read -r line <&3; [ \"$line\" = 'a client' ] || exit 1; done; }}; \
         for j in 1 2 3 4; do storm & all=\"$all $!\"; done; for j in $all; do wait $j || exit 1; done"
    );
    request.exercises = vec![Exercise {
        name: "storm".to_owned(),
        command: vec!["/bin/bash".to_owned(), "-c".to_owned(), client],
        expect: 0,
        output: String::new(),
        phase: Phase::Serve,
        because: String::new(),
    }];
    request.passes = 2;
    let trace = learned(request);
    assert_complete(&trace);
    let runs = &trace.certificate.exercises;
    assert!(runs.len() == 2 && runs.iter().all(|run| run.passed));
    assert_eq!(trace.certificate.processes, 2 * (1 + CLIENTS));
    assert_eq!(count(&trace, "execve"), 2 * (1 + CLIENTS));
    assert!(!trace.certificate.forked);
}

#[test]
fn one_that_says_by_itself_when_it_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let say = "socket(S, AF_UNIX, SOCK_DGRAM, 0); my $to = $ENV{NOTIFY_SOCKET}; $to =~ s/^@/\\0/; \
               getppid(); send(S, $ARGV[0], 0, pack(\"S a*\", AF_UNIX, $to)); getpgrp(); sleep 30";
    let learn_it = |text: &str| {
        let mut request = request(&["perl", "-MSocket", "-e", say, text], directory.path());
        request.ready = vec![Ready::Notify];
        request.ready_timeout = Duration::from_secs(2);
        request.passes = 2;
        request.notifications = Some(Notifications::open().unwrap());
        learn(request, &|_| {})
    };
    let trace = learn_it("STATUS=up\nREADY=1").unwrap();
    assert_complete(&trace);
    assert_eq!(trace.certificate.passes, 2);
    let in_phase = |name: &str, phase| {
        let mut calls = trace.calls.iter();
        calls.any(|call| call.name == name && call.phase == phase)
    };
    assert!(in_phase("sendto", Phase::Start) && !in_phase("sendto", Phase::Serve));
    let error = learn_it("STATUS=up").unwrap_err().to_string();
    assert!(
        error.contains("it did not say so to its NOTIFY_SOCKET"),
        "{error}"
    );
}
