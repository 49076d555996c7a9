//! Looking at the jails: from what other verbs show of them, and nothing is changed. What is counted over
//! a while is kept between two looks.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::Result;
use crate::host::process;
use crate::run::cgroup;
use crate::run::events::Compared;
use crate::run::log::Logged;
use crate::run::state::{ProcessName, State};
use crate::verbs::list::{Listed, list};
use crate::verbs::observe::running;
use crate::verbs::{Places, incidents, stale, status};
use crate::watch::metrics::{Jail, Usage};
use crate::watch::top::{JailUsage, Sampler};

/// How long it is believed whether a jail is behind its host: files that have changed there are read to
/// tell.
const STALE_FOR: Duration = Duration::from_secs(60);

/// Looks at jails.
pub(super) struct Looker<'a> {
    places: &'a Places,
    name: Option<&'a str>,
    sampler: Sampler,
    /// It looks again and again, so it can count.
    counts: bool,
    /// When it was heard last what was denied.
    pub(super) heard: Instant,
    /// When the machine was started. The kernel's answer moves with the clock.
    boot: Option<u64>,
    stale: BTreeMap<String, (Instant, Option<u64>)>,
    computed: BTreeMap<String, (ProcessName, Computed)>,
}

impl<'a> Looker<'a> {
    /// One that looks once.
    pub(super) fn once(places: &'a Places, name: Option<&'a str>) -> Self {
        Self {
            places,
            name,
            sampler: Sampler::default(),
            counts: false,
            heard: Instant::now(),
            boot: process::boot_time(),
            stale: BTreeMap::new(),
            computed: BTreeMap::new(),
        }
    }

    /// One that looks as often as it is asked.
    pub(super) fn again_and_again(places: &'a Places, name: Option<&'a str>) -> Self {
        Self {
            sampler: Sampler::new(),
            counts: true,
            ..Self::once(places, name)
        }
    }

    /// Readable when somebody was denied something; see [`Sampler::descriptor`].
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.sampler.descriptor()
    }

    /// Counts that.
    ///
    /// # Errors
    /// As [`Sampler::hear`].
    pub(super) fn hear(&mut self) -> Result<()> {
        self.heard = Instant::now();
        let (places, name) = (self.places, self.name);
        self.sampler.hear(|| states(places, name))
    }

    /// The jails as they are now.
    ///
    /// # Errors
    /// `/proc` or a directory cannot be read; the kernel does not tell of sockets.
    pub(super) fn look(&mut self) -> Result<Vec<Jail>> {
        let mut jails = list(self.places, false)?.jails;
        jails.retain(|jail| self.name.is_none_or(|name| jail.name == name));
        let states = states(self.places, self.name)?;
        let sampled = self.sampler.sample(&states)?;
        let running: BTreeMap<&str, (&State, &JailUsage)> = states
            .iter()
            .zip(&sampled)
            .map(|(state, usage)| (state.name.as_str(), (state, usage)))
            .collect();
        let known = |name: &String| jails.iter().any(|jail| jail.name == *name);
        self.stale.retain(|name, _| known(name));
        self.computed.retain(|name, _| known(name));
        let mut counts = incidents::counts(self.places);
        let jail = |listed: &Listed| {
            let running = running.get(listed.name.as_str()).copied();
            let counts = counts.as_mut().map(|all| all.remove(&listed.name));
            Jail {
                incidents: counts.map(Option::unwrap_or_default),
                ..self.at_jail(listed, running)
            }
        };
        Ok(jails.iter().map(jail).collect())
    }

    fn at_jail(&mut self, listed: &Listed, running: Option<(&State, &JailUsage)>) -> Jail {
        let directory = self.places.runtime(&listed.name);
        let state = running.map(|(state, _)| state);
        Jail {
            name: listed.name.clone(),
            condition: listed.state,
            started_s: state.and_then(|state| Some(started_s(state.service, self.boot?))),
            generation: listed.generation,
            score: listed.score,
            restarts: listed.restarts,
            drift: state.and_then(|state| drift(state, Compared::load(&directory))),
            stale: listed
                .generation
                .and_then(|_| self.stale(&listed.name, state)),
            incidents: None,
            log: Logged::load(&directory).map(|logged| logged.counts),
            usage: running.map(|(state, sampled)| self.usage(state, sampled)),
        }
    }

    /// For how many reasons a jail is behind its host.
    fn stale(&mut self, name: &str, state: Option<&State>) -> Option<u64> {
        if let Some((looked, count)) = self.stale.get(name)
            && looked.elapsed() < STALE_FOR
        {
            return *count;
        }
        let reasons = stale::of(self.places, name, state).ok();
        let count = reasons.map(|reasons| count(reasons.len()));
        self.stale.insert(name.to_owned(), (Instant::now(), count));
        count
    }

    fn usage(&mut self, state: &State, sampled: &JailUsage) -> Usage {
        let directories = state.cgroup_directories();
        let counted = cgroup::usage(&directories);
        let all = &sampled.usage;
        let kib = |kib: u64| kib.saturating_mul(1024);
        // Without descriptors no socket can be seen either.
        let seen = all.descriptors.is_some();
        let reached = counted.reached;
        Usage {
            cpu_s: match counted.cpu_us {
                Some(us) => Duration::from_micros(us).as_secs_f64(),
                None => self.computed(state, sampled),
            },
            memory_bytes: counted.memory_bytes.unwrap_or(kib(all.memory_kib)),
            shared_bytes: kib(all.shared_kib),
            memory_limit_bytes: cgroup::memory_limit(&directories),
            processes: count(sampled.processes.len()),
            threads: all.threads,
            descriptors: all.descriptors,
            connections: seen.then_some(all.connections),
            traffic: (seen && self.counts).then_some(sampled.traffic),
            denials: sampled.denials,
            memory_reached: counted.memory_bytes.map(|_| reached.memory),
            processes_reached: counted.processes.map(|_| reached.processes),
            memory_kills: counted.memory_bytes.map(|_| reached.memory_kills),
        }
    }

    /// Processor time of a jail without a cgroup.
    fn computed(&mut self, state: &State, sampled: &JailUsage) -> f64 {
        let fresh = || (state.service, Computed::default());
        let (service, computed) = self
            .computed
            .entry(state.name.clone())
            .or_insert_with(fresh);
        if *service != state.service {
            (*service, *computed) = fresh();
        }
        let us = |seconds| {
            Duration::try_from_secs_f64(seconds)
                .unwrap_or_default()
                .as_micros()
        };
        let now = sampled.processes.iter().map(|process| {
            let us = us(process.usage.cpu_s);
            (process.pid, u64::try_from(us).unwrap_or(u64::MAX))
        });
        let us = computed.add(now.collect());
        Duration::from_micros(us).as_secs_f64()
    }
}

