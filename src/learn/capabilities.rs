//! Which capabilities a successful call needed: by rule, from the call, its arguments and the
//! ids of the caller (`capabilities(7)`). Pure.

use crate::sys::abi;

/// `CAP_CHOWN`
pub const CHOWN: u8 = 0;
/// `CAP_DAC_OVERRIDE`
pub const DAC_OVERRIDE: u8 = 1;
/// `CAP_DAC_READ_SEARCH`
pub const DAC_READ_SEARCH: u8 = 2;
/// `CAP_FOWNER`
pub const FOWNER: u8 = 3;
/// `CAP_KILL`
pub const KILL: u8 = 5;
/// `CAP_SETGID`
pub const SETGID: u8 = 6;
/// `CAP_SETUID`
pub const SETUID: u8 = 7;
/// `CAP_SETPCAP`
pub const SETPCAP: u8 = 8;
/// `CAP_NET_BIND_SERVICE`
pub const NET_BIND_SERVICE: u8 = 10;
/// `CAP_NET_ADMIN`
pub const NET_ADMIN: u8 = 12;
/// `CAP_NET_RAW`
pub const NET_RAW: u8 = 13;
/// `CAP_IPC_LOCK`
pub const IPC_LOCK: u8 = 14;
/// `CAP_SYS_CHROOT`
pub const SYS_CHROOT: u8 = 18;
/// `CAP_SYS_ADMIN`
pub const SYS_ADMIN: u8 = 21;
/// `CAP_SYS_NICE`
pub const SYS_NICE: u8 = 23;
/// `CAP_SYS_RESOURCE`
pub const SYS_RESOURCE: u8 = 24;
/// `CAP_SYS_TIME`
pub const SYS_TIME: u8 = 25;
/// `CAP_MKNOD`
pub const MKNOD: u8 = 27;

/// The ids of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective, saved and file system uid.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system gid.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// The uid that its file accesses are checked by.
    pub fn acts_as(&self) -> u32 {
        self.uids[3]
    }

    fn in_group(&self, group: u32) -> bool {
        self.gids[3] == group || self.groups.contains(&group)
    }
}

/// What decides about access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The permission bits, with set-id and sticky.
    pub mode: u32,
    /// Its owner.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// It is a directory.
    pub directory: bool,
}

/// What a call wants to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read it, or list it.
    Read,
    /// Write to it; of a directory: change its entries.
    Write,
    /// Search it.
    Search,
}

/// The capability that overrides the mode bits, if they do not allow what was done. Access lists
/// are not looked at: where one allows it, this is too careful.
pub fn access(who: &Credentials, file: Owned, wish: Wish) -> Option<u8> {
    let bits = if file.user == who.acts_as() {
        file.mode >> 6
    } else if who.in_group(file.group) {
        file.mode >> 3
    } else {
        file.mode
    };
    let (needed, capability) = match wish {
        Wish::Read => (4, DAC_READ_SEARCH),
        Wish::Write if file.directory => (3, DAC_OVERRIDE),
        Wish::Write => (2, DAC_OVERRIDE),
        Wish::Search => (1, DAC_READ_SEARCH),
    };
    (bits & needed != needed).then_some(capability)
}

/// `bind(2)` to `port` of an internet address; `first_free` is
/// `net.ipv4.ip_unprivileged_port_start`. Port 0 asks for any.
pub fn bind(port: u16, first_free: u16) -> Option<u8> {
    (port != 0 && port < first_free).then_some(NET_BIND_SERVICE)
}

/// A call of the `setuid(2)` family; `wanted` are its arguments, -1 (`u32::MAX`) for "as it is".
pub fn set_uids(who: &Credentials, wanted: &[u32]) -> Option<u8> {
    takes_foreign(who.uids, wanted).then_some(SETUID)
}

/// A call of the `setgid(2)` family, as [`set_uids`].
pub fn set_gids(who: &Credentials, wanted: &[u32]) -> Option<u8> {
    takes_foreign(who.gids, wanted).then_some(SETGID)
}

fn takes_foreign(own: [u32; 4], wanted: &[u32]) -> bool {
    wanted.iter().any(|id| *id != u32::MAX && !own.contains(id))
}

/// `chown(2)`: to whom; -1 (`u32::MAX`) leaves an id alone. The owner may give a file to a group
/// that it is in.
pub fn chown(who: &Credentials, file: Owned, user: u32, group: u32) -> Option<u8> {
    let owner = file.user == who.acts_as();
    let user_changes = user != u32::MAX && (user != file.user || !owner);
    let group_changes =
        group != u32::MAX && !(owner && (group == file.group || who.in_group(group)));
    (user_changes || group_changes).then_some(CHOWN)
}

