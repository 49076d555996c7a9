//! Calls that take a capability by what they are, or by a limit.

use super::super::capabilities as rules;
use super::super::process;
use super::{After, Caller, Done};
use crate::sys::abi;

/// Calls that succeed only with this capability (`capabilities(7)`).
pub const ALWAYS: &[(&str, u8)] = &[
    ("acct", 20),
    ("bpf", 39),
    ("chroot", rules::SYS_CHROOT),
    ("clock_settime", rules::SYS_TIME),
    ("delete_module", 16),
    ("fanotify_init", rules::SYS_ADMIN),
    ("finit_module", 16),
    ("init_module", 16),
    ("ioperm", 17),
    ("iopl", 17),
    ("kexec_load", 22),
    ("mount", rules::SYS_ADMIN),
    ("mount_setattr", rules::SYS_ADMIN),
    ("move_mount", rules::SYS_ADMIN),
    ("open_by_handle_at", rules::DAC_READ_SEARCH),
    ("perf_event_open", 38),
    ("pivot_root", rules::SYS_ADMIN),
    ("quotactl", rules::SYS_ADMIN),
    ("reboot", 22),
    ("setdomainname", rules::SYS_ADMIN),
    ("sethostname", rules::SYS_ADMIN),
    ("setns", rules::SYS_ADMIN),
    ("settimeofday", rules::SYS_TIME),
    ("swapoff", rules::SYS_ADMIN),
    ("swapon", rules::SYS_ADMIN),
    ("umount2", rules::SYS_ADMIN),
    ("vhangup", 26),
];

/// What shows only before the call.
pub const BEFORE: &[(&str, super::Before)] = &[
    ("prlimit64", |caller, call| {
        hard_limit(caller, call.arguments[1])
    }),
    ("setpriority", |caller, _| {
        process::nice(caller.tid).map(|nice| (nice + 20).unsigned_abs().into())
    }),
    ("setrlimit", |caller, call| {
        hard_limit(caller, call.arguments[0])
    }),
];

/// What shows afterwards.
pub const AFTER: After = &[
    ("adjtimex", |done| time_adjusted(done, 0)),
    ("clock_adjtime", |done| time_adjusted(done, 1)),
    ("kill", |done| signalled(done, 1)),
    ("mlock", |done| locked(done, Some(done.long(1)))),
    ("mlock2", |done| locked(done, Some(done.long(1)))),
    ("mlockall", |done| locked(done, None)),
    ("prlimit64", |done| {
        limited(done, done.uint(1), done.long(2))
    }),
    ("sched_setscheduler", scheduled),
    ("setpriority", prioritised),
    ("setrlimit", |done| {
        limited(done, done.uint(0), done.long(1))
    }),
    ("tgkill", |done| signalled(done, 2)),
    ("tkill", |done| signalled(done, 1)),
    ("unshare", unshared),
];

fn hard_limit(caller: &Caller, resource: u64) -> Option<u64> {
    process::limits(caller.tid, u32::try_from(resource).ok()?).map(|(_, hard)| hard)
}

fn limited(done: &mut Done<'_>, resource: u32, new: u64) {
    // struct rlimit: soft, hard. Without one, the limit is only read.
    let hard = (new != 0).then(|| new.checked_add(8).and_then(|hard| done.caller.word(hard)));
    if let (Some(before), Some(Some(after))) = (done.note, hard) {
        done.capability(rules::limit(before, after), &format!("resource {resource}"));
    }
}

/// The first word of `struct timex` says what is set; nothing if it is 0.
fn time_adjusted(done: &mut Done<'_>, index: usize) {
    if done
        .caller
        .half(done.long(index))
        .is_some_and(|modes| modes != 0)
    {
        done.capability(Some(rules::SYS_TIME), "set");
    }
}

fn signalled(done: &mut Done<'_>, signal: usize) {
    let target = done.int(0);
    // To its own process, its group or everybody: the kernel then asks for one that is allowed.
    if target <= 0 || target == done.caller.process || done.int(signal) == 0 {
        return;
    }
    if let Some(theirs) = process::credentials(target) {
        let who = done.caller.credentials();
        done.capability(
            rules::kill(&who, &theirs),
            &format!("process of uid {}", theirs.uids[0]),
        );
    }
}

fn locked(done: &mut Done<'_>, bytes: Option<u64>) {
    if let Some((limit, _)) = process::limits(done.caller.tid, abi::RLIMIT_MEMLOCK) {
        done.capability(rules::lock(bytes, limit), "");
    }
}

fn scheduled(done: &mut Done<'_>) {
    let limit = process::limits(done.caller.tid, abi::RLIMIT_RTPRIO).map_or(0, |(soft, _)| soft);
    let policy = done.int(1);
    done.capability(rules::scheduler(policy, limit), &format!("policy {policy}"));
}

fn prioritised(done: &mut Done<'_>) {
    // Only of the caller itself: 0 is PRIO_PROCESS of setpriority(2), and 0 the caller.
    if done.int(0) != 0 || done.int(1) != 0 {
        return;
    }
    let before = done
        .note
        .and_then(|note| i32::try_from(note).ok())
        .map(|nice| nice - 20);
    let limit = process::limits(done.caller.tid, abi::RLIMIT_NICE).map_or(0, |(soft, _)| soft);
    if let Some(before) = before {
        let after = done.int(2);
        done.capability(rules::priority(before, after, limit), &after.to_string());
    }
}

#[allow(clippy::cast_sign_loss)]
fn unshared(done: &mut Done<'_>) {
    let flags = done.long(0);
    // The namespace flags of clone(2), but for the user namespace, which is free.
    const NAMESPACES: u64 = 0x7e02_0080 & !(abi::CLONE_NEWUSER as u64);
    if flags & NAMESPACES != 0 && flags & abi::CLONE_NEWUSER as u64 == 0 {
        done.capability(Some(rules::SYS_ADMIN), &format!("{flags:#x}"));
    }
    if flags & abi::CLONE_NEWNS as u64 != 0 {
        super::memory::own_mounts(done);
    }
}
