//! What the kernel asks for, against what is known by rule. Needs Linux 6.14.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gaoler::learn::trace::{CapabilitySource, Known, Phase};
use gaoler::learn::{Request, Trace};
use gaoler::spec::{Exercise, Ready};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::common::*;

/// `CAP_NET_BIND_SERVICE`, `CAP_NET_ADMIN`, `CAP_NET_RAW`.
const NET_BIND_SERVICE: u8 = 10;
const NET_ADMIN: u8 = 12;
const NET_RAW: u8 = 13;
const SETGID: u8 = 6;
const SYS_ADMIN: u8 = 21;
const SETUID: u8 = 7;
const CHOWN: u8 = 0;
const SYS_RESOURCE: u8 = 24;

/// One run in which the kernel tells, and one by rule. `request` makes a fresh one.
fn both(request: impl Fn() -> Request) -> [Trace; 2] {
    let asked = learned(request());
    let certificate = &asked.certificate;
    assert_eq!(certificate.by_rule, "");
    assert_eq!(certificate.capabilities, CapabilitySource::KernelEvent);
    assert!(
        asked
            .capabilities
            .iter()
            .all(|seen| seen.known == Known::Asked)
    );
    let mut request = request();
    request.capabilities = CapabilitySource::Rule;
    let ruled = learned(request);
    assert_eq!(ruled.certificate.by_rule, "it was asked for so");
    assert_eq!(ruled.certificate.capabilities, CapabilitySource::Rule);
    assert!(
        ruled
            .capabilities
            .iter()
            .all(|seen| seen.known == Known::Rule)
    );
    for trace in [&asked, &ruled] {
        assert_complete(trace);
    }
    [asked, ruled]
}

/// What was needed, and by which call, without what decided.
fn needed(trace: &Trace) -> BTreeSet<(u8, String)> {
    let needed = trace.capabilities.iter().filter(|seen| !seen.refused);
    needed
        .map(|seen| {
            let name = seen.call.split('(').next().unwrap_or_default();
            (seen.capability, name.to_owned())
        })
        .collect()
}

fn compile_in(directory: &Path, body: &str) -> String {
    let source = format!(
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <grp.h>\n\
         #include <netinet/in.h>\n#include <netinet/tcp.h>\n#include <sched.h>\n\
         #include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
         #include <sys/mman.h>\n#include <sys/prctl.h>\n#include <sys/resource.h>\n\
         #include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n\
         #include <sys/wait.h>\n#include <sys/xattr.h>\n#include <unistd.h>\n\
         #define DO(x) do {{ if ((x) < 0) {{ perror(#x); exit(3); }} }} while (0)\n\
         int main(void) {{ char b[4096];\n{body}\nfor (;;) pause(); }}"
    );
    compile(directory, &source).to_str().unwrap().to_owned()
}

/// In namespaces of its own for network and host name.
const OWN: &str = "DO(unshare(CLONE_NEWNET | CLONE_NEWUTS));";

