//! The event loop: takes each stop of each thread, hands what it shows to the recorder, and
//! lets the thread go on. Counts stops against records.

mod ending;
mod halts;
mod in_call;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::asked::Asked;
use super::calls::Memory;
use super::capabilities::Credentials;
use super::paths::{Last, resolve};
use super::process;
use super::record::{Event, Recorder, When};
use super::trace::{CapabilitySource, Phase, Use};
use super::watch::Watches;
use crate::error::{Doing, Error, Result};
use crate::sys::ptrace::{self, Change, Report, Stop, Until};
use crate::sys::spawn_traced::{self, Launched, Program};
use crate::sys::{abi, tick};
pub use halts::{Before, Halts};
use in_call::Pending;

/// How often a wait without events ends, so that deadlines are seen.
const TICK: Duration = Duration::from_millis(20);
/// How long processes that were killed may take to go when the tracer is dropped.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A service that waits in its jail to be traced.
pub struct Held<'a> {
    /// Its process.
    pub pid: i32,
    /// Lets it go on, towards its first instruction.
    pub let_go: Box<dyn FnOnce() -> Result<()> + Send + 'a>,
    /// Whether its start is over for whoever started the jail, beside the signs of readiness.
    pub has_started: Box<dyn Fn() -> bool + Send + 'a>,
}

/// Whether there is anything left to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is.
    Alive,
    /// Every process has ended.
    Ended,
}

/// A traced service. Dropping it kills whatever is left of the service.
#[derive(Debug)]
pub struct Tracer<'a> {
    /// What was seen.
    pub recorder: Recorder,
    /// What the kernel asked for.
    pub asked: Asked,
    /// What calls are remembered for.
    pub memory: Memory,
    /// The phase of calls that begin now.
    pub phase: Phase,
    /// System call stops.
    pub stops: u64,
    /// Stops whose call has been accounted for.
    pub records: u64,
    /// Processes seen.
    pub processes: u64,
    /// Threads seen.
    pub threads: u64,
    /// When the last call was made.
    pub last_stop: Instant,
    /// The process that was started.
    pub first: i32,
    /// How that one ended.
    pub first_end: Option<Change>,
    /// The first process left the service to others: it ended well, or did nothing any more.
    pub forked: bool,
    /// The main process: the first one, or the oldest that is left when that went away.
    pub main: i32,
    /// The first process has made a call while serving.
    first_serves: bool,
    /// It was asked to end.
    ending: bool,
    /// Calls that run while they name what is known.
    pub watches: Watches,
    /// The service is in a jail, with a mount namespace of its own.
    pub jailed: bool,
    /// The exercise that is running, counted from 1; 0 for none.
    exercise: &'a AtomicU16,
    /// Which calls stop.
    halts: Halts,
    /// The filters that a thread has from the start.
    filters: u32,
    /// Why this pass may have missed something.
    doubt: Option<String>,
    launched: Option<Launched>,
    recording: bool,
    killing: bool,
    tasks: BTreeMap<i32, Task>,
    /// Reports on their way to be handled; empty between steps.
    batch: Vec<Report>,
    /// As many reports are handled one by one.
    alone: u8,
    /// Threads whose end was reported before their maker's stop.
    early: BTreeSet<i32>,
    _tick: tick::Tick,
}

#[derive(Debug, Default)]
struct Task {
    process: i32,
    born: u64,
    announced: bool,
    executed: bool,
    stopped: bool,
    credentials: Option<Credentials>,
    pending: Option<Pending>,
    /// The last call that it made, if that was one of another architecture.
    foreign: Option<(ptrace::Call, When)>,
    /// What it runs, as the recorder numbers it.
    program: u16,
    /// It goes from step to step: it has a filter of its own, which could answer before ours.
    steps: bool,
}

impl<'a> Tracer<'a> {
    /// Starts a program under a tracer that is the calling thread.
    ///
    /// # Errors
    /// If it cannot be forked or seized, or there is no timer.
    pub fn start(program: &Program, before: Before, exercise: &'a AtomicU16) -> Result<Self> {
        let mut asked = Asked::default();
        let watch = |pid| asked = Asked::watch(pid, before.capabilities);
        let launched = spawn_traced::launch(program, &before.halts.filter(), watch)
            .doing(|| "start the service under a tracer")?;
        let mut tracer = Self::of(launched.pid, asked, before, exercise)?;
        tracer.launched = Some(launched);
        Ok(tracer)
    }

