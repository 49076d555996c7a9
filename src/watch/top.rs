//! What the jails and their processes use: samples, and what was used between two of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::UserNames;
use super::denied::Denied;
use super::processes::{Process, Role, of_jails};
use super::sockets::holders;
use crate::Result;
use crate::host::process;
use crate::host::sock_diag::{Doings, Inet, SockDiag, Traffic};
use crate::run::cgroup;
use crate::run::state::State;

/// What is used, and for a jail by all its processes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Of one processor, since the sample before; of several it can be more than 100.
    pub cpu_percent: Option<f64>,
    /// Processor time since the start, seconds.
    pub cpu_s: f64,
    /// Memory that is in RAM, KiB. Of a jail with a cgroup what that counts, which has cached files,
    /// too; else the sum, in which what processes share is counted for each.
    pub memory_kib: u64,
    /// How much of a process's memory in RAM is of files or shared, KiB.
    pub shared_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors; null if that cannot be seen.
    pub descriptors: Option<u64>,
    /// TCP connections and connected UDP sockets.
    pub connections: u64,
    /// Bytes that came by open TCP connections in each second since the sample before.
    pub received_per_s: Option<f64>,
    /// Bytes that went by them.
    pub sent_per_s: Option<f64>,
    /// Whole seconds since the start.
    pub uptime_s: u64,
}

/// A jail.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JailUsage {
    /// Its name.
    pub name: String,
    /// The generation that runs.
    pub generation: u64,
    /// The service's pid on the host.
    pub pid: i32,
    /// How often it was started again.
    pub restarts: u64,
    /// What was denied it since it was watched; null where nobody tells.
    pub denials: Option<u64>,
    /// How often a limit of its cgroup was reached.
    pub limits: u64,
    /// Bytes by those TCP connections that were open when it was looked, since it was watched.
    #[serde(skip)]
    pub traffic: Traffic,
    /// What it uses.
    pub usage: Usage,
    /// Its processes, those of its supervisor left out.
    pub processes: Vec<ProcessUsage>,
}

/// A process of a jail.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessUsage {
    /// Its pid on the host.
    pub pid: i32,
    /// Its effective user, or the number.
    pub user: String,
    /// Its command line: what it says about itself.
    pub command: String,
    /// What it uses.
    pub usage: Usage,
}

/// Takes samples, and knows the one before.
#[derive(Debug, Default)]
pub struct Sampler {
    before: Sample,
    users: UserNames,
    denied: Option<Denied>,
    /// By the jail's name: what went through since the first sample.
    traffic: BTreeMap<String, Traffic>,
}

/// What was counted at one time.
#[derive(Debug, Default)]
struct Sample {
    taken: Option<Instant>,
    /// By pid and start time.
    ticks: BTreeMap<(i32, u64), u64>,
    /// By the jail's name and its service's start.
    cpu_us: BTreeMap<(String, u64), u64>,
    /// By the socket's inode.
    traffic: BTreeMap<u64, Traffic>,
}

impl Sampler {
    /// One that counts denials from now on, where the kernel tells of them.
    pub fn new() -> Self {
        Self {
            denied: Denied::listen(),
            ..Self::default()
        }
    }

    /// Readable when somebody was denied something; nothing, where the kernel does not tell.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.denied.as_ref().map(AsFd::as_fd)
    }

    /// Counts what was denied these jails until now, so that the kernel need not keep it until the
    /// next sample, and whose it is can still be seen. They are only asked for if there is something.
    ///
    /// # Errors
    /// `/proc` not readable; `jails`' own.
    pub fn hear(&mut self, jails: impl FnOnce() -> Result<Vec<State>>) -> Result<()> {
        let Some(denied) = &mut self.denied else {
            return Ok(());
        };
        let denials = denied.take()?;
        if !denials.is_empty() {
            let jails = jails()?;
            denied.count(&denials, &jails, &of_jails(&jails)?);
        }
        Ok(())
    }

    /// Looks at these jails now.
    ///
    /// # Errors
    /// `/proc` not readable; the kernel does not tell of sockets.
    pub fn sample(&mut self, jails: &[State]) -> Result<Vec<JailUsage>> {
        let processes = of_jails(jails)?;
        if let Some(denied) = &mut self.denied {
            let denials = denied.take()?;
            denied.count(&denials, jails, &processes);
        }
        let tables = tables(jails)?;
        let taken = Instant::now();
        let mut look = Look {
            before: std::mem::take(&mut self.before),
            next: Sample {
                taken: Some(taken),
                ..Sample::default()
            },
            users: &mut self.users,
            traffic: &mut self.traffic,
            now: process::uptime_s(0)?,
        };
        let mut found = Vec::new();
        for (state, processes) in jails.iter().zip(&processes) {
            let network = process::namespace(state.service.pid, "net").unwrap_or(0);
            let table = tables.get(&network).map_or(&[][..], Vec::as_slice);
            let mut jail = look.at_jail(state, processes, table);
            jail.denials = self.denied.as_ref().map(|denied| denied.of(&state.name));
            found.push(jail);
        }
        self.before = look.next;
        Ok(found)
    }
}

