//! Two passes: what the second sees that the first has not shown. Needs root, and a kernel with
//! tracepoints for system calls (`CONFIG_FTRACE_SYSCALLS`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaoler::learn::trace::{Phase, SocketUse, Use};
use gaoler::learn::{Trace, load};
use gaoler::spec::{Exercise, Ready};

use crate::common::*;

/// How often a pass of the program opens what is known.
const KNOWN: u64 = 60;

/// A program that knows whether it ran before: `START` and `SERVE` are what it then does more.
const PROGRAM: &str = "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <linux/filter.h>\n\
     #include <linux/seccomp.h>\n#include <pthread.h>\n#include <signal.h>\n#include <stdio.h>\n#include <sys/ioctl.h>\n\
     #include <sys/prctl.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n\
     #include <sys/wait.h>\n#include <unistd.h>\n\
     void *other(void *x) { open(\"BASE/thread\", O_RDONLY); return x; }\n\
     int main(void) { int n; int again = access(\"once\", F_OK) == 0; close(creat(\"once\", 0600));\n\
     if (again) { START }\n\
     close(creat(\"up\", 0600)); usleep(300000);\n\
     for (int i = 0; i < 60; i++) close(open(\"BASE/known\", O_RDONLY));\n\
     ioctl(0, FIONREAD, &n); socket(AF_UNIX, SOCK_DGRAM, 0);\n\
     if (again) { SERVE }\n\
     close(creat(\"done\", 0600)); for (;;) pause(); }";

/// Learns the program in two passes, each with one exercise that lasts until it has served.
fn twice(directory: &Path, start: &str, serve: &str) -> Trace {
    let base = directory.to_str().unwrap();
    let source = PROGRAM.replace("START", start).replace("SERVE", serve);
    let program = compile(directory, &source.replace("BASE", base));
    for name in ["known", "new", "thread", "child", "other"] {
        fs::write(directory.join(name), "x").unwrap();
    }
    let mut request = request(&[program.to_str().unwrap()], directory);
    request.ready = vec![Ready::File(directory.join("up"))];
    request.passes = 2;
    let wait = format!("until [ -e {base}/done ]; do sleep 0.02; done; rm {base}/done {base}/up");
    request.exercises = vec![Exercise {
        name: "wait".to_owned(),
        command: ["sh", "-c", &wait].map(str::to_owned).to_vec(),
        expect: 0,
        output: String::new(),
        phase: Phase::Serve,
        because: String::new(),
    }];
    let trace = learned(request);
    assert_gone(&program);
    trace
}

fn is_read(trace: &Trace, file: impl AsRef<Path>) {
    let seen = path(trace, file);
    assert_eq!(seen.uses, BTreeSet::from([Use::Read]));
    assert!(seen.witness.exercises.contains("wait"), "{seen:?}");
    assert_eq!(seen.phase, Phase::Serve);
}

#[test]
fn what_only_the_second_pass_does_is_seen_while_known_names_run() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let trace = twice(
        base,
        "",
        "open(\"BASE/new\", O_RDONLY); open(\"BASE/none\", O_RDONLY); open(\"other\", O_RDONLY);\n\
         ioctl(0, TIOCOUTQ, &n); socket(AF_INET6, SOCK_DGRAM, 0);\n\
         pthread_t t; pthread_create(&t, 0, other, 0); pthread_join(t, 0);\n\
         if (!fork()) { open(\"BASE/child\", O_RDONLY); _exit(0); } wait(0);\n\
         if (!fork()) { execlp(\"cat\", \"cat\", \"/dev/null\", (char *)0); _exit(1); } wait(0);",
    );
    assert_complete(&trace);
    let certificate = &trace.certificate;
    assert_eq!((certificate.passes, certificate.one_pass.as_str()), (2, ""));
    assert_eq!(certificate.repeated, [""; 0]);
    assert_eq!(certificate.watched, ["openat"]);
    for name in ["new", "other", "thread", "child"] {
        is_read(&trace, base.join(name));
    }
    assert_eq!(
        path(&trace, base.join("none")).failures,
        BTreeSet::from([(Use::Read, 2)])
    );
    assert!(path(&trace, "/dev/null").uses.contains(&Use::Read));
    // One more is where the kernel could not read the name yet.
    let known = path(&trace, base.join("known"));
    assert!((KNOWN..=KNOWN + 1).contains(&known.count), "{known:?}");
    let mut arguments = trace.arguments.iter();
    assert!(arguments.any(|seen| seen.name == "ioctl" && seen.values == [0x5411]));
    let mut sockets = trace.sockets.iter();
    assert!(sockets.any(|seen| seen.action == SocketUse::Create && seen.family == 10));
}

