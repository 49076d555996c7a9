//! One traced run from start to stop: readiness, exercises, and the ways to end.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::exercises::{Message, Shared};
use super::heard::Heard;
use super::runs::{Counted, unfinished};
use super::trace::{ExerciseRun, Phase};
use super::tracer::{Step, Tracer};
use super::{Progress, Request, save};
use crate::error::{Error, Result};
use crate::host::begun::Begun;
use crate::spec::{Exercise, Ready};
use crate::sys::ptrace::Change;

/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Without any sign of being ready, one that is busy all the time is ready when it has had a port
/// for so long.
const SETTLED: Duration = Duration::from_secs(1);
/// One in a jail that makes no call for so long before it is ready waits for what it was denied.
const STUCK: Duration = Duration::from_secs(5);
/// How often what was seen is kept.
const KEEP: Duration = Duration::from_secs(5);
/// How often progress is told.
const TELL: Duration = Duration::from_millis(250);
/// How long killed processes may take to go.
const KILLED: Duration = Duration::from_secs(10);
/// How long others may outlive the main process without being asked to end themselves.
const OUTLIVE: Duration = Duration::from_secs(1);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    /// Its own way to stop has been tried; SIGTERM at this time.
    Stopping(Instant),
    /// SIGTERM has been sent; SIGKILL at this time.
    Terminating(Instant),
    /// SIGKILL has been sent; given up at this time.
    Killing(Instant),
}

/// How far the exercises of the start are.
#[derive(Debug, PartialEq)]
enum WarmUp {
    /// It waits for the signs of readiness.
    Ahead,
    /// They are being run; why the last one has not passed, if it has not.
    UnderWay(Option<String>),
    /// All have passed, or there are none.
    Over,
}

/// The far ends of the exercise thread's channels.
pub struct Driver {
    /// Lets it begin.
    pub ready: Sender<()>,
    /// What it tells.
    pub messages: Receiver<Message>,
}

/// A run under way.
pub struct Session<'a> {
    request: &'a Request,
    /// Nothing else of the start is left, beside what this looks at.
    has_started: &'a dyn Fn() -> bool,
    driver: Driver,
    shared: &'a Shared,
    progress: &'a (dyn Fn(Progress) + Sync),
    /// What earlier passes counted.
    before: Counted,
    /// When what was seen was last kept.
    kept: Instant,
    begun: Begun,
    looked: Instant,
    heard: Heard<'a>,
    /// Since when it has a port.
    reachable: Option<Instant>,
    told: Instant,
    /// Since when the main process is gone and others are not, after it was asked to end.
    outlived: Option<Instant>,
    /// When it was asked to end.
    asked: Option<Instant>,
    /// Those have been asked too.
    passed_on: bool,
    stage: Stage,
    /// The exercises of its start.
    warm_up: WarmUp,
    /// The exercises that have ended.
    pub exercises: Vec<ExerciseRun>,
    /// Why the run did not go as it should.
    pub gaps: Vec<String>,
    /// How long it took to end after it was asked to, in seconds, rounded up.
    pub ended_after_s: u32,
}

impl<'a> Session<'a> {
    /// A run that begins now.
    ///
    /// # Errors
    /// A `log:` sign that is no regular expression.
    pub fn new(
        request: &'a Request,
        has_started: &'a dyn Fn() -> bool,
        driver: Driver,
        shared: &'a Shared,
        progress: &'a (dyn Fn(Progress) + Sync),
        before: &Counted,
    ) -> Result<Self> {
        let now = Instant::now();
        Ok(Self {
            request,
            has_started,
            heard: Heard::of(request)?,
            driver,
            shared,
            progress,
            before: before.clone(),
            kept: now,
            begun: Begun::now(&request.ready),
            looked: now,
            reachable: None,
            told: now,
            outlived: None,
            asked: None,
            passed_on: false,
            stage: Stage::Starting,
            warm_up: match request.exercises.iter().any(Exercise::is_of_start) {
                true => WarmUp::Ahead,
                false => WarmUp::Over,
            },
            exercises: Vec::new(),
            gaps: Vec::new(),
            ended_after_s: 0,
        })
    }

