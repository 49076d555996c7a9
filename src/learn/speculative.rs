//! What the kernel asks for without need: with a no the call would have done the same for the
//! service. A table of calls and capabilities, each with the function of the kernel (6.18) that
//! asks. What is asked for memory is not in it: any call may take some, and
//! [`crate::sys::capability_events`] tells that by who asks.

use std::path::PathBuf;

use super::calls::{Done, open_file};
use super::capabilities::{self as rules, Wish};
use super::trace::Use;
use crate::sys::{abi, peek_socket, process_memory};

/// `TCP_CA_NAME_MAX` of `net/tcp.h`.
const LONGEST_NAME: usize = 16;

/// Calls that are asked for a capability without need.
#[derive(Debug)]
pub struct Speculation {
    /// The calls; empty for all.
    pub calls: &'static [&'static str],
    /// What they are asked for.
    pub capability: u8,
    /// Whether that was without need this time.
    when: fn(&mut Done<'_>) -> bool,
    /// Which function of the kernel asks, and what it does with a no.
    pub source: &'static str,
}

const READ: &[&str] = &["pread64", "preadv", "preadv2", "read", "readv"];
const SEND: &[&str] = &["recvfrom", "recvmsg", "sendmsg", "sendto", "write"];
const FILTERS: &[&str] = &["prctl", "seccomp", "setsockopt"];
const TIMES: &[&str] = &["futimesat", "utime", "utimensat", "utimes"];

/// The table.
pub const SPECULATIONS: &[Speculation] = &[
    Speculation {
        calls: &["setuid"],
        capability: rules::SETUID,
        when: |done| own_id(done, rules::set_uids),
        source: "__sys_setuid() of kernel/sys.c asks first and compares with the own ids then",
    },
    Speculation {
        calls: &["setgid"],
        capability: rules::SETGID,
        when: |done| own_id(done, rules::set_gids),
        source: "__sys_setgid() of kernel/sys.c, as __sys_setuid()",
    },
    Speculation {
        calls: &["capset"],
        capability: rules::SETPCAP,
        when: always,
        source: "cap_inh_is_capped() of security/commoncap.c: only inheriting more than is \
                 permitted takes it",
    },
    Speculation {
        calls: &[],
        capability: rules::NET_ADMIN,
        when: |done| reads_below(done, "/proc/sys/net"),
        source: "net_ctl_permissions() of net/sysctl_net.c: it gives the rights of the owner; \
                 others may read, too",
    },
    Speculation {
        calls: &[],
        capability: rules::SYS_RESOURCE,
        when: |done| reads_below(done, "/proc/sys/user"),
        source: "set_permissions() of kernel/ucount.c: it gives the rights of the owner",
    },
    Speculation {
        calls: &["chmod", "fchmod", "fchmodat", "fchmodat2"],
        capability: FSETID,
        when: without_set_group_id,
        source: "in_group_or_capable() in setattr_prepare() and setattr_copy() of fs/attr.c: \
                 without it S_ISGID is taken from the mode, which does not have it",
    },
    Speculation {
        calls: &["setsockopt"],
        capability: rules::NET_ADMIN,
        when: common_congestion_control,
        source: "do_tcp_setsockopt() of net/ipv4/tcp.c for TCP_CONGESTION: only the algorithms \
                 that are not in tcp_allowed_congestion_control take it",
    },
    Speculation {
        calls: SEND,
        capability: rules::NET_ADMIN,
        when: |done| netlink(done, NETLINK_SOCK_DIAG),
        source: "inet_diag_dump() of net/ipv4/inet_diag.c: it shows the marks of sockets, too",
    },
    Speculation {
        calls: &["flistxattr", "listxattr", "listxattrat", "llistxattr"],
        capability: rules::SYS_ADMIN,
        when: always,
        source: "simple_xattr_list() and ext4_xattr_trusted_list(): it lists trusted.*, too",
    },
    Speculation {
        calls: &["execve", "execveat"],
        capability: SYS_PTRACE,
        when: always,
        source: "ptracer_capable() of kernel/ptrace.c: it is the tracer that is asked",
    },
    Speculation {
        calls: &["prctl", "seccomp"],
        capability: rules::SYS_ADMIN,
        when: installs_filter,
        source: "seccomp_prepare_filter() of kernel/seccomp.c: only without no_new_privs, which \
                 every jail sets",
    },
    Speculation {
        calls: FILTERS,
        capability: BPF,
        when: always,
        source: "bpf_jit_blinding_enabled() and bpf_jit_charge_modmem() of kernel/bpf/core.c: \
                 without it the program is blinded or interpreted",
    },
    Speculation {
        calls: FILTERS,
        capability: rules::SYS_ADMIN,
        when: attaches_filter,
        source: "bpf_capable(), where CAP_BPF is not held: as above",
    },
    Speculation {
        calls: READ,
        capability: SYS_PTRACE,
        when: |done| reads_file(done, &["stat", "wchan"]),
        source: "do_task_stat() and proc_pid_wchan() of fs/proc: addresses are 0 without it",
    },
    Speculation {
        calls: READ,
        capability: SYSLOG,
        when: always,
        source: "restricted_pointer() of lib/vsprintf.c: addresses are 0 without it",
    },
    Speculation {
        calls: &["open", "openat", "openat2"],
        capability: SYSLOG,
        when: always,
        source: "kallsyms_show_value() of kernel/kallsyms.c: addresses are 0 without it",
    },
    Speculation {
        calls: &[],
        capability: rules::SYS_RESOURCE,
        when: takes_disk_space,
        source: "ext4_has_free_clusters() of fs/ext4/balloc.c: it may use what is reserved when \
                 the disk is full; ignore_hardlimit() of fs/quota/dquot.c",
    },
    Speculation {
        calls: &["epoll_ctl"],
        capability: BLOCK_SUSPEND,
        when: always,
        source: "ep_take_care_of_epollwakeup() of fs/eventpoll.c: EPOLLWAKEUP is ignored without",
    },
    Speculation {
        calls: &["io_uring_setup"],
        capability: rules::IPC_LOCK,
        when: always,
        source: "io_uring_create() of io_uring/io_uring.c: its memory counts for RLIMIT_MEMLOCK \
                 without it",
    },
    Speculation {
        calls: &["keyctl"],
        capability: rules::SYS_ADMIN,
        when: |done| done.int(0) == KEYCTL_SETPERM,
        source: "keyctl_setperm_key() of security/keys/keyctl.c asks before it looks whose key \
                 it is",
    },
    Speculation {
        calls: TIMES,
        capability: rules::FOWNER,
        when: touches_writable,
        source: "may_setattr() of fs/attr.c asks before it looks whether the file may be written",
    },
];

