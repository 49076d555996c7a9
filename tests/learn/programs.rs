//! Small programs with known calls.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaoler::learn::trace::{SocketUse, Use};
use gaoler::learn::{Ids, Progress, Trace, learn, load, save};
use gaoler::spec::Ready;
use rustix::process::Gid;
use rustix::thread::CapabilitySet;

use crate::common::*;

#[test]
fn every_call_of_eight_threads_is_counted() {
    let trace = learn_source(
        "#include <pthread.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         void *work(void *x) { for (int i = 0; i < 2000; i++) syscall(SYS_getppid); return x; }\n\
         int main(void) { pthread_t t[8];\n\
         for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, work, 0);\n\
         for (int i = 0; i < 8; i++) pthread_join(t[i], 0);\n\
         pause(); }",
    );
    assert_eq!(count(&trace, "getppid"), 16_000);
    assert_eq!(count(&trace, "execve"), 1);
    assert_eq!(
        count(&trace, "seccomp"),
        0,
        "the launcher's own calls are left out"
    );
    assert_eq!(trace.certificate.threads, 9);
    assert_eq!(trace.certificate.processes, 1);
    assert_complete(&trace);
}

#[test]
fn a_double_fork_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        "#include <unistd.h>\n#include <stdlib.h>\n#include <signal.h>\n\
         void term(int s) { (void)s; _exit(0); }\n\
         int main(void) { if (fork()) exit(0); setsid(); if (fork()) exit(0);\n\
         signal(SIGTERM, term); for (int i = 0; i < 100; i++) getppid(); for (;;) pause(); }",
    );
    let trace = learned(request(&[program.to_str().unwrap()], directory.path()));
    assert!(trace.certificate.forked);
    assert_eq!(trace.certificate.processes, 3);
    assert_eq!(count(&trace, "getppid"), 100);
    assert_eq!(trace.handled_signals, [15]);
    assert_complete(&trace);
    assert_gone(&program);
}

#[test]
fn deaths_stops_and_execs_are_survived() {
    // A child that is killed, one that is stopped and continued, a vfork, an execve by a thread
    // that is not the first while others are in calls, and a realtime signal.
    let trace = learn_source(
        "#include <pthread.h>\n#include <signal.h>\n#include <stdlib.h>\n#include <string.h>\n\
         #include <sys/wait.h>\n#include <unistd.h>\n\
         void nothing(int s) { (void)s; }\n\
         void *wait_for_ever(void *x) { for (;;) pause(); return x; }\n\
         char *self;\n\
         void *again(void *x) { execl(self, self, \"second\", (char *)0); return x; }\n\
         int main(int argc, char **argv) { int status; pid_t child; (void)argv;\n\
         if (argc > 1) { for (;;) pause(); }\n\
         self = argv[0];\n\
         if (!(child = fork())) { for (;;) pause(); }\n\
         usleep(50000); kill(child, SIGSEGV); waitpid(child, &status, 0);\n\
         if (!WIFSIGNALED(status)) return 3;\n\
         if (!(child = fork())) { raise(SIGSTOP); _exit(7); }\n\
         waitpid(child, &status, WUNTRACED); if (!WIFSTOPPED(status)) return 4;\n\
         kill(child, SIGCONT); waitpid(child, &status, 0);\n\
         if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) return 5;\n\
         signal(SIGRTMIN + 3, nothing); raise(SIGRTMIN + 3);\n\
         if (system(\"exit 9\") != 9 << 8) return 6;\n\
         pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, wait_for_ever, 0);\n\
         usleep(20000); pthread_create(&t, 0, again, 0); for (;;) pause(); }",
    );
    assert_complete(&trace);
    assert_eq!(
        count(&trace, "execve"),
        3,
        "the program, sh, and itself again"
    );
    assert_eq!(count(&trace, "rt_sigreturn"), 1);
    assert_eq!(trace.certificate.threads, 1 + 2 + 1 + 5);
    assert_eq!(
        trace.handled_signals,
        [] as [i32; 0],
        "execve takes them away"
    );
}