    /// Traces until everything the service started is gone.
    ///
    /// # Errors
    /// If the service cannot be started, ends before it is ready or is not ready in time.
    pub fn run(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        loop {
            let step = tracer.step()?;
            self.turn(tracer)?;
            if step == Step::Ended {
                break;
            }
        }
        let took = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        self.ended_after_s = u32::try_from(took.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        self.shared.over.store(true, Ordering::Relaxed);
        // The exercise thread may be about to say how the last exercise went.
        while let Ok(message) = self.driver.messages.recv_timeout(KILLED) {
            match message {
                Message::Stop => break,
                other => self.hear(other),
            }
        }
        Ok(())
    }

    fn turn(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        self.shared.main.store(tracer.main, Ordering::Relaxed);
        let now = Instant::now();
        if now.duration_since(self.told) >= TELL {
            self.told = now;
            (self.progress)(Progress::Calls(tracer.stops));
        }
        if now.duration_since(self.kept) >= KEEP {
            self.keep(tracer)?;
        }
        while let Ok(message) = self.driver.messages.try_recv() {
            match message {
                Message::Stop => self.stop(tracer, now),
                other => self.hear(other),
            }
        }
        match self.stage {
            Stage::Starting => self.starting(tracer, now)?,
            Stage::Serving => self.serving(tracer),
            Stage::Stopping(at) if now >= at => self.terminate(tracer, now),
            Stage::Terminating(at) if now >= at => {
                self.gap("it did not end on SIGTERM and was killed: how it ends was not seen");
                tracer.kill();
                self.stage = Stage::Killing(now + KILLED);
            }
            Stage::Terminating(_) => self.pass_on(tracer, now),
            Stage::Killing(at) if now >= at => {
                return Err(Error::new("end the service", "a process does not go away"));
            }
            Stage::Stopping(_) | Stage::Killing(_) => {}
        }
        Ok(())
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Ran(run) => self.exercises.push(run),
            Message::Started => self.warm_up = WarmUp::Over,
            Message::Waits(why) => self.warm_up = WarmUp::UnderWay(Some(why)),
            Message::Stop => {}
        }
    }

    /// A first process that waits for ever ends on SIGTERM, and the daemon that it started knows
    /// nothing of that: whoever runs it asks that one.
    fn pass_on(&mut self, tracer: &mut Tracer<'_>, now: Instant) {
        if self.passed_on || !tracer.is_left_to_others() {
            return;
        }
        if now.duration_since(*self.outlived.get_or_insert(now)) >= OUTLIVE {
            self.passed_on = true;
            tracer.terminate_others();
            self.stage = Stage::Terminating(now + self.request.stop_timeout);
        }
    }

    fn starting(&mut self, tracer: &mut Tracer<'_>, now: Instant) -> Result<()> {
        if let Some(end) = tracer.first_end
            && !(tracer.forked && tracer.has_processes())
        {
            return Err(ended_early(tracer, end));
        }
        // At once if it may be the port that makes it ready: what it calls from then on it calls
        // when it serves. Who runs it later notices that it is ready a little later.
        let new_port = std::mem::take(&mut tracer.memory.has_new_port);
        if !new_port && now.duration_since(self.looked) < LOOK {
            return Ok(());
        }
        self.looked = now;
        self.heard.listen();
        let waiting: Vec<Ready> = self
            .signs()
            .into_iter()
            .filter(|sign| !self.holds(sign, tracer, now))
            .collect();
        let settled = self.request.ready.is_empty() && self.has_settled(tracer, now);
        let exercised = matches!(self.warm_up, WarmUp::UnderWay(_));
        let stuck = tracer.jailed && !exercised && now.duration_since(tracer.last_stop) >= STUCK;
        let late = stuck || self.begun.elapsed() >= self.request.ready_timeout;
        // A service that is never quiet is ready all the same.
        let quiet_only = waiting.iter().all(|sign| matches!(sign, Ready::Quiet(_)));
        let shown = waiting.is_empty() || settled || (late && quiet_only);
        if shown && self.warm_up == WarmUp::Over && (self.has_started)() {
            self.ready(tracer);
            self.keep(tracer)?;
        } else if shown && self.warm_up == WarmUp::Ahead {
            self.warm_up = WarmUp::UnderWay(None);
            self.go_on();
        } else if late {
            let seconds = self.begun.elapsed().as_secs_f32();
            let mut missing: Vec<String> = waiting
                .iter()
                .map(|sign| describe(sign, &self.begun))
                .collect();
            if let WarmUp::UnderWay(Some(why)) = &self.warm_up {
                missing.push(why.clone());
            } else if missing.is_empty() {
                missing.push("its start is not over".to_owned());
            }
            return Err(Error::new(
                "start the service",
                format!(
                    "it was not ready after {seconds:.1} s: {}",
                    missing.join(", ")
                ),
            )
            .hint(
                "--ready names another sign of being ready: another port or protocol, file:PATH, \
                 log:REGEX, notify, quiet:MILLISECONDS",
            ));
        }
        Ok(())
    }