#[test]
fn the_kernel_and_the_rules_agree() {
    let directory = tempfile::tempdir().unwrap();
    let body = format!(
        "{OWN}\n\
         DO(sethostname(\"capable\", 7));\n\
         gid_t groups[1] = {{5}}; DO(setgroups(1, groups));\n\
         umask(0); DO(mkdir(\"sticky\", 01777)); DO(chown(\"sticky\", 99, 99));\n\
         int f = open(\"sticky/file\", O_CREAT | O_RDWR, 0); DO(f); DO(fchown(f, 98, 98)); close(f);\n\
         f = open(\"sticky/file\", O_RDONLY); DO(f); close(f);\n\
         f = open(\"sticky/file\", O_RDWR); DO(f); close(f);\n\
         DO(chmod(\"sticky/file\", 0600));\n\
         DO(unlink(\"sticky/file\")); DO(mkdir(\"shut\", 0)); DO(chown(\"shut\", 99, 99));\n\
         f = open(\"shut/file\", O_CREAT | O_RDWR, 0600); DO(f);\n\
         DO(unlink(\"shut/file\")); DO(rmdir(\"shut\")); DO(rmdir(\"sticky\"));\n\
         DO(mknod(\"null\", S_IFCHR | 0600, 0x103)); DO(unlink(\"null\"));\n\
         int s = socket(AF_INET, SOCK_STREAM, 0); DO(s);\n\
         struct sockaddr_in a = {{.sin_family = AF_INET, .sin_port = htons(80)}};\n\
         DO(bind(s, (void *)&a, sizeof a));\n\
         int v = 1 << 20; DO(setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof v));\n\
         DO(setsockopt(s, SOL_SOCKET, SO_DEBUG, &v, sizeof v));\n\
         DO(socket(AF_INET, SOCK_RAW, 1)); DO(socket(AF_PACKET, SOCK_DGRAM, 0));\n\
         struct rlimit low = {{4096, 4096}}, high = {{8192, 8192}};\n\
         DO(setrlimit(RLIMIT_MEMLOCK, &low));\n\
         char *m = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
         DO(mlock(m, 1 << 20)); if (setrlimit(RLIMIT_MEMLOCK, &high) < 0 && errno != EPERM) exit(4);\n\
         DO(setpriority(PRIO_PROCESS, 0, -5));\n\
         struct sched_param p = {{1}}; DO(sched_setscheduler(0, SCHED_FIFO, &p));\n\
         p.sched_priority = 0; DO(sched_setscheduler(0, SCHED_OTHER, &p));\n\
         DO(prctl(PR_CAPBSET_DROP, 30)); DO(chroot(\"/\"));\n\
         pid_t child = fork(); DO(child);\n\
         if (!child) {{ DO(syscall(SYS_setresuid, 98, 98, 98)); for (;;) pause(); }}\n\
         usleep(200000); DO(kill(child, SIGKILL)); DO(waitpid(child, 0, 0));\n\
         DO(setresgid(99, 99, 99)); DO(setresuid(99, 99, 99));\n"
    );
    let program = compile_in(directory.path(), &body);
    let [asked, ruled] = both(|| request(&[&program], directory.path()));
    assert_eq!(needed(&asked), needed(&ruled));
    // The same text for the same need.
    let texts = |trace: &Trace| -> BTreeSet<(u8, String)> {
        let seen = trace.capabilities.iter().filter(|seen| !seen.refused);
        seen.map(|seen| (seen.capability, seen.call.clone()))
            .collect()
    };
    assert_eq!(texts(&asked), texts(&ruled));
    let seen = asked.capabilities.iter();
    let all: BTreeSet<u8> = seen.clone().map(|seen| seen.capability).collect();
    let expected = [0, 1, 2, 3, 5, 6, 7, 8, 10, 12, 13, 14, 18, 21, 23, 24, 27];
    assert_eq!(all, BTreeSet::from(expected));
    // In a container even root may lack this one.
    let has_resource = needed(&asked).contains(&(SYS_RESOURCE, "setrlimit".to_owned()));
    let refused: Vec<u8> = seen
        .filter(|seen| seen.refused)
        .map(|seen| seen.capability)
        .collect();
    let expected: &[u8] = if has_resource { &[] } else { &[SYS_RESOURCE] };
    assert_eq!(refused, expected);
}

#[test]
fn what_is_asked_without_need_is_not_needed() {
    let directory = tempfile::tempdir().unwrap();
    // Memory in every way, also by a stack that grows and by pages of a tmpfs.
    let body = "char *m = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
         m = mremap(m, 1 << 20, 2 << 20, MREMAP_MAYMOVE); sbrk(1 << 20);\n\
         char *stack = alloca(1 << 20); memset(stack, 1, 1 << 20);\n\
         int f = memfd_create(\"x\", 0); DO(f); DO(ftruncate(f, 1 << 20));\n\
         char *shared = mmap(0, 1 << 20, 3, MAP_SHARED, f, 0); memset(shared, 1, 4096);\n\
         DO(read(open(\"/proc/self/stat\", O_RDONLY), shared + 8192, 100));\n\
         pid_t child = fork(); DO(child); if (!child) _exit(0); DO(waitpid(child, 0, 0));\n\
         DO(setuid(0)); DO(setgid(0));\n\
         f = open(\"/proc/sys/net/ipv4/ip_local_port_range\", O_RDONLY); DO(f); DO(read(f, b, 99));\n\
         int s = socket(AF_INET, SOCK_STREAM, 0);\n\
         DO(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, \"reno\", 4));\n\
         DO(close(open(\"file\", O_CREAT | O_RDWR, 0600))); DO(listxattr(\"file\", b, 99));\n\
         f = open(\"/proc/1/stat\", O_RDONLY); DO(f); DO(read(f, b, 99));\n\
         f = open(\"/proc/kallsyms\", O_RDONLY); DO(f);\n";
    let program = compile_in(directory.path(), body);
    let [asked, ruled] = both(|| request(&[&program], directory.path()));
    assert_eq!(asked.capabilities, []);
    assert_eq!(ruled.capabilities, []);
}

/// Where a rule cannot know, or names more than the kernel wants.
#[test]
fn the_kernel_knows_better() {
    let directory = tempfile::tempdir().unwrap();
    let body = format!(
        "{OWN}\n\
         int s = socket(AF_INET, SOCK_STREAM, 0); int v = 7;\n\
         DO(setsockopt(s, SOL_SOCKET, SO_PRIORITY, &v, sizeof v));\n\
         int f = open(\"/proc/self/oom_score_adj\", O_WRONLY); DO(f);\n\
         if (write(f, \"-1\", 2) < 0 && errno != EACCES) exit(6);\n\
         struct rlimit all = {{4096, 4096}}; DO(setrlimit(RLIMIT_MEMLOCK, &all));\n\
         DO(mlockall(MCL_FUTURE));\n\
         struct sched_param p = {{0}}; pid_t child = fork(); DO(child);\n\
         if (!child) {{ DO(syscall(SYS_setresuid, 98, 98, 98)); for (;;) pause(); }}\n\
         usleep(200000); cpu_set_t set; CPU_ZERO(&set); CPU_SET(0, &set);\n\
         DO(sched_setaffinity(child, sizeof set, &set)); (void)p;\n\
         DO(kill(child, 9)); DO(waitpid(child, 0, 0));\n\
         DO(setresuid(99, 99, 99)); errno = 0;\n\
         if (sethostname(\"x\", 1) == 0 || errno != EPERM) exit(4);\n\
         if (open(\"/etc/shadow\", O_RDONLY) >= 0) exit(5);\n"
    );
    let program = compile_in(directory.path(), &body);
    let [asked, ruled] = both(|| request(&[&program], directory.path()));
    let has = |trace: &Trace, capability: u8, name: &str| {
        needed(trace).contains(&(capability, name.to_owned()))
    };
    // sk_set_prio_allowed(): either does, and the kernel asks for the lesser first.
    assert!(has(&asked, NET_RAW, "setsockopt") && !has(&asked, NET_ADMIN, "setsockopt"));
    assert!(has(&ruled, NET_ADMIN, "setsockopt"));
    // do_mlockall(): what comes in future is checked when it comes.
    assert!(!has(&asked, 14, "mlockall") && has(&ruled, 14, "mlockall"));
    // No rule.
    assert!(has(&asked, 23, "sched_setaffinity") && !has(&ruled, 23, "sched_setaffinity"));
    // Granted or, in a container, refused to root.
    let killer = asked.capabilities.iter();
    let killer = killer.filter(|seen| seen.call == "write(/proc/self/oom_score_adj)");
    let killer: Vec<(u8, u32)> = killer.map(|seen| (seen.capability, seen.user)).collect();
    assert_eq!(killer, [(SYS_RESOURCE, 0)]);
    let refused: BTreeSet<(u8, &str)> = asked
        .capabilities
        .iter()
        .filter(|seen| seen.refused && seen.user == 99)
        .map(|seen| (seen.capability, seen.call.as_str()))
        .collect();
    let expected = [
        (21, "sethostname()"),
        (1, "openat(/etc/shadow)"),
        (2, "openat(/etc/shadow)"),
    ];
    assert_eq!(refused, BTreeSet::from(expected));
}

/// Starts a name server in a network namespace of its own, on port 53 as its own user.
#[test]
fn the_kernel_and_the_rules_agree_on_named() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o777)).unwrap();
    let config = base.join("named.conf");
    let text = format!(
        "options {{ directory \"{0}\"; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         recursion no; dnssec-validation no; notify no; pid-file \"{0}/pid\";\n\
         session-keyfile \"{0}/session\"; }};\ncontrols {{ }};\n\
         zone \"example.test\" {{ type master; file \"zone\"; }};\n",
        base.display()
    );
    fs::write(&config, text).unwrap();
    fs::write(
        base.join("zone"),
        "$TTL 60\n@ SOA ns.example.test. root.example.test. 1 60 60 60 60\n@ NS ns\n\
         ns A 127.0.0.1\nwww A 192.0.2.7\n",
    )
    .unwrap();
    let command = ["named", "-f", "-u", "bind", "-c", config.to_str().unwrap()];
    let [asked, ruled] = both(|| {
        let mut request = in_own_network(&command, base);
        request.ready = vec![Ready::Udp(53), Ready::Tcp(53), Ready::Quiet(300)];
        request
    });
    let service = |trace: &Trace| of_program(trace, "named");
    assert_eq!(service(&asked), service(&ruled));
    for capability in [NET_BIND_SERVICE, SETGID, SETUID] {
        let all = service(&asked);
        assert!(
            all.iter().any(|(number, _)| *number == capability),
            "{all:?}"
        );
    }
}

