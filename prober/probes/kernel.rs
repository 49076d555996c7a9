//! Parts of the kernel that no service has business with. Each call is made so that it changes
//! nothing: the error of a useless argument comes only after the permission was checked.

use super::Probes;
use crate::raw::{self, Refused, Word};
use crate::scene::{DIRECTORY, Scene, open};
use crate::{At, Tried, errors, numbers, past};

pub const PROBES: Probes = &[
    ("kernel-bpf", bpf),
    ("kernel-perf", perf),
    ("kernel-userfaultfd", userfaultfd),
    ("kernel-io-uring", io_uring),
    ("kernel-kexec", kexec),
    ("kernel-init-module", init_module),
    ("kernel-finit-module", finit_module),
    ("kernel-delete-module", delete_module),
    ("kernel-reboot", reboot),
    ("kernel-clock", clock),
    ("kernel-adjtime", adjtime),
    ("kernel-hostname", hostname),
    ("kernel-domainname", domainname),
    ("kernel-swapon", swapon),
    ("kernel-swapoff", swapoff),
    ("kernel-quota", quota),
    ("kernel-acct", acct),
    ("kernel-log", log),
    ("kernel-ports", ports),
    ("kernel-fanotify", fanotify),
    ("kernel-name-to-handle", name_to_handle),
    ("kernel-landlock", landlock),
    ("kernel-seccomp", seccomp),
    ("kernel-vhangup", vhangup),
    ("abi-x32", x32),
    ("abi-32-bit", abi_32),
    ("abi-personality", personality),
    ("abi-modify-ldt", modify_ldt),
];

fn no_arguments(number: usize, words: [usize; 3]) -> Result<usize, Refused> {
    raw::call(number, words.map(Word::from))
}

fn bpf(_: Scene) -> Tried {
    // BPF_MAP_CREATE: an array of one 4-byte value.
    let mut attributes = [2 | 4 << 32, 4 | 1 << 32, 0, 0, 0, 0, 0, 0, 0_u64];
    let size = size_of_val(&attributes);
    let attributes = Word::Room(raw::bytes_of(&mut attributes));
    raw::call(numbers::BPF, [0.into(), attributes, size.into()]).at("make a BPF map")?;
    Ok("made a BPF map")
}

/// Counts its own clock ticks, in user space only.
fn perf(_: Scene) -> Tried {
    const SOFTWARE: u64 = 1;
    const SIZE: u64 = 128;
    const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 1 << 5 | 1 << 6;
    let mut attributes = [0_u64; 16];
    attributes[0] = SOFTWARE | SIZE << 32;
    attributes[5] = EXCLUDE_KERNEL_AND_HYPERVISOR;
    let attributes = Word::Room(raw::bytes_of(&mut attributes));
    let words = [attributes, 0.into(), (-1).into(), (-1).into(), 0.into()];
    raw::call(numbers::PERF_EVENT_OPEN, words).at("open a performance event")?;
    Ok("opened a performance event")
}

fn userfaultfd(_: Scene) -> Tried {
    const USER_MODE_ONLY: usize = 1;
    raw::call(numbers::USERFAULTFD, [USER_MODE_ONLY.into()]).at("handle page faults")?;
    Ok("handles page faults")
}

fn io_uring(_: Scene) -> Tried {
    let mut parameters = [0_u64; 15];
    let parameters = Word::Room(raw::bytes_of(&mut parameters));
    raw::call(numbers::IO_URING_SETUP, [1.into(), parameters]).at("make an io_uring")?;
    Ok("made an io_uring, whose calls no filter sees")
}

fn kexec(_: Scene) -> Tried {
    // Too many segments: EINVAL, for who may load one.
    let words = [0.into(), 1000.into(), 0.into(), 0.into()];
    past(
        raw::call(numbers::KEXEC_LOAD, words),
        &[errors::EINVAL],
        "load a kernel",
        "may load a kernel",
    )
}

fn init_module(_: Scene) -> Tried {
    const EXEC_FORMAT: u8 = 8;
    let module = [0_u8; 64];
    let words = [(&module).into(), 64.into(), c"".into()];
    past(
        raw::call(numbers::INIT_MODULE, words),
        &[EXEC_FORMAT, errors::EFAULT],
        "load a module",
        "may load modules",
    )
}