    /// Takes hold of a service that is held in its jail, before its first instruction, and lets it
    /// go on. The calling thread is its tracer.
    ///
    /// # Errors
    /// If it cannot be seized or let go, or there is no timer.
    pub fn follow(
        pid: i32,
        let_go: impl FnOnce() -> Result<()>,
        exercise: &'a AtomicU16,
    ) -> Result<Self> {
        let asked = Asked::watch(pid, CapabilitySource::KernelEvent);
        ptrace::seize(pid, false).doing(|| "take hold of the service in its jail")?;
        let before = Before {
            halts: Halts::Steps,
            ..Before::default()
        };
        let mut tracer = Self::of(pid, asked, before, exercise)?;
        tracer.jailed = true;
        let_go()?;
        Ok(tracer)
    }

    fn of(first: i32, asked: Asked, before: Before, exercise: &'a AtomicU16) -> Result<Self> {
        let tick = tick::Tick::start(TICK).doing(|| "start a timer")?;
        let task = Task {
            process: first,
            ..Task::default()
        };
        Ok(Self {
            recorder: before.recorder,
            asked,
            memory: Memory {
                first_free_port: process::first_free_port(),
                ..Memory::default()
            },
            phase: Phase::Start,
            stops: 0,
            records: 0,
            processes: 1,
            threads: 1,
            last_stop: Instant::now(),
            first,
            first_end: None,
            forked: false,
            main: first,
            first_serves: false,
            ending: false,
            watches: before.watches,
            exercise,
            filters: process::filters(0) + u32::from(before.halts != Halts::Steps),
            halts: before.halts,
            doubt: None,
            jailed: false,
            launched: None,
            recording: false,
            killing: false,
            tasks: BTreeMap::from([(first, task)]),
            batch: Vec::new(),
            alone: 0,
            early: BTreeSet::new(),
            _tick: tick,
        })
    }

    /// Waits for something to happen, for one tick at most, and answers it. All threads that are
    /// stopped at that moment get their turn before any of them gets another.
    ///
    /// # Errors
    /// If the kernel refuses what a tracer may do.
    pub fn step(&mut self) -> Result<Step> {
        let mut batch = std::mem::take(&mut self.batch);
        let none_left = self.wait(&mut batch)?;
        for report in &batch {
            self.handle(*report)
                .doing(|| format!("trace thread {}", report.tid))?;
        }
        batch.clear();
        self.batch = batch;
        self.ran_free();
        if none_left {
            // The kernel's word counts more than the list.
            for (_, task) in std::mem::take(&mut self.tasks) {
                self.unfinished(task);
            }
        }
        Ok(if self.tasks.is_empty() {
            Step::Ended
        } else {
            Step::Alive
        })
    }

    /// Why the program could not be executed, if it could not.
    pub fn launch_failure(&mut self) -> Option<Error> {
        if self.recording {
            return None;
        }
        let (step, error) = self.launched.take()?.failure()?;
        Some(Error::new(
            format!("start the service: {step}"),
            crate::error::explain(&error),
        ))
    }

    /// Why the run may have missed something, once it is over.
    pub fn doubt(&mut self) -> Option<String> {
        self.doubt.take().or_else(|| self.watches.conclude())
    }

    /// Is anything of the service left?
    pub fn has_processes(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Kills every process that is left.
    pub fn kill(&mut self) {
        self.killing = true;
        let processes: BTreeSet<i32> = self.tasks.values().map(|task| task.process).collect();
        for process in processes {
            send(process, Signal::KILL);
        }
    }

    fn handle(&mut self, report: Report) -> io::Result<()> {
        let tid = report.tid;
        match report.change {
            Change::Exited(_) | Change::Killed(_) => self.ended(tid, report.change),
            Change::Stopped(stop) => {
                self.meet(tid);
                if stop != Stop::Exit {
                    self.settle(tid);
                }
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.stopped = matches!(stop, Stop::Group(_));
                    // Between the stops of a call any other shows that it was made, as does the
                    // second one, even if the thread is killed before that can be looked at.
                    let tells = !matches!(stop, Stop::Seccomp | Stop::Exit);
                    if let Some(pending) = task.pending.as_mut().filter(|_| tells) {
                        pending.begun = true;
                    }
                }
                match stop {
                    Stop::Child => self.child(tid)?,
                    Stop::Exec => self.executed(tid)?,
                    Stop::Exit => {
                        self.ending(tid)?;
                        return alive(ptrace::resume(tid, Until::Event, 0));
                    }
                    Stop::Group(_) => return alive(ptrace::listen(tid)),
                    Stop::Idle => {}
                    Stop::Seccomp | Stop::Syscall => self.called(tid)?,
                    Stop::Signal(signal) => {
                        let passed_on = if self.named(tid, signal)? { 0 } else { signal };
                        return self.resume(tid, passed_on);
                    }
                }
                return self.resume(tid, 0);
            }
            Change::Other(_) => {}
        }
        Ok(())
    }

