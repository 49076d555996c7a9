//! What `/proc` says of a stopped thread (`proc(5)`).

use std::fs;
use std::path::PathBuf;

use super::capabilities::Credentials;
use super::trace::Place;

/// The host's path of its root directory; `/` if it cannot be told.
pub fn root(tid: i32) -> PathBuf {
    link(tid, "root").unwrap_or_else(|| PathBuf::from("/"))
}

/// The host's path of its working directory; `/` if it cannot be told.
pub fn working_directory(tid: i32) -> PathBuf {
    link(tid, "cwd").unwrap_or_else(|| PathBuf::from("/"))
}

/// The host's path of the file that it runs.
pub fn executable(tid: i32) -> Option<PathBuf> {
    link(tid, "exe")
}

/// The host's path of an open file; `None` if the descriptor is not of a file with a path.
pub fn open_file(tid: i32, descriptor: i32) -> Option<PathBuf> {
    let path = link(tid, &format!("fd/{descriptor}"))?;
    (path.is_absolute() && !path.starts_with("/memfd:")).then_some(path)
}

/// The process that a thread belongs to.
pub fn process_of(tid: i32) -> Option<i32> {
    field(&status(tid)?, "Tgid:")?
        .first()
        .and_then(|id| i32::try_from(*id).ok())
}

/// The process that made this one, or that took it in.
pub fn parent_of(process: i32) -> Option<i32> {
    field(&status(process)?, "PPid:")?
        .first()
        .and_then(|id| i32::try_from(*id).ok())
}

/// How many seccomp filters a thread has (Linux 5.9), 0 being the caller; 0 if that cannot be told.
pub fn filters(tid: i32) -> u32 {
    let status = if tid == 0 {
        fs::read_to_string("/proc/thread-self/status").ok()
    } else {
        status(tid)
    };
    let filters = status.and_then(|status| field(&status, "Seccomp_filters:"));
    filters
        .and_then(|count| count.first().copied())
        .unwrap_or(0)
}

/// Whether this thread's service may have a filter: an ordinary user's has `no_new_privs`, and
/// root's needs `CAP_SYS_ADMIN`, since it is not to lose what it can do.
pub fn may_filter() -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    /// `CAP_SYS_ADMIN` of `linux/capability.h`.
    const SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    effective(&status).is_some_and(|effective| effective >> SYS_ADMIN & 1 == 1)
}

/// Whether a thread has a capability (`capabilities(7)`); `None` if that cannot be told.
pub fn has_capability(tid: i32, capability: u8) -> Option<bool> {
    effective(&status(tid)?).map(|effective| effective >> (capability & 63) & 1 == 1)
}

fn effective(status: &str) -> Option<u64> {
    let word = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(word.trim(), 16).ok()
}

/// The ids of a thread.
pub fn credentials(tid: i32) -> Option<Credentials> {
    parse_credentials(&status(tid)?)
}

/// The soft and hard limit of a resource, in the order of `getrlimit(2)`'s `RLIMIT_` numbers.
pub fn limits(tid: i32, resource: u32) -> Option<(u64, u64)> {
    parse_limits(
        &fs::read_to_string(format!("/proc/{tid}/limits")).ok()?,
        resource,
    )
}

/// The nice value of a thread.
pub fn nice(tid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the nice value is the 19th field, the state
    // after the name being the third.
    stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok()
}

/// What is mapped at an address of a thread's memory; `None` if nothing is.
pub fn place(tid: i32, address: u64) -> Option<Place> {
    let maps = fs::read(format!("/proc/{tid}/maps")).ok()?;
    parse_place(&String::from_utf8_lossy(&maps), address)
}

/// What a thread calls itself; empty if it has ended.
pub fn thread_name(tid: i32) -> String {
    let name = fs::read(format!("/proc/{tid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// What a thread has open as this descriptor, by the path that its own mounts have for it; `None` if
/// that is no file.
pub fn descriptor(tid: i32, number: u64) -> Option<PathBuf> {
    let link = format!("/proc/{tid}/fd/{}", i32::try_from(number).ok()?);
    fs::read_link(link).ok().filter(|path| path.is_absolute())
}

/// The first port that everybody may bind: `net.ipv4.ip_unprivileged_port_start`.
pub fn first_free_port() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// The kernel's release.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A line is `START-END MODE OFFSET DEVICE INODE NAME`, in hexadecimal (`proc(5)`).
fn parse_place(maps: &str, address: u64) -> Option<Place> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
        if !(start..end).contains(&address) {
            return None;
        }
        let begins = hexadecimal(rest.split(' ').nth(1)?)?;
        let name = rest.find('/').and_then(|at| rest.get(at..));
        Some(Place {
            address,
            file: PathBuf::from(name.unwrap_or_default()),
            offset: begins.checked_add(address - start)?,
        })
    })
}

fn link(tid: i32, name: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{tid}/{name}")).ok()
}

fn status(tid: i32) -> Option<String> {
    // The command's name may hold any bytes.
    let bytes = fs::read(format!("/proc/{tid}/status")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn field(status: &str, name: &str) -> Option<Vec<u32>> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

fn parse_credentials(status: &str) -> Option<Credentials> {
    Some(Credentials {
        uids: field(status, "Uid:")?.try_into().ok()?,
        gids: field(status, "Gid:")?.try_into().ok()?,
        groups: field(status, "Groups:")?,
    })
}

fn parse_limits(text: &str, resource: u32) -> Option<(u64, u64)> {
    const NAMES: [&str; 16] = [
        "Max cpu time",
        "Max file size",
        "Max data size",
        "Max stack size",
        "Max core file size",
        "Max resident set",
        "Max processes",
        "Max open files",
        "Max locked memory",
        "Max address space",
        "Max file locks",
        "Max pending signals",
        "Max msgqueue size",
        "Max nice priority",
        "Max realtime priority",
        "Max realtime timeout",
    ];
    let name = NAMES.get(usize::try_from(resource).ok()?)?;
    let mut words = text
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace();
    let mut number = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        word => word.parse().ok(),
    };
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_limits_are_read() {
        let status = "Name:\tx\nTgid:\t7\nUid:\t0\t1\t2\t3\nGid:\t4\t5\t6\t7\nGroups:\t8 9 \n";
        let who = parse_credentials(status).unwrap();
        assert_eq!(
            (who.uids, who.gids, who.groups),
            ([0, 1, 2, 3], [4, 5, 6, 7], vec![8, 9])
        );
        let limits = "Max open files            1024                 524288               files\n\
                      Max locked memory         unlimited            unlimited            bytes\n";
        assert_eq!(parse_limits(limits, 7), Some((1024, 524288)));
        assert_eq!(parse_limits(limits, 8), Some((u64::MAX, u64::MAX)));
        assert_eq!(parse_limits(limits, 99), None);
        assert_eq!(
            effective("CapPrm:\tff\nCapEff:\t0000000000000400\n"),
            Some(1 << 10)
        );
        assert_eq!(effective("CapPrm:\tff\n"), None);
    }

    #[test]
    fn the_own_process_can_be_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(process_of(own), Some(own));
        assert_eq!(
            parent_of(own),
            i32::try_from(std::os::unix::process::parent_id()).ok()
        );
        assert!(credentials(own).is_some() && nice(own).is_some() && limits(own, 7).is_some());
        assert!(executable(own).is_some());
        assert_eq!(has_capability(own, 63), Some(false));
    }
}