    /// Keeps what was seen so far, for the case that this program is killed.
    fn keep(&mut self, tracer: &Tracer<'_>) -> Result<()> {
        if let Some(path) = &self.request.unfinished {
            save(&unfinished(self.request, &self.before, tracer), path)?;
        }
        self.kept = Instant::now();
        Ok(())
    }

    fn has_settled(&mut self, tracer: &Tracer<'_>, now: Instant) -> bool {
        let memory = &tracer.memory;
        if memory.listening.is_empty() && memory.bound.is_empty() {
            return false;
        }
        now.duration_since(*self.reachable.get_or_insert(now)) >= SETTLED
    }

    fn signs(&self) -> Vec<Ready> {
        if self.request.ready.is_empty() {
            vec![Ready::Quiet(500)]
        } else {
            self.request.ready.clone()
        }
    }

    fn ready(&mut self, tracer: &mut Tracer<'_>) {
        tracer.phase = Phase::Serve;
        self.stage = Stage::Serving;
        (self.progress)(Progress::Ready {
            after: self.begun.elapsed(),
        });
        self.go_on();
    }

    /// Lets the exercises begin, or those that come after the start.
    fn go_on(&mut self) {
        if self.driver.ready.send(()).is_err() {
            self.gap("the exercises could not be run");
        }
    }

    fn serving(&mut self, tracer: &mut Tracer<'_>) {
        let first_ended = tracer.first_end.is_some() && !tracer.forked;
        if first_ended || !tracer.has_processes() {
            let how = tracer.first_end.map_or_else(String::new, how);
            self.gap(&format!(
                "the service ended by itself before it was stopped: it {how}"
            ));
            self.shared.over.store(true, Ordering::Relaxed);
            self.terminate(tracer, Instant::now());
        }
    }

    /// The service was asked to stop in its own way, if it has one.
    fn stop(&mut self, tracer: &mut Tracer<'_>, now: Instant) {
        if self.stage != Stage::Serving {
            return;
        }
        self.asked = Some(now);
        tracer.begin_ending();
        if self.request.stop_command.is_empty() {
            self.terminate(tracer, now);
        } else {
            self.stage = Stage::Stopping(now + self.request.stop_timeout);
        }
    }

    fn terminate(&mut self, tracer: &mut Tracer<'_>, now: Instant) {
        tracer.terminate();
        self.stage = Stage::Terminating(now + self.request.stop_timeout);
    }

    fn holds(&self, sign: &Ready, tracer: &Tracer<'_>, now: Instant) -> bool {
        match sign {
            Ready::Tcp(port) => tracer.memory.listening.contains(port),
            Ready::Udp(port) => tracer.memory.bound.contains(port),
            Ready::File(path) => self.begun.has_shown(path),
            Ready::Log(expression) => self.heard.has_seen(expression),
            Ready::Notify => self.heard.was_notified(),
            Ready::Quiet(milliseconds) => {
                now.duration_since(tracer.last_stop)
                    >= Duration::from_millis(u64::from(*milliseconds))
            }
        }
    }

    fn gap(&mut self, text: &str) {
        self.gaps.push(text.to_owned());
    }
}

fn describe(sign: &Ready, begun: &Begun) -> String {
    match sign {
        Ready::Tcp(port) => format!("nothing listens on TCP port {port}"),
        Ready::Udp(port) => format!("nothing has bound UDP port {port}"),
        Ready::File(path) if begun.is_left_over(path) => {
            format!("{} is as an earlier run has left it", path.display())
        }
        Ready::File(path) => format!("{} does not exist", path.display()),
        Ready::Log(expression) => format!(
            "it printed no line that matches {expression} (what it sends to syslog is not seen \
             while it is learned)"
        ),
        Ready::Notify => "it did not say so to its NOTIFY_SOCKET".to_owned(),
        Ready::Quiet(milliseconds) => format!("it was never quiet for {milliseconds} ms"),
    }
}

fn ended_early(tracer: &mut Tracer<'_>, end: Change) -> Error {
    tracer.launch_failure().unwrap_or_else(|| {
        Error::new(
            "start the service",
            format!("it {} before it was ready", how(end)),
        )
        .hint(
            "its own output, or the system's log, says why; its command must stay in the foreground \
             or daemonise",
        )
    })
}

/// How a process ended, in words.
fn how(end: Change) -> String {
    match end {
        Change::Exited(code) => format!("exited with status {code}"),
        Change::Killed(signal) => format!("was killed by signal {signal}"),
        Change::Stopped(_) | Change::Other(_) => "ended".to_owned(),
    }
}