/// The sockets of each network namespace that a jail is in.
fn tables(jails: &[State]) -> Result<BTreeMap<u64, Vec<Inet>>> {
    let mut tables = BTreeMap::new();
    for state in jails {
        // One that has ended meanwhile has none.
        let Ok(network) = process::namespace(state.service.pid, "net") else {
            continue;
        };
        if let Entry::Vacant(place) = tables.entry(network) {
            match SockDiag::of(state.service.pid).and_then(|kernel| kernel.inet()) {
                Ok(table) => {
                    place.insert(table);
                }
                Err(_) if !state.service.is_alive() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(tables)
}

/// One sample, against the one before.
struct Look<'a> {
    before: Sample,
    next: Sample,
    users: &'a mut UserNames,
    traffic: &'a mut BTreeMap<String, Traffic>,
    /// Seconds since the machine was started.
    now: u64,
}

impl Look<'_> {
    fn at_jail(&mut self, state: &State, processes: &[Process], table: &[Inet]) -> JailUsage {
        let holders = holders(processes);
        let held: Vec<&Inet> = table
            .iter()
            .filter(|socket| holders.contains_key(&socket.inode))
            .collect();
        let inside = processes
            .iter()
            .filter(|process| process.role != Role::Supervisor);
        let processes: Vec<ProcessUsage> = inside
            .filter_map(|process| {
                let of_process = |socket: &&&Inet| {
                    let pids = holders.get(&socket.inode);
                    pids.is_some_and(|pids| pids.contains(&process.pid))
                };
                let sockets: Vec<&Inet> = held.iter().filter(of_process).copied().collect();
                self.at_process(process, &sockets)
            })
            .collect();
        let counted = cgroup::usage(&state.cgroup_directories());
        let mut usage = sum(&processes);
        usage.connections = connections(&held);
        let passed_through = self.traffic(&held);
        (usage.received_per_s, usage.sent_per_s) = self.rates(passed_through);
        usage.uptime_s = self.uptime(state.service.start_time);
        if let Some(bytes) = counted.memory_bytes {
            usage.memory_kib = bytes / 1024;
        }
        if let Some(us) = counted.cpu_us {
            let key = (state.name.clone(), state.service.start_time);
            let before = self.before.cpu_us.get(&key).copied();
            usage.cpu_s = seconds(us);
            usage.cpu_percent = self.percent(before, us);
            self.next.cpu_us.insert(key, us);
        }
        let traffic = self.traffic.entry(state.name.clone()).or_default();
        traffic.received += passed_through.received;
        traffic.sent += passed_through.sent;
        JailUsage {
            name: state.name.clone(),
            traffic: *traffic,
            generation: state.generation,
            pid: state.service.pid,
            restarts: state.restarts,
            denials: None,
            limits: counted.reached.memory + counted.reached.processes,
            usage,
            processes,
        }
    }

    /// Nothing if it has ended meanwhile.
    fn at_process(&mut self, process: &Process, sockets: &[&Inet]) -> Option<ProcessUsage> {
        let Process { pid, figures, .. } = *process;
        let status = process::status(pid).ok()?;
        let key = (pid, figures.start_time);
        let us = |ticks: u64| ticks.saturating_mul(1_000_000 / process::TICKS_PER_SECOND);
        let before = self.before.ticks.get(&key).copied().map(us);
        let cpu_percent = self.percent(before, us(figures.cpu_ticks));
        self.next.ticks.insert(key, figures.cpu_ticks);
        let passed_through = self.traffic(sockets);
        let (received_per_s, sent_per_s) = self.rates(passed_through);
        let descriptors = match figures.state {
            // One that has ended and waits for its parent has closed them.
            'Z' | 'X' => Some(0),
            _ => process::count_of_descriptors(pid),
        };
        Some(ProcessUsage {
            pid,
            user: self.users.of(status.uids[1]),
            command: process::command_text(pid)?,
            usage: Usage {
                cpu_percent,
                cpu_s: seconds(us(figures.cpu_ticks)),
                memory_kib: status.resident_kib,
                shared_kib: status.shared_kib,
                threads: figures.threads.into(),
                descriptors: descriptors.and_then(|count| u64::try_from(count).ok()),
                connections: connections(sockets),
                received_per_s,
                sent_per_s,
                uptime_s: self.uptime(figures.start_time),
            },
        })
    }

    fn uptime(&self, start_time: u64) -> u64 {
        let started = start_time / process::TICKS_PER_SECOND;
        self.now.saturating_sub(started)
    }

    /// What has been computed since the sample before, if it was there then.
    fn percent(&self, before: Option<u64>, now_us: u64) -> Option<f64> {
        let passed = self.passed()?;
        let used = seconds(now_us.saturating_sub(before?));
        Some(rounded(used / passed * 100.0))
    }

    /// Seconds since the sample before.
    fn passed(&self) -> Option<f64> {
        let passed = self.next.taken?.duration_since(self.before.taken?);
        Some(passed.as_secs_f64()).filter(|passed| *passed > 0.0)
    }

    /// Bytes since the sample before, of connections that were there then and of new ones.
    fn traffic(&mut self, sockets: &[&Inet]) -> Traffic {
        let mut passed_through = Traffic::default();
        for socket in sockets {
            let Some(now) = socket.traffic else {
                continue;
            };
            let before = self.before.traffic.get(&socket.inode);
            let before = before.copied().unwrap_or_default();
            passed_through.received += now.received.saturating_sub(before.received);
            passed_through.sent += now.sent.saturating_sub(before.sent);
            self.next.traffic.insert(socket.inode, now);
        }
        passed_through
    }

    /// As many bytes in each second since the sample before: what came and what went.
    fn rates(&self, passed_through: Traffic) -> (Option<f64>, Option<f64>) {
        let passed = self.passed();
        let rate = |bytes: u64| {
            let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
            passed.map(|passed| rounded(bytes / passed))
        };
        (rate(passed_through.received), rate(passed_through.sent))
    }
}

fn connections(sockets: &[&Inet]) -> u64 {
    let connected = sockets.iter().filter(|it| it.doing == Doings::Connected);
    u64::try_from(connected.count()).unwrap_or(u64::MAX)
}

/// All processes together, where that makes sense, and can be seen of each.
fn sum(processes: &[ProcessUsage]) -> Usage {
    let mut all = Usage {
        descriptors: (!processes.is_empty()).then_some(0),
        ..Usage::default()
    };
    for ProcessUsage { usage, .. } in processes {
        all.cpu_s += usage.cpu_s;
        all.memory_kib += usage.memory_kib;
        all.shared_kib += usage.shared_kib;
        all.threads += usage.threads;
        all.cpu_percent = added(all.cpu_percent, usage.cpu_percent);
        let descriptors = all.descriptors.zip(usage.descriptors);
        all.descriptors = descriptors.map(|(one, other)| one + other);
    }
    all
}

fn added(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(rounded(one + other)),
        (one, other) => one.or(other),
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// To one decimal.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::state::ProcessName;

    /// This process as a jail.
    fn own() -> State {
        let text = serde_json::json!({
            "name": "own", "generation": 2, "init": null, "supervisor": null, "cgroups": [],
            "service": ProcessName::of(std::process::id().cast_signed()).unwrap(),
            "serving": true,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_cannot_be_seen_of_one_process_is_not_told_of_all() {
        let with = |descriptors| ProcessUsage {
            usage: Usage {
                descriptors,
                ..Usage::default()
            },
            ..ProcessUsage::default()
        };
        assert_eq!(sum(&[with(Some(2)), with(Some(3))]).descriptors, Some(5));
        assert_eq!(sum(&[with(Some(2)), with(None)]).descriptors, None);
        assert_eq!(sum(&[]).descriptors, None);
    }

    #[test]
    fn what_is_used_between_two_samples_is_told() {
        let mut sampler = Sampler::default();
        let first = sampler.sample(&[own()]).unwrap();
        assert_eq!(first[0].usage.cpu_percent, None);
        assert!(first[0].usage.memory_kib > 0);
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let second = sampler.sample(&[own()]).unwrap();
        let of_own = |it: &&ProcessUsage| it.pid == std::process::id().cast_signed();
        let process = second[0].processes.iter().find(of_own).unwrap();
        assert!(process.usage.cpu_percent.unwrap() > 0.0, "{process:?}");
        assert!(process.usage.cpu_s > 0.0 && process.usage.descriptors > Some(2));
        assert_eq!((second[0].generation, second[0].name.as_str()), (2, "own"));
    }
}
