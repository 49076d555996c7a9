//! A call from its first stop to its last: counted, prepared, concluded.

use std::io;
use std::time::Instant;

use super::super::asked;
use super::super::calls::filters::{OwnFilter, own_filter};
use super::super::calls::{self, Caller, Done, Prepared, Shape};
use super::super::process;
use super::super::record::{Event, Recorder, When};
use super::super::trace::{Known, Phase, Use};
use super::super::watch::Watches;
use super::{Halts, Ordering, Task, Tracer, gone};
use crate::sys::abi;
use crate::sys::ptrace::{self, Call, SyscallInfo};

/// What the trace has for a call that the filter let run.
const RAN_FREE: &str = "a call that did not stop";
/// The bit of a call number that marks the x32 entry (`asm/unistd.h`).
const X32: u64 = 0x4000_0000;
/// `AUDIT_ARCH_I386` of `linux/audit.h`.
const I386: u32 = 0x4000_0003;
/// `ERESTARTSYS` and its kin, which the program never sees: the call is made again or fails with
/// `EINTR` after the signal (`linux/errno.h`).
const RESTARTS: std::ops::RangeInclusive<i64> = 512..=516;

/// How a call fails that something has denied, or for which a limit was too low (`errno(3)`).
/// Others belong to what every program does.
const FAILURES: [i32; 11] = [
    abi::EPERM,
    abi::ENOMEM,
    abi::EACCES,
    abi::ENFILE,
    abi::EMFILE,
    abi::EFBIG,
    abi::ENOSPC,
    abi::EROFS,
    abi::ENOSYS,
    abi::EAFNOSUPPORT,
    abi::EAGAIN,
];

/// What the result's register holds before anything has been made of a call: `-ENOSYS`.
const UNTOUCHED: i64 = -38;

/// What that register is made to hold of a call whose end is not waited for: no result is like it,
/// and it tells the call from the next one.
const MARK: i64 = i64::MIN + 0x676a_6f6c;

/// A call between its stops.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) when: When,
    /// What its end shows; `None` if that is nothing.
    shape: Option<&'static Shape>,
    /// Its end is waited for.
    pub(super) waits: bool,
    pub(super) paths: Vec<Prepared>,
    note: Option<u64>,
    /// Something has shown that the kernel went on with it.
    pub(super) begun: bool,
    /// What the result's register holds as long as it has not.
    untouched: i64,
}