/// `chmod(2)`, `utime(2)` with given times, and the like.
pub fn change(who: &Credentials, file: Owned) -> Option<u8> {
    (file.user != who.acts_as()).then_some(FOWNER)
}

/// Unlinking or renaming `file`, if known, from `directory`: a sticky one protects its files.
pub fn remove(who: &Credentials, directory: Owned, file: Option<Owned>) -> Option<u8> {
    let owners = [Some(directory.user), file.map(|file| file.user)];
    (directory.mode & 0o1000 != 0 && !owners.contains(&Some(who.acts_as()))).then_some(FOWNER)
}

/// `mknod(2)` with this mode. A device 0:0 (a whiteout of overlayfs) is free to make.
pub fn mknod(mode: u32, device: u64) -> Option<u8> {
    let device_node = matches!(mode & abi::S_IFMT, abi::S_IFBLK | abi::S_IFCHR);
    let whiteout = mode & abi::S_IFMT == abi::S_IFCHR && device == 0;
    (device_node && !whiteout).then_some(MKNOD)
}

/// `socket(2)`: `packet(7)` and `raw(7)`.
pub fn socket(family: i32, kind: i32) -> Option<u8> {
    let raw = kind & 0xf == abi::SOCK_RAW && matches!(family, abi::AF_INET | abi::AF_INET6);
    (raw || family == abi::AF_PACKET).then_some(NET_RAW)
}

/// `setsockopt(2)`: `socket(7)`, `ip(7)`, `ipv6(7)`, `tcp(7)`. `value` is the first word of the
/// option, where it decides.
pub fn socket_option(level: i32, option: i32, value: u32) -> Option<u8> {
    const IPV6_TRANSPARENT: i32 = 75;
    let administers = match (level, option) {
        (abi::SOL_SOCKET, abi::SO_RCVBUFFORCE | abi::SO_SNDBUFFORCE | abi::SO_MARK) => true,
        (abi::SOL_SOCKET, abi::SO_PRIORITY) => value > 6,
        (abi::SOL_SOCKET, abi::SO_DEBUG) | (abi::IPPROTO_IP, abi::IP_TRANSPARENT) => value != 0,
        (abi::IPPROTO_IPV6, IPV6_TRANSPARENT) => value != 0,
        _ => false,
    };
    administers.then_some(NET_ADMIN)
}

/// `setrlimit(2)`: the hard limit before and after.
pub fn limit(before: u64, after: u64) -> Option<u8> {
    (after > before).then_some(SYS_RESOURCE)
}

/// `kill(2)` of a process of `target`: allowed to the same user.
pub fn kill(who: &Credentials, target: &Credentials) -> Option<u8> {
    let [real, effective, ..] = who.uids;
    let [target_real, _, target_saved, _] = target.uids;
    let same = [real, effective]
        .iter()
        .any(|uid| [target_real, target_saved].contains(uid));
    (!same).then_some(KILL)
}

/// `setpriority(2)`: the nice value before and after, which `RLIMIT_NICE` allows to go down
/// to `20 - limit`.
pub fn priority(before: i32, after: i32, limit: u64) -> Option<u8> {
    let floor = 20 - i64::try_from(limit.min(40)).unwrap_or(40);
    (after < before && i64::from(after) < floor).then_some(SYS_NICE)
}

/// `sched_setscheduler(2)` to a realtime policy, without `RLIMIT_RTPRIO`.
pub fn scheduler(policy: i32, limit: u64) -> Option<u8> {
    let realtime = matches!(policy & 0xff, abi::SCHED_FIFO | abi::SCHED_RR | 6);
    (realtime && limit == 0).then_some(SYS_NICE)
}

