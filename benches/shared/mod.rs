//! What the benchmarks share: places that go away again, measuring, tables, facts.

#![allow(dead_code, reason = "each benchmark uses its own part of this")]

pub mod named;

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How a benchmark ends early.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The release binary that is measured.
pub const GAOLER: &str = env!("CARGO_BIN_EXE_gaoler");

/// Calls that a jail's filter lets through here: those of a network service.
pub const CALLS: &str = "accept4 access arch_prctl bind brk capget capset chdir clock_gettime clock_nanosleep \
    clone clone3 close connect dup dup2 epoll_create1 epoll_ctl epoll_pwait epoll_wait \
    eventfd2 execve exit exit_group fchmod fchown fcntl fdatasync fstat fsync ftruncate \
    futex getcwd getdents64 getegid geteuid getgid getpeername getpid getrandom getrlimit \
    getsockname getsockopt gettid getuid ioctl kill listen lseek madvise mkdir mmap mprotect \
    mremap munmap nanosleep newfstatat open openat pipe2 poll ppoll prctl pread64 prlimit64 \
    pwrite64 read readlink recvfrom recvmmsg recvmsg rename restart_syscall rseq \
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity \
    sched_yield sendmmsg sendmsg sendto set_robust_list set_tid_address setsockopt shutdown \
    sigaltstack socket statfs statx sysinfo tgkill umask uname unlink unlinkat wait4 write \
    writev";

/// Set in the copy of a benchmark that runs in its own namespaces.
const INSIDE: &str = "GAOLER_BENCH_INSIDE";

/// Runs this benchmark again in new namespaces, so that what it mounts and binds is its own and
/// ends with it. `false`: this is that copy.
///
/// # Errors
/// The copy could not be started, or failed.
pub fn enter_namespaces(kinds: &[&str]) -> Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(false);
    }
    if !rustix::process::geteuid().is_root() {
        return Err("namespaces, mounts and jails need root: run it with sudo".into());
    }
    let status = Command::new("unshare")
        .args(kinds)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()?;
    if status.success() {
        return Ok(true);
    }
    Err(format!("the benchmark ended with {status}").into())
}

/// A directory tree for one benchmark, which is in its own mount namespace.
pub struct Place {
    /// Unmounted before the directory is removed: fields are dropped in this order.
    mounted: Mounted,
    directory: tempfile::TempDir,
}

/// A mount that goes away with this, also when the benchmark fails.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // It may not have been mounted yet; the mount namespace ends with the benchmark anyway.
        match rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH) {
            Ok(()) | Err(_) => {}
        }
    }
}

impl Place {
    /// With `etc`, `state`, and `run`, which is a tmpfs as `/run` is on a real machine.
    ///
    /// # Errors
    /// As `mkdir(2)` and `mount(2)`.
    pub fn new() -> Result<Self> {
        // jk_cp refuses a directory that others can write to, as /tmp.
        let directory = tempfile::Builder::new()
            .prefix("gaoler-bench-")
            .tempdir_in("/var/lib")?;
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        for name in ["etc", "state", "run"] {
            fs::create_dir(path.join(name))?;
        }
        let place = Self {
            mounted: Mounted(path.join("run")),
            directory,
        };
        // Where no syslog runs, a jail's messages go to a file in /var/log: the host's is spared.
        for over in [place.mounted.0.as_path(), Path::new("/var/log")] {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"]);
            checked(mount.arg(over))?;
        }
        Ok(place)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `gaoler` with this place's directories.
    pub fn gaoler(&self) -> Command {
        self.gaoler_with(&self.path().join("state"))
    }

    /// The same with another state directory.
    pub fn gaoler_with(&self, state: &Path) -> Command {
        let mut command = Command::new(GAOLER);
        command.arg("--etc").arg(self.path().join("etc"));
        command.arg("--state").arg(state);
        command.arg("--run").arg(self.path().join("run"));
        command
    }

    /// Writes a spec and builds its tree.
    ///
    /// # Errors
    /// What gaoler says.
    pub fn build(&self, name: &str, spec: &str) -> Result<()> {
        fs::write(self.path().join("etc").join(format!("{name}.toml")), spec)?;
        checked(self.gaoler().args(["build", name])).map(drop)
    }

    /// The directory of the jail's first generation.
    pub fn generation(&self, name: &str) -> PathBuf {
        self.path().join("state").join(name).join("generations/1")
    }

    /// Unmounts and removes everything.
    ///
    /// # Errors
    /// Something is still in use.
    pub fn remove(self) -> Result<()> {
        let Self { mounted, directory } = self;
        drop(mounted);
        Ok(directory.close()?)
    }
}

/// Runs a command that must succeed.
///
/// # Errors
/// It cannot be started or it fails: with what it said.
pub fn checked(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_os_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said.lines().rev().take(4).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!(
        "{}: {}: {}",
        program.display(),
        output.status,
        last.join(" / ")
    )
    .into())
}

