//! The process in which trials are made: in namespaces of its own, as their first process, so
//! that nothing of a trial outlives it. It reads jobs and answers, a line of JSON each.

use std::io::BufRead;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Signal, WaitOptions};
use serde::{Deserialize, Serialize};

use super::super::worker::Failure;
use super::super::{Places, jail, lifecycle, must_be_root};
use super::copies::{Copied, Copies};
use super::follow::{Follow, Followed, follow};
use super::{Outcome, Way};
use crate::host::process;
use crate::run::Ended;
use crate::run::state::{Last, State};
use crate::spec::{self, Ready, Spec};
use crate::sys::isolation::{self, Isolation};
use crate::{Doing, Error, Result, learn};

/// Ports from this one on need no capability: of each network namespace (`ip(7)`).
const UNPRIVILEGED_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// How many connections may be timing out (`TIME_WAIT`, `tcp(7)`). None, but for those that are
/// made on purpose: what one trial leaves would decide about the next.
const MOST_TIMING_OUT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

/// How long a service may take to stop, in each way: what hangs then is killed.
const STOP_TIMEOUT_S: u32 = 3;

/// How long a service is watched that has nothing to do.
const IDLE: Duration = Duration::from_millis(150);

/// How often that is done before it counts as busy.
const LOOKS: u32 = 6;

/// How often before it is known how busy it is: what other work on the host adds shall not count,
/// for it would hide later what computes for ever.
const FIRST_LOOKS: u32 = 20;

/// As little as this, in ms, is idle, and no further look is taken.
const STILL_MS: u64 = 5;

/// As little room as this on the trial's own disk is none.
const FULL: u64 = 1 << 20;

const SIGKILL: i32 = 9;

/// The first line that a worker reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    /// Places that must be covered.
    pub required: Vec<PathBuf>,
    /// Places that are covered if they are not too large.
    pub optional: Vec<PathBuf>,
}

/// The other lines.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// See whether it works.
    Try(Job),
    /// See what it needs.
    Follow(Follow),
}

/// What is to be tried.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The spec as TOML, with the exercises that shall be run.
    pub spec: String,
    /// How long the service may take to be ready, in ms.
    pub ready_ms: u64,
    /// How long each exercise may take, in ms.
    pub exercise_ms: u64,
    /// Look what it does while nobody asks it anything.
    pub watch: bool,
    /// How long it may be busy then, in ms; `None`: that is to be found out.
    pub busy_ms: Option<u64>,
    /// Connections of before are timing out at its TCP ports, as when it was just stopped.
    pub restarted: bool,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// To the first line.
    Ready(Copied),
    /// To [`Task::Try`].
    Tried(Outcome),
    /// To [`Task::Follow`].
    Followed(Followed),
    /// It could not do it.
    Failed(Failure),
}

/// The two processes of a worker: the first leaves its namespaces and starts the second, `inside`
/// them, which works until there is nothing more to read.
///
/// # Errors
/// The namespaces cannot be had; the first process lost the second.
pub fn trial_worker(
    places: &Places,
    name: &str,
    (way, inside): (Way, bool),
    input: &mut dyn BufRead,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    must_be_root(&format!("try {name} out"))?;
    if places.trial().is_none() {
        return Err(Error::usage(
            "work on a trial",
            "these are no places of one",
        ));
    }
    let kill = Some(Signal::KILL);
    rustix::process::set_parent_process_death_signal(kill).doing(|| "end with the parent")?;
    if inside {
        return work(places, name, way, input, say);
    }
    // A signal of the terminal is for the command, which stops this one in its own way.
    rustix::process::setsid().doing(|| "start a session for the trial")?;
    let isolated = way == Way::Isolated;
    let ports = std::fs::read(UNPRIVILEGED_PORTS).doing(|| format!("read {UNPRIVILEGED_PORTS}"))?;
    isolation::leave(Isolation {
        mount: true,
        network: isolated,
        ipc: isolated,
        child_pid: true,
    })
    .doing(|| "make namespaces for the trial")?;
    if isolated {
        std::fs::write(MOST_TIMING_OUT, "0").doing(|| format!("write {MOST_TIMING_OUT}"))?;
        isolation::loopback_up().doing(|| "switch the loopback interface on")?;
        std::fs::write(UNPRIVILEGED_PORTS, ports)
            .doing(|| format!("write {UNPRIVILEGED_PORTS}"))?;
    }
    second(places, name, way)
}

