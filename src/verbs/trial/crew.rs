//! Several workers for one jail, the signals that end their work, and the real jail meanwhile.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::keeper::Keeper;
use super::{Follow, Followed, Outcome, Patience, Trial, Way};
use crate::run::state::State;
use crate::spec::Spec;
use crate::sys::signals;
use crate::verbs::{Event, Places, Report, lifecycle, preflight};
use crate::{Doing, Error, Result};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// What a crew works on.
#[derive(Clone, Debug)]
pub(in crate::verbs) struct Terms {
    /// How many workers; in place there is one.
    pub jobs: usize,
    /// Isolated or in place.
    pub way: Way,
    /// Places that must be copied for an isolated trial.
    pub required: Vec<PathBuf>,
    /// Places that are copied if they are not too large.
    pub optional: Vec<PathBuf>,
    /// The service's user and group.
    pub owner: (u32, u32),
}

/// The signals after which everything is put back. Asked for before there is another thread: one
/// that does not block them would die of them.
#[derive(Debug)]
pub(in crate::verbs) struct Signals(OwnedFd);

impl Signals {
    /// Blocks them, from now on.
    ///
    /// # Errors
    /// As `signalfd(2)`.
    pub(in crate::verbs) fn block() -> Result<Self> {
        let signals = signals::descriptor(&[SIGINT, SIGTERM]);
        signals.doing(|| "wait for the signals to stop").map(Self)
    }

    /// Lets them end this process again, at once if one is waiting.
    ///
    /// # Errors
    /// As `sigprocmask(2)`.
    pub(in crate::verbs) fn release(self) -> Result<()> {
        signals::unblock(&[SIGINT, SIGTERM]).doing(|| "let signals end this process")
    }

    /// Whether one has come.
    ///
    /// # Errors
    /// It has: an interruption.
    pub(in crate::verbs) fn interrupted(&self, name: &str) -> Result<()> {
        let signal = signals::next(&self.0).doing(|| "read a signal")?;
        match signal {
            None => Ok(()),
            Some(signal) => {
                let word = if signal == SIGINT {
                    "SIGINT"
                } else {
                    "SIGTERM"
                };
                let doing = format!("go on trying {name}");
                Err(Error::new(doing, format!("{word} came")).interruption())
            }
        }
    }
}

/// Workers, and what has to be done when they are done.
pub(in crate::verbs) struct Crew<'a> {
    name: String,
    places: &'a Places,
    report: &'a Report<'a>,
    way: Way,
    patience: Patience,
    /// Each trial is as after a restart.
    restarted: bool,
    /// It is watched what a service does while it is idle.
    watch: bool,
    /// With the job that each has.
    trials: Vec<(Trial, Option<usize>)>,
    signals: &'a Signals,
    /// Start the real jail at the end.
    restart: bool,
    /// Who does, if this process is killed.
    keeper: Option<Keeper>,
    /// Directories below `/run` that were made for the copies.
    made: Vec<PathBuf>,
    /// How many trials there were.
    pub(in crate::verbs) count: usize,
}

impl<'a> Crew<'a> {
    /// Starts the workers; in place, stops the real jail first.
    ///
    /// # Errors
    /// As [`Trial::begin`]; the real jail cannot be stopped.
    pub(in crate::verbs) fn begin(
        places: &'a Places,
        name: &str,
        terms: &Terms,
        signals: &'a Signals,
        report: &'a Report<'a>,
    ) -> Result<Self> {
        let mut crew = Self {
            name: name.to_owned(),
            places,
            report,
            way: terms.way,
            patience: Patience::default(),
            restarted: false,
            watch: false,
            trials: Vec::new(),
            signals,
            restart: false,
            keeper: None,
            made: Vec::new(),
            count: 0,
        };
        let jobs = match terms.way {
            Way::Isolated => terms.jobs.max(1),
            Way::InPlace => 1,
        };
        crew.made = runtime_directories(terms)?;
        for number in 0..jobs {
            let covers = (terms.required.as_slice(), terms.optional.as_slice());
            let trial = Trial::begin(places, name, number, terms.way, covers)?;
            crew.restart |= trial.place().left_stopped();
            crew.trials.push((trial, None));
        }
        if terms.way == Way::InPlace {
            crew.stop_jail()?;
        }
        crew.tell();
        Ok(crew)
    }