#[test]
fn the_kernel_and_the_rules_agree_on_nginx() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
    let config = base.join("nginx.conf");
    let text = format!(
        "user www-data; daemon off; worker_processes 1; pid {0}/pid; error_log {0}/error.log;\n\
         events {{ }}\nhttp {{ access_log {0}/access.log;\n\
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
         uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
         server {{ listen 127.0.0.1:80; root {0}; }} }}\n",
        base.display()
    );
    fs::write(&config, text).unwrap();
    let command = ["nginx", "-c", config.to_str().unwrap()];
    let [asked, ruled] = both(|| {
        for made in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            if base.join(made).exists() {
                fs::remove_dir_all(base.join(made)).unwrap();
            }
        }
        let mut request = in_own_network(&command, base);
        request.ready = vec![Ready::Tcp(80), Ready::Quiet(300)];
        request
    });
    assert_eq!(of_program(&asked, "nginx"), of_program(&ruled, "nginx"));
    for capability in [CHOWN, SETGID, SETUID, NET_BIND_SERVICE] {
        let all = of_program(&asked, "nginx");
        assert!(
            all.iter().any(|(number, _)| *number == capability),
            "{all:?}"
        );
    }
}

/// What a program needed, with the calls in full.
fn of_program(trace: &Trace, program: &str) -> BTreeSet<(u8, String)> {
    let seen = trace.capabilities.iter();
    let seen = seen.filter(|seen| seen.witness.programs.contains(program) && !seen.refused);
    seen.map(|seen| (seen.capability, seen.call.clone()))
        .collect()
}

