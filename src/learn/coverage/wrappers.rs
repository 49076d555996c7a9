//! Which system call a function of the C library makes. By far not all of them, and by far not
//! always the only one: good for a hint (glibc 2.36; the man page of each).

use crate::sys::calls;

/// Functions whose name is not that of their call.
const WRAPPERS: [(&str, &str); 79] = [
    ("_exit", "exit_group"),
    ("abort", "tgkill"),
    ("adjtime", "clock_adjtime"),
    ("arc4random", "getrandom"),
    ("creat", "openat"),
    ("daemon", "setsid"),
    ("dlmopen", "openat"),
    ("dlopen", "openat"),
    ("eaccess", "faccessat2"),
    ("euidaccess", "faccessat2"),
    ("execl", "execve"),
    ("execle", "execve"),
    ("execlp", "execve"),
    ("execv", "execve"),
    ("execvp", "execve"),
    ("execvpe", "execve"),
    ("fdopendir", "getdents64"),
    ("fexecve", "execveat"),
    ("fopen", "openat"),
    ("freopen", "openat"),
    ("fstatvfs", "fstatfs"),
    ("fts_read", "getdents64"),
    ("ftw", "getdents64"),
    ("futimens", "utimensat"),
    ("getentropy", "getrandom"),
    ("gethostname", "uname"),
    ("getifaddrs", "recvmsg"),
    ("getpgrp", "getpgid"),
    ("glob", "getdents64"),
    ("grantpt", "ioctl"),
    ("if_nametoindex", "ioctl"),
    ("initgroups", "setgroups"),
    ("isatty", "ioctl"),
    ("killpg", "kill"),
    ("lockf", "fcntl"),
    ("mkdtemp", "mkdir"),
    ("mkfifo", "mknodat"),
    ("mkostemp", "openat"),
    ("mkstemp", "openat"),
    ("nftw", "getdents64"),
    ("nice", "setpriority"),
    ("opendir", "openat"),
    ("popen", "execve"),
    ("posix_fadvise", "fadvise64"),
    ("posix_fallocate", "fallocate"),
    ("posix_spawn", "execve"),
    ("posix_spawnp", "execve"),
    ("pthread_create", "clone3"),
    ("pthread_kill", "tgkill"),
    ("pthread_setaffinity_np", "sched_setaffinity"),
    ("pthread_setname_np", "prctl"),
    ("pthread_sigmask", "rt_sigprocmask"),
    ("raise", "tgkill"),
    ("readdir", "getdents64"),
    ("recv", "recvfrom"),
    ("remove", "unlink"),
    ("scandir", "getdents64"),
    ("send", "sendto"),
    ("setegid", "setresgid"),
    ("seteuid", "setresuid"),
    ("setpgrp", "setpgid"),
    ("shm_open", "openat"),
    ("shm_unlink", "unlink"),
    ("sigaction", "rt_sigaction"),
    ("signal", "rt_sigaction"),
    ("sigprocmask", "rt_sigprocmask"),
    ("sigsuspend", "rt_sigsuspend"),
    ("sigwait", "rt_sigtimedwait"),
    ("sleep", "clock_nanosleep"),
    ("statvfs", "statfs"),
    // Not the call of that name, which reads the kernel's log.
    ("syslog", "sendto"),
    ("system", "execve"),
    ("tcgetattr", "ioctl"),
    ("tcsetattr", "ioctl"),
    ("tmpfile", "openat"),
    ("usleep", "clock_nanosleep"),
    ("vsyslog", "sendto"),
    ("wait", "wait4"),
    ("waitpid", "wait4"),
];

/// Calls of which the C library takes one for another, by its version and the architecture.
const FAMILIES: [&[&str]; 30] = [
    &["accept", "accept4"],
    &["access", "faccessat", "faccessat2"],
    &["chmod", "fchmodat", "fchmodat2"],
    &["chown", "lchown", "fchownat"],
    &["adjtimex", "clock_adjtime"],
    &["clone", "clone3", "fork", "vfork"],
    &["creat", "open", "openat", "openat2"],
    &["dup2", "dup3"],
    &["epoll_create", "epoll_create1"],
    &["epoll_pwait", "epoll_pwait2", "epoll_wait"],
    &["eventfd", "eventfd2"],
    &["execve", "execveat"],
    &["exit", "exit_group"],
    &["fstat", "lstat", "newfstatat", "stat", "statx"],
    &["getdents", "getdents64"],
    &["getrlimit", "prlimit64", "setrlimit"],
    &["inotify_init", "inotify_init1"],
    &["link", "linkat"],
    &["mkdir", "mkdirat"],
    &["mknod", "mknodat"],
    &["clock_nanosleep", "nanosleep"],
    &["pipe", "pipe2"],
    &["poll", "ppoll"],
    &["pselect6", "select"],
    &["readlink", "readlinkat"],
    &["rename", "renameat", "renameat2"],
    &["rmdir", "unlink", "unlinkat"],
    &["signalfd", "signalfd4"],
    &["symlink", "symlinkat"],
    &["futimesat", "utime", "utimensat", "utimes"],
];

/// What vdso(7) answers without a call on the usual clocks.
const WITHOUT_A_CALL: [&str; 4] = ["clock_gettime", "getcpu", "gettimeofday", "time"];

/// The call that a function of the C library makes, if its name tells.
pub(super) fn call_of(symbol: &str) -> Option<&'static str> {
    // The checked and the large-file forms make the same calls.
    let plain = symbol.strip_prefix("__").unwrap_or(symbol);
    let plain = plain.strip_suffix("_chk").unwrap_or(plain);
    let found = named(plain).or_else(|| named(plain.strip_suffix("64")?));
    found.filter(|call| !WITHOUT_A_CALL.contains(call))
}

fn named(name: &str) -> Option<&'static str> {
    let listed = WRAPPERS.iter().find(|(symbol, _)| *symbol == name);
    let listed = listed.map(|(_, call)| *call);
    listed.or_else(|| calls::number(name).and_then(calls::name))
}

/// The call itself, and those that may stand in for it.
pub(super) fn alternatives(call: &'static str) -> impl Iterator<Item = &'static str> {
    let family = FAMILIES.iter().find(|family| family.contains(&call));
    let others = family.copied().unwrap_or_default().iter().copied();
    std::iter::once(call).chain(others)
}