#[test]
fn links_and_failed_lookups_are_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    fs::create_dir(base.join("real")).unwrap();
    fs::write(base.join("real/data"), "x").unwrap();
    symlink("real", base.join("alias")).unwrap();
    symlink(base.join("alias/data"), base.join("first")).unwrap();
    let program = compile(
        base,
        "#include <fcntl.h>\n#include <stdio.h>\n#include <unistd.h>\n#include <sys/stat.h>\n#include <sys/mman.h>\n\
         int main(void) { struct stat s; char b[9]; open(\"./first\", O_RDONLY);\n\
         open(\"missing/x\", O_RDONLY); stat(\"none\", &s); mkdir(\"made\", 0755);\n\
         close(open(\"made/file\", O_CREAT | O_WRONLY, 0600)); rename(\"made/file\", \"made/other\");\n\
         unlink(\"made/other\"); readlink(\"alias\", b, 9); chdir(\"alias\");\n\
         open(\"data\", O_RDWR); open(\"/dev/null\", O_RDONLY);\n\
         mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
         for (;;) pause(); }",
    );
    let trace = learned(request(&[program.to_str().unwrap()], base));
    assert_complete(&trace);
    let data = path(&trace, base.join("real/data"));
    assert_eq!(data.uses, BTreeSet::from([Use::Read, Use::Write]));
    assert_eq!(
        data.asked,
        BTreeSet::from([base.join("first"), base.join("real/data")]),
        "relative to the directory that `alias` leads to"
    );
    assert_eq!(
        data.links,
        [
            (base.join("first"), base.join("alias/data")),
            (base.join("alias"), PathBuf::from("real"))
        ]
    );
    assert_eq!(
        path(&trace, base.join("none")).failures,
        BTreeSet::from([(Use::Look, 2)])
    );
    assert_eq!(
        path(&trace, base.join("missing/x")).failures,
        BTreeSet::from([(Use::Read, 2)])
    );
    assert_eq!(
        path(&trace, base.join("made")).uses,
        BTreeSet::from([Use::Create])
    );
    let file = path(&trace, base.join("made/file"));
    assert_eq!(
        file.uses,
        BTreeSet::from([Use::Create, Use::Delete, Use::Write])
    );
    let real = path(&trace, base.join("real"));
    assert_eq!(real.uses, BTreeSet::from([Use::Enter, Use::Look]));
    assert_eq!(path(&trace, "/dev/null").device, Some((1, 3)));
    assert!(path(&trace, &program).uses.contains(&Use::Execute));
    assert!(
        trace
            .paths
            .iter()
            .any(|seen| { seen.uses.contains(&Use::Map) && seen.host.ends_with("libc.so.6") })
    );
    assert!(trace.writable_executable);
    let file = base.join("trace.json");
    save(&trace, &file).unwrap();
    assert_eq!(load(&file).unwrap(), trace);
}

#[test]
fn sockets_and_capabilities_are_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    fs::write(base.join("secret"), "x").unwrap();
    std::os::unix::fs::chown(base.join("secret"), Some(102), Some(102)).unwrap();
    fs::set_permissions(base.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let source = "#include <arpa/inet.h>\n#include <fcntl.h>\n#include <string.h>\n\
         #include <sys/socket.h>\n#include <sys/un.h>\n#include <unistd.h>\n\
         int main(void) { struct sockaddr_in a = {AF_INET, htons(3), {htonl(0x7f000001)}, {0}};\n\
         int f = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); bind(f, (void *)&a, sizeof a);\n\
         listen(f, 1); int g = socket(AF_INET, SOCK_STREAM, 0); a.sin_port = htons(PORT);\n\
         bind(g, (void *)&a, sizeof a); struct sockaddr_un u = {AF_UNIX, \"sock\"};\n\
         int h = socket(AF_UNIX, SOCK_STREAM, 0); bind(h, (void *)&u, sizeof u); listen(h, 1);\n\
         int i = socket(AF_UNIX, SOCK_STREAM, 0); connect(i, (void *)&u, sizeof u);\n\
         fcntl(g, F_SETFL, O_NONBLOCK); connect(g, (void *)&a, sizeof a);\n\
         socket(AF_INET, SOCK_RAW, 1); open(\"secret\", O_RDONLY); chown(\"sock\", 7, -1);\n\
         int d = socket(AF_INET, SOCK_DGRAM, 0); a.sin_port = htons(9);\n\
         sendto(d, \"x\", 1, 0, (void *)&a, sizeof a); setuid(102); open(\"secret\", O_RDONLY);\n\
         for (;;) pause(); }";
    let program = compile(base, &source.replace("PORT", &port.to_string()));
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
    let mut request = request(&[program.to_str().unwrap()], base);
    request.ready = vec![Ready::Tcp(3), Ready::Quiet(200)];
    let trace = learned(request);
    assert_complete(&trace);
    let seen = |action: SocketUse, address: &str, port: u16| {
        trace
            .sockets
            .iter()
            .any(|s| s.action == action && s.address == address && s.port == port && s.kind != 0)
    };
    assert!(seen(SocketUse::Bind, "127.0.0.1", 3));
    assert!(seen(SocketUse::Listen, "127.0.0.1", 3));
    assert!(seen(SocketUse::BindFailed(98), "127.0.0.1", port));
    assert!(seen(SocketUse::Connect, "127.0.0.1", port));
    assert!(seen(SocketUse::Connect, "127.0.0.1", 9));
    assert!(seen(SocketUse::Bind, "sock", 0) && seen(SocketUse::Connect, "sock", 0));
    let socket = path(&trace, base.join("sock"));
    assert_eq!(
        socket.uses,
        BTreeSet::from([Use::Create, Use::Connect, Use::Change])
    );
    let capabilities: Vec<(u8, &str)> = trace
        .capabilities
        .iter()
        .map(|seen| (seen.capability, seen.call.as_str()))
        .collect();
    let secret = format!("openat({})", base.join("secret").display());
    let sock = format!("chown({})", base.join("sock").display());
    let expected = [
        (0, sock.as_str()),
        (2, secret.as_str()),
        (7, "setuid(102)"),
        (10, "bind(127.0.0.1:3)"),
        (13, "socket(2, 3)"),
    ];
    assert_eq!(capabilities, expected);
}

