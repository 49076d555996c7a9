//! What `/proc/PID` says about one process (`proc_pid_status(5)`, `proc_pid_stat(5)`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{Doing, Error, Result};

/// Clock ticks a second, in what Linux tells user space (`USER_HZ`).
pub const TICKS_PER_SECOND: u64 = 100;

/// The credentials and confinement of a process or thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its name, at most 15 bytes; chosen by the process itself.
    pub name: String,
    /// `R`, `S`, `Z`…
    pub state: char,
    /// Parent's pid.
    pub parent: i32,
    /// Who traces it (`ptrace(2)`); 0 if nobody does, or nobody whom this process could see.
    pub tracer: i32,
    /// Real, effective, saved and file system uid.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system gid.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable capabilities.
    pub inheritable: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
    /// Bounding set.
    pub bounding: u64,
    /// Ambient capabilities.
    pub ambient: u64,
    /// no_new_privs is set.
    pub no_new_privs: bool,
    /// Seccomp mode: 0 none, 1 strict, 2 filter.
    pub seccomp: u32,
    /// How many filters.
    pub filters: u32,
    /// Pids from the outermost to the innermost pid namespace.
    pub pids: Vec<i32>,
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// How much of that is of files or shared, KiB.
    pub shared_kib: u64,
    /// Threads.
    pub threads: u32,
}

/// Reads `/proc/PID/status`.
///
/// # Errors
/// The process has ended.
pub fn status(pid: i32) -> Result<Status> {
    Ok(parse_status(&text(pid, "status")?))
}

/// Larger than most of what is read here: one call reads it, where `fs::read` takes several, because
/// such a file has no size.
const ROOM: usize = 4096;

/// A file below `/proc/PID`. A name in it may hold any bytes.
fn text(pid: i32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    let doing = || format!("read {path}");
    let mut bytes = Vec::with_capacity(ROOM);
    let file = fs::File::open(&path).doing(doing)?;
    file.take(u64::MAX).read_to_end(&mut bytes).doing(doing)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn parse_status(text: &str) -> Status {
    let fields: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or("");
    let number = |name: &str| {
        field(name)
            .split(' ')
            .next()
            .unwrap_or("")
            .parse()
            .unwrap_or(0)
    };
    let bits = |name: &str| u64::from_str_radix(field(name), 16).unwrap_or(0);
    let list = |name: &str| -> Vec<u32> {
        field(name)
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let four = |name: &str| <[u32; 4]>::try_from(list(name)).unwrap_or_default();
    Status {
        name: field("Name").to_owned(),
        state: field("State").chars().next().unwrap_or('?'),
        parent: field("PPid").parse().unwrap_or(0),
        tracer: field("TracerPid").parse().unwrap_or(0),
        uids: four("Uid"),
        gids: four("Gid"),
        groups: list("Groups"),
        inheritable: bits("CapInh"),
        permitted: bits("CapPrm"),
        effective: bits("CapEff"),
        bounding: bits("CapBnd"),
        ambient: bits("CapAmb"),
        no_new_privs: field("NoNewPrivs") == "1",
        seccomp: u32::try_from(number("Seccomp")).unwrap_or(0),
        filters: u32::try_from(number("Seccomp_filters")).unwrap_or(0),
        pids: field("NSpid")
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
        resident_kib: number("VmRSS"),
        shared_kib: number("RssFile").saturating_add(number("RssShmem")),
        threads: u32::try_from(number("Threads")).unwrap_or(0),
    }
}

/// When the process started, in clock ticks since boot: with the pid this names one process
/// for good, however pids are reused.
///
/// # Errors
/// The process has ended.
pub fn start_time(pid: i32) -> Result<u64> {
    stat_field(pid, 22)
}

/// The inode number of a pidfd of the process. From Linux 6.9 on each process has one of its own,
/// which nobody gets again until the machine is restarted (pidfs); before, all have the same.
///
/// # Errors
/// The process has ended.
pub fn handle_number(pid: i32) -> Result<u64> {
    let doing = || format!("find the process {pid}");
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::new(doing(), "it is no process id"))?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).doing(doing)?;
    Ok(rustix::fs::fstat(handle).doing(doing)?.st_ino)
}