/// The jail of this name, or all that run.
fn states(places: &Places, name: Option<&str>) -> Result<Vec<State>> {
    let mut states = running(places, None, "")?;
    states.retain(|state| name.is_none_or(|name| state.name == name));
    Ok(states)
}

/// What was computed by processes of one run of a service, those that have ended meanwhile included, so
/// that it grows and never shrinks.
#[derive(Debug, Default)]
struct Computed {
    last: BTreeMap<i32, u64>,
    ended_us: u64,
}

impl Computed {
    fn add(&mut self, now: BTreeMap<i32, u64>) -> u64 {
        for (pid, before) in &self.last {
            // One with less is another one that has got its number.
            if now.get(pid).is_none_or(|now| now < before) {
                self.ended_us = self.ended_us.saturating_add(*before);
            }
        }
        self.last = now;
        let running = self
            .last
            .values()
            .fold(0_u64, |sum, us| sum.saturating_add(*us));
        self.ended_us.saturating_add(running)
    }
}

/// How much differs from what was started; nothing if that was not looked at yet.
fn drift(state: &State, compared: Option<Compared>) -> Option<u64> {
    let was_compared = compared.is_some();
    let found = status::drift(state, compared).len();
    (was_compared || found > 0).then_some(count(found))
}

/// Seconds since 1970.
fn started_s(service: ProcessName, boot: u64) -> f64 {
    let per_tick = 1000 / process::TICKS_PER_SECOND;
    let since_boot = Duration::from_millis(service.start_time.saturating_mul(per_tick));
    Duration::from_secs(boot)
        .saturating_add(since_boot)
        .as_secs_f64()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_processes_have_computed_stays() {
        let mut computed = Computed::default();
        let mut add = |processes: &[(i32, u64)]| computed.add(processes.iter().copied().collect());
        assert_eq!(add(&[(1, 10), (2, 5)]), 15);
        assert_eq!(add(&[(1, 12), (2, 7)]), 19);
        assert_eq!(add(&[(1, 13)]), 20, "2 has ended with 7");
        assert_eq!(add(&[(1, 13), (2, 1)]), 21, "another one has its number");
        assert_eq!(add(&[(1, 2)]), 23, "and another one that of 1");
    }

    #[test]
    fn a_start_is_told_in_seconds_since_1970() {
        let service = ProcessName {
            start_time: 1250,
            ..ProcessName::ended(1)
        };
        assert!((started_s(service, 1_000_000) - 1_000_012.5).abs() < 0.001);
    }
}
