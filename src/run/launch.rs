//! Starts a jail: prepares everything, forks, waits until the service has been executed, and
//! words the error if it has not. A failed launch leaves nothing behind.

mod taken_over;

use std::fmt;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use serde::{Deserialize, Serialize};

use super::child::{self, Carried, Word};
use super::complaints::Complaints;
use super::init::{Kept, Message};
use super::inside::{Pipes, run_child};
use super::prepare;
use super::start_calls::StartCalls;
use super::start_helper;
use super::state::{ProcessName, State};
use crate::plan::{Managed, Plan, Step};
use crate::sys;
use crate::sys::fork::Side;
use crate::{Doing, Error, Result};

pub use taken_over::{Inherited, Keep};

const SIGKILL: i32 = 9;

/// Standard output and error of the service. Its input is `/dev/null`.
#[derive(Debug)]
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// This descriptor for both.
    To(OwnedFd),
}

/// A started jail.
#[derive(Debug)]
pub struct Launched {
    /// The direct child: the first process of the pid namespace, or the service itself.
    pub child: OwnedFd,
    /// Its pid.
    pub child_pid: i32,
    /// The service's pid, the same inside and outside; `None` while it has none.
    pub service_pid: Option<i32>,
    /// A stable handle on the service; `None` once it has ended.
    service: Option<OwnedFd>,
    /// A first process of gaoler's is in the jail.
    has_init: bool,
    /// Where that tells how the service ended.
    status: Option<OwnedFd>,
    /// It was started by another supervisor, whose child it is.
    taken_over: bool,
    /// While the service starts: the calls that only that needs.
    pub start: Option<StartCalls>,
}

/// How a service ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was taken over from a supervisor that had been killed, and the kernel tells only a
    /// parent.
    #[default]
    Unseen,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(code) => write!(f, "it exited with code {code}"),
            Ended::Killed(signal) => write!(f, "signal {signal} killed it"),
            Ended::Unseen => f.write_str("it ended, and nobody saw how"),
        }
    }
}

/// Starts the jail and answers when the service's program runs. `forked` is called with it as
/// soon as the service's process is there, while that goes on towards execve by itself.
///
/// # Errors
/// The step that failed, in words, with the kernel's reason: exit code 125, nothing is left.
pub fn launch(
    plan: &Plan,
    stdio: &Stdio,
    keep: Keep<'_>,
    forked: &mut dyn FnMut(&Launched) -> Result<()>,
) -> Result<Launched> {
    launch_given(plan, Given::default(), stdio, keep, forked)
}

/// Descriptors that the plan's steps pass on.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    /// The program that the step [`Step::TakeProgram`] takes.
    pub program: Option<OwnedFd>,
    /// The sockets of the plan, in its order; none of them if what runs is not the service.
    pub sockets: &'a [OwnedFd],
}

impl Given<'_> {
    /// Copies that are out of the way of the fixed numbers.
    fn open(self, opened: &mut prepare::Opened) -> Result<()> {
        opened.program = self.program.map(prepare::high).transpose()?;
        for socket in self.sockets {
            let socket = socket.try_clone().doing(|| "pass a socket on")?;
            opened.sockets.push(prepare::high(socket)?);
        }
        Ok(())
    }
}

