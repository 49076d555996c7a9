//! The process that starts the jails of an attack: it has one thread, as a launch needs it.

use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};

use super::super::worker::{Failure, Worker};
use super::super::{is_ordinary, may_jail};
use super::prober::{Arguments, Prober};
use super::scene::Scene;
use crate::attack::{launched, unconfined, unconfined_as_is, unconfined_in_namespace, with_prober};
use crate::host::Host;
use crate::plan::Plan;
use crate::run::Launched;
use crate::run::attempt::{Attempt, Attempts, Terms};
use crate::run::log::Sink;
use crate::run::state::State;
use crate::{Doing, Error, Result, sys};

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(10);

const SIGHUP: i32 = 1;

/// Where a probe runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Where {
    /// In the jail, before it is ready.
    Start,
    /// In the jail, from then on.
    Serve,
    /// Unconfined, as root; as an ordinary user, in a user namespace with every capability.
    Root,
    /// Unconfined, as the service's user.
    User,
}

/// The first line that a worker reads.
#[derive(Debug, Serialize, Deserialize)]
struct Begin {
    plan: Plan,
    log: PathBuf,
    user: (u32, u32),
    terminal: Option<PathBuf>,
    under: Option<Launcher>,
}

/// Another launcher than gaoler's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Launcher {
    /// Its file.
    pub(super) program: PathBuf,
    /// Its words, up to the prober's path.
    pub(super) words: Vec<String>,
    /// Its variables.
    pub(super) environment: Vec<String>,
}

impl Launcher {
    /// The plan that starts it, with these arguments for the prober after its own.
    pub(super) fn plan(&self, name: &str, arguments: &[String]) -> Plan {
        let own = self.words.iter().cloned();
        // The first is the prober's own name, for which its path stands.
        let all = own.chain(arguments.iter().skip(1).cloned()).collect();
        launched(name, self.program.clone(), all, self.environment.clone())
    }
}

/// The other lines.
#[derive(Debug, Serialize, Deserialize)]
enum Job {
    /// Try this.
    Try(Where, Vec<String>),
    /// Pass on what the jail has logged.
    Settle,
    /// Start the jail and let it run.
    Hold(Vec<String>),
    /// End it.
    Release,
}

/// What it answers, a line for each that it reads, and one when there is nothing more to read.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Ready,
    Tried(Attempt),
    Settled(u64),
    Holding(Box<State>),
    Failed(Failure),
}

/// The other end: a process that tries what it is told to.
#[derive(Debug)]
pub(super) struct Attempter {
    worker: Worker,
    /// An ordinary user's jails are started from within a user namespace: who is to be outside of
    /// everything needs another process.
    outside: Option<Worker>,
}

impl Attempter {
    /// Starts it, for a jail by its plan, among what was put up, and for its user; or for what
    /// another launcher makes.
    ///
    /// # Errors
    /// It cannot be started; the jail's log cannot be had.
    pub(super) fn start(
        plan: &Plan,
        scene: &Scene,
        user: (u32, u32),
        under: Option<Launcher>,
    ) -> Result<Self> {
        let begin = Begin {
            plan: plan.clone(),
            log: scene.log().path(),
            user,
            terminal: scene.terminal().map(Path::to_owned),
            under,
        };
        let outside = match is_ordinary() {
            true => Some(began(&Begin {
                plan: unconfined_as_is(&plan.name, Vec::new()),
                log: begin.log.clone(),
                user,
                terminal: None,
                under: None,
            })?),
            false => None,
        };
        Ok(Self {
            worker: began(&begin)?,
            outside,
        })
    }

    /// Tries something.
    ///
    /// # Errors
    /// The jail cannot be started.
    pub(super) fn attempt(&mut self, place: Where, arguments: Vec<String>) -> Result<Attempt> {
        let worker = match (place, &mut self.outside) {
            (Where::User, Some(outside)) => outside,
            _ => &mut self.worker,
        };
        worker.send(&Job::Try(place, arguments))?;
        match worker.receive()? {
            Answer::Tried(attempt) => Ok(attempt),
            Answer::Failed(failure) => Err(failure.into()),
            _ => Err(out_of_turn()),
        }
    }

