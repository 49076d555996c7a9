//! Calls that map memory, handle signals, make processes, or go where a tracer cannot follow.

use super::super::record::Event;
use super::{After, Done};
use crate::sys::{abi, calls};

/// What these calls show.
pub const AFTER: After = &[
    ("clone", |done| cloned(done, done.long(0))),
    ("clone3", |done| {
        // The first word of struct clone_args are the flags.
        if let Some(flags) = done.caller.word(done.long(0)) {
            cloned(done, flags);
        }
    }),
    ("io_uring_setup", |done| {
        if done.result.is_ok() {
            done.events.push(Event::Blind);
        }
    }),
    ("mmap", executable),
    ("mprotect", executable),
    ("pivot_root", |done| {
        gap(
            done,
            "a process changed its root with pivot_root: paths seen afterwards may be of its own mount namespace",
        )
    }),
    ("pkey_mprotect", executable),
    ("ptrace", |done| {
        done.events.push(Event::Gap(
            "a process used ptrace, which does not work for a process that is traced itself"
                .to_owned(),
        ));
    }),
    ("rt_sigaction", handled),
    ("rt_sigtimedwait", |done| awaited(done, done.long(0))),
    ("setns", |done| {
        gap(
            done,
            "a process entered another namespace: paths seen afterwards may be of its own mount namespace",
        )
    }),
    ("shmat", executable),
    ("signalfd", |done| awaited(done, done.long(1))),
    ("signalfd4", |done| awaited(done, done.long(1))),
];

fn executable(done: &mut Done<'_>) {
    let number = u32::try_from(done.call.number).ok();
    let name = number.and_then(calls::name).unwrap_or_default();
    if done.result.is_ok() && calls::executes_what_is_written(name, &done.call.arguments) {
        done.events.push(Event::WritableExecutable);
    }
}

/// The second argument is the new `struct sigaction`, whose first word is the handler: 0 and 1
/// are the default and ignoring.
fn handled(done: &mut Done<'_>) {
    let action = done.long(1);
    if done.result.is_ok()
        && action != 0
        && done.caller.word(action).is_some_and(|handler| handler > 1)
    {
        let (process, signal) = (done.caller.process, done.int(0));
        done.events.push(Event::Handler { process, signal });
    }
}

/// `sigwait(3)` and `signalfd(2)` take the place of handlers. The set is a word, signal 1 its
/// lowest bit. It matters even if the wait was cut short.
fn awaited(done: &mut Done<'_>, set: u64) {
    let Some(signals) = done.caller.word(set) else {
        return;
    };
    let process = done.caller.process;
    for signal in (1..=64).filter(|signal| signals >> (signal - 1) & 1 == 1) {
        done.events.push(Event::Handler { process, signal });
    }
}

#[allow(clippy::cast_sign_loss)]
fn cloned(done: &mut Done<'_>, flags: u64) {
    if flags & abi::CLONE_UNTRACED as u64 != 0 {
        gap(
            done,
            "a process was made with CLONE_UNTRACED: it is not seen",
        );
    }
    if flags & abi::CLONE_NEWNS as u64 != 0 {
        own_mounts(done);
    }
}

/// Notes that paths are no longer what they are on the host.
pub fn own_mounts(done: &mut Done<'_>) {
    gap(
        done,
        "a process took its own mount namespace: its paths may differ from the host's",
    );
}

fn gap(done: &mut Done<'_>, text: &str) {
    if done.result.is_ok() {
        done.events.push(Event::Gap(text.to_owned()));
    }
}