fn second(places: &Places, name: &str, way: Way) -> Result<()> {
    let doing = || "start the trial's first process";
    let mut command = Command::new("/proc/self/exe");
    for (option, place) in [
        ("--etc", &places.etc),
        ("--state", &places.state),
        ("--run", &places.run),
    ] {
        command.arg(option).arg(place);
    }
    let way = way.option();
    let status = command
        .args(["trial-worker", name, way, "--inside"])
        .stderr(Stdio::null())
        .status()
        .doing(doing)?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(doing(), format!("it ended with {status}"))),
    }
}

/// What the second process does.
fn work(
    places: &Places,
    name: &str,
    way: Way,
    input: &mut dyn BufRead,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut answer = |answer: &Answer| match serde_json::to_string(answer) {
        Ok(line) => say(&line),
        Err(_) => say("{}"),
    };
    let copies = match begin(places, way, input) {
        Ok((copies, copied)) => {
            answer(&Answer::Ready(copied));
            copies
        }
        Err(error) => {
            answer(&Answer::Failed(Failure::from(&error)));
            return Ok(());
        }
    };
    while let Some(task) = read::<Task>(input)? {
        let done = match &task {
            Task::Try(job) => attempt(places, name, &copies, job).map(Answer::Tried),
            Task::Follow(task) => follow(places, name, &copies, task).map(Answer::Followed),
        };
        answer(&done.unwrap_or_else(|error| Answer::Failed(Failure::from(&error))));
    }
    Ok(())
}

fn read<T: for<'a> Deserialize<'a>>(input: &mut dyn BufRead) -> Result<Option<T>> {
    let doing = || "read what to try";
    let mut line = String::new();
    if input.read_line(&mut line).doing(doing)? == 0 {
        return Ok(None);
    }
    let read = serde_json::from_str(&line);
    read.map(Some).map_err(|error| Error::new(doing(), error))
}

/// A `/proc` of the new pid namespace, a disk in memory, and copies of the places.
fn begin(places: &Places, way: Way, input: &mut dyn BufRead) -> Result<(Copies, Copied)> {
    let mut begin = read::<Begin>(input)?
        .ok_or_else(|| Error::new("read what to try", "nobody is there any more"))?;
    let propagation = MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM;
    rustix::mount::mount_change("/", propagation).doing(|| "keep the trial's mounts to itself")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
        .doing(|| "mount the trial's /proc")?;
    let own = own_directory(places)?;
    // Its devices and programs are to be used from it.
    let options = Some(c"mode=0711");
    rustix::mount::mount("tmpfs", own, "tmpfs", MountFlags::NOSUID, options)
        .doing(|| format!("mount memory over {}", own.display()))?;
    for directory in [&places.etc, &places.state, &places.run] {
        std::fs::create_dir(directory).doing(|| format!("make {}", directory.display()))?;
    }
    if way == Way::InPlace {
        begin.required.clear();
        begin.optional.clear();
    }
    Copies::cover(own, &begin.required, &begin.optional)
}

fn own_directory(places: &Places) -> Result<&Path> {
    let parent = places.state.parent();
    parent.ok_or_else(|| Error::usage("work on a trial", "its places have no directory"))
}

/// Builds, starts, exercises and stops the jail of a spec once.
///
/// # Errors
/// What is no fault of the spec's: the disk is full, say.
fn attempt(places: &Places, name: &str, copies: &Copies, job: &Job) -> Result<Outcome> {
    let mut spec = spec::parse(&job.spec, "the spec to be tried")?;
    spec.incomplete = None;
    let service = &mut spec.service;
    service.stop_timeout_s = service.stop_timeout_s.min(STOP_TIMEOUT_S);
    jail::replace(&places.spec(name), &spec::to_toml(&spec))?;
    copies.refill()?;
    if job.restarted {
        connections_of_before(&spec)?;
    }
    let tried = try_out(places, name, &spec, job);
    // However it ended, the next one finds nothing of it.
    let stopped = lifecycle::stop(places, name, &|_| ());
    reap()?;
    let tried = tried?;
    stopped?;
    let killed =
        Last::load(&places.runtime(name)).is_some_and(|last| last.ended == Ended::Killed(SIGKILL));
    if tried.has_passed() && killed {
        return Ok(Outcome::failed("stop", "it had to be killed", ""));
    }
    Ok(tried)
}