fn finit_module(_: Scene) -> Tried {
    let words = [(-1).into(), c"".into(), 0.into()];
    past(
        raw::call(numbers::FINIT_MODULE, words),
        &[errors::EBADF],
        "load a module",
        "may load modules",
    )
}

fn delete_module(_: Scene) -> Tried {
    let words = [c"gaoler-no-such-module".into(), 0.into()];
    past(
        raw::call(numbers::DELETE_MODULE, words),
        &[errors::ENOENT],
        "unload a module",
        "may unload modules",
    )
}

fn reboot(_: Scene) -> Tried {
    // No magic numbers: EINVAL, for who may.
    past(
        no_arguments(numbers::REBOOT, [0; 3]),
        &[errors::EINVAL],
        "reboot",
        "may reboot",
    )
}

/// CLOCK_PROCESS_CPUTIME_ID cannot be set, so this sets the real one, to a time that is none.
fn clock(_: Scene) -> Tried {
    let mut now = [0_u64; 2];
    let got = Word::Room(raw::bytes_of(&mut now));
    raw::call(numbers::CLOCK_GETTIME, [0.into(), got]).at("read the clock")?;
    let same = Word::Room(raw::bytes_of(&mut now));
    raw::call(numbers::CLOCK_SETTIME, [0.into(), same]).at("set the clock to what it says")?;
    Ok("set the clock")
}

fn adjtime(_: Scene) -> Tried {
    const TICK: u64 = 0x4000;
    let mut wanted = [0_u64; 26];
    wanted[0] = TICK;
    let wanted = Word::Room(raw::bytes_of(&mut wanted));
    past(
        raw::call(numbers::ADJTIMEX, [wanted]),
        &[errors::EINVAL],
        "change how fast the clock goes",
        "may change the clock",
    )
}

fn hostname(_: Scene) -> Tried {
    // Longer than a name may be: EINVAL, for who may.
    let words = [c"".into(), 65536.into()];
    past(
        raw::call(numbers::SETHOSTNAME, words),
        &[errors::EINVAL],
        "change the host's name",
        "may change the host's name",
    )
}

fn domainname(_: Scene) -> Tried {
    let words = [c"".into(), 65536.into()];
    past(
        raw::call(numbers::SETDOMAINNAME, words),
        &[errors::EINVAL],
        "change the domain's name",
        "may change the domain's name",
    )
}

const NOWHERE: &core::ffi::CStr = c"/gaoler/no/such/file";

fn swapon(_: Scene) -> Tried {
    let words = [NOWHERE.into(), 0.into()];
    past(
        raw::call(numbers::SWAPON, words),
        &[errors::ENOENT],
        "add swap",
        "may add swap",
    )
}

fn swapoff(_: Scene) -> Tried {
    past(
        raw::call(numbers::SWAPOFF, [NOWHERE.into()]),
        &[errors::ENOENT, errors::EINVAL],
        "remove swap",
        "may remove swap",
    )
}

/// Where quotas are possible but off, who may set one is told so (ESRCH).
fn quota(scene: Scene) -> Tried {
    // Q_SETQUOTA, for users.
    const SET_USER_QUOTA: usize = 0x80_0008 << 8;
    let place = open(scene.text("top")?, DIRECTORY).at("open a directory")?;
    let mut limits = [0_u64; 9];
    let limits = Word::Room(raw::bytes_of(&mut limits));
    let words = [place.into(), SET_USER_QUOTA.into(), 0.into(), limits];
    past(
        raw::call(numbers::QUOTACTL_FD, words),
        &[errors::ESRCH],
        "change a quota",
        "may change quotas",
    )
}

fn acct(_: Scene) -> Tried {
    past(
        raw::call(numbers::ACCT, [NOWHERE.into()]),
        &[errors::ENOENT],
        "account for processes",
        "may account for processes",
    )
}

fn log(_: Scene) -> Tried {
    const READ_ALL: usize = 3;
    let mut lines = [0_u8; 256];
    let words = [READ_ALL.into(), (&mut lines).into(), 256.into()];
    raw::call(numbers::SYSLOG, words).at("read the kernel's log")?;
    Ok("read the kernel's log")
}

