//! What a record says, as types.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use super::call::{Action, Call};

/// Something that was denied, or logged by a policy that would deny it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When. `None` if the text does not say it in a way that means one moment: `ausearch -i`
    /// prints local time in the words of a locale, journald none at all.
    pub time: Option<Time>,
    /// The event's serial number; unique with the time, until the machine starts anew.
    pub serial: Option<u64>,
    /// The machine, where auditd names it (`name_format`).
    pub node: Option<String>,
    /// How it came here.
    pub channel: Channel,
    /// The number of its line, from 1; for `/dev/kmsg` that of the message.
    pub line: u64,
    /// Who did it.
    pub process: Process,
    /// Its command line, from the event's `PROCTITLE`, which ends at 128 bytes; else empty.
    pub command: Vec<OsString>,
    /// The call that was under way, from the event's `SYSCALL`.
    pub syscall: Option<Syscall>,
    /// What was denied.
    pub what: What,
}

/// By which way a record came, and so what can have forged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// From the kernel to auditd, by a netlink socket on which a program, with CAP_AUDIT_WRITE, can
    /// send only messages of other types (1100 to 1199, 2100 to 2999; `audit_netlink_ok` in
    /// `kernel/audit.c`). What the record says the kernel said, unless a program with that
    /// capability got a line break past auditd; no jail has it.
    Audit,
    /// From `/dev/kmsg`, marked as the kernel's own; a program's message there is always marked
    /// otherwise (`Documentation/ABI/testing/dev-kmsg`).
    KernelLog,
    /// A line of text that claims to be the kernel's. Whether it is cannot be known: whoever can
    /// write to `/dev/log`, or to the file, can write it.
    Text,
}

/// A moment, as the record has it: since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds.
    pub seconds: u64,
    /// Thousandths of a second, below 1000.
    pub milliseconds: u16,
}

/// A process, as far as a record names it. `comm` and `exe` are its own choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number in the first pid namespace.
    pub pid: Option<u32>,
    /// Its real user.
    pub uid: Option<u32>,
    /// Its real group.
    pub gid: Option<u32>,
    /// Who logged in (`auid`); `None` for what no login started.
    pub login: Option<u32>,
    /// Its name, at most 15 bytes, settable by itself (`PR_SET_NAME`).
    pub comm: Option<OsString>,
    /// The program, by a path in the mount namespace of the process.
    pub exe: Option<PathBuf>,
    /// Its security label (`subj`).
    pub label: Option<String>,
}

impl Process {
    /// Takes from `other` what this one does not say.
    pub(super) fn complete(&mut self, other: &Process) {
        fn fill<T: Clone>(mine: &mut Option<T>, other: Option<&T>) {
            if mine.is_none() {
                *mine = other.cloned();
            }
        }
        fill(&mut self.pid, other.pid.as_ref());
        fill(&mut self.uid, other.uid.as_ref());
        fill(&mut self.gid, other.gid.as_ref());
        fill(&mut self.login, other.login.as_ref());
        fill(&mut self.comm, other.comm.as_ref());
        fill(&mut self.exe, other.exe.as_ref());
        fill(&mut self.label, other.label.as_ref());
    }
}

/// Who denied what.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A seccomp filter answered a call with something other than "allow".
    Seccomp(Seccomp),
    /// AppArmor.
    AppArmor(Box<AppArmor>),
    /// SELinux's access vector cache.
    Selinux(Box<Selinux>),
    /// A Landlock domain (since Linux 6.15).
    Landlock(Box<Landlock>),
}

/// A record of seccomp (`audit_seccomp` in `kernel/auditsc.c`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seccomp {
    /// Which call.
    pub call: Call,
    /// Whether it came by the 32-bit entry of a 64-bit kernel. Not in the oldest records.
    pub compat: Option<bool>,
    /// The signal that ends the process; 0 for none.
    pub signal: Option<i32>,
    /// What the filter answered. Not in the oldest records.
    pub action: Option<Action>,
    /// The address of the instruction after the call's.
    pub instruction_pointer: Option<u64>,
}

/// A system call as the event's `SYSCALL` record has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Syscall {
    /// Which.
    pub call: Call,
    /// The first four arguments.
    pub arguments: [Option<u64>; 4],
    /// Whether it succeeded.
    pub success: Option<bool>,
    /// What it returned: below 0 an error number.
    pub exit: Option<i64>,
}

/// What AppArmor did (`aa_audit_type` in `security/apparmor/audit.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Refused.
    Denied,
    /// Let through by a profile in complain mode; enforced, it would have been refused.
    Allowed,
    /// Allowed and logged as the profile asks.
    Audited,
    /// A hint for tools that learn, as at a change of profile.
    Hint,
    /// Something failed.
    Error,
    /// Refused, and the process was killed.
    Killed,
}

