//! Builds the Landlock ruleset of a plan before the child exists: making one allocates.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, major, minor};

use crate::plan::step::{Grant, LandlockRules, Object};
use crate::{Doing, Error, Result};

/// What the child needs to restrict itself.
#[derive(Debug)]
pub(super) struct Restriction {
    /// The ruleset.
    pub ruleset: OwnedFd,
    /// A directory that it has no rule for, empty, of nobody's file system, and open to all: once
    /// it cannot be read, the ruleset is in force.
    pub forbidden: OwnedFd,
}

/// Makes the ruleset; nothing is restricted yet. Every right that the plan's ABI knows is
/// handled, so that what no rule grants is refused; a right that this kernel lacks is an error.
pub(super) fn ruleset(rules: &LandlockRules, scratch: &[(PathBuf, OwnedFd)]) -> Result<OwnedFd> {
    let abi = abi(rules.abi);
    let mut created = create(rules, abi).map_err(failed)?;
    for (object, grant) in &rules.files {
        let descriptor = open(object, scratch)?;
        let is_directory = rustix::fs::fstat(&descriptor)
            .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
            .doing(|| format!("look at {object:?}"))?;
        let access = access(*grant, abi, is_directory);
        created = created
            .add_rule(PathBeneath::new(descriptor, access))
            .map_err(failed)?;
    }
    for (ports, access) in [
        (&rules.bind_tcp, AccessNet::BindTcp),
        (&rules.connect_tcp, AccessNet::ConnectTcp),
    ] {
        for port in ports.iter().flatten() {
            created = created
                .add_rule(NetPort::new(*port, access))
                .map_err(failed)?;
        }
    }
    Option::<OwnedFd>::from(created)
        .ok_or_else(|| Error::setup("make the Landlock ruleset", "this kernel has no Landlock"))
}

fn create(rules: &LandlockRules, abi: ABI) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if rules.bind_tcp.is_some() {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    if rules.connect_tcp.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    ruleset.create()
}

fn access(grant: Grant, abi: ABI, is_directory: bool) -> BitFlags<AccessFs> {
    let all = AccessFs::from_all(abi);
    let wanted = match grant {
        Grant::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        Grant::Execute => AccessFs::ReadFile | AccessFs::Execute,
        Grant::Write => {
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev
        }
        Grant::Change => {
            !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
        }
    };
    let possible = if is_directory {
        all
    } else {
        AccessFs::from_file(abi)
    };
    wanted & all & possible
}

fn abi(version: u32) -> ABI {
    match version {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    }
}

fn open(object: &Object, scratch: &[(PathBuf, OwnedFd)]) -> Result<OwnedFd> {
    match object {
        Object::Path(path) => open_path(path),
        Object::Device(path, number) => open_device(path, number),
        Object::Scratch(path) => {
            let (_, mount) = scratch
                .iter()
                .find(|(made, _)| made == path)
                .ok_or_else(|| {
                    Error::setup(
                        format!("find the scratch place {}", path.display()),
                        "no step makes it",
                    )
                })?;
            rustix::fs::openat(mount, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .doing(|| format!("open the scratch place {}", path.display()))
        }
    }
}

fn open_path(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty())
        .doing(|| format!("open {} for a Landlock rule", path.display()))
}

/// The device, and nothing else in its place: what a jail has as its null device is written to by
/// everything in it (CVE-2025-31133).
fn open_device(path: &Path, number: &str) -> Result<OwnedFd> {
    let node = open_path(path)?;
    let stat =
        rustix::fs::fstat(&node).doing(|| format!("look at the device {}", path.display()))?;
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && number == format!("{major}:{minor}") {
        return Ok(node);
    }
    Err(Error::setup(
        format!("use the device {}", path.display()),
        format!("it is not the character device {number}"),
    )
    .hint("the tree is not what was built: see gaoler check NAME, then gaoler build NAME"))
}

fn failed(error: landlock::RulesetError) -> Error {
    Error::setup("make the Landlock ruleset", error)
}
