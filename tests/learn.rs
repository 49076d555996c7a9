//! Traces real programs. Needs root, a C compiler, strace, bind9 and dig.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaoler::learn::trace::{PathSeen, Phase, SocketUse, Use};
use gaoler::learn::{Progress, Request, Trace, learn, load, save};
use gaoler::spec::{Exercise, Ready};

fn request(command: &[&str], directory: &Path) -> Request {
    let output = fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("output"))
        .unwrap();
    Request {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/sbin:/usr/bin:/bin".to_owned())]),
        workdir: directory.to_owned(),
        ready: vec![Ready::Quiet(300)],
        ready_timeout: Duration::from_secs(20),
        exercises: Vec::new(),
        serve_for: Duration::ZERO,
        stop_command: Vec::new(),
        stop_timeout: Duration::from_secs(10),
        output: output.into(),
    }
}

fn compile(directory: &Path, source: &str) -> PathBuf {
    let (code, program) = (directory.join("program.c"), directory.join("program"));
    fs::write(&code, source).unwrap();
    let done = Command::new("gcc")
        .args(["-pthread", "-O1", "-o"])
        .arg(&program)
        .arg(&code)
        .status();
    assert!(done.unwrap().success());
    program
}

fn learned(request: Request) -> Trace {
    learn(request, &|_| {}).unwrap()
}

fn learn_source(source: &str) -> Trace {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), source);
    learned(request(&[program.to_str().unwrap()], directory.path()))
}

fn count(trace: &Trace, name: &str) -> u64 {
    trace
        .calls
        .iter()
        .filter(|seen| seen.name == name)
        .map(|seen| seen.count)
        .sum()
}

fn path(trace: &Trace, host: impl AsRef<Path>) -> &PathSeen {
    let host = host.as_ref();
    trace
        .paths
        .iter()
        .find(|seen| seen.host == host)
        .unwrap_or_else(|| {
            let all: Vec<_> = trace.paths.iter().map(|seen| &seen.host).collect();
            panic!("{host:?} not in {all:?}")
        })
}

fn assert_complete(trace: &Trace) {
    let certificate = &trace.certificate;
    assert_eq!(certificate.stops, certificate.records);
    assert!(certificate.complete, "{:?}", certificate.gaps);
    let sum: u64 = trace.calls.iter().map(|seen| seen.count).sum();
    assert_eq!(sum + trace.foreign_calls.len() as u64, certificate.records);
}

/// No process runs `program` any more, or is stopped in it.
fn assert_gone(program: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        assert_ne!(exe, program, "{:?} is left", entry.path());
    }
}

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
        [("x32".to_owned(), 39), ("x86".to_owned(), 20)]
    );
    assert_complete(&trace);
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

fn name_server(directory: &Path, port: u16) -> PathBuf {
    let base = directory.to_str().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let config = directory.join("named.conf");
    fs::write(
        &config,
        format!(
            "options {{ directory \"{base}\"; listen-on port {port} {{ 127.0.0.1; }};\n\
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; pid-file \"{base}/pid\";\n\
             session-keyfile \"{base}/session\"; }};\n\
             controls {{ }};\n\
             zone \"example.test\" {{ type master; file \"zone\"; }};\n"
        ),
    )
    .unwrap();
    fs::write(
        directory.join("zone"),
        "$TTL 60\n@ SOA ns.example.test. root.example.test. 1 60 60 60 60\n@ NS ns\n\
         ns A 127.0.0.1\nwww A 192.0.2.7\n",
    )
    .unwrap();
    config
}

fn exercise(port: u16, extra: &[&str]) -> Exercise {
    let mut command = vec!["dig".to_owned(), "@127.0.0.1".to_owned(), "-p".to_owned()];
    command.extend([
        port.to_string(),
        "+short".to_owned(),
        "www.example.test".to_owned(),
    ]);
    command.extend(extra.iter().map(|word| (*word).to_owned()));
    Exercise {
        name: "dig".to_owned(),
        command,
        expect: 0,
        output: "192.0.2.7".to_owned(),
        because: String::new(),
    }
}