/// As [`launch`], with what is passed on.
///
/// # Errors
/// As [`launch`].
pub(super) fn launch_given(
    plan: &Plan,
    given: Given<'_>,
    stdio: &Stdio,
    keep: Keep<'_>,
    forked: &mut dyn FnMut(&Launched) -> Result<()>,
) -> Result<Launched> {
    let mut prepared = prepare::prepare(plan)?;
    given.open(&mut prepared.opened)?;
    let null = prepare::null()?;
    let (errors_read, errors) = pipe()?;
    let (status_read, status) = pipe()?;
    let (gate, gatekeeper) = pipe()?;
    let (errors, status) = (prepare::high(errors)?, prepare::high(status)?);
    let gate = prepare::high(gate)?;
    let kept = match plan.has_init() {
        true => keep.kept(&status_read)?,
        false => Kept::default(),
    };
    let side = sys::fork::fork(prepared.namespaces).map_err(|errno| fork_failed(plan, errno))?;
    let Side::Parent { pid, pidfd } = side else {
        drop((errors_read, status_read, gatekeeper));
        let pipes = Pipes {
            errors,
            status,
            gate,
            kept,
        };
        run_child(&mut prepared, stdio, &null, &pipes)
    };
    drop((errors, status, gate, kept, prepared));
    let child = Launched {
        child: pidfd,
        child_pid: pid,
        service_pid: None,
        service: None,
        has_init: plan.has_init(),
        status: None,
        taken_over: false,
        start: None,
    };
    let mut forked = |launched: &Launched| forked(launched).and_then(|()| open(&gatekeeper));
    match follow(plan, child, &errors_read, status_read, &mut forked) {
        Ok(launched) => Ok(launched),
        Err((error, child)) => {
            // The end of the first process is the end of everything in its namespaces.
            child.finish()?;
            Err(error)
        }
    }
}

/// Executes the plan in this process: `run --exec`. Returns only on failure. `directory` is the
/// jail's own below `/run/gaoler`, and `sockets` are those of the plan.
///
/// # Errors
/// The step that failed. Some steps cannot be undone, so the process must end now.
pub fn execute(plan: &Plan, directory: &Path, sockets: &[OwnedFd]) -> Error {
    match execute_here(plan, directory, sockets) {
        Ok(never) => never,
        Err(error) => error,
    }
}

fn execute_here(plan: &Plan, directory: &Path, sockets: &[OwnedFd]) -> Result<Error> {
    let mut prepared = prepare::prepare(plan)?;
    let given = Given {
        sockets,
        ..Given::default()
    };
    given.open(&mut prepared.opened)?;
    let helper = match plan.start_ends_with() {
        Some(_) => Some(start_helper::start(plan, directory)?),
        None => None,
    };
    for join in &prepared.cgroups {
        rustix::io::write(join, b"0").doing(|| "join the jail's cgroup")?;
    }
    if let Err(errno) = sys::signals::reset() {
        return Ok(Error::setup("reset the signals", errno));
    }
    if let Err(errno) = sys::fork::unshare(prepared.namespaces) {
        return Ok(fork_failed(plan, errno));
    }
    // The steps close them by number, so that nobody may close them once more.
    let (mut prepared, helper) = (ManuallyDrop::new(prepared), ManuallyDrop::new(helper));
    let prepare::Prepared { first, opened, .. } = &mut *prepared;
    let own = std::process::id().cast_signed();
    let mut carried = Carried::new(opened, helper.as_ref(), own);
    Ok(match child::perform(first, &mut carried) {
        Some((step, errno)) => step_failed(plan, step, errno),
        None => Error::setup(
            format!("start the jail {}", plan.name),
            "its plan has no last step",
        ),
    })
}

/// A pipe that no program is executed with.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")
}

/// Lets the child go on to live without its parent. One that has ended says so by itself.
fn open(gate: &OwnedFd) -> Result<()> {
    match rustix::io::write(gate, &[1]) {
        Ok(_) | Err(Errno::PIPE) => Ok(()),
        Err(errno) => Err(errno).doing(|| "let the jail go on"),
    }
}

/// From the fork to execve. On failure the child comes back too, to be ended.
fn follow(
    plan: &Plan,
    mut launched: Launched,
    errors: &OwnedFd,
    status: OwnedFd,
    forked: &mut dyn FnMut(&Launched) -> Result<()>,
) -> Result<Launched, (Error, Box<Launched>)> {
    let found = if plan.has_init() {
        let found = await_service(plan, &status);
        launched.status = Some(status);
        found
    } else {
        Ok(Some(launched.child_pid))
    };
    let result = found.and_then(|pid| {
        if let Some(pid) = pid {
            launched.follow_process(pid);
            forked(&launched)?;
        }
        executed(plan, &mut launched, errors)?;
        match pid {
            Some(_) => Ok(()),
            None => Err(Error::setup(
                format!("start the jail {}", plan.name),
                "its first process ended without a word",
            )),
        }
    });
    match result {
        Ok(()) => Ok(launched),
        Err(error) => Err((error, Box::new(launched))),
    }
}