/// Leaves a connection that times out at each TCP port of a service: without `SO_REUSEADDR` the
/// port cannot be bound then, as when the service is restarted.
fn connections_of_before(spec: &Spec) -> Result<()> {
    let doing = || "leave a connection to time out";
    std::fs::write(MOST_TIMING_OUT, "4096").doing(doing)?;
    for sign in &spec.service.ready {
        let Ready::Tcp(port) = sign else { continue };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).doing(doing)?;
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).doing(doing)?;
        let (server, _) = listener.accept().doing(doing)?;
        // The side that closes first is the one that waits.
        drop(server);
        drop(client);
    }
    std::fs::write(MOST_TIMING_OUT, "0").doing(doing)
}

fn try_out(places: &Places, name: &str, spec: &Spec, job: &Job) -> Result<Outcome> {
    let begun = Instant::now();
    let patience = Duration::from_millis(job.ready_ms);
    if let Err(error) = lifecycle::start_within(places, name, patience, &|_| ()) {
        room(places)?;
        let hint = error.next().unwrap_or_default();
        return Ok(Outcome::failed("start", &error.to_string(), hint));
    }
    let start_ms = milliseconds(begun);
    let started = Instant::now();
    let longest = Duration::from_millis(job.exercise_ms);
    let runs = State::running(&places.runtime(name))?;
    let main = runs.map_or(0, |state| state.service.pid);
    let mut exercise_ms = 0;
    // Those of the start were run by then.
    let of_serve = spec.exercises.iter().filter(|one| !one.is_of_start());
    for exercise in of_serve {
        let begun = Instant::now();
        if let Err((why, output)) = learn::try_out_within(exercise, main, started, longest) {
            return Ok(Outcome::failed(&exercise.name, &why, &output));
        }
        exercise_ms = exercise_ms.max(milliseconds(begun));
    }
    let Some(state) = State::running(&places.runtime(name))? else {
        return Ok(Outcome::failed("serve", "it ended by itself", ""));
    };
    let busy_ms = match job.watch {
        true => busy(&state, job.busy_ms),
        false => 0,
    };
    if job.busy_ms.is_some_and(|most| busy_ms > most) {
        return Ok(Outcome::failed(
            "serve",
            "it computes where it was idle",
            "",
        ));
    }
    Ok(Outcome::Passed {
        start_ms,
        exercise_ms,
        busy_ms,
    })
}

/// How long the jail is busy within [`IDLE`], in ms, while it has nothing to do. What goes round for
/// ever is busy whenever it is looked at, on a busy host too, and the rest is not: so the least of
/// several looks counts. No more of them are taken than tell whether that is more than `most`.
fn busy(state: &State, most: Option<u64>) -> u64 {
    let first = state.init.unwrap_or(state.service).pid;
    let runnable = || -> u64 {
        let jailed = process::companions(first).unwrap_or_default();
        jailed.into_iter().map(process::runnable_us).sum()
    };
    let (looks, enough) = match most {
        Some(most) => (LOOKS, most),
        None => (FIRST_LOOKS, STILL_MS),
    };
    let mut least = u64::MAX;
    for _ in 0..looks {
        let before = runnable();
        std::thread::sleep(IDLE);
        least = least.min(runnable().saturating_sub(before) / 1000);
        if least <= enough {
            break;
        }
    }
    least
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Refuses a full disk: then it was not the spec's fault.
fn room(places: &Places) -> Result<()> {
    let own = own_directory(places)?;
    let doing = || format!("try it out in {}", own.display());
    let disk = rustix::fs::statvfs(own).doing(doing)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < FULL {
        return Err(Error::setup(doing(), "its disk, which is memory, is full")
            .hint("it gets half of the memory of the machine: close other programs, or --jobs 1"));
    }
    Ok(())
}

/// The first process of a pid namespace reaps whatever is left to it.
pub(super) fn reap() -> Result<()> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno).doing(|| "reap the trial's processes"),
        }
    }
}