#[test]
fn foreign_calls_are_told_apart() {
    let trace = learn_source(
        "#include <unistd.h>\n#include <sys/syscall.h>\n\
         int main(void) { syscall(0x40000000 + SYS_getpid);\n\
         int r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20)); for (;;) pause(); }",
    );
    assert_eq!(
        trace.foreign_calls,
        [("i386".to_owned(), 20), ("x32".to_owned(), 39)]
    );
    assert_complete(&trace);
}

#[test]
fn what_a_foreign_call_takes_is_not_needed() {
    // setgid32 of i386, and the native call as the kernel's word that it would be seen.
    let source = |call: &str| {
        format!(
            "#include <unistd.h>\n#include <sys/syscall.h>\n\
             int main(void) {{ long r; {call}; if (r < 0) return 1; for (;;) pause(); }}"
        )
    };
    let trace = learn_source(&source(
        "__asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(214), \"b\"(5) : \"r8\", \"r9\", \"r10\", \"r11\")",
    ));
    assert_eq!(trace.foreign_calls, [("i386".to_owned(), 214)]);
    assert_eq!(trace.capabilities, []);
    assert_complete(&trace);
    let native = learn_source(&source("r = syscall(SYS_setgid, 5)"));
    assert_eq!(native.capabilities.len(), 1);
}

#[test]
fn a_ring_makes_the_trace_blind() {
    let ring = |call: &str| {
        learn_source(&format!(
            "#include <unistd.h>\n#include <sys/syscall.h>\n\
             int main(void) {{ char words[120] = {{0}};\n\
             if (syscall({call}) < 0) return 1; for (;;) pause(); }}"
        ))
    };
    let trace = ring("SYS_io_uring_setup, 1, words");
    assert!(trace.blind);
    assert_complete(&trace);
    assert!(!ring("SYS_getpid, 1, words").blind);
}

#[test]
fn a_service_that_ends_too_soon_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = learn(request(&["sh", "-c", "exit 3"], directory.path()), &|_| {}).unwrap_err();
    assert!(error.why().contains("status 3"), "{error}");
    let error = learn(
        request(&["sh", "-c", "kill -9 $$"], directory.path()),
        &|_| {},
    )
    .unwrap_err();
    assert!(error.why().contains("signal 9"), "{error}");
    let error = learn(request(&["/no/such"], directory.path()), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("execute it"), "{error}");
    let mut late = request(&["sleep", "1000.25"], directory.path());
    late.ready = vec![Ready::Tcp(1)];
    late.ready_timeout = Duration::from_millis(300);
    let error = learn(late, &|_| {}).unwrap_err();
    assert!(error.why().contains("TCP port 1"), "{error}");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(
            !line.starts_with(b"sleep\x001000.25"),
            "{:?} is left",
            entry.path()
        );
    }
}

#[test]
fn a_service_that_ends_by_itself_or_must_be_killed_is_incomplete() {
    let directory = tempfile::tempdir().unwrap();
    let mut ends = request(&["sh", "-c", "sleep 1"], directory.path());
    ends.serve_for = Duration::from_secs(20);
    let begun = Instant::now();
    let trace = learned(ends);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(!trace.certificate.complete);
    let mut deaf = request(&["sh", "-c", "trap '' TERM; sleep 1000"], directory.path());
    deaf.stop_timeout = Duration::from_millis(300);
    let trace = learned(deaf);
    assert!(!trace.certificate.complete);
    assert_eq!(trace.certificate.stops, trace.certificate.records);
}