/// `mlock(2)` and `mlockall(2)`: bytes asked for, `None` for all, and `RLIMIT_MEMLOCK`.
pub fn lock(bytes: Option<u64>, limit: u64) -> Option<u8> {
    (limit != u64::MAX && bytes.is_none_or(|bytes| bytes > limit)).then_some(IPC_LOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32) -> Credentials {
        Credentials {
            uids: [id; 4],
            gids: [id; 4],
            groups: vec![id + 1],
        }
    }

    fn file(mode: u32, user: u32, group: u32) -> Owned {
        Owned {
            mode,
            user,
            group,
            directory: false,
        }
    }

    #[test]
    fn mode_bits_decide_by_the_first_class_that_fits() {
        let bind = user(100);
        assert_eq!(access(&bind, file(0o600, 100, 0), Wish::Read), None);
        assert_eq!(
            access(&bind, file(0o077, 100, 0), Wish::Read),
            Some(DAC_READ_SEARCH)
        );
        assert_eq!(access(&bind, file(0o040, 0, 101), Wish::Read), None);
        assert_eq!(
            access(&bind, file(0o044, 0, 0), Wish::Write),
            Some(DAC_OVERRIDE)
        );
        assert_eq!(
            access(&user(0), file(0o640, 100, 100), Wish::Read),
            Some(DAC_READ_SEARCH)
        );
        let directory = Owned {
            directory: true,
            ..file(0o755, 100, 100)
        };
        assert_eq!(access(&user(0), directory, Wish::Search), None);
        assert_eq!(access(&user(0), directory, Wish::Write), Some(DAC_OVERRIDE));
    }

    #[test]
    fn only_low_ports_need_the_capability() {
        assert_eq!(bind(53, 1024), Some(NET_BIND_SERVICE));
        assert_eq!(bind(1024, 1024), None);
        assert_eq!(bind(53, 0), None);
        assert_eq!(bind(0, 1024), None);
    }

    #[test]
    fn taking_an_id_one_has_is_free() {
        let mut root = user(0);
        assert_eq!(set_uids(&root, &[100]), Some(SETUID));
        assert_eq!(set_uids(&root, &[u32::MAX, 0]), None);
        root.uids = [100, 100, 0, 100];
        assert_eq!(set_uids(&root, &[0]), None);
        assert_eq!(set_gids(&root, &[5, u32::MAX]), Some(SETGID));
    }

    #[test]
    fn giving_files_away() {
        let bind = user(100);
        assert_eq!(chown(&bind, file(0o600, 100, 100), u32::MAX, 101), None);
        assert_eq!(chown(&bind, file(0o600, 100, 100), 100, 100), None);
        assert_eq!(
            chown(&bind, file(0o600, 100, 100), u32::MAX, 5),
            Some(CHOWN)
        );
        assert_eq!(
            chown(&bind, file(0o600, 100, 100), 0, u32::MAX),
            Some(CHOWN)
        );
        assert_eq!(change(&bind, file(0o600, 0, 0)), Some(FOWNER));
        let tmp = Owned {
            directory: true,
            ..file(0o1777, 0, 0)
        };
        assert_eq!(remove(&bind, tmp, Some(file(0o600, 100, 0))), None);
        assert_eq!(remove(&bind, tmp, Some(file(0o600, 7, 0))), Some(FOWNER));
    }

    #[test]
    fn devices_and_sockets() {
        assert_eq!(mknod(abi::S_IFCHR | 0o600, 0x103), Some(MKNOD));
        assert_eq!(mknod(abi::S_IFCHR, 0), None);
        assert_eq!(mknod(abi::S_IFIFO, 0), None);
        assert_eq!(
            socket(abi::AF_INET, abi::SOCK_RAW | abi::SOCK_CLOEXEC),
            Some(NET_RAW)
        );
        assert_eq!(socket(abi::AF_NETLINK, abi::SOCK_RAW), None);
        assert_eq!(socket(abi::AF_INET, abi::SOCK_STREAM), None);
        assert_eq!(
            socket_option(abi::SOL_SOCKET, abi::SO_RCVBUFFORCE, 1),
            Some(NET_ADMIN)
        );
        assert_eq!(socket_option(abi::SOL_SOCKET, abi::SO_REUSEADDR, 1), None);
    }

    #[test]
    fn limits_priorities_and_signals() {
        assert_eq!(limit(1024, 1024), None);
        assert_eq!(limit(1024, u64::MAX), Some(SYS_RESOURCE));
        assert_eq!(priority(0, -5, 0), Some(SYS_NICE));
        assert_eq!(priority(0, -5, 30), None);
        assert_eq!(priority(0, 5, 0), None);
        assert_eq!(scheduler(abi::SCHED_FIFO, 0), Some(SYS_NICE));
        assert_eq!(scheduler(abi::SCHED_OTHER, 0), None);
        assert_eq!(lock(Some(4096), 65536), None);
        assert_eq!(lock(None, 65536), Some(IPC_LOCK));
        assert_eq!(lock(None, u64::MAX), None);
        assert_eq!(kill(&user(0), &user(100)), Some(KILL));
        assert_eq!(kill(&user(100), &user(100)), None);
    }
}