/// The service's pid, which the first process tells. `None` if it ended before.
fn await_service(plan: &Plan, status: &OwnedFd) -> Result<Option<i32>> {
    let mut message = [0_u8; 8];
    let whole =
        read_message(status, &mut message).doing(|| format!("start the jail {}", plan.name))?;
    Ok(match Message::from_bytes(message).filter(|_| whole) {
        Some(Message::Started(pid)) => Some(pid),
        _ => None,
    })
}

/// Reads what the child says until its side of the error pipe is closed, by execve or by its
/// end; lets its calls run meanwhile.
fn executed(plan: &Plan, launched: &mut Launched, errors: &OwnedFd) -> Result<()> {
    let doing = || format!("start the jail {}", plan.name);
    loop {
        if let Some(start) = &mut launched.start {
            start.answer_until(errors)?;
        }
        let mut message = [0; Word::SIZE];
        if !read_message(errors, &mut message).doing(doing)? {
            return Ok(());
        }
        match Word::from_bytes(message) {
            Word::Failed(step, errno) => return Err(step_failed(plan, step, errno)),
            Word::Listener(number) => launched.take_listener(plan, number)?,
        }
    }
}

/// Whether a whole message came; `false` at the end of the pipe.
pub(super) fn read_message(from: impl AsFd, message: &mut [u8; 8]) -> rustix::io::Result<bool> {
    loop {
        match rustix::io::read(&from, &mut message[..]) {
            Ok(count) => return Ok(count == message.len()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

impl Launched {
    /// Readable when the service has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        let service = self.service().filter(|_| self.has_init);
        let without_status = service.unwrap_or(self.child.as_fd());
        self.status.as_ref().map_or(without_status, AsFd::as_fd)
    }

    /// Whether a first process of gaoler's is in the jail.
    pub fn has_init(&self) -> bool {
        self.has_init
    }

    /// Readable when the process that is taken for the service has ended, if there is one.
    pub fn service(&self) -> Option<BorrowedFd<'_>> {
        self.service.as_ref().map(AsFd::as_fd)
    }

    /// Takes over the listener of the service's filter, which waits for that.
    fn take_listener(&mut self, plan: &Plan, number: i32) -> Result<()> {
        let service = self.service.as_ref().ok_or_else(|| {
            let doing = format!("start the jail {}", plan.name);
            Error::setup(doing, "its process ended before it executed the service")
        })?;
        let mut start = StartCalls::take(service.as_fd(), number)?;
        start.complaints = Complaints::of(plan)?.map(Box::new);
        self.start = Some(start);
        Ok(())
    }

    /// What is known of it by now.
    ///
    /// # Errors
    /// Its first process has ended.
    pub fn state(&self, plan: &Plan) -> Result<State> {
        let pid = self.service_pid.unwrap_or(self.child_pid);
        let init = self.has_init().then(|| ProcessName::of(self.child_pid));
        Ok(State {
            name: plan.name.clone(),
            generation: plan.generation,
            // One that has ended already has no start time any more, and so is not alive.
            service: ProcessName::of(pid).unwrap_or(ProcessName::ended(pid)),
            init: init.transpose()?,
            supervisor: None,
            cgroups: plan.cgroups(),
            counting: plan.counting(),
            sockets: Vec::new(),
            managed: Managed::default(),
            serving: self.start.is_none(),
            complaining: plan.complaints().is_some(),
            notified: false,
            waits_for: None,
            ready: false,
            restarting: false,
            restarts: 0,
        })
    }

    /// Takes no process for the service from now on.
    pub fn follow_nobody(&mut self) {
        self.service = None;
    }

    /// Takes this process for the service from now on.
    pub fn follow_process(&mut self, pid: i32) {
        self.service_pid = Some(pid);
        // One that has ended already cannot be signalled, and needs no handle.
        self.service = Pid::from_raw(pid)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    }

    /// Sends a signal to the service; one that has ended is no error.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let Some(service) = &self.service else {
            return Ok(());
        };
        match sys::signals::send(service, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("pass signal {signal} on to the service")),
        }
    }

    /// How the service ended, once its side has said so. Does not block when the status pipe or
    /// the child's pidfd is readable.
    ///
    /// # Errors
    /// The status cannot be read.
    pub fn ended(&self) -> Result<Ended> {
        let doing = || "learn how the service ended";
        if let Some(status) = &self.status {
            let mut message = [0_u8; 8];
            let whole = read_message(status, &mut message).doing(doing)?;
            return Ok(match Message::from_bytes(message).filter(|_| whole) {
                Some(Message::Exited(code)) => Ended::Exited(code),
                Some(Message::Killed(signal)) => Ended::Killed(signal),
                // The first process was killed, and the kernel killed the service with it.
                Some(Message::Started(_)) | None => Ended::Killed(9),
            });
        }
        if self.taken_over {
            return Ok(Ended::Unseen);
        }
        let pid = Pid::from_raw(self.child_pid);
        let waited = rustix::process::waitpid(pid, WaitOptions::empty()).doing(doing)?;
        Ok(match waited.map(|(_, how)| Message::ended(how)) {
            Some(Message::Exited(code)) => Ended::Exited(code),
            Some(Message::Killed(signal)) => Ended::Killed(signal),
            Some(Message::Started(_)) | None => Ended::Killed(9),
        })
    }

    /// Ends what is left of the jail and waits for it.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)` and `waitpid(2)`.
    pub fn finish(&self) -> Result<()> {
        match sys::signals::send(&self.child, SIGKILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno).doing(|| "end the jail's first process"),
        }
        if self.taken_over {
            return self.wait_for_anothers_child();
        }
        match rustix::process::waitpid(Pid::from_raw(self.child_pid), WaitOptions::empty()) {
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(errno) => Err(errno).doing(|| "wait for the jail's first process"),
        }
    }
}