#[test]
fn the_calls_are_those_that_strace_sees() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        "#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n\
         #include <unistd.h>\n#include <time.h>\n#include <netdb.h>\n\
         void *work(void *x) { FILE *f = fopen(\"/etc/passwd\", \"r\"); fclose(f); return x; }\n\
         int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0);\n\
         system(\"true\"); socket(AF_INET, SOCK_DGRAM, 0); getservbyname(\"domain\", \"udp\");\n\
         struct timespec one = {2, 0}; nanosleep(&one, 0); }",
    );
    let trace = learned(request(&[program.to_str().unwrap()], directory.path()));
    let log = directory.path().join("strace");
    let done = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .arg(&program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/bin")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
    let text = fs::read_to_string(&log).unwrap();
    let seen: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    // strace of Debian 12 and the table agree on names.
    let ours: BTreeSet<&str> = trace.calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(ours, seen);
    assert_eq!(trace.certificate.stops, trace.certificate.records);
}

#[test]
fn the_slowdown_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        "#include <fcntl.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         int main(void) { char b[4096]; for (int i = 0; i < 5000; i++) {\n\
         int f = open(\"/etc/services\", O_RDONLY); while (read(f, b, 4096) > 0); close(f); }\n\
         creat(\"done\", 0600); for (;;) pause(); }",
    );
    let done = directory.path().join("done");
    let begun = Instant::now();
    let mut bare = Command::new(&program)
        .current_dir(directory.path())
        .spawn()
        .unwrap();
    while !done.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let alone = begun.elapsed();
    bare.kill().unwrap();
    bare.wait().unwrap();
    fs::remove_file(&done).unwrap();
    let mut request = request(&[program.to_str().unwrap()], directory.path());
    request.ready = vec![Ready::File(done)];
    let begun = Instant::now();
    let ready = std::sync::Mutex::new(Duration::ZERO);
    let trace = learn(request, &|event| {
        if matches!(event, Progress::Ready { .. }) {
            *ready.lock().unwrap() = begun.elapsed();
        }
    })
    .unwrap();
    let traced = *ready.lock().unwrap();
    let each = traced.as_secs_f64() * 1e6 / trace.certificate.stops as f64;
    println!(
        "{} calls: {alone:?} alone, {traced:?} traced, {each:.1} us each",
        trace.certificate.stops
    );
    assert_complete(&trace);
    assert!(each < 1000.0, "{each} microseconds for each call");
}

/// As its user from the start, with what a jail gives it for a low port, and nothing else of root's.
#[test]
fn one_that_refuses_root_starts_as_its_user() {
    let source = "#include <arpa/inet.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n\
         #include <unistd.h>\n\
         int main(void) { if (!getuid() || !geteuid()) exit(3);\n\
         struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(1023) };\n\
         a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);\n\
         int s = socket(AF_INET, SOCK_STREAM, 0); if (bind(s, (void *)&a, sizeof a)) exit(4);\n\
         if (!setuid(0) || !chroot(\"/\") || getgid() != 33) exit(5);\n\
         gid_t groups[9]; if (getgroups(9, groups) != 1 || groups[0] != 34) exit(6);\n\
         for (;;) pause(); }";
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = compile(directory.path(), source);
    let program = program.to_str().unwrap();
    let mut request = request(&[program], directory.path());
    request.passes = 2;
    request.ids = Some(Ids {
        uid: 33,
        gid: 33,
        groups: vec![Gid::from_raw(34)],
        capability: CapabilitySet::NET_BIND_SERVICE,
    });
    let trace = learned(request);
    assert_eq!(trace.certificate.passes, 2, "{:?}", trace.certificate);
    let granted = trace.capabilities.iter().filter(|seen| !seen.refused);
    let granted: Vec<(u8, u32)> = granted.map(|seen| (seen.capability, seen.user)).collect();
    assert_eq!(granted, [(10, 33)], "{:?}", trace.capabilities);
    // The launcher's own calls are left out.
    assert_eq!(
        (count(&trace, "setresuid"), count(&trace, "capset")),
        (0, 0)
    );
    let as_root = learned_by(program, directory.path());
    let error = as_root.unwrap_err().to_string();
    assert!(error.contains("exited with status 3"), "{error}");
}

fn learned_by(program: &str, directory: &Path) -> gaoler::Result<Trace> {
    learn(request(&[program], directory), &|_| {})
}
