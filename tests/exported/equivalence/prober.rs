//! The prober in place of an exported service, and what comes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gaoler::attack::Probe;
use gaoler::spec::Spec;
use serde_json::Value;

/// More memory than this is not taken for the sake of a proof: as `attack` has it.
const MOST_MEMORY: u64 = 1 << 30;

/// Writes what runs the prober as `launch`, a script for sh, has it; answers the command for
/// `attack --under`. The script has the prober's path in `PROBER`, what it is told in `ARGUMENTS`.
pub fn under(directory: &Path, spec: &Spec, policy: &Path, launch: &str) -> String {
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let script = file("prober.sh", include_str!("prober.sh"));
    let writable = writable(spec).expect("a place that it may write to");
    let told = file("told", &told(spec, policy, &writable));
    let launch = file("launch.sh", launch);
    format!("sh {script} {} {told} {launch}", writable.display())
}

/// A directory of the host in which the service can make files, rather on the disk than in memory: a place that
/// it may write to, or one directly below.
fn writable(spec: &Spec) -> Option<PathBuf> {
    const OWNER_WRITES: u32 = 0o200;
    const GROUP_WRITES: u32 = 0o020;
    let user = number("/etc/passwd", &spec.service.user);
    let group = number("/etc/group", &spec.service.group);
    let is_own = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|found| {
            let owner = found.uid() == user && found.mode() & OWNER_WRITES != 0;
            let member = found.gid() == group && found.mode() & GROUP_WRITES != 0;
            found.is_dir() && (owner || member)
        })
    };
    let binds = spec.binds.iter().filter(|rule| rule.writable);
    let mut places: Vec<&PathBuf> = binds.map(|rule| &rule.path).collect();
    places.sort_by_key(|path| path.starts_with("/run"));
    let below = places.iter().flat_map(|path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    });
    let mut all = places.iter().map(|path| (*path).clone()).chain(below);
    all.find(is_own)
}

/// What is so for this service, and not for nobody in nothing.
fn told(spec: &Spec, policy: &Path, writable: &Path) -> String {
    let bits = spec.capabilities.iter();
    let bits = bits.fold(0_u64, |bits, rule| bits | 1 << rule.capability);
    let own = &spec.service;
    let groups = own.groups.iter().chain([&own.group]);
    let groups: Vec<String> = groups
        .map(|name| number("/etc/group", name).to_string())
        .collect();
    let mut text = format!(
        "tree=\ntop=/\ndirectory=/dev\nnull=/dev/null\nlog=/dev/log\npolicy={}\n\
         program={}\nwritable={place}\nplaces={place}\nsibling={place}/.gaoler-attack\n\
         capabilities={bits}\ngroups={}\n",
        policy.display(),
        own.command[0],
        groups.join(","),
        place = writable.display(),
    );
    let limits = &spec.limits;
    for (name, limit) in [
        ("processes", limits.processes),
        ("descriptors", limits.descriptors),
        ("file_size", limits.file_size),
    ] {
        if let Some(limit) = limit {
            text += &format!("{name}={limit}\n");
        }
    }
    match limits.memory {
        Some(most) if most > MOST_MEMORY => text += "memory=more\n",
        Some(most) => text += &format!("memory={most}\n"),
        None => {}
    }
    text
}

/// The number of a name in passwd(5) or group(5); a number is its own.
fn number(file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(file).unwrap();
    let mut fields = text.lines().map(|line| line.split(':'));
    let number = fields.find_map(|mut line| (line.next() == Some(name)).then(|| line.nth(1)));
    number.flatten().unwrap_or(name).parse().unwrap()
}

/// What was seen of each, for who reads the output.
pub fn seen(report: &str) -> String {
    let report: Value = serde_json::from_str(report).unwrap();
    let probes = report["probes"].as_array().unwrap().iter();
    let words = |probe: &Value| {
        let word = |key: &str| probe[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{}: {}: {}\n",
            word("id"),
            word("outcome"),
            word("evidence")
        )
    };
    probes.map(words).collect()
}

/// The probes of an attack, by what came of them.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// They did not get through.
    pub stopped: Vec<String>,
    /// They got through, and the spec allows that.
    pub allowed: Vec<String>,
    /// They got through.
    pub through: Vec<String>,
    /// It cannot be told.
    pub unproven: Vec<String>,
}

impl Outcomes {
    /// From what `attack --json` prints; a probe that is tried in two phases has its worst outcome.
    pub fn of(report: &str, spec: &Spec) -> Self {
        let report: Value =
            serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}"));
        let tried = report["probes"].as_array().unwrap();
        let mut all = Self::default();
        for probe in gaoler::attack::probes().unwrap() {
            let of_it = tried.iter().filter(|it| it["id"] == probe.id.as_str());
            let outcomes: Vec<&str> = of_it.map(|it| it["outcome"].as_str().unwrap()).collect();
            all.one(&probe, &outcomes, spec);
        }
        all
    }

    fn one(&mut self, probe: &Probe, outcomes: &[&str], spec: &Spec) {
        let has = |outcome| outcomes.contains(&outcome);
        let list = if has("escaped") {
            match probe.allowed_by(spec) {
                Some(_) => &mut self.allowed,
                None => &mut self.through,
            }
        } else if has("allowed-by-spec") {
            &mut self.allowed
        } else if has("not-proven") {
            &mut self.unproven
        } else if has("blocked") {
            &mut self.stopped
        } else {
            return;
        };
        list.push(probe.id.clone());
    }
}