#[test]
fn a_pass_that_may_have_missed_a_name_is_run_again() {
    let doubtful = [
        (
            "it blocks the signal",
            "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0);\n\
             open(\"BASE/new\", O_RDONLY); sigprocmask(SIG_UNBLOCK, &all, 0);",
        ),
        (
            "it changes its root",
            "chroot(\"/\"); open(\"BASE/new\", O_RDONLY);",
        ),
        (
            "a known name leads elsewhere",
            "rename(\"known\", \"new\"); symlink(\"new\", \"known\");\n\
             close(open(\"BASE/known\", O_RDONLY));",
        ),
    ];
    for (what, serve) in doubtful {
        let directory = tempfile::tempdir().unwrap();
        let trace = twice(directory.path(), "", serve);
        assert_complete(&trace);
        let certificate = &trace.certificate;
        assert_eq!(certificate.passes, 2, "{what}");
        assert_eq!(certificate.repeated.len(), 1, "{what}");
        assert_eq!(certificate.watched, [""; 0], "{what}");
        assert_eq!(certificate.exercises.len(), 2, "{what}");
        let new = path(&trace, directory.path().join("new"));
        assert!(new.uses.contains(&Use::Read), "{what}: {new:?}");
    }
}

#[test]
fn a_second_start_that_fails_leaves_one_pass() {
    let directory = tempfile::tempdir().unwrap();
    let trace = twice(directory.path(), "return 3;", "");
    assert_complete(&trace);
    assert_eq!(trace.certificate.passes, 1);
    let why = &trace.certificate.one_pass;
    assert!(
        why.contains("the second failed") && why.contains("status 3"),
        "{why:?}"
    );
    assert_eq!(path(&trace, directory.path().join("known")).count, KNOWN);
}

/// A filter that lets everything run but getppid(2), which fails with 1 (EPERM).
const OWN_FILTER: &str = "struct sock_filter f[] = { { 0x20, 0, 0, 0 }, { 0x15, 0, 1, SYS_getppid },\n\
     { 6, 0, 0, 0x00050001 }, { 6, 0, 0, 0x7fff0000 } }; struct sock_fprog p = { 4, f };\n\
     prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);";

fn learn_filtered(code: &str) -> Trace {
    learn_source(&format!(
        "#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <pthread.h>\n\
         #include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <sys/wait.h>\n\
         #include <unistd.h>\n\
         void *wait_for_ever(void *x) {{ for (;;) pause(); return x; }}\n\
         int main(void) {{ pthread_t t; (void)t; {OWN_FILTER}\n{code}\n\
         for (int i = 0; i < 100; i++) if (syscall(SYS_getppid) != -1) return 3;\n\
         for (;;) pause(); }}"
    ))
}

#[test]
fn a_filter_of_its_own_hides_nothing() {
    let trace = learn_filtered(
        "if (prctl(PR_SET_SECCOMP, 2, &p)) return 4;\n\
         if (!fork()) { for (int i = 0; i < 50; i++) syscall(SYS_getppid); _exit(0); } wait(0);",
    );
    assert_complete(&trace);
    assert_eq!(count(&trace, "getppid"), 150);
    assert_eq!(trace.certificate.repeated, [""; 0]);
    let trace = learn_filtered(
        "for (int i = 0; i < 3; i++) pthread_create(&t, 0, wait_for_ever, 0);\n\
         if (syscall(SYS_seccomp, 1, SECCOMP_FILTER_FLAG_TSYNC, &p)) return 4;",
    );
    assert_complete(&trace);
    assert_eq!(count(&trace, "getppid"), 100);
    assert_eq!(trace.certificate.repeated.len(), 1);
    assert_eq!(trace.certificate.threads, 4, "only the last run counts");
}

#[test]
fn killing_the_learner_kills_the_service_and_leaves_an_incomplete_trace() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let program = compile(
        base,
        "#include <unistd.h>\n#include <stdlib.h>\n\
         int main(void) { if (fork()) exit(0); setsid(); for (;;) { getppid(); usleep(1000); } }",
    );
    let mut learner = Command::new(env!("CARGO_BIN_EXE_gaoler"));
    for place in ["etc", "state", "run"] {
        fs::create_dir(base.join(place)).unwrap();
        learner.arg(format!("--{place}")).arg(base.join(place));
    }
    let mut learner = learner
        .args(["learn", "it", "--user", "games", "--for", "60", "--ready"])
        .args(["quiet:300", "--"])
        .arg(&program)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let unfinished = base.join("state/it/trace.unfinished.json");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !unfinished.exists() {
        assert!(Instant::now() < deadline && learner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    learner.kill().unwrap();
    learner.wait().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_gone(&program);
    let trace = load(&unfinished).unwrap();
    assert!(!trace.certificate.complete);
    assert!(count(&trace, "getppid") > 0);
}