/// A record of AppArmor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppArmor {
    /// What AppArmor did.
    pub verdict: Verdict,
    /// What was tried: `open`, `exec`, `capable`, `create`, `mount`, `ptrace`, `signal`...
    pub operation: String,
    /// The profile, or the label of several.
    pub profile: Option<String>,
    /// The policy namespace, if it is not the first.
    pub namespace: Option<String>,
    /// `file`, `cap`, `net`, `mount`... (newer kernels).
    pub class: Option<String>,
    /// The file, or what else was asked for.
    pub name: Option<OsString>,
    /// What was asked for; without the colons between owner and others of Linux before 2.6.36.
    pub requested: Option<String>,
    /// What of it was refused, likewise.
    pub denied: Option<String>,
    /// The user that files are accessed as.
    pub fsuid: Option<u32>,
    /// The file's owner.
    pub ouid: Option<u32>,
    /// An error number, negative.
    pub error: Option<i32>,
    /// Why, in the kernel's words.
    pub info: Option<String>,
    /// The other process's label.
    pub peer: Option<OsString>,
    /// Where a link, an execution or a change of profile leads to.
    pub target: Option<OsString>,
    /// A signal's name, without "SIG".
    pub signal: Option<String>,
    /// A socket's address family: `inet`, `inet6`, `unix`, `netlink`...
    pub family: Option<String>,
    /// Its type: `stream`, `dgram`...
    pub socket_type: Option<String>,
    /// Its protocol number.
    pub protocol: Option<u32>,
    /// A Unix socket's address; `@` before an abstract one.
    pub address: Option<OsString>,
    /// The address of its peer.
    pub peer_address: Option<OsString>,
    /// A capability's number.
    pub capability: Option<u8>,
    /// A mount's flags.
    pub flags: Option<String>,
    /// A mount's type.
    pub filesystem: Option<String>,
    /// What is mounted.
    pub source: Option<OsString>,
    /// Addresses of the internet.
    pub network: Network,
}

/// A record of SELinux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selinux {
    /// Whether it was granted (`auditallow`) rather than denied.
    pub granted: bool,
    /// The permissions: `read`, `name_bind`...
    pub permissions: Vec<String>,
    /// Whether it was let through because the domain, or all, is permissive; older kernels do not
    /// say.
    pub permissive: Option<bool>,
    /// The context of the process.
    pub scontext: String,
    /// The context of the object.
    pub tcontext: String,
    /// The object's class: `file`, `tcp_socket`, `capability`...
    pub tclass: String,
    /// The object, if it is a file.
    pub object: Object,
    /// The capability, if the class is one.
    pub capability: Option<u8>,
    /// The command of an `ioctl(2)`.
    pub ioctl: Option<u16>,
    /// The addresses, if it is a socket.
    pub network: Network,
}

/// A record of Landlock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landlock {
    /// The domain's number, as the kernel counts them.
    pub domain: u64,
    /// What blocked the request: `fs.write_file`, `net.bind_tcp`, `scope.signal`, `ptrace`...
    pub blockers: Vec<String>,
    /// The object, if it is a file.
    pub object: Object,
    /// The other process, if it is one: its `pid` and `comm`.
    pub other: Option<Process>,
    /// The addresses, if it is a socket.
    pub network: Network,
    /// Who made the domain, if the log has it (`LANDLOCK_DOMAIN`).
    pub creator: Option<Process>,
}

/// A file (`security/lsm_audit.c`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The whole path, from the record itself or from the event's `PATH` and `CWD`, as it was seen
    /// by the process.
    pub path: Option<PathBuf>,
    /// The last component.
    pub name: Option<OsString>,
    /// The filesystem: `dm-0`, `vda1`, `tmpfs`...
    pub device: Option<String>,
    /// The inode's number.
    pub inode: Option<u64>,
}

/// The ends of a connection (`security/lsm_audit.c`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The socket's own (`laddr`, `lport`).
    pub local: Endpoint,
    /// Its peer's (`faddr`, `fport`).
    pub foreign: Endpoint,
    /// What is bound, or where a packet comes from (`saddr`, `src`).
    pub source: Endpoint,
    /// What is connected to, or where a packet goes (`daddr`, `dest`).
    pub destination: Endpoint,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, unless it is the unspecified one.
    pub address: Option<IpAddr>,
    /// The port, unless it is 0.
    pub port: Option<u16>,
}
