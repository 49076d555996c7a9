//! A jail's spec in the making.

/// What the C library of these programs calls from its start to its end.
pub const CALLS: &str = "\
    access arch_prctl brk capget chdir clock_nanosleep close connect bind accept dup2 \
    exit_group fcntl fstat getegid geteuid getgid getgroups getpid getppid getrandom \
    getresgid getresuid gettid getuid ioctl kill listen lseek mmap mprotect munmap \
    newfstatat open openat pause prctl pread64 prlimit64 read readlinkat rseq rt_sigaction \
    rt_sigprocmask rt_sigsuspend set_robust_list set_tid_address setsid setsockopt socket \
    tgkill umask wait4 write clone clone3 vfork execve";

/// What a test changes of it.
#[derive(Clone, Debug)]
pub struct Text {
    pub command: Vec<String>,
    pub user: String,
    pub group: String,
    /// More lines of `[service]`.
    pub service: String,
    /// Whole tables.
    pub tables: String,
    pub calls: Vec<&'static str>,
    /// Calls that end when it is ready.
    pub start_calls: Vec<&'static str>,
}

impl Text {
    pub fn render(&self, name: &str) -> String {
        let calls: String = self
            .calls
            .iter()
            .map(|call| format!("[[allow.calls]]\ncall = \"{call}\"\nbecause = \"a test\"\n"))
            .collect();
        let start: String = self
            .start_calls
            .iter()
            .map(|call| {
                format!(
                    "[[allow.calls]]\ncall = \"{call}\"\nphase = \"start\"\nbecause = \"a test\"\n"
                )
            })
            .collect();
        format!(
            "format = 1\nname = \"{name}\"\n[service]\ncommand = {:?}\nuser = \"{}\"\ngroup = \"{}\"\n{}\n{}\n{calls}{start}",
            self.command, self.user, self.group, self.service, self.tables
        )
    }
}