/// How long the process has computed, in clock ticks (100 a second), for itself and in the kernel;
/// 0 if it has ended.
pub fn cpu_ticks(pid: i32) -> u64 {
    let [user, system] = [14, 15].map(|field| stat_field(pid, field).unwrap_or(0));
    user.saturating_add(system)
}

/// How long the threads of a process have run or waited for a processor, in µs; 0 if it has ended.
/// Unlike what it has computed, this grows alike on a machine that has other things to do
/// (`/proc/PID/task/TID/schedstat`, sched-stats.rst of the kernel).
pub fn runnable_us(pid: i32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let of_each = tasks.into_iter().flatten().flatten().map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let figures = text.split_ascii_whitespace().take(2);
        let nanoseconds = figures.filter_map(|figure| figure.parse::<u64>().ok());
        nanoseconds.sum::<u64>() / 1000
    });
    // A kernel without them writes zeros.
    match of_each.sum() {
        0 => cpu_ticks(pid).saturating_mul(1_000_000 / TICKS_PER_SECOND),
        sum => sum,
    }
}

/// Whether a thread of a process runs, waits for a processor, or waits for a disk: states `R` and `D` of
/// `proc_pid_stat(5)`.
pub fn has_work(pid: i32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let mut tasks = tasks.into_iter().flatten().flatten();
    tasks.any(|task| {
        let text = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The name before it can have anything in it.
        let state = text
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        matches!(state, Some('R' | 'D'))
    })
}

/// What a process has taken, from one read of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// `R`, `S`, `Z`…
    pub state: char,
    /// Parent's pid.
    pub parent: i32,
    /// How long it has computed, for itself and in the kernel, in clock ticks.
    pub cpu_ticks: u64,
    /// Threads.
    pub threads: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// Reads them.
///
/// # Errors
/// The process has ended.
pub fn figures(pid: i32) -> Result<Figures> {
    parse_figures(&text(pid, "stat")?).ok_or_else(|| {
        Error::new(
            format!("read /proc/{pid}/stat"),
            "it is not as proc_pid_stat(5) has it",
        )
    })
}

/// The name in parentheses may hold anything, so fields are counted from the last ')'.
fn parse_figures(text: &str) -> Option<Figures> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The third of the manual is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Figures {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(14)?.saturating_add(number(15)?),
        threads: u32::try_from(number(20)?).unwrap_or(u32::MAX),
        start_time: number(22)?,
    })
}

/// One of the numbers of `/proc/PID/stat`, counted as `proc_pid_stat(5)` does, from the third on.
fn stat_field(pid: i32, field: usize) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = text(pid, "stat")?;
    // The name in parentheses may hold anything, so fields are counted from the last ')'.
    text.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(field.checked_sub(3)?))
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Error::new(format!("read {path}"), format!("it has no field {field}")))
}

/// Whole seconds since `start_time` (clock ticks since boot).
///
/// # Errors
/// `/proc/uptime` not readable.
pub fn uptime_s(start_time: u64) -> Result<u64> {
    let text = fs::read_to_string("/proc/uptime").doing(|| "read /proc/uptime")?;
    let seconds = text
        .split('.')
        .next()
        .and_then(|field| field.parse::<u64>().ok())
        .unwrap_or(0);
    Ok(seconds.saturating_sub(start_time / TICKS_PER_SECOND))
}

/// When the machine was started, in seconds since 1970 (`btime` of `proc_stat(5)`); `None` if
/// that is not readable.
pub fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let mut lines = text.lines();
    let time = lines.find_map(|line| line.strip_prefix("btime "))?;
    time.trim().parse().ok()
}