impl Tracer<'_> {
    /// A thread is stopped at a call: the kernel says on which side, no toggle of ours.
    pub(super) fn called(&mut self, tid: i32) -> io::Result<()> {
        match gone(ptrace::syscall_info(tid))? {
            // Of one that goes from step to step, the entry was seen before its filters ran.
            Some(SyscallInfo::Asked(_)) if self.tasks.get(&tid).is_some_and(|task| task.steps) => {}
            Some(SyscallInfo::Asked(call)) => {
                self.asked(tid, call);
                self.mark(tid)?;
            }
            Some(SyscallInfo::Entered(call)) => self.asked(tid, call),
            Some(SyscallInfo::Returned(value)) => self.returned(tid, value),
            // Killed while it was stopped: the kernel then skips the call, so there is none.
            Some(SyscallInfo::Nothing) | None => {}
        }
        Ok(())
    }

    /// Whether this signal tells of a watched call that has named something new. The call has
    /// returned, and the thread is on its way back to its program.
    pub(super) fn named(&mut self, tid: i32, signal: i32) -> io::Result<bool> {
        if signal != abi::SIGTRAP || !self.watches.are_on() {
            return Ok(false);
        }
        let Some(told) = gone(ptrace::watch_signal(tid))?.flatten() else {
            return Ok(false);
        };
        match gone(ptrace::returned_call(tid))? {
            Some((call, value)) if !told.late && call.number == told.mark => {
                self.asked(tid, call);
                self.returned(tid, value);
                self.watches.told();
            }
            _ => self
                .watches
                .doubts("a thread blocked the signal that tells of a new name"),
        }
        Ok(true)
    }

    /// A call has been asked for.
    fn asked(&mut self, tid: i32, call: Call) {
        self.last_stop = Instant::now();
        self.before_call(tid);
        if self.halts == Halts::All && is_native(&call) {
            self.filters_itself(tid, &call);
        }
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        let when = When {
            phase: self.phase,
            exercise: self.exercise.load(Ordering::Relaxed),
            program: task.program,
        };
        if self.recording {
            self.stops += 1;
        }
        self.first_serves |= task.process == self.first && self.phase == Phase::Serve;
        if task.pending.is_some() {
            let text = "the end of a system call was not seen".to_owned();
            self.recorder.record(when, Event::Gap(text));
        }
        let native = is_native(&call);
        // Whoever is killed for a call makes none after it.
        task.foreign = (!native).then_some((call, when));
        let shape = native.then(|| calls::shape(call.number)).flatten();
        let mut caller = Caller {
            tid,
            process: task.process,
            credentials: task.credentials.take(),
            jailed: self.jailed,
        };
        let paths = shape.map_or_else(Vec::new, |shape| calls::prepare(shape, &caller, &call));
        if shape.is_some_and(|shape| shape.changes_ids) || !paths.is_empty() {
            caller.credentials();
        }
        let note = shape.and_then(|shape| shape.before?(&caller, &call));
        task.credentials = caller.credentials;
        let shape = shape.filter(|shape| shape.shows_at_end(&paths));
        let steps = task.steps || self.halts == Halts::Steps || !ptrace::MARKS_RESULT;
        // The kernel may have asked for a capability, which counts only if the call succeeds. No
        // jail allows a foreign call, so what that takes is of no use there.
        let may_ask = self.asked.tells() && native && !calls::is_plain(call.number);
        task.pending = Some(Pending {
            call,
            when,
            shape,
            waits: shape.is_some() || steps || may_ask,
            paths,
            note,
            begun: false,
            untouched: UNTOUCHED,
        });
    }

    /// A call whose end is not waited for was made, or its thread would not be elsewhere by now.
    pub(super) fn settle(&mut self, tid: i32) {
        let task = self.tasks.get_mut(&tid);
        if let Some(former) = task.and_then(|task| task.pending.take_if(|former| !former.waits)) {
            self.made(&former);
        }
    }

    /// Sees to it that the thread's end will tell whether it made the call that it is stopped at,
    /// where the end of the call itself is not waited for.
    fn mark(&mut self, tid: i32) -> io::Result<()> {
        let task = self.tasks.get_mut(&tid);
        let pending = task.and_then(|task| task.pending.as_mut());
        if let Some(pending) = pending.filter(|pending| !pending.waits)
            && gone(ptrace::mark_result(tid, MARK))?.is_some()
        {
            pending.untouched = MARK;
        }
        Ok(())
    }

    /// A thread with a filter of its own goes from step to step, where that does not come too late.
    fn filters_itself(&mut self, tid: i32, call: &Call) {
        let process = self.tasks.get(&tid).map(|task| task.process);
        let siblings = || {
            let mut tasks = self.tasks.iter();
            tasks.any(|(other, task)| *other != tid && Some(task.process) == process)
        };
        match own_filter(call) {
            OwnFilter::None => {}
            OwnFilter::Strict => self.doubt = Some("it asked for seccomp's strict mode".to_owned()),
            OwnFilter::Process if siblings() => {
                self.doubt = Some("it put a filter on threads that ran".to_owned());
            }
            OwnFilter::Process | OwnFilter::Thread => {
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.steps = true;
                }
            }
        }
    }

    /// A call has returned.
    fn returned(&mut self, tid: i32, value: i64) {
        self.asked.read();
        let asks = self.asked.take(tid);
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        let Some(pending) = task.pending.take() else {
            return;
        };
        if !self.recording {
            return;
        }
        self.made(&pending);
        if self.jailed && (-4095..0).contains(&value) {
            self.failed(tid, &pending, value);
        }
        if pending.shape.is_none() && asks.is_empty() {
            return;
        }
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        let result = match value {
            -4095..0 if RESTARTS.contains(&-value) => return,
            -4095..0 => Err(i32::try_from(-value).unwrap_or_default()),
            value => Ok(value),
        };
        let mut caller = Caller {
            tid,
            process: task.process,
            credentials: task.credentials.take(),
            jailed: self.jailed,
        };
        let mut done = Done {
            caller: &mut caller,
            call: &pending.call,
            paths: &pending.paths,
            note: pending.note,
            result,
            memory: &mut self.memory,
            events: Vec::new(),
        };
        if let Some(shape) = pending.shape {
            calls::conclude(shape, &mut done);
        }
        if self.asked.tells() && is_native(&pending.call) {
            asked::judge(&mut done, &calls::name(pending.call.number), &asks);
        }
        for event in done.events {
            self.recorder.record(pending.when, event);
        }
        if result.is_ok() {
            used(&mut self.recorder, &mut self.watches, &pending);
        }
        if pending.shape.is_none_or(|shape| !shape.changes_ids) {
            task.credentials = caller.credentials;
        }
    }

    /// Records that a call failed in a jail, and where in the program it was made.
    fn failed(&mut self, tid: i32, pending: &Pending, value: i64) {
        let Pending { call, when, .. } = pending;
        let errno = i32::try_from(-value).unwrap_or_default();
        if !is_native(call) || !FAILURES.contains(&errno) {
            return;
        }
        let number = number(call.number);
        let known = self
            .recorder
            .knows_failure(number, errno, when.phase, &call.arguments);
        let (at, thread) = if known {
            (None, String::new())
        } else {
            (
                process::place(tid, call.instruction),
                process::thread_name(tid),
            )
        };
        let [first, ..] = call.arguments;
        let event = Event::Failed {
            number,
            architecture: String::new(),
            errno,
            arguments: call.arguments,
            at,
            file: (errno == abi::ENOSPC)
                .then(|| process::descriptor(tid, first))
                .flatten(),
            thread,
        };
        self.recorder.record(*when, event);
    }

    /// Records that a thread ended in a call of another architecture: a jail's filter kills it for
    /// that (SIGSYS).
    fn killed(&mut self, tid: i32, call: Call, when: When) {
        let Event::ForeignCall(architecture, number) = event(&call) else {
            return;
        };
        let event = Event::Failed {
            number,
            architecture,
            errno: 0,
            arguments: call.arguments,
            at: process::place(tid, call.instruction),
            file: None,
            thread: process::thread_name(tid),
        };
        self.recorder.record(when, event);
    }

    /// Records a call that the kernel has begun.
    fn made(&mut self, pending: &Pending) {
        let Pending { call, when, .. } = pending;
        self.records += 1;
        self.recorder.record(*when, event(call));
        if is_native(call)
            && let Some(deciding) = calls::deciding(call.number)
        {
            let values = calls::deciding::values(deciding, call);
            let event = Event::Arguments(number(call.number), values);
            self.recorder.record(*when, event);
        }
    }

    /// A thread is about to end, perhaps in the middle of a call.
    pub(super) fn ending(&mut self, tid: i32) -> io::Result<()> {
        let result = gone(ptrace::result_register(tid))?;
        if let Some(pending) = self
            .tasks
            .get_mut(&tid)
            .and_then(|task| task.pending.as_mut())
        {
            let name = calls::name(pending.call.number);
            let ends = matches!(name.as_str(), "exit" | "exit_group");
            pending.begun |= ends || result != Some(pending.untouched);
        }
        let foreign = self
            .tasks
            .get_mut(&tid)
            .and_then(|task| task.foreign.take());
        if let Some((call, when)) = foreign.filter(|_| self.jailed && self.recording) {
            self.killed(tid, call, when);
        }
        Ok(())
    }

    /// What was asked of a thread before the call that it is about to make belongs to calls that
    /// did not stop; where all do, to none.
    fn before_call(&mut self, tid: i32) {
        self.asked.read();
        let asks = self.asked.take(tid);
        if !matches!(self.halts, Halts::Filtered(_)) || !self.recording {
            return;
        }
        let program = self.tasks.get(&tid).map_or(0, |task| task.program);
        for ask in asks.into_iter().filter(|ask| ask.granted) {
            if self.recorder.expects(ask.capability, self.phase) {
                continue;
            }
            // Whoever gives one up stops for that, so a thread that has not got it was not asked
            // for itself: overlayfs asks in the name of whoever mounted it.
            if process::has_capability(tid, ask.capability) == Some(false)
                || self.watches.asked_for()
            {
                continue;
            }
            let when = When {
                phase: self.phase,
                exercise: self.exercise.load(Ordering::Relaxed),
                program,
            };
            let event = Event::Capability {
                capability: ask.capability,
                call: RAN_FREE.to_owned(),
                known: Known::Asked,
                refused: false,
                user: process::credentials(tid).map_or(0, |who| who.acts_as()),
            };
            self.recorder.record(when, event);
        }
    }

    /// Takes what was asked of threads that are in no call that has stopped.
    pub(super) fn ran_free(&mut self) {
        self.asked.read();
        for tid in self.asked.threads() {
            let stopped = self
                .tasks
                .get(&tid)
                .is_some_and(|task| task.pending.as_ref().is_some_and(|call| call.waits));
            if !stopped {
                self.before_call(tid);
            }
        }
    }

    /// The thread is gone in the middle of a call: one that never returns, or one that was
    /// cut short by a signal that killed it. One that was killed at its very entry is none: the
    /// kernel skips it then (`ptrace_report_syscall_entry` of the kernel).
    pub(super) fn unfinished(&mut self, task: Task) {
        let Some(pending) = task.pending else { return };
        if !self.recording {
            return;
        }
        if !pending.begun {
            self.stops -= 1;
            return;
        }
        self.made(&pending);
        for Prepared { found, uses } in pending.paths {
            let event = Event::Path {
                found,
                uses,
                failure: Some(abi::EINTR),
            };
            self.recorder.record(pending.when, event);
        }
    }
}