/// A command in a network namespace of its own in which loopback is up.
fn in_own_network(command: &[&str], directory: &Path) -> Request {
    let script = "ip link set lo up && exec \"$@\"";
    let own = ["unshare", "--net", "sh", "-c", script, "sh"];
    request(&[&own[..], command].concat(), directory)
}

/// The event stays off for everybody else, and no mount is left.
#[test]
fn nothing_is_left_in_the_kernel() {
    let tracing = |file: &str| fs::read_to_string(Path::new("/sys/kernel/tracing").join(file));
    let enabled = || tracing("events/capability/cap_capable/enable").unwrap_or_default();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = (enabled(), mounts());
    let directory = tempfile::tempdir().unwrap();
    let program = compile_in(directory.path(), "DO(setgroups(0, 0));");
    let trace = learned(request(&[&program], directory.path()));
    assert_eq!(
        needed(&trace),
        BTreeSet::from([(SETGID, "setgroups".to_owned())])
    );
    assert_eq!((enabled(), mounts()), before);
}

/// Overlayfs looks at its own marks and files in the name of root, who mounted it.
#[test]
fn what_overlayfs_asks_for_is_not_needed() {
    const INSIDE: &str = "GAOLER_TEST_MOUNTS";
    if std::env::var_os(INSIDE).is_none() {
        let name = "capabilities::what_overlayfs_asks_for_is_not_needed";
        let inside = Command::new("unshare")
            .arg("--mount")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&inside.stdout).into_owned()
            + &String::from_utf8_lossy(&inside.stderr);
        assert!(inside.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
    let mount = "cd \"$1\" && mkdir lower upper merged && mount -t tmpfs none upper && \
                 mkdir upper/upper upper/work lower/own && echo x > lower/own/file && \
                 chown -R 33:33 lower/own && chmod -R go= lower/own && mount -t overlay none \
                 -o lowerdir=lower,upperdir=upper/upper,workdir=upper/work merged";
    let mounted = Command::new("sh")
        .args(["-c", mount, "sh"])
        .arg(base)
        .status();
    assert!(mounted.unwrap().success());
    let body = "DO(setresgid(33, 33, 33)); DO(setresuid(33, 33, 33));\n\
         int f = open(\"merged/own/file\", O_RDONLY); DO(f); DO(read(f, b, 99));\n\
         f = open(\"merged/own/file\", O_RDWR); DO(f); DO(write(f, \"y\", 1)); DO(fchmod(f, 0400));\n\
         DO(chdir(\"merged/own\")); DO(unlink(\"file\"));";
    let program = compile_in(base, body);
    let trace = learned(request(&[&program], base));
    fs::write(base.join("merged/known"), "x").unwrap();
    chown(base.join("merged/known"), Some(33), Some(33)).unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(base.join("merged/known"), mode).unwrap();
    let free = opened_often(
        base,
        "DO(setresgid(33, 33, 33)); DO(setresuid(33, 33, 33));",
    );
    let as_root = opened_often(base, "");
    for mounted in ["merged", "upper"] {
        let gone = Command::new("umount").arg(base.join(mounted)).status();
        assert!(gone.unwrap().success());
    }
    assert_complete(&trace);
    let expected = [(SETGID, "setresgid"), (SETUID, "setresuid")];
    let expected = expected.map(|(number, name)| (number, name.to_owned()));
    assert_eq!(needed(&trace), BTreeSet::from(expected), "{trace:#?}");
    assert_complete(&free);
    assert!(
        free.certificate.free.contains(&"openat".to_owned()),
        "{:?}",
        free.certificate
    );
    let with_root_s = free
        .capabilities
        .iter()
        .filter(|seen| !seen.refused && seen.user != 0);
    assert_eq!(with_root_s.count(), 0, "{:?}", free.capabilities);
    // Root has what overlayfs is asked for, so nothing tells whose question it was.
    assert_complete(&as_root);
    let mut needed = as_root.capabilities.iter().map(|seen| seen.capability);
    assert!(
        !needed.any(|capability| capability == SYS_ADMIN),
        "{as_root:#?}"
    );
    let repeated = &as_root.certificate.repeated;
    assert!(
        repeated.iter().any(|why| why.contains("overlayfs")),
        "{repeated:?}"
    );
}

/// A file of an overlayfs, so often that opening it does not stop in the second pass.
fn opened_often(base: &Path, becomes: &str) -> Trace {
    let body = format!(
        "{becomes} sleep(1);\n\
         for (int i = 0; i < 60; i++) {{ int f = open(\"{}\", O_RDONLY); DO(f);\n\
         DO(read(f, b, 99)); close(f); usleep(20000); }}",
        base.join("merged/known").display()
    );
    let program = compile_in(base, &body);
    let mut request = request(&[&program], base);
    request.ready = vec![Ready::Quiet(500)];
    request.passes = 2;
    request.exercises = vec![meanwhile("sleep 3")];
    learned(request)
}

/// A shell command as an exercise.
fn meanwhile(script: &str) -> Exercise {
    Exercise {
        name: "wait".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).into(),
        expect: 0,
        output: String::new(),
        phase: Phase::Serve,
        because: String::new(),
    }
}