    /// Says which way is used, and what was copied for it.
    fn tell(&self) {
        let report = self.report;
        let Some((trial, _)) = self.trials.first() else {
            return;
        };
        let copied = trial.copied();
        report(Event::Note(match self.way {
            Way::InPlace => format!(
                "{} is tried out in place: on its own files, with the host's network, while the \
                 jail is stopped",
                self.name
            ),
            Way::Isolated => format!(
                "{} is tried out beside the jail: in a network of its own, {} at once, on copies \
                 of {} ({} files, {} KiB)",
                self.name,
                self.trials.len(),
                match copied.places {
                    1 => "1 place".to_owned(),
                    places => format!("{places} places"),
                },
                copied.files,
                copied.bytes.div_ceil(1024)
            ),
        }));
        if copied.skipped > 0 {
            let count = copied.skipped;
            report(Event::Note(format!(
                "{count} sockets or devices are not copied"
            )));
        }
        for path in &copied.too_large {
            let path = path.display();
            report(Event::Note(format!(
                "{path} is too large to be copied: it stays as it is"
            )));
        }
    }

    fn stop_jail(&mut self) -> Result<()> {
        let running = State::running(&self.places.runtime(&self.name))?.is_some();
        let Some((trial, _)) = self.trials.first() else {
            return Ok(());
        };
        if running || self.restart {
            self.keeper = Some(Keeper::start(self.places, &self.name)?);
        }
        if running {
            // First, so that it is known whatever happens.
            trial.place().mark_stopped(true)?;
            self.restart = true;
            lifecycle::stop(self.places, &self.name, self.report)?;
        }
        Ok(())
    }

    /// Isolated or in place.
    pub(in crate::verbs) fn way(&self) -> Way {
        self.way
    }

    /// Places that were too large to be copied.
    pub(in crate::verbs) fn too_large(&self) -> Vec<PathBuf> {
        let first = self.trials.first();
        first.map_or_else(Vec::new, |(trial, _)| trial.copied().too_large.clone())
    }

    /// From now on, no service and no exercise may take much longer than in `outcome`.
    pub(in crate::verbs) fn judge_by(&mut self, outcome: &Outcome) {
        self.patience = Patience::after(outcome);
    }

    /// From now on each trial finds connections that time out, as after a restart; in place there
    /// may be some or not.
    pub(in crate::verbs) fn as_restarted(&mut self, restarted: bool) {
        self.restarted = restarted && self.way == Way::Isolated;
    }

    /// From now on a service that computes while nobody asks it anything has not passed, unless the
    /// one that is judged by did.
    pub(in crate::verbs) fn watch_idle(&mut self) {
        self.watch = true;
    }

    /// How many workers have nothing to do.
    pub(in crate::verbs) fn idle(&self) -> usize {
        self.trials.iter().filter(|(_, job)| job.is_none()).count()
    }

    /// How many workers there are.
    pub(in crate::verbs) fn size(&self) -> usize {
        self.trials.len()
    }

    /// Gives a spec to a worker that has nothing to do.
    ///
    /// # Errors
    /// There is none; it has ended.
    pub(in crate::verbs) fn submit(&mut self, number: usize, spec: &Spec) -> Result<()> {
        let (patience, look) = (self.patience, (self.restarted, self.watch));
        let idle = self.trials.iter_mut().find(|(_, job)| job.is_none());
        let Some((trial, job)) = idle else {
            return Err(Error::new("try a spec out", "every worker has one"));
        };
        trial.send(spec, patience, look)?;
        *job = Some(number);
        self.count += 1;
        Ok(())
    }