    /// Has everything that the jail logged passed on, and said how much of it was lost; answers how
    /// many messages there were since the last time.
    ///
    /// # Errors
    /// The jail's log cannot be read.
    pub(super) fn settle(&mut self) -> Result<u64> {
        self.worker.send(&Job::Settle)?;
        match self.worker.receive()? {
            Answer::Settled(received) => Ok(received),
            Answer::Failed(failure) => Err(failure.into()),
            _ => Err(out_of_turn()),
        }
    }

    /// Starts the jail, with nothing in it that does anything.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn hold(&mut self) -> Result<State> {
        let arguments = Arguments {
            probe: "stay",
            tells: false,
            serving: false,
            scene: &[],
        };
        self.worker.send(&Job::Hold(arguments.list()))?;
        match self.worker.receive()? {
            Answer::Holding(state) => Ok(*state),
            Answer::Failed(failure) => Err(failure.into()),
            _ => Err(out_of_turn()),
        }
    }

    /// Ends that one.
    ///
    /// # Errors
    /// It cannot be ended.
    pub(super) fn release(&mut self) -> Result<()> {
        self.worker.send(&Job::Release)?;
        ready(&mut self.worker)
    }

    /// Ends it; what it had on the host is gone then.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub(super) fn finish(mut self) -> Result<()> {
        for worker in self.outside.iter_mut().chain([&mut self.worker]) {
            worker.close();
            ready(worker)?;
        }
        Ok(())
    }
}

fn began(begin: &Begin) -> Result<Worker> {
    let work = format!("an attack on {}", begin.plan.name);
    let mut worker = Worker::start(work, &["attack-worker"])?;
    worker.send(begin)?;
    ready(&mut worker)?;
    Ok(worker)
}

fn ready(worker: &mut Worker) -> Result<()> {
    match worker.receive()? {
        Answer::Ready => Ok(()),
        Answer::Failed(failure) => Err(failure.into()),
        _ => Err(out_of_turn()),
    }
}

fn out_of_turn() -> Error {
    Error::new("hear of an attack", "it answered what it was not asked")
}

/// The worker's whole life.
///
/// # Errors
/// Its input is no job.
pub fn attack_worker(input: &mut dyn BufRead, say: &mut dyn FnMut(&str)) -> Result<()> {
    may_jail("attack a jail")?;
    let mut answer = |answer: Answer| match serde_json::to_string(&answer) {
        Ok(line) => say(&line),
        Err(_) => say("{}"),
    };
    let begin: Begin = match next(input)? {
        Some(begin) => begin,
        None => return Ok(()),
    };
    let mut inside = match Inside::begin(begin) {
        Ok(inside) => inside,
        Err(error) => {
            answer(Answer::Failed((&error).into()));
            return Ok(());
        }
    };
    answer(Answer::Ready);
    while let Some(job) = next(input)? {
        answer(
            inside
                .work(job)
                .unwrap_or_else(|error| Answer::Failed((&error).into())),
        );
    }
    answer(match inside.jail.finish() {
        Ok(()) => Answer::Ready,
        Err(error) => Answer::Failed((&error).into()),
    });
    Ok(())
}

fn next<T: serde::de::DeserializeOwned>(input: &mut dyn BufRead) -> Result<Option<T>> {
    let doing = || "read what to attack";
    let mut line = String::new();
    if input.read_line(&mut line).doing(doing)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line).map_err(|error| Error::new(doing(), error))
}

struct Inside {
    plan: Plan,
    user: (u32, u32),
    under: Option<Launcher>,
    prober: Prober,
    jail: Attempts,
    outside: Attempts,
    /// The jail that runs meanwhile.
    held: Option<Launched>,
    /// Every capability that this kernel has.
    all_capabilities: u64,
    /// A descriptor of `/` that execve does not close: a launch that does not close it leaks it.
    _leak: OwnedFd,
    /// The terminal of this process's session, and the signal of its end, which is not taken: a
    /// probe hangs it up.
    _terminal: (Option<OwnedFd>, OwnedFd),
}