fn fork_failed(plan: &Plan, errno: Errno) -> Error {
    let step = plan
        .steps
        .iter()
        .find(|planned| matches!(planned.step, Step::NewNamespaces(_)))
        .map_or_else(|| "fork".to_owned(), |planned| planned.step.to_string());
    Error::setup(format!("start the jail {}: {step}", plan.name), errno)
        .hint("namespaces need root, and a kernel and container that allow them")
}

/// The words for a step that failed.
pub(super) fn step_failed(plan: &Plan, index: u32, errno: Errno) -> Error {
    let why = crate::error::explain(&std::io::Error::from(errno));
    let planned = usize::try_from(index)
        .ok()
        .and_then(|index| plan.steps.get(index));
    let Some(planned) = planned else {
        return Error::setup(format!("start the jail {}", plan.name), why);
    };
    let error = Error::setup(
        format!("start the jail {}: {}", plan.name, planned.step),
        why,
    );
    match (&planned.step, errno) {
        (Step::Bind { path, .. } | Step::MountScratch { path }, Errno::LOOP) => {
            error.hint(format!(
                "{} is a symbolic link in the tree, and nothing is mounted on what others may \
                 have put there: see gaoler check {1}, then gaoler build {1}",
                path.display(),
                plan.name
            ))
        }
        (Step::Execute { .. } | Step::OpenProgram { .. }, Errno::NOENT) => error.hint(format!(
            "the program or its interpreter is not in the jail: gaoler build {}",
            plan.name
        )),
        _ => error,
    }
}