    /// Waits for the next outcome.
    ///
    /// # Errors
    /// It was interrupted by a signal; an error that is no spec's fault.
    pub(in crate::verbs) fn next(&mut self) -> Result<(usize, Outcome)> {
        let (number, trial) = self.answered()?;
        trial.receive().map(|outcome| (number, outcome))
    }

    /// Runs a jail under the tracer and waits for what was seen.
    ///
    /// # Errors
    /// As [`Crew::next`]; it cannot be traced.
    pub(in crate::verbs) fn follow(&mut self, task: Follow) -> Result<Followed> {
        let idle = self.trials.iter_mut().find(|(_, job)| job.is_none());
        let Some((trial, job)) = idle else {
            return Err(Error::new("follow a spec", "every worker has one"));
        };
        trial.send_to_follow(task)?;
        *job = Some(0);
        self.count += 1;
        self.answered()?.1.receive_followed()
    }

    /// Waits until a worker has answered: the number of its job, and the worker.
    fn answered(&mut self) -> Result<(usize, &mut Trial)> {
        let place = loop {
            let busy = self.trials.iter().filter(|(_, job)| job.is_some());
            let descriptors = busy.map(|(trial, _)| trial.as_fd());
            let descriptors = std::iter::once(self.signals.0.as_fd()).chain(descriptors);
            let mut watched: Vec<PollFd<'_>> = descriptors
                .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
                .collect();
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "wait for a trial"),
            }
            let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(watched);
            if ready.first() == Some(&true) {
                self.signals.interrupted(&self.name)?;
            }
            let busy = self.trials.iter().enumerate();
            let busy = busy.filter(|(_, (_, job))| job.is_some());
            let answered = busy.zip(ready.iter().skip(1)).find(|(_, ready)| **ready);
            if let Some(((place, _), _)) = answered {
                break place;
            }
        };
        match self.trials.get_mut(place) {
            Some((trial, job)) => Ok((job.take().unwrap_or_default(), trial)),
            None => Err(Error::new("wait for a trial", "it has gone")),
        }
    }

    /// Tries one spec out and waits for it.
    ///
    /// # Errors
    /// As [`Crew::next`].
    pub(in crate::verbs) fn run(&mut self, spec: &Spec) -> Result<Outcome> {
        self.submit(0, spec)?;
        self.next().map(|(_, outcome)| outcome)
    }

    /// Ends the workers, and starts the real jail again if it was stopped.
    ///
    /// # Errors
    /// It does not start.
    pub(in crate::verbs) fn finish(mut self) -> Result<()> {
        self.restore()
    }

    fn restore(&mut self) -> Result<()> {
        let restart = std::mem::take(&mut self.restart);
        if !restart {
            self.trials.clear();
        } else {
            // The first place stays, with its mark, until the jail runs again.
            let mut trials = std::mem::take(&mut self.trials).into_iter();
            let first = trials.next().map(|(trial, _)| trial.end());
            drop(trials);
            let started = lifecycle::start(self.places, &self.name, false, self.report);
            if let Some(keeper) = self.keeper.take() {
                keeper.dismiss()?;
            }
            started?;
            if let Some(place) = first {
                place.mark_stopped(false)?;
            }
        }
        for directory in std::mem::take(&mut self.made) {
            match rustix::fs::rmdir(&directory) {
                // A start of the real jail uses it by now.
                Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT | Errno::BUSY) => {}
                Err(errno) => {
                    return Err(errno).doing(|| format!("remove {}", directory.display()));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            (self.report)(Event::Warning(error.to_string()));
        }
    }
}

/// What a start would make below `/run` is made, so that a copy can be mounted there.
fn runtime_directories(terms: &Terms) -> Result<Vec<PathBuf>> {
    let missing = |path: &&PathBuf| !path.exists();
    let missing: Vec<PathBuf> = terms.required.iter().filter(missing).cloned().collect();
    let (uid, gid) = terms.owner;
    preflight::make_own_directories(missing.iter().map(PathBuf::as_path), uid, gid)?;
    Ok(missing.into_iter().filter(|path| path.exists()).collect())
}
