//! Whom an attack's scene is put up for: a jail, or what another launcher makes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::{Jail, Places};
use super::prober::Prober;
use crate::spec::{Limits, Spec};

/// How the directory of an attack begins, which no jail's name does.
const ATTACK: &str = ".attack-";

/// What follows where there is no jail: no name begins with `-`.
const UNDER: &str = "-under";

/// The socket of the one outside in a place that the service can write to.
pub(super) const SHARED: &str = ".gaoler-attack";

/// What is known of it.
#[derive(Debug)]
pub(super) struct Setting {
    /// What is attacked, in messages.
    pub(super) name: String,
    /// The directory that holds those of attacks.
    pub(super) state: PathBuf,
    /// What this one's directory is called.
    pub(super) label: String,
    /// The root tree.
    pub(super) tree: PathBuf,
    /// What only root may read, as the spec of a jail.
    pub(super) policy: PathBuf,
    /// User and group.
    pub(super) owner: (u32, u32),
    /// All groups that it is given.
    pub(super) groups: Vec<u32>,
    /// The capabilities that it is given, a bit for each (`capabilities(7)`).
    pub(super) capabilities: u64,
    /// Its limits.
    pub(super) limits: Limits,
    /// A mount in it.
    pub(super) mounted: &'static str,
    /// A directory in it that the service can write to.
    pub(super) writable: Option<PathBuf>,
    /// All places of the host that it can write to.
    pub(super) bound: Vec<PathBuf>,
    /// Where another could put a socket for it: a path in a writable place of the host.
    pub(super) shared: Option<PathBuf>,
    /// The program in it.
    pub(super) program: Option<String>,
}

impl Setting {
    /// That of a jail.
    pub(super) fn of_jail(places: &Places, jail: &Jail) -> Self {
        let spec = &jail.spec;
        let owner = (jail.account.user.uid, jail.account.group.gid);
        let groups = jail.account.groups.iter().map(|group| group.gid);
        Self {
            name: spec.name.clone(),
            state: places.state.clone(),
            label: format!("{ATTACK}{}", spec.name),
            tree: jail.tree.clone(),
            policy: places.spec(&spec.name),
            owner,
            groups: groups.chain([owner.1]).collect(),
            capabilities: capabilities(spec),
            limits: spec.limits.clone(),
            mounted: "/dev/log",
            bound: bound(spec).cloned().collect(),
            writable: writable(spec),
            shared: shared_place(spec, owner),
            program: spec.service.command.first().cloned(),
        }
    }

    /// That of whatever a launcher makes, for a user of the host: what there is in it that can be
    /// got at is what most launchers leave there.
    pub(super) fn of_launcher(places: &Places, name: &str, owner: (u32, u32)) -> Self {
        let label = format!("{ATTACK}{UNDER}");
        let directory = places.state.join(&label);
        Self {
            name: name.to_owned(),
            state: places.state.clone(),
            tree: directory.join("tree"),
            policy: directory.join("policy"),
            owner,
            groups: Vec::new(),
            capabilities: 0,
            limits: Limits::default(),
            mounted: "/proc",
            writable: Some("/tmp".into()),
            bound: Vec::new(),
            shared: None,
            program: Some(Prober::path_in(&directory).display().to_string()),
            label,
        }
    }

    /// The directory of the attack.
    pub(super) fn directory(&self) -> PathBuf {
        self.state.join(&self.label)
    }
}

/// A directory that the service can write to: of its own, or the host's.
fn writable(spec: &Spec) -> Option<PathBuf> {
    let scratch = spec.scratch.iter().map(|rule| &rule.path);
    scratch.chain(bound(spec)).next().cloned()
}

/// The directories of the host that the service can write to.
fn bound(spec: &Spec) -> impl Iterator<Item = &PathBuf> {
    let binds = spec.binds.iter().filter(|rule| rule.writable);
    binds.map(|rule| &rule.path).filter(|path| path.is_dir())
}

/// A place of the host that the service can write to, where another could put a socket.
fn shared_place(spec: &Spec, (uid, gid): (u32, u32)) -> Option<PathBuf> {
    const OWNER_WRITES: u32 = 0o300;
    const GROUP_WRITES: u32 = 0o030;
    let own = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|metadata| {
            let may = |bits| metadata.mode() & bits == bits;
            let owner = metadata.uid() == uid && may(OWNER_WRITES);
            metadata.is_dir() && (owner || metadata.gid() == gid && may(GROUP_WRITES))
        })
    };
    let mut binds = spec.binds.iter().filter(|rule| rule.writable);
    let place = binds.find(|rule| own(&rule.path))?;
    Some(place.path.join(SHARED))
}

fn capabilities(spec: &Spec) -> u64 {
    let rules = spec.capabilities.iter();
    rules.fold(0, |bits, rule| bits | 1 << (rule.capability & 63))
}
