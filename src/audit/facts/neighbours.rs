//! What is around a jail: users, processes, other jails, units of systemd.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use super::{Facts, Neighbour, Outside, Unit, Unseen};
use crate::Result;
use crate::host::{process, sockets, users};
use crate::spec::{Direction, Spec};

/// Where units are (`systemd.unit(5)`).
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// The largest unit that is read, bytes.
const LARGEST_UNIT: u64 = 64 * 1024;
/// The most units of a directory that are read.
const MOST_UNITS: usize = 4096;
/// How far a process is traced back.
const MOST_GENERATIONS: usize = 64;
/// How the settings of a unit begin that confine (`systemd.exec(5)`, "Sandboxing",
/// "Capabilities", "System Call Filtering", "Mandatory Access Control").
const CONFINING: [&str; 22] = [
    "AmbientCapabilities=",
    "AppArmorProfile=",
    "CapabilityBoundingSet=",
    "DynamicUser=",
    "InaccessiblePaths=",
    "LockPersonality=",
    "MemoryDenyWriteExecute=",
    "NoNewPrivileges=",
    "PrivateDevices=",
    "PrivateMounts=",
    "PrivateNetwork=",
    "PrivateTmp=",
    "PrivateUsers=",
    "ProtectHome=",
    "ProtectKernel",
    "ProtectProc=",
    "ProtectSystem=",
    "ReadOnlyPaths=",
    "Restrict",
    "RootDirectory=",
    "SELinuxContext=",
    "SystemCallFilter=",
];

/// What only whoever knows all jails can tell.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The other jails.
    pub jails: Vec<Neighbour>,
    /// The processes that are in a jail, this one's included.
    pub jailed: BTreeSet<i32>,
    /// See [`Facts::foreign_sockets`].
    pub foreign_sockets: Vec<(u64, String)>,
    /// See [`Facts::unseen`].
    pub unseen: Vec<Unseen>,
    /// See [`Facts::killed_by`].
    pub killed_by: Option<i32>,
    /// See [`Facts::unguarded`].
    pub unguarded: Vec<String>,
}

pub(super) fn add(facts: &mut Facts, spec: &Spec, around: Around) -> Result<()> {
    facts.user = users::user_by_id(facts.uid)?;
    facts.same_number = users::names_of(facts.uid)?;
    facts.same_number.retain(|name| *name != spec.service.user);
    facts.outside = outside(spec, facts.uid, &around.jailed)?;
    facts.units = units(&spec.name);
    facts.jails = around.jails;
    facts.unseen = around.unseen;
    facts.killed_by = around.killed_by;
    facts.unguarded = around.unguarded;
    facts.foreign_sockets = around.foreign_sockets;
    Ok(())
}

/// The sockets that processes hold, by the jail that they are in.
pub fn running_sockets(jail: &str, pids: &[i32]) -> Vec<(u64, String)> {
    let held = pids.iter().flat_map(|pid| sockets::held_by(*pid));
    held.map(|inode| (inode, jail.to_owned())).collect()
}

/// Processes in no jail that have the service's user, or are the service started by hand.
fn outside(spec: &Spec, uid: u32, jailed: &BTreeSet<i32>) -> Result<Vec<Outside>> {
    let program = spec.service.command.first();
    let program = program.and_then(|path| fs::canonicalize(path).ok());
    let ports: BTreeSet<u16> = spec
        .ports
        .iter()
        .filter(|rule| rule.direction == Direction::Bind && rule.port != 0)
        .map(|rule| rule.port)
        .collect();
    let own = std::process::id().cast_signed();
    let own_program = process::executable(own);
    let caller = rustix::process::geteuid().as_raw();
    let mine: BTreeSet<u64> = sockets::listeners(own)?
        .into_iter()
        .filter(|listener| ports.contains(&listener.port))
        .map(|listener| listener.inode)
        .collect();
    let mut found = Vec::new();
    for pid in process::all()? {
        // Kernel threads have no executable; what ends meanwhile has none either.
        let (Some(executable), Ok(status)) = (process::executable(pid), process::status(pid))
        else {
            continue;
        };
        // This program, and the supervisors of an ordinary user's jails, whose user it has too.
        if own_program.as_ref() == Some(&executable) && status.uids == [caller; 4] {
            continue;
        }
        let same_uid = uid != 0 && status.uids.contains(&uid);
        let runs_it = program.as_ref() == Some(&executable);
        let holds = || {
            sockets::held_by(pid)
                .iter()
                .any(|inode| mine.contains(inode))
        };
        let is_copy = runs_it && (same_uid || holds());
        if (same_uid || is_copy) && !is_of(jailed, pid, status.parent) {
            found.push(Outside {
                pid,
                executable: executable.display().to_string(),
                is_copy,
                same_uid,
            });
        }
    }
    Ok(found)
}

/// Whether a process is one of those, or came of one since they were listed: a service forks while
/// it is looked at. What has lost its parent has one of them, the jail's first, for its parent.
fn is_of(jailed: &BTreeSet<i32>, pid: i32, parent: i32) -> bool {
    let mut at = pid;
    let mut above = parent;
    for _ in 0..MOST_GENERATIONS {
        if jailed.contains(&at) {
            return true;
        }
        let Ok(status) = process::status(above) else {
            return false;
        };
        at = above;
        above = status.parent;
    }
    false
}

/// The units that start the jail `name` with settings that confine.
fn units(name: &str) -> Vec<Unit> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for directory in UNITS {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.take(MOST_UNITS).filter_map(|entry| entry.ok()) {
            let path = entry.path();
            let is_service = path.extension().is_some_and(|end| end == "service");
            if !is_service || !seen.insert(entry.file_name()) {
                continue;
            }
            let settings = read(&path).and_then(|text| confines(&text, name));
            if let Some(settings) = settings.filter(|settings| !settings.is_empty()) {
                found.push(Unit { path, settings });
            }
        }
    }
    found
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    let is_file = file.metadata().ok()?.is_file();
    let read = is_file.then(|| file.take(LARGEST_UNIT).read_to_string(&mut text));
    read?.ok().map(|_| text)
}

/// The settings of a unit that confine, if it starts that jail.
pub(in crate::audit) fn confines(unit: &str, name: &str) -> Option<Vec<String>> {
    let lines = || unit.lines().map(str::trim);
    let starts = lines().any(|line| {
        let Some(command) = line.strip_prefix("ExecStart=") else {
            return false;
        };
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        program.rsplit('/').next() == Some("gaoler")
            && words.iter().any(|word| matches!(*word, "run" | "start"))
            && words.contains(&name)
    });
    let confining = |line: &&str| {
        let set = line
            .split_once('=')
            .is_some_and(|(_, value)| !matches!(value.trim(), "" | "no" | "false" | "off" | "0"));
        set && CONFINING.iter().any(|start| line.starts_with(start))
    };
    starts.then(|| lines().filter(confining).map(str::to_owned).collect())
}