/// The inode of a namespace of the process: `pid`, `mnt`, `net`, `ipc`, `uts`, `user`.
///
/// # Errors
/// The process has ended, or belongs to somebody else.
pub fn namespace(pid: i32, kind: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let doing = || format!("look at {path}");
    // As `pid:[4026531836]`: without opening it.
    let link = fs::read_link(&path).doing(doing)?;
    let number = link.to_str().and_then(|link| {
        let (_, number) = link.strip_suffix(']')?.split_once(":[")?;
        number.parse().ok()
    });
    number.ok_or_else(|| Error::new(doing(), "it is not as namespaces(7) has it"))
}

/// The effective user: who owns `/proc/PID`, the directory itself, whether the process can be dumped or
/// not (`task_dump_owner` in the kernel's fs/proc/base.c). Much less work for the kernel than the whole
/// status.
///
/// # Errors
/// The process has ended.
pub fn effective_user(pid: i32) -> Result<u32> {
    let path = format!("/proc/{pid}");
    let stat = rustix::fs::stat(path.as_str()).doing(|| format!("look at {path}"))?;
    Ok(stat.st_uid)
}

/// Every process id in `/proc`.
///
/// # Errors
/// `/proc` not readable.
pub fn all() -> Result<Vec<i32>> {
    let entries = fs::read_dir("/proc").doing(|| "list /proc")?;
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The processes in the same pid namespace as `pid`, it included. One without a pid namespace
/// of its own: `pid` and its descendants.
///
/// # Errors
/// `/proc` not readable, or `pid` has ended.
pub fn companions(pid: i32) -> Result<Vec<i32>> {
    let own = namespace(pid, "pid")?;
    if own != namespace(std::process::id().cast_signed(), "pid")? {
        let same = |other: &i32| namespace(*other, "pid").is_ok_and(|found| found == own);
        return Ok(all()?.into_iter().filter(same).collect());
    }
    let parents: Vec<(i32, i32)> = all()?
        .into_iter()
        .filter_map(|pid| Some((pid, status(pid).ok()?.parent)))
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == member)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(family)
}

/// As many descendants are followed: a jail may fork as fast as it is looked at.
const MOST_DESCENDANTS: usize = 4096;

/// `pid` and the processes that descend from it, without a look at those of the whole machine
/// (`/proc/PID/task/TID/children`, `proc_tid_children(5)`). In a pid namespace with the first process
/// `pid` those are all that were not put into it from outside. One may be missing while others end;
/// a kernel without that file shows `pid` alone, and of more than 4096 the rest is left out.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&member) = family.get(next)
        && family.len() < MOST_DESCENDANTS
    {
        let tasks = fs::read_dir(format!("/proc/{member}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            family.extend(
                text.split_ascii_whitespace()
                    .filter_map(|word| word.parse::<i32>().ok()),
            );
        }
        next += 1;
    }
    family
}