/// A call has succeeded: what it named is known from now on, if it led to itself.
fn used(recorder: &mut Recorder, watches: &mut Watches, pending: &Pending) {
    let [Prepared { found, uses }] = pending.paths.as_slice() else {
        return;
    };
    if uses.contains(&Use::Root) {
        watches.doubts("it changed its root directory");
    }
    let reads = matches!(uses.as_slice(), [Use::Read | Use::List | Use::Look]);
    let plain = found.links.is_empty() && found.asked == found.host;
    let call = &pending.call;
    if reads && plain && pending.when.phase == Phase::Serve && calls::named(call.number).is_some() {
        let deciding = calls::deciding(call.number).unwrap_or_default();
        let flags = calls::deciding::values(deciding, call);
        let flags = flags.first().copied().unwrap_or_default();
        recorder.named(number(call.number), flags, &found.host);
    }
}

/// The event of a call.
fn event(call: &Call) -> Event {
    if is_native(call) {
        return Event::Call(number(call.number));
    }
    match call.arch {
        ptrace::NATIVE_ARCH => Event::ForeignCall("x32".to_owned(), number(call.number & !X32)),
        I386 => Event::ForeignCall("i386".to_owned(), number(call.number)),
        other => Event::ForeignCall(format!("{other:#x}"), number(call.number)),
    }
}

fn number(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn is_native(call: &Call) -> bool {
    call.arch == ptrace::NATIVE_ARCH
        && (cfg!(not(target_arch = "x86_64")) || call.number & X32 == 0)
}