impl Inside {
    fn begin(begin: Begin) -> Result<Self> {
        let Begin {
            plan,
            log,
            user,
            terminal,
            under,
        } = begin;
        let nothing = unconfined(&plan.name, None, Vec::new());
        // As if somebody had typed the command that starts the jail: whoever stays in this session
        // has its terminal.
        rustix::process::setsid().doing(|| "begin a session")?;
        let hangup = sys::signals::descriptor(&[SIGHUP]).doing(|| "block a signal")?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let open = |path: &PathBuf| {
            let opened = rustix::fs::open(path, flags, Mode::empty());
            opened.doing(|| format!("open {}", path.display()))
        };
        let terminal = terminal.as_ref().map(open).transpose()?;
        if under.is_some() {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .doing(|| "adopt what a launcher leaves")?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(Self {
            prober: Prober::new()?,
            outside: Attempts::begin(&nothing, Sink::syslog(&log))?,
            jail: Attempts::begin(&plan, Sink::syslog(&log))?,
            held: None,
            all_capabilities: every_capability()?,
            _leak: rustix::fs::open("/", flags, Mode::empty()).doing(|| "open /")?,
            _terminal: (terminal, hangup),
            plan,
            user,
            under,
        })
    }

    fn work(&mut self, job: Job) -> Result<Answer> {
        match job {
            Job::Try(place, arguments) => self.attempt(place, arguments).map(Answer::Tried),
            Job::Settle => self.jail.settle().map(Answer::Settled),
            Job::Hold(arguments) => {
                let plan = with_prober(&self.plan, &arguments);
                let launched = self.jail.start(&plan, self.prober.program())?;
                let state = launched.state(&plan);
                self.held = Some(launched);
                Ok(Answer::Holding(Box::new(state?)))
            }
            Job::Release => {
                if let Some(launched) = self.held.take() {
                    launched.finish()?;
                }
                Ok(Answer::Ready)
            }
        }
    }

    fn attempt(&mut self, place: Where, arguments: Vec<String>) -> Result<Attempt> {
        let name = &self.plan.name;
        let (attempts, plan) = match place {
            Where::Start | Where::Serve => {
                let plan = match &self.under {
                    Some(launcher) => launcher.plan(name, &arguments),
                    None => with_prober(&self.plan, &arguments),
                };
                (&mut self.jail, plan)
            }
            Where::Root if is_ordinary() => {
                let all = self.all_capabilities;
                let plan = unconfined_in_namespace(&self.plan, all, arguments);
                (&mut self.outside, plan)
            }
            Where::Root => (&mut self.outside, unconfined(name, None, arguments)),
            Where::User if is_ordinary() => (&mut self.outside, unconfined_as_is(name, arguments)),
            Where::User => (
                &mut self.outside,
                unconfined(name, Some(self.user), arguments),
            ),
        };
        let terms = Terms {
            serving: place == Where::Serve,
            patience: PATIENCE,
        };
        let attempt = attempts.run(&plan, Some(self.prober.program()), terms);
        if self.under.is_some() {
            end_orphans()?;
        }
        attempt
    }
}

/// Those of a user namespace of an ordinary user, too.
pub(super) fn every_capability() -> Result<u64> {
    let last = Host::probe()?.last_capability.min(63);
    Ok(u64::MAX >> (63 - last))
}

/// Ends what a launcher has left: processes whose parents have ended are this one's children.
fn end_orphans() -> Result<()> {
    let doing = || "end what a launcher left";
    loop {
        let children = std::fs::read_to_string("/proc/thread-self/children").doing(doing)?;
        let pids = children.split_whitespace();
        let mut pids = pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        let Some(pid) = pids.next() else {
            return Ok(());
        };
        match rustix::process::kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(_) | Err(Errno::CHILD) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
}