#[cfg(target_arch = "x86_64")]
fn ports(_: Scene) -> Tried {
    raw::call(numbers::IOPL, [3.into()]).at("reach the I/O ports")?;
    Ok("reaches the I/O ports")
}

#[cfg(not(target_arch = "x86_64"))]
fn ports(_: Scene) -> Tried {
    Err(crate::Stop::NotTried("this architecture has no I/O ports"))
}

/// For who may watch everything: FAN_CLASS_NOTIF without FAN_REPORT_FID.
fn fanotify(_: Scene) -> Tried {
    raw::call(numbers::FANOTIFY_INIT, [0.into(), 0.into()]).at("watch all files")?;
    Ok("watches all files")
}

fn name_to_handle(scene: Scene) -> Tried {
    let mut handle = [0_u8; 136];
    handle[0] = 128;
    let mut mount = [0_u32; 1];
    let mount = Word::Room(raw::bytes_of(&mut mount));
    let words = [
        crate::scene::HERE.into(),
        scene.text("secret")?.into(),
        (&mut handle).into(),
        mount,
        0.into(),
    ];
    raw::call(numbers::NAME_TO_HANDLE_AT, words).at("make a handle of a file outside")?;
    Ok("made a handle of a file outside")
}

/// A ruleset is no harm; that the call is there is one way more into the kernel.
fn landlock(_: Scene) -> Tried {
    const VERSION: usize = 1;
    let words = [0.into(), 0.into(), VERSION.into()];
    raw::call(numbers::LANDLOCK_CREATE_RULESET, words).at("ask for Landlock")?;
    Ok("reaches Landlock")
}

/// A filter of its own could answer calls of a set-user-ID program, or hide what it does.
fn seccomp(_: Scene) -> Tried {
    const GET_ACTION_AVAIL: usize = 2;
    let mut action = [0x7fff_0000_u32];
    let action = Word::Room(raw::bytes_of(&mut action));
    raw::call(
        numbers::SECCOMP,
        [GET_ACTION_AVAIL.into(), 0.into(), action],
    )
    .at("ask for filters")?;
    Ok("reaches seccomp")
}

fn vhangup(_: Scene) -> Tried {
    raw::call(numbers::VHANGUP, []).at("hang the terminal up")?;
    Ok("hung the terminal up")
}

/// `getpid` as the x32 ABI numbers it.
#[cfg(target_arch = "x86_64")]
fn x32(_: Scene) -> Tried {
    raw::call(numbers::GETPID | 0x4000_0000, []).at("make an x32 call")?;
    Ok("made a call by the x32 ABI")
}

/// `getpid` of 32-bit programs.
#[cfg(target_arch = "x86_64")]
fn abi_32(_: Scene) -> Tried {
    const GETPID_32: usize = 20;
    raw::call_32(GETPID_32).at("make a 32-bit call")?;
    Ok("made a call by the 32-bit entry")
}

#[cfg(not(target_arch = "x86_64"))]
fn x32(_: Scene) -> Tried {
    Err(crate::Stop::NotTried("this architecture has no x32"))
}

#[cfg(not(target_arch = "x86_64"))]
fn abi_32(_: Scene) -> Tried {
    Err(crate::Stop::NotTried(
        "it is not tried on this architecture",
    ))
}

fn personality(_: Scene) -> Tried {
    const READ_IMPLIES_EXECUTE: usize = 0x0040_0000;
    const ADDR_NO_RANDOMIZE: usize = 0x0004_0000;
    raw::call(
        numbers::PERSONALITY,
        [(READ_IMPLIES_EXECUTE | ADDR_NO_RANDOMIZE).into()],
    )
    .at("make what is readable executable")?;
    Ok("made what is readable executable")
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt(_: Scene) -> Tried {
    let mut table = [0_u8; 64];
    raw::call(
        numbers::MODIFY_LDT,
        [0.into(), (&mut table).into(), 64.into()],
    )
    .at("read the descriptor table")?;
    Ok("reaches the descriptor table")
}

#[cfg(not(target_arch = "x86_64"))]
fn modify_ldt(_: Scene) -> Tried {
    Err(crate::Stop::NotTried("this architecture has no such table"))
}