/// What the kernel calls a thread (`comm` of proc(5)): its own choice, so nothing to rely on.
pub fn command_name(thread: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{thread}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// The program that the process runs, as the kernel names it. ` (deleted)` at the end means
/// that the file was replaced.
pub fn executable(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The arguments of the process; what it says about itself.
pub fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The longest command line that is shown, bytes.
const LONGEST_COMMAND: u64 = 4096;

/// The beginning of the command line, its words apart by blanks; of a process that has none, as the
/// kernel's own and those that have ended, the name in brackets. What it says about itself.
pub fn command_text(pid: i32) -> Option<String> {
    let mut bytes = Vec::with_capacity(ROOM);
    let file = fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(LONGEST_COMMAND).read_to_end(&mut bytes).ok()?;
    let words = bytes.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    match words.is_empty() {
        true => Some(format!("[{}]", command_name(pid)?)),
        false => Some(words.join(" ")),
    }
}

/// How many descriptors the process has open; `None` if it has ended or is somebody else's.
pub fn count_of_descriptors(pid: i32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Device and inode of the process's root directory: compared with the tree's, as the second
/// document does with fstat and `ls -ldi`.
///
/// # Errors
/// The process has ended.
pub fn root(pid: i32) -> Result<(u64, u64)> {
    place(pid, "root")
}

/// Device and inode of the process's working directory.
///
/// # Errors
/// The process has ended.
pub fn working_directory(pid: i32) -> Result<(u64, u64)> {
    place(pid, "cwd")
}

fn place(pid: i32, which: &str) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/{which}");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::open(Path::new(&path), flags, Mode::empty())
        .doing(|| format!("open {path}"))?;
    let stat = rustix::fs::fstat(&found).doing(|| format!("look at {path}"))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The open descriptors of a process: number and what it leads to, in the kernel's words.
///
/// # Errors
/// The process has ended.
pub fn descriptors(pid: i32) -> Result<Vec<(u32, String)>> {
    let path = format!("/proc/{pid}/fd");
    let mut found: Vec<(u32, String)> = fs::read_dir(&path)
        .doing(|| format!("list {path}"))?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_has_no_work() {
        assert!(has_work(std::process::id().cast_signed()));
        let mut waits = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = waits.id().cast_signed();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while has_work(pid) || !command_line(pid).contains(&"60".to_owned()) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        waits.kill().unwrap();
        waits.wait().unwrap();
        assert!(!has_work(pid));
    }

    #[test]
    fn a_status_is_read_in_all_forms() {
        let text = "Name:\tnamed\nState:\tS (sleeping)\nPPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
                    Groups:\t5 9 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000400\n\
                    CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\nCapAmb:\t0000000000000400\n\
                    NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\nNSpid:\t812\t2\nVmRSS:\t 1234 kB\nThreads:\t5\n";
        let status = parse_status(text);
        assert_eq!(status.uids, [1, 2, 3, 4]);
        assert_eq!(status.gids, [5, 6, 7, 8]);
        assert_eq!(status.groups, [5, 9]);
        assert_eq!(status.bounding, 1 << 10);
        assert!(status.no_new_privs);
        assert_eq!((status.seccomp, status.filters), (2, 1));
        assert_eq!(status.pids, [812, 2]);
        assert_eq!(status.resident_kib, 1234);
    }

    #[test]
    fn a_name_that_looks_like_fields_shifts_none() {
        let text = "7 (a) S 1 (b) R 3 7 7 0 -1 4194560 1 0 0 0 21 4 0 0 20 0 9 0 4711 1 2 3";
        let figures = Figures {
            state: 'R',
            parent: 3,
            cpu_ticks: 25,
            threads: 9,
            start_time: 4711,
        };
        assert_eq!(parse_figures(text), Some(figures));
        assert_eq!(parse_figures("7 (a) S 1"), None);
        assert_eq!(parse_figures(""), None);
        let own = super::figures(std::process::id().cast_signed()).unwrap();
        assert_eq!(
            own.parent,
            std::os::unix::process::parent_id().cast_signed()
        );
    }

    #[test]
    fn whom_a_process_has_started_descends_from_it_and_nobody_else_does() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = shell.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let (first, second) = (shell.id().cast_signed(), line.trim().parse().unwrap());
        assert_eq!(descendants(first), [first, second]);
        assert_eq!(descendants(second), [second]);
        let second = Pid::from_raw(second).unwrap();
        rustix::process::kill_process(second, rustix::process::Signal::KILL).unwrap();
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn namespace_and_user_are_as_the_files_say() {
        let own = std::process::id().cast_signed();
        let found = fs::metadata(format!("/proc/{own}/ns/pid")).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        assert_eq!(namespace(own, "pid").unwrap(), inode);
        assert!(namespace(own, "none").is_err());
        assert_eq!(effective_user(own).unwrap(), status(own).unwrap().uids[1]);
    }

    #[test]
    fn this_process_is_its_own_companion() {
        let own = std::process::id().cast_signed();
        assert!(companions(own).expect("proc is there").contains(&own));
        assert_eq!(descendants(own).first(), Some(&own));
        assert!(start_time(own).expect("it runs") > 0);
    }
}