/// Another capability that does for a call, of less power than the one that it is asked for
/// first.
#[derive(Debug)]
pub struct Lesser {
    /// The call.
    pub call: &'static str,
    /// What it is asked for first.
    pub asked: u8,
    /// What does as well.
    pub does: u8,
    /// Which function of the kernel asks.
    pub source: &'static str,
}

/// The table of those.
pub const LESSER: &[Lesser] = &[Lesser {
    call: "ioprio_set",
    asked: rules::SYS_ADMIN,
    does: rules::SYS_NICE,
    source: "ioprio_check_cap() of block/ioprio.c",
}];

/// `CAP_FSETID`.
const FSETID: u8 = 4;
/// `CAP_SYS_PTRACE`.
const SYS_PTRACE: u8 = 19;
/// `CAP_SYSLOG`.
const SYSLOG: u8 = 34;
/// `CAP_BLOCK_SUSPEND`.
const BLOCK_SUSPEND: u8 = 36;
/// `CAP_BPF`.
const BPF: u8 = 39;
/// `KEYCTL_SETPERM` of `linux/keyctl.h`.
const KEYCTL_SETPERM: i32 = 5;
/// `NETLINK_SOCK_DIAG` of `linux/netlink.h`.
const NETLINK_SOCK_DIAG: i32 = 4;

/// The capability that a call which was asked for `capability` and got it really took, if any.
pub fn needed(done: &mut Done<'_>, name: &str, capability: u8) -> Option<u8> {
    let needless = SPECULATIONS.iter().any(|entry| {
        entry.capability == capability
            && (entry.calls.is_empty() || entry.calls.contains(&name))
            && (entry.when)(done)
    });
    let lesser = LESSER
        .iter()
        .find(|lesser| lesser.call == name && lesser.asked == capability);
    (!needless).then(|| lesser.map_or(capability, |lesser| lesser.does))
}

fn always(_: &mut Done<'_>) -> bool {
    true
}

fn own_id(done: &mut Done<'_>, rule: fn(&rules::Credentials, &[u32]) -> Option<u8>) -> bool {
    let wanted = [done.uint(0)];
    rule(&done.caller.credentials(), &wanted).is_none()
}

/// The files that the call is about: by path or by its first argument.
fn files(done: &Done<'_>) -> Vec<PathBuf> {
    if done.paths.is_empty() {
        open_file(done.caller, done.int(0)).into_iter().collect()
    } else {
        let paths = done.paths.iter();
        paths.map(|path| path.found.host.clone()).collect()
    }
}

