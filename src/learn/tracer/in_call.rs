//! A call from its first stop to its last: counted, prepared, concluded.

use std::io;
use std::time::Instant;

use super::super::asked;
use super::super::calls::{self, Caller, Done, Prepared, Shape};
use super::super::process;
use super::super::record::{Event, When};
use super::super::trace::Known;
use super::{Ordering, Task, Tracer, gone};
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

/// What the result's register holds before anything has been made of a call: `-ENOSYS`.
const UNTOUCHED: i64 = -38;

/// A call between its stops.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) when: When,
    shape: Option<&'static Shape>,
    pub(super) paths: Vec<Prepared>,
    note: Option<u64>,
    /// Something has shown that the kernel went on with it.
    pub(super) begun: bool,
}

impl Tracer<'_> {
    /// A thread is stopped at a call: the kernel says on which side, no toggle of ours.
    pub(super) fn called(&mut self, tid: i32) -> io::Result<()> {
        match gone(ptrace::syscall_info(tid))? {
            Some(SyscallInfo::Asked(call) | SyscallInfo::Entered(call)) => self.asked(tid, call),
            Some(SyscallInfo::Returned(value)) => self.returned(tid, value),
            // Killed while it was stopped: the kernel then skips the call, so there is none.
            Some(SyscallInfo::Nothing) | None => {}
        }
        Ok(())
    }

    /// A call has been asked for.
    fn asked(&mut self, tid: i32, call: Call) {
        self.last_stop = Instant::now();
        self.before_call(tid);
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
        if task.pending.is_some() {
            let text = "the end of a system call was not seen".to_owned();
            self.recorder.record(when, Event::Gap(text));
        }
        let shape = is_native(&call)
            .then(|| calls::shape(call.number))
            .flatten();
        let mut caller = Caller {
            tid,
            process: task.process,
            credentials: task.credentials.take(),
        };
        let mut pending = Pending {
            call,
            when,
            shape,
            paths: Vec::new(),
            note: None,
            begun: false,
        };
        if let Some(shape) = shape {
            if shape.changes_ids || !shape.paths.is_empty() {
                caller.credentials();
            }
            pending.paths = calls::prepare(shape, &caller, &call);
            pending.note = shape.before.and_then(|before| before(&caller, &call));
        }
        task.credentials = caller.credentials;
        task.pending = Some(pending);
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
        if self.asked.tells() {
            asked::judge(&mut done, &name(&pending.call), &asks);
        }
        for event in done.events {
            self.recorder.record(pending.when, event);
        }
        if pending.shape.is_none_or(|shape| !shape.changes_ids) {
            task.credentials = caller.credentials;
        }
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
            pending.begun = ends || result != Some(UNTOUCHED);
        }
        Ok(())
    }

    /// What was asked of a thread before the call that it is about to make belongs to calls that
    /// did not stop; where all do, to none.
    fn before_call(&mut self, tid: i32) {
        self.asked.read();
        let asks = self.asked.take(tid);
        if self.every_call || !self.recording {
            return;
        }
        let program = self.tasks.get(&tid).map_or(0, |task| task.program);
        for ask in asks.into_iter().filter(|ask| ask.granted) {
            if self.recorder.expects(ask.capability, self.phase) {
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
                .is_some_and(|task| task.pending.is_some());
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

/// The event of a call.
fn event(call: &Call) -> Event {
    if is_native(call) {
        return Event::Call(number(call.number));
    }
    match call.arch {
        ptrace::NATIVE_ARCH => Event::ForeignCall("x32".to_owned(), number(call.number & !X32)),
        I386 => Event::ForeignCall("x86".to_owned(), number(call.number)),
        other => Event::ForeignCall(format!("{other:#x}"), number(call.number)),
    }
}

fn name(call: &Call) -> String {
    match event(call) {
        Event::ForeignCall(architecture, number) => format!("{architecture} call {number}"),
        _ => calls::name(call.number),
    }
}

fn number(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn is_native(call: &Call) -> bool {
    call.arch == ptrace::NATIVE_ARCH
        && (cfg!(not(target_arch = "x86_64")) || call.number & X32 == 0)
}