fn named(directory: &Path, port: u16, command: &[&str]) -> Trace {
    let mut request = request(command, directory);
    request.ready = vec![Ready::Udp(port), Ready::Tcp(port), Ready::Quiet(300)];
    request.exercises = vec![exercise(port, &[]), exercise(port, &["+tcp"])];
    request.serve_for = Duration::from_millis(200);
    let ready = std::sync::Mutex::new(None);
    let trace = learn(request, &|event| {
        if let Progress::Ready { after } = event {
            *ready.lock().unwrap() = Some(after);
        }
    });
    let trace = trace.unwrap_or_else(|error| {
        panic!(
            "{error}: {}",
            fs::read_to_string(directory.join("output")).unwrap()
        )
    });
    println!(
        "named: ready after {:?}, {} stops, {} threads, {} paths, gaps {:?}",
        ready.lock().unwrap(),
        trace.certificate.stops,
        trace.certificate.threads,
        trace.paths.len(),
        trace.certificate.gaps
    );
    trace
}

#[test]
fn named_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let config = name_server(base, 15353);
    let command = ["named", "-f", "-u", "bind", "-c", config.to_str().unwrap()];
    let trace = named(base, 15353, &command);
    assert_complete(&trace);
    assert!(
        trace.certificate.exercises.iter().all(|run| run.passed),
        "{:?}",
        trace.certificate
    );
    assert_eq!(trace.certificate.exercises.len(), 2);
    assert!(!trace.certificate.forked);
    let names: BTreeSet<&str> = trace.calls.iter().map(|call| call.name.as_str()).collect();
    for name in [
        "accept4",
        "epoll_wait",
        "sendmmsg",
        "setuid",
        "capset",
        "openat",
        "clone3",
    ] {
        assert!(names.contains(name), "{name} not in {names:?}");
    }
    assert!(path(&trace, &config).uses.contains(&Use::Read));
    assert!(path(&trace, base.join("zone")).uses.contains(&Use::Read));
    assert!(path(&trace, base.join("pid")).uses.contains(&Use::Create));
    let libraries = trace
        .paths
        .iter()
        .filter(|seen| seen.uses.contains(&Use::Map))
        .count();
    assert!(libraries > 10, "{libraries}");
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 7),
        "CAP_SETUID"
    );
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 6),
        "CAP_SETGID"
    );
    assert!(
        trace.capabilities.iter().all(|seen| seen.capability != 10),
        "a high port"
    );
    let bound: Vec<_> = trace
        .sockets
        .iter()
        .filter(|seen| seen.action == SocketUse::Bind && seen.port == 15353)
        .map(|seen| (seen.family, seen.kind, seen.address.as_str()))
        .collect();
    assert_eq!(bound, [(2, 1, "127.0.0.1"), (2, 2, "127.0.0.1")]);
    let foreign: Vec<_> = trace
        .sockets
        .iter()
        .filter(|seen| seen.action == SocketUse::Connect && seen.family == 2)
        .collect();
    assert!(
        foreign.is_empty(),
        "answers are no connections: {foreign:?}"
    );
    let dump = std::env::var_os("LEARN_DUMP");
    if let Some(file) = dump {
        save(&trace, Path::new(&file)).unwrap();
    }
    let bind = trace.ids.last().unwrap();
    assert!(bind.uids.iter().all(|uid| *uid != 0), "{bind:?}");
    assert!(
        [1, 2, 15]
            .iter()
            .all(|signal| trace.handled_signals.contains(signal))
    );
    assert!(
        trace
            .calls
            .iter()
            .any(|call| call.phase == Phase::Serve && call.name == "accept4")
    );
    let socket = trace
        .calls
        .iter()
        .find(|call| call.name == "setuid")
        .unwrap();
    assert_eq!(socket.phase, Phase::Start);
}

#[test]
fn a_daemon_that_chroots_itself_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    name_server(base, 15354);
    // Inside its root its directory is `/`.
    let config = fs::read_to_string(base.join("named.conf")).unwrap();
    let config = config.replace(base.to_str().unwrap(), "/");
    fs::write(base.join("named.conf"), config).unwrap();
    let command = [
        "named",
        "-u",
        "bind",
        "-c",
        "/named.conf",
        "-t",
        base.to_str().unwrap(),
    ];
    let trace = named(base, 15354, &command);
    assert!(trace.certificate.forked);
    assert_complete(&trace);
    assert!(path(&trace, base).uses.contains(&Use::Root));
    let zone = path(&trace, base.join("zone"));
    assert!(zone.uses.contains(&Use::Read));
    assert_eq!(zone.asked, BTreeSet::from([PathBuf::from("/zone")]));
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 18),
        "CAP_SYS_CHROOT"
    );
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