/// Where a program is, if it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&own)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// From just before the process is made until it has been reaped, by CLOCK_MONOTONIC. The
/// standard library uses `posix_spawn(3)`, which copies no page tables (CLONE_VM | CLONE_VFORK).
///
/// # Errors
/// It cannot be started or does not succeed.
pub fn time(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status = command.status()?;
    let took = begun.elapsed();
    if status.success() {
        return Ok(took);
    }
    // Once more, for what it says.
    checked(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    Err(format!("it ended with {status} once, and not when it was run again").into())
}

/// One thing that is compared.
pub struct Contender<'a> {
    /// As the table calls it.
    pub name: String,
    /// One run of it, timed; or why it takes no part.
    pub run: std::result::Result<Run<'a>, String>,
    /// The times, in microseconds.
    pub times: Vec<f64>,
}

/// One timed run.
pub type Run<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

impl<'a> Contender<'a> {
    /// Something that is there.
    pub fn new(name: &str, run: impl FnMut() -> Result<Duration> + 'a) -> Self {
        Self {
            name: name.into(),
            run: Ok(Box::new(run)),
            times: Vec::new(),
        }
    }

    /// The same for a program that may not be installed.
    pub fn of(program: &str, name: &str, run: impl FnMut() -> Result<Duration> + 'a) -> Self {
        let mut contender = Self::new(name, run);
        if installed(program).is_none() {
            contender.run = Err("not installed".into());
        }
        contender
    }

    /// The median, in microseconds.
    pub fn median(&self) -> Option<f64> {
        (!self.times.is_empty()).then(|| quantile(&self.times, 0.5))
    }
}

/// Runs all contenders in turn, each round beginning with another one, so that whatever slows
/// the machine down for a while slows all of them down. The first runs are not counted.
pub fn race(contenders: &mut [Contender<'_>], rounds: usize) {
    const WARM_UP: usize = 3;
    let count = contenders.len();
    for round in 0..rounds + WARM_UP {
        for turn in 0..count {
            let Some(contender) = contenders.get_mut((round + turn) % count) else {
                continue;
            };
            let Ok(run) = &mut contender.run else {
                continue;
            };
            match run() {
                Ok(took) if round >= WARM_UP => contender.times.push(took.as_secs_f64() * 1e6),
                Ok(_) => {}
                Err(error) => contender.run = Err(error.to_string()),
            }
        }
    }
}

/// Writes the table: median, the middle half of all runs, and the ratios to `bases`.
///
/// # Errors
/// As `write(2)`.
pub fn table(contenders: &[Contender<'_>], bases: &[(&str, &str)]) -> Result<()> {
    let widest = contenders.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:widest$}  {:>10}  {:>19}",
        "", "median us", "middle half us"
    );
    for (_, title) in bases {
        text += &format!("  {title:>12}");
    }
    text.push('\n');
    for contender in contenders {
        text += &format!("{:widest$}", contender.name);
        match (&contender.run, contender.median()) {
            (Ok(_), Some(median)) => {
                let quarter = |q| quantile(&contender.times, q);
                let middle = format!("{:.0}..{:.0}", quarter(0.25), quarter(0.75));
                text += &format!("  {median:>10.0}  {middle:>19}");
                for (base, _) in bases {
                    let base = contenders.iter().find(|c| c.name == *base);
                    text += &match base.and_then(Contender::median) {
                        Some(base) => format!("  {:>12.2}", median / base),
                        None => format!("  {:>12}", "-"),
                    };
                }
            }
            (Err(why), _) => text += &format!("  {why}"),
            (Ok(_), None) => text += "  no run",
        }
        text.push('\n');
    }
    say(&text)
}