/// Without the right to look, as by an ordinary user or on a kernel without the event.
#[test]
fn where_the_kernel_does_not_tell_it_is_known_by_rule() {
    let trace = std::thread::spawn(|| {
        let mut own = capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::SYS_ADMIN);
        own.permitted.remove(CapabilitySet::SYS_ADMIN);
        own.inheritable = CapabilitySet::empty();
        set_capabilities(None, own).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let program = compile_in(directory.path(), "DO(setresuid(33, 33, 33));");
        learned(request(&[&program], directory.path()))
    });
    let trace = trace.join().unwrap();
    assert_complete(&trace);
    assert_eq!(trace.certificate.capabilities, CapabilitySource::Rule);
    let why = &trace.certificate.by_rule;
    assert!(why.contains("mount tracefs"), "{why}");
    let [setuid] = trace.capabilities.as_slice() else {
        panic!("{:?}", trace.capabilities)
    };
    assert_eq!((setuid.capability, setuid.known), (SETUID, Known::Rule));
    let json = serde_json::to_value(&trace).unwrap();
    assert_eq!(json["certificate"]["capabilities"], "rule");
    assert_eq!(json["capabilities"][0]["known"], "rule");
}

/// A call that runs without a stop in the second pass is still seen to need a capability.
#[test]
fn the_second_pass_sees_what_a_free_call_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    // In the first run the file is the caller's own, in the second another's: the lease is taken
    // by fcntl, with the arguments that were seen before.
    let body = "int f = open(\"leased\", O_RDONLY); DO(f);\n\
         sleep(2); struct stat s; DO(fstat(f, &s));\n\
         for (int i = 0; i < 3; i++) { DO(fcntl(f, F_SETLEASE, F_RDLCK)); DO(fcntl(f, F_SETLEASE, F_UNLCK)); }\n";
    let program = compile_in(directory.path(), body);
    let leased = directory.path().join("leased");
    fs::write(&leased, "x").unwrap();
    let mut request = request(&[&program], directory.path());
    request.ready = vec![Ready::Quiet(700)];
    request.passes = 2;
    request.exercises = vec![meanwhile(&format!(
        "sleep 3; chown 99 {}",
        leased.display()
    ))];
    request.serve_for = Duration::from_millis(200);
    let trace = learned(request);
    assert_complete(&trace);
    assert_eq!(trace.certificate.passes, 2);
    assert!(trace.certificate.free.contains(&"fcntl".to_owned()));
    let lease: Vec<_> = trace
        .capabilities
        .iter()
        .filter(|seen| seen.capability == 28)
        .collect();
    assert_eq!(lease.len(), 1, "{:?}", trace.capabilities);
    assert_eq!(lease[0].call, "a call that did not stop");
}