    /// A thread goes on to the end of its call, if it is in one, or to its next call.
    fn resume(&self, tid: i32, signal: i32) -> io::Result<()> {
        let task = self.tasks.get(&tid);
        let waits = |task: &Task| task.pending.as_ref().is_some_and(|call| call.waits);
        let steps =
            self.halts == Halts::Steps || task.is_some_and(|task| task.steps || waits(task));
        let until = if steps { Until::Syscall } else { Until::Event };
        alive(ptrace::resume(tid, until, signal))
    }

    /// Takes a new thread in. Its own first stop and its maker's may come in either order.
    fn meet(&mut self, tid: i32) {
        if self.tasks.contains_key(&tid) {
            return;
        }
        let process = process::process_of(tid).unwrap_or(tid);
        self.threads += 1;
        if process == tid {
            self.processes += 1;
        }
        let task = Task {
            process,
            born: self.threads,
            steps: self.halts == Halts::All && process::filters(tid) != self.filters,
            ..Task::default()
        };
        self.tasks.insert(tid, task);
        if self.killing {
            send(process, Signal::KILL);
        }
    }

    fn child(&mut self, tid: i32) -> io::Result<()> {
        let Some(child) = gone(ptrace::event_message(tid))? else {
            return Ok(());
        };
        // One that has ended already was counted then; as a zombie it still has its entry in /proc.
        if self.early.remove(&child) || process::process_of(child).is_none() {
            return Ok(());
        }
        self.meet(child);
        if let Some(task) = self.tasks.get_mut(&child) {
            task.announced = true;
        }
        let maker = self
            .tasks
            .get(&tid)
            .map(|task| (task.process, task.program));
        if let (Some((maker, program)), Some(made)) = (maker, self.tasks.get_mut(&child))
            && !made.executed
        {
            made.program = program;
            if made.process != maker {
                self.recorder.forked(maker, made.process);
            }
        }
        Ok(())
    }

    /// A thread that executes takes over the first thread's number; all others are gone
    /// (`execve(2)`, `ptrace(2)`).
    fn executed(&mut self, tid: i32) -> io::Result<()> {
        let Some(former) = gone(ptrace::event_message(tid))? else {
            return Ok(());
        };
        if former != tid
            && let Some(task) = self.tasks.remove(&former)
        {
            self.asked.renumbered(former, tid);
            if let Some(replaced) = self.tasks.insert(tid, task) {
                self.unfinished(replaced);
            }
        }
        self.watches.attach(tid);
        let Some(task) = self.tasks.get_mut(&tid) else {
            return Ok(());
        };
        task.executed = true;
        task.credentials = None;
        let process = task.process;
        let file = process::executable(tid);
        if let Some(file) = &file {
            task.program = self.recorder.program(file);
        }
        let Some(pending) = &mut task.pending else {
            // In a jail it is followed from here on: the execve was the launcher's last step.
            self.recording |= self.jailed;
            return Ok(());
        };
        if !self.recording {
            // The launcher's own calls end here; the execve is the service's first.
            self.recording = true;
            self.stops += 1;
            pending.when.program = task.program;
        }
        let when = pending.when;
        self.recorder.executed(process);
        // The program itself, where what was asked for is a script.
        if let Some(file) = file
            && pending.paths.iter().all(|path| path.found.host != file)
        {
            let view = super::paths::View {
                process,
                thread: tid,
                root: "/".into(),
                jailed: self.jailed,
            };
            let text = file.as_os_str().as_encoded_bytes();
            let found = resolve(&view, Path::new("/"), text, Last::Follow);
            let event = Event::Path {
                found,
                uses: vec![Use::Execute],
                failure: None,
            };
            self.recorder.record(when, event);
        }
        Ok(())
    }

    fn ended(&mut self, tid: i32, change: Change) {
        if tid == self.first {
            self.first_end = Some(change);
        }
        if let Some(task) = self.tasks.remove(&tid) {
            if !task.announced {
                self.early.insert(tid);
            }
            self.unfinished(task);
        }
        if tid == self.first && change == Change::Exited(0) && !self.ending {
            self.forked |= !self.tasks.is_empty();
        }
        if tid == self.main && self.forked && !self.ending {
            self.follow_oldest();
        }
    }
}

impl Drop for Tracer<'_> {
    fn drop(&mut self) {
        self.kill();
        let deadline = Instant::now() + LAST_WAIT;
        while !self.tasks.is_empty() && Instant::now() < deadline {
            if self.step().is_err() {
                break;
            }
        }
    }
}

/// A thread that has been killed meanwhile is no failure: its end is reported next.
fn gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(abi::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

fn alive(result: io::Result<()>) -> io::Result<()> {
    gone(result).map(|_| ())
}

/// Sends a signal to a traced process. Its number is its own as long as we have not waited for
/// its end; if it has ended already, there is nothing left to do.
fn send(process: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(process)
        && let Err(error) = kill_process(pid, signal)
    {
        debug_assert_eq!(error, rustix::io::Errno::SRCH);
    }
}