/// The value below which the part `q` of all values lies.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let index = (q * last as f64).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// One requirement and how it stands. Benchmarks report; they do not fail because a machine is
/// busy.
///
/// # Errors
/// As `write(2)`.
pub fn requirement(text: &str, value: Option<f64>, holds: impl Fn(f64) -> bool) -> Result<()> {
    let verdict = match value {
        Some(value) if holds(value) => format!("{value:.2}  met"),
        Some(value) => format!("{value:.2}  NOT MET"),
        None => "not measured".into(),
    };
    say(&format!("requirement: {text}: {verdict}\n"))
}

/// The ratio of two contenders' medians.
pub fn ratio(contenders: &[Contender<'_>], name: &str, base: &str) -> Option<f64> {
    let median = |name: &str| contenders.iter().find(|c| c.name == name)?.median();
    Some(median(name)? / median(base)?)
}

/// Kernel, processors, and what each program says is its version.
///
/// # Errors
/// As `write(2)`.
pub fn facts(programs: &[&[&str]]) -> Result<()> {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let mut text = format!(
        "Linux {} {}, {cores} x {model}\n",
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
    );
    for words in programs {
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        text += &match installed(program) {
            Some(path) => format!("  {program}: {}\n", version(&path, arguments)),
            None => format!("  {program}: not installed\n"),
        };
    }
    text.push('\n');
    say(&text)
}

fn version(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return "does not start".into();
    };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said)
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("says no version")
        .trim()
        .to_owned()
}

/// Writes to standard output.
///
/// # Errors
/// As `write(2)`.
pub fn say(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// The first argument that is a number: how many rounds. `cargo bench` adds `--bench`.
pub fn rounds(default: usize) -> usize {
    std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(default)
}

/// Compiles one static C program.
///
/// # Errors
/// There is no compiler, or it refuses.
pub fn compile(source: &Path, program: &Path) -> Result<()> {
    compile_with(&[], source, program)
}

/// The same with more options.
///
/// # Errors
/// There is no compiler, or it refuses.
pub fn compile_with(options: &[&str], source: &Path, program: &Path) -> Result<()> {
    let mut command = Command::new("gcc");
    command.args(["-static", "-O2", "-Wall", "-Werror"]);
    command.args(options).arg("-o");
    checked(command.args([program.as_os_str(), source.as_os_str()])).map(drop)
}

/// A command without standard streams of its own.
pub fn quiet(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The account that services run as here: one that any Debian has and that is nobody's own.
pub struct Account {
    /// User and group name.
    pub name: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Account {
    /// `bind` where BIND is installed, else `www-data`.
    ///
    /// # Errors
    /// Neither is there.
    pub fn find() -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd")?;
        for wanted in ["bind", "www-data"] {
            for line in passwd.lines() {
                let mut fields = line.split(':');
                let name = fields.next().unwrap_or_default();
                let (uid, gid) = (fields.nth(1), fields.next());
                if let (true, Some(uid), Some(gid)) = (name == wanted, uid, gid) {
                    return Ok(Self {
                        name: name.to_owned(),
                        uid: uid.parse()?,
                        gid: gid.parse()?,
                    });
                }
            }
        }
        Err("neither the user bind nor www-data is on this machine".into())
    }
}

/// The spec of a jail with all layers; a `[tree]` may follow.
pub fn spec_of(name: &str, command: &[String], account: &Account, workdir: &str) -> String {
    let because = "because = \"a benchmark\"";
    let calls: String = CALLS
        .split_whitespace()
        .map(|call| format!("  {{ call = {call:?}, {because} }},\n"))
        .collect();
    let families: String = ["inet", "inet6", "netlink", "unix"]
        .map(|family| format!("  {{ family = {family:?}, {because} }},\n"))
        .concat();
    let port = named::PORT;
    let ports: String = ["tcp", "udp"]
        .map(|protocol| {
            format!(
                "  {{ direction = \"bind\", protocol = {protocol:?}, port = {port}, {because} }},\n"
            )
        })
        .concat();
    format!(
        "format = 1\nname = {name:?}\n\
         [service]\ncommand = {command:?}\nuser = {user:?}\ngroup = {user:?}\n\
         workdir = {workdir}\n\
         [allow]\ncalls = [\n{calls}]\nfamilies = [\n{families}]\nports = [\n{ports}]\n\
         [limits]\ncore_bytes = 0\n",
        user = account.name,
    )
}