/// Everything it touches is below `directory`, is not written, and may be read by others.
fn reads_below(done: &mut Done<'_>, directory: &str) -> bool {
    const WRITES: [&str; 4] = ["pwrite64", "pwritev", "write", "writev"];
    let files = files(done);
    let paths = done.paths.iter();
    let written = paths.clone().any(|path| path.uses.contains(&Use::Write))
        || WRITES.contains(&super::calls::name(done.call.number).as_str());
    let closed = paths
        .filter_map(|path| path.found.target)
        .any(|target| target.mode & 0o004 == 0);
    !files.is_empty() && !written && !closed && files.iter().all(|file| file.starts_with(directory))
}

fn reads_file(done: &mut Done<'_>, names: &[&str]) -> bool {
    files(done).iter().any(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        file.starts_with("/proc") && name.is_some_and(|name| names.contains(&name))
    })
}

fn without_set_group_id(done: &mut Done<'_>) -> bool {
    let at = match super::calls::name(done.call.number).as_str() {
        "fchmodat" | "fchmodat2" => 2,
        _ => 1,
    };
    done.uint(at) & abi::S_ISGID == 0
}

fn common_congestion_control(done: &mut Done<'_>) -> bool {
    if (done.int(1), done.int(2)) != (abi::IPPROTO_TCP, abi::TCP_CONGESTION) {
        return false;
    }
    let length = usize::try_from(done.uint(4)).unwrap_or(0).min(LONGEST_NAME);
    let mut name = [0u8; LONGEST_NAME];
    let room = name.get_mut(..length).unwrap_or_default();
    let Ok(read) = process_memory::read(done.caller.tid, done.long(3), room) else {
        return false;
    };
    let bytes = name.get(..read).unwrap_or_default();
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let allowed = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    allowed.is_ok_and(|text| text.split_whitespace().any(|word| word.as_bytes() == bytes))
}

fn netlink(done: &mut Done<'_>, protocol: i32) -> bool {
    peek_socket::peek(done.caller.process, done.int(0)).is_ok_and(|socket| {
        i32::from(socket.family) == abi::AF_NETLINK && socket.protocol == protocol
    })
}

fn installs_filter(done: &mut Done<'_>) -> bool {
    super::calls::name(done.call.number) == "seccomp" || done.int(0) == abi::PR_SET_SECCOMP
}

fn attaches_filter(done: &mut Done<'_>) -> bool {
    let option = (done.int(1), done.int(2));
    super::calls::name(done.call.number) != "setsockopt"
        || option == (abi::SOL_SOCKET, abi::SO_ATTACH_FILTER)
}

/// It writes to a disk, rather than to a file of `/proc` that takes the capability.
fn takes_disk_space(done: &mut Done<'_>) -> bool {
    const LIMITS: [&str; 4] = ["fcntl", "prctl", "prlimit64", "setrlimit"];
    let files = files(done);
    !LIMITS.contains(&super::calls::name(done.call.number).as_str())
        && !files.is_empty()
        && !files.iter().any(|file| file.starts_with("/proc"))
}

/// The times become now, which whoever may write may do.
fn touches_writable(done: &mut Done<'_>) -> bool {
    let times = match super::calls::name(done.call.number).as_str() {
        "utime" | "utimes" => 1,
        _ => 2,
    };
    let target = done.paths.first().and_then(|path| path.found.target);
    let who = done.caller.credentials();
    done.long(times) == 0
        && target.is_some_and(|target| rules::access(&who, target, Wish::Write).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{calls, caps};

    #[test]
    fn every_entry_names_calls_a_capability_and_its_source() {
        for entry in SPECULATIONS {
            assert!(caps::name(entry.capability).is_some());
            assert!(entry.source.contains("()"), "{}", entry.source);
            for name in entry.calls {
                assert!(calls::number(name).is_some(), "{name}");
            }
        }
        for lesser in LESSER {
            assert!(calls::number(lesser.call).is_some() && lesser.source.contains("()"));
            assert_ne!(lesser.asked, lesser.does);
        }
    }

    #[test]
    fn entries_for_a_call_are_not_repeated_without_a_condition() {
        for (index, entry) in SPECULATIONS.iter().enumerate() {
            let same = SPECULATIONS.iter().skip(index + 1).filter(|other| {
                other.capability == entry.capability && other.source == entry.source
            });
            assert_eq!(same.count(), 0, "{}", entry.source);
        }
    }
}
