//! System calls of any architecture, and a filter's answers to them, by number and by name.

use crate::sys::calls;
use crate::sys::ptrace::NATIVE_ARCH;
use crate::sys::seccomp::answers;

/// A system call on an architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Not in the records of seccomp of older kernels.
    pub arch: Option<Arch>,
    /// Its number there; x32's without its bit. `None` for -1, a call that a tracer took away, and
    /// where only a name is known that is none of this machine's.
    pub number: Option<u32>,
    /// Its name: of the tables of this machine for its own architecture, else as auditd wrote it.
    pub name: Option<String>,
}

/// An architecture of system calls, by its `AUDIT_ARCH_` number (`linux/audit.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arch(pub u32, pub Abi);

/// Which of the tables of calls that share an `AUDIT_ARCH_` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// The architecture's own.
    Own,
    /// x86_64 with 32-bit pointers: its numbers have bit 30 set (`asm/unistd.h`).
    X32,
}

/// What the audit tools call an architecture (`ausyscall(8)`).
const ARCHS: [(&str, u32); 12] = [
    ("x86_64", 0xC000_003E),
    ("i386", 0x4000_0003),
    ("aarch64", 0xC000_00B7),
    ("arm", 0x4000_0028),
    ("armeb", 0x0000_0028),
    ("riscv64", 0xC000_00F3),
    ("loongarch64", 0xC000_0102),
    ("ppc64le", 0xC000_0015),
    ("ppc64", 0x8000_0015),
    ("ppc", 0x0000_0014),
    ("s390x", 0x8000_0016),
    ("s390", 0x0000_0016),
];

/// Set in the numbers of x32's calls.
const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// The architecture that the audit tools call so.
    pub fn named(name: &str) -> Option<Self> {
        let (_, number) = ARCHS.iter().find(|(known, _)| *known == name)?;
        Some(Self(*number, Abi::Own))
    }

    /// What the audit tools call it; x32 by that name.
    pub fn name(self) -> Option<&'static str> {
        if self.1 == Abi::X32 {
            return Some("x32");
        }
        ARCHS
            .iter()
            .find(|(_, number)| *number == self.0)
            .map(|(name, _)| *name)
    }

    /// Whether this machine's own numbers of calls hold for it.
    pub fn is_native(self) -> bool {
        self == Self(NATIVE_ARCH, Abi::Own)
    }
}

impl Call {
    /// The call with this number of an architecture; `written` is a name that came with it.
    pub(super) fn new(arch: Option<u32>, number: Option<u32>, written: Option<String>) -> Self {
        let is_x32 = arch == Some(0xC000_003E) && number.is_some_and(|n| n & X32_BIT != 0);
        let (abi, number) = if is_x32 {
            (Abi::X32, number.map(|number| number & !X32_BIT))
        } else {
            (Abi::Own, number)
        };
        let arch = arch.map(|arch| Arch(arch, abi));
        let is_native = arch.is_some_and(Arch::is_native);
        let known = number
            .filter(|_| is_native)
            .and_then(calls::name)
            .map(str::to_owned);
        let name = known.or(written);
        let number = match (&name, number) {
            (Some(name), None) if is_native => calls::number(name),
            _ => number,
        };
        Self { arch, number, name }
    }
}

/// What a seccomp filter answered (`seccomp(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process ends.
    KillProcess,
    /// The thread ends. Before Linux 4.14 the only way to kill.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// The call fails with this error number; newer kernels do not record it, and it is 0.
    Errno(u16),
    /// A supervisor is asked.
    UserNotif,
    /// A tracer is asked.
    Trace,
    /// The call runs and is logged.
    Log,
    /// The call runs.
    Allow,
    /// An answer that this program does not know.
    Other(u32),
}

impl Action {
    /// The answer with this code.
    pub fn new(code: u32) -> Self {
        /// `SECCOMP_RET_KILL_THREAD`.
        const KILL_THREAD: u32 = 0;
        match code & answers::ACTION_FULL {
            answers::KILL_PROCESS => Action::KillProcess,
            KILL_THREAD => Action::KillThread,
            answers::TRAP => Action::Trap,
            // The mask leaves 16 bits.
            answers::ERRNO => Action::Errno((code & answers::DATA) as u16),
            answers::USER_NOTIF => Action::UserNotif,
            answers::TRACE => Action::Trace,
            answers::LOG => Action::Log,
            answers::ALLOW => Action::Allow,
            _ => Action::Other(code),
        }
    }

    /// The answer that the audit tools call so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "kill-process" => Action::KillProcess,
            "kill" | "kill-thread" => Action::KillThread,
            "trap" => Action::Trap,
            "errno" => Action::Errno(0),
            "user-notif" => Action::UserNotif,
            "trace" => Action::Trace,
            "log" => Action::Log,
            "allow" => Action::Allow,
            _ => return None,
        })
    }
}
