//! One jail on disk: its spec, its current generation, its compiled plan.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use super::guard as guarded;
use super::handed;
use super::stamp::{Compiled, Stamp};
use super::{
    Event, Incomplete, Places, Report, may_jail, must_be_ours, must_be_root, sbom, switch,
    valid_name,
};
use crate::build::{self, Account, Built, Manifest, Request};
use crate::host::Host;
use crate::plan::{self, Inputs, Mode, Plan, assemble};
use crate::run::state::State;
use crate::spec::{self, Spec};
use crate::{Doing, Error, Result};

/// The copy of the spec that a generation was built from, and its compiled plan.
const SPEC_COPY: &str = "spec.toml";

/// The file of a generation's compiled plan: one for each way to run it, so that a start reads
/// no more than it needs.
fn compiled_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Supervised => "plan.json",
        Mode::Exec => "plan-exec.json",
        Mode::Complaining => "plan-complain.json",
        Mode::Traced => "plan-traced.json",
    }
}

/// A jail that has been built.
#[derive(Debug)]
pub struct Jail {
    /// Its policy.
    pub spec: Spec,
    /// Whom it runs as.
    pub account: Account,
    /// The current generation.
    pub generation: u64,
    /// Its root tree.
    pub tree: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// The compiled plan.
    pub plan: Plan,
}

/// The spec that a generation's tree was built from.
///
/// # Errors
/// It is gone, or none.
pub(super) fn spec_of_tree(tree: &Path) -> Result<Spec> {
    let (text, origin) = spec_text_of_tree(tree)?;
    spec::parse(&text, &origin)
}

/// The text of that spec, and the file that it was read from.
///
/// # Errors
/// It is gone.
pub(super) fn spec_text_of_tree(tree: &Path) -> Result<(String, String)> {
    let path = directory_of(tree)?.join(SPEC_COPY);
    let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    Ok((text, path.display().to_string()))
}

/// Reads the spec of a jail.
///
/// # Errors
/// There is none; others could have written it; it says what is not known.
pub(super) fn load_spec(places: &Places, name: &str) -> Result<Spec> {
    read_spec(places, name).map(|(spec, _)| spec)
}

/// The spec of a jail and its text.
pub(super) fn read_spec(places: &Places, name: &str) -> Result<(Spec, String)> {
    valid_name(name)?;
    let path = places.spec(name);
    let doing = || format!("read the spec {}", path.display());
    if !path.exists() {
        return Err(Error::usage(doing(), "there is none")
            .hint(format!("learn the service first: gaoler up {name}")));
    }
    must_be_ours(&places.etc, &doing())?;
    must_be_ours(&path, &doing())?;
    let text = fs::read_to_string(&path).doing(doing)?;
    let spec = spec::parse(&text, &path.display().to_string())?;
    if spec.name == name {
        return Ok((spec, text));
    }
    Err(
        Error::usage(doing(), format!("it says that its name is {:?}", spec.name)).hint(format!(
            "call the file {}.toml, or change the name in it",
            spec.name
        )),
    )
}

/// Builds the jail's tree if it would differ from the current one.
///
/// # Errors
/// As [`build::build`]; the spec is incomplete, and that is refused.
pub fn build(
    places: &Places,
    name: &str,
    incomplete: Incomplete,
    report: &Report<'_>,
) -> Result<(Jail, Built)> {
    may_jail(&format!("build the jail {name}"))?;
    valid_name(name)?;
    switch::must_be_alone(places, name)?;
    switch::recover(places, name, report)?;
    let source = Source::of(places, name)?;
    incomplete.judge_spec(&source.spec)?;
    build_spec(places, source, Mode::Supervised, true, report)
}

/// Builds the jail of this text of a spec beside the current generation, which stays.
///
/// # Errors
/// As [`build()`].
pub(super) fn build_beside(
    places: &Places,
    name: &str,
    text: String,
    report: &Report<'_>,
) -> Result<Built> {
    let stamp = Stamp::now(places, name)?;
    let spec = spec::parse(&text, &places.spec(name).display().to_string())?;
    let source = Source { spec, text, stamp };
    build_spec(places, source, Mode::Supervised, false, report).map(|(_, built)| built)
}

/// What the manifest would say if the jail of a spec were built now.
///
/// # Errors
/// As [`build()`].
pub(super) fn foresee(places: &Places, spec: &Spec) -> Result<Manifest> {
    build::foresee(spec, &Account::of(spec)?, &guarded::modes(places)?)
}

/// What a jail is built from.
struct Source {
    spec: Spec,
    text: String,
    /// Taken before `text` was read: a plan made from it is never taken for that of a newer spec.
    stamp: Stamp,
}

impl Source {
    fn of(places: &Places, name: &str) -> Result<Self> {
        valid_name(name)?;
        let stamp = Stamp::now(places, name);
        let (spec, text) = read_spec(places, name)?;
        // Only now: that there is no spec is better said by what reads it.
        stamp.map(|stamp| Self { spec, text, stamp })
    }
}

/// Builds it, as the current generation or beside that; the jail comes with the plan of `mode`.
fn build_spec(
    places: &Places,
    source: Source,
    mode: Mode,
    current: bool,
    report: &Report<'_>,
) -> Result<(Jail, Built)> {
    let spec = &source.spec;
    let account = Account::of(spec)?;
    let running = State::running(&places.runtime(&spec.name))?;
    let in_use: Vec<u64> = running.iter().map(|state| state.generation).collect();
    let state = build::State::create(&places.state, &spec.name)?;
    let made = RefCell::new(None);
    // On the disk with the tree: one wait for all of it.
    let beside = |generation, manifest: &Manifest| {
        let tree = state.root(generation);
        let mut files = vec![(SPEC_COPY, source.text.clone())];
        // Of what is tried out nobody asks it.
        if places.trial().is_none() {
            files.push(sbom::beside(manifest)?);
        }
        for way in [Mode::Supervised, Mode::Exec] {
            // It cannot be started like that; who tries is told why.
            if plan::unheard(spec, way).is_some() {
                continue;
            }
            let plan = make_plan(places, spec, &account, manifest, &tree, generation, way)?;
            let (compiled, plan) = source.stamp.compile(spec, plan)?;
            files.push((compiled_name(way), compiled));
            if way == mode {
                made.replace(Some((manifest.clone(), plan)));
            }
        }
        Ok(files)
    };
    let modes = guarded::modes(places)?;
    let request = Request {
        spec,
        account: &account,
        state: &places.state,
        in_use: &in_use,
        modes: &modes,
        beside: &beside,
        current,
    };
    let progress = |progress| {
        if let build::Progress::Waiting(pid) = progress {
            report(Event::Note(format!(
                "another build of it goes on in process {pid}: waiting"
            )));
        }
    };
    let built = build::build(&request, &progress)?;
    let jail = match made.take() {
        Some((manifest, plan)) => Jail {
            account,
            generation: built.generation,
            tree: state.root(built.generation),
            manifest,
            plan,
            spec: source.spec,
        },
        None => compile(places, source, account, built.generation, mode)?,
    };
    Ok((jail, built))
}

/// The jail of a generation that is there already, with the plan of `mode` that its spec gives
/// today. That and the spec are left beside the manifest; another mode's plan is made anew when it
/// is asked for, because its stamp is old.
fn compile(
    places: &Places,
    source: Source,
    account: Account,
    generation: u64,
    mode: Mode,
) -> Result<Jail> {
    let Source { spec, text, stamp } = source;
    let state = build::State::create(&places.state, &spec.name)?;
    let manifest = state.manifest(generation)?;
    let tree = state.root(generation);
    let plan = make_plan(places, &spec, &account, &manifest, &tree, generation, mode)?;
    let (compiled, plan) = stamp.compile(&spec, plan)?;
    let directory = directory_of(&tree)?;
    keep(&directory.join(compiled_name(mode)), &compiled)?;
    keep(&directory.join(SPEC_COPY), &text)?;
    Ok(Jail {
        spec,
        account,
        generation,
        tree,
        manifest,
        plan,
    })
}

/// Writes a file if it does not hold `text` already.
fn keep(path: &Path, text: &str) -> Result<()> {
    match fs::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(()),
        _ => replace(path, text),
    }
}

/// The plan by which a jail starts beside the real one: with its log in `runtime`, and its cgroups
/// under another name.
///
/// # Errors
/// As [`plan()`].
pub(super) fn plan_beside(jail: &Jail, runtime: &Path, cgroup: &str) -> Result<Plan> {
    let spec = &jail.spec;
    let groups: Vec<u32> = jail.account.groups.iter().map(|group| group.gid).collect();
    let socket_owners = handed::owners(spec)?;
    assemble(Inputs {
        spec,
        manifest: &jail.manifest,
        generation: jail.generation,
        tree: &jail.tree,
        runtime,
        cgroup,
        host: &Host::probe()?,
        uid: jail.account.user.uid,
        gid: jail.account.group.gid,
        groups: &groups,
        socket_owners: &socket_owners,
        interpreter: &build::interpreter_of(spec)?,
        mode: Mode::Supervised,
        tried: false,
    })
}

/// A generation as it was built, with the plan by which it starts beside the real one.
///
/// # Errors
/// It is gone; as [`plan()`].
pub(super) fn beside(
    places: &Places,
    name: &str,
    generation: u64,
    runtime: &Path,
    cgroup: &str,
) -> Result<Jail> {
    let state = build::State::create(&places.state, name)?;
    let tree = state.root(generation);
    let spec = spec_of_tree(&tree)?;
    let mut jail = Jail {
        account: Account::of(&spec)?,
        spec,
        generation,
        manifest: state.manifest(generation)?,
        tree,
        plan: Plan::default(),
    };
    jail.plan = plan_beside(&jail, runtime, cgroup)?;
    Ok(jail)
}

/// Makes a plan without leaving anything.
fn make_plan(
    places: &Places,
    spec: &Spec,
    account: &Account,
    manifest: &Manifest,
    tree: &Path,
    generation: u64,
    mode: Mode,
) -> Result<Plan> {
    let host = Host::probe()?;
    let groups: Vec<u32> = account.groups.iter().map(|group| group.gid).collect();
    let interpreter = build::interpreter_of(spec)?;
    let socket_owners = handed::owners(spec)?;
    assemble(Inputs {
        spec,
        manifest,
        generation,
        tree,
        runtime: &places.runtime(&spec.name),
        cgroup: places.trial().unwrap_or(&spec.name),
        host: &host,
        uid: account.user.uid,
        gid: account.group.gid,
        groups: &groups,
        socket_owners: &socket_owners,
        interpreter: &interpreter,
        mode,
        tried: places.trial().is_some(),
    })
}

/// The jail as it is to be started: built again if the spec has changed since, planned again if
/// the host has.
///
/// # Errors
/// As [`build()`], and a user whose numbers are no longer those that the tree was built with.
pub fn plan(places: &Places, name: &str, mode: Mode, report: &Report<'_>) -> Result<Jail> {
    may_jail(&format!("start the jail {name}"))?;
    valid_name(name)?;
    switch::recover(places, name, report)?;
    let source = Source::of(places, name)?;
    let current = match build::state_of(&places.state, name)? {
        Some(state) => state
            .current()?
            .map(|generation| (state.root(generation), generation)),
        None => None,
    };
    let built_from = current
        .as_ref()
        .and_then(|(tree, _)| fs::read_to_string(directory_of(tree).ok()?.join(SPEC_COPY)).ok());
    match current {
        Some((_, generation)) if built_from.as_deref() == Some(source.text.as_str()) => {
            let account = Account::of(&source.spec)?;
            same_numbers(places, name, &account)?;
            compile(places, source, account, generation, mode)
        }
        _ => {
            Incomplete::Refuse.judge_spec(&source.spec)?;
            report(Event::Doing(format!("building the jail {name}")));
            build_spec(places, source, mode, true, report).map(|(jail, _)| jail)
        }
    }
}

/// The compiled plan of the current generation, if nothing that it depends on has changed
/// since: starting then costs neither TOML nor the manifest.
///
/// # Errors
/// The state directory could be changed by others.
pub(super) fn compiled(places: &Places, name: &str, mode: Mode) -> Result<Option<Plan>> {
    valid_name(name)?;
    may_jail(&format!("start the jail {name}"))?;
    // What somebody left half done is put right where the plan is made.
    if switch::is_under_way(places, name) {
        return Ok(None);
    }
    let Some(state) = build::state_of(&places.state, name)? else {
        return Ok(None);
    };
    let Some(generation) = state.current()? else {
        return Ok(None);
    };
    let path = directory_of(&state.root(generation))?.join(compiled_name(mode));
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let Ok(compiled) = serde_json::from_str::<Compiled>(&text) else {
        return Ok(None);
    };
    let spec = places.spec(name);
    if !spec.exists() {
        return Ok(None);
    }
    let doing = format!("read the spec {}", spec.display());
    must_be_ours(&places.etc, &doing)?;
    must_be_ours(&spec, &doing)?;
    Ok((Stamp::now(places, name)? == compiled.stamp).then_some(compiled.plan))
}

/// The tree's passwd and the files that the service owns have the numbers of the build.
fn same_numbers(places: &Places, name: &str, account: &Account) -> Result<()> {
    let Some(state) = build::state_of(&places.state, name)? else {
        return Ok(());
    };
    let Some(generation) = state.current()? else {
        return Ok(());
    };
    let path = directory_of(&state.root(generation))?.join(compiled_name(Mode::Supervised));
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let Ok(compiled) = serde_json::from_str::<Compiled>(&text) else {
        return Ok(());
    };
    let before = compiled
        .plan
        .steps
        .iter()
        .find_map(|planned| match &planned.step {
            crate::plan::Step::ResolveIds { uid, gid, .. } => Some((*uid, *gid)),
            _ => None,
        });
    let now = (account.user.uid, account.group.gid);
    match before {
        Some(before) if before != now => Err(Error::setup(
            format!("start the jail {name}"),
            format!(
                "{} was uid {}, gid {} when it was built and is uid {}, gid {} now",
                account.user.name, before.0, before.1, now.0, now.1
            ),
        )
        .hint(format!(
            "give the service's files to the new number, then: gaoler build {name}"
        ))),
        _ => Ok(()),
    }
}

fn directory_of(tree: &Path) -> Result<PathBuf> {
    tree.parent()
        .map(Path::to_owned)
        .ok_or_else(|| Error::new("find the generation's directory", "the tree has no parent"))
}

/// Writes a file beside and renames it: it is whole or it is not there.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Others may write the same at the same time.
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write_out(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What went wrong first is what the user needs to know.
        match fs::remove_file(&beside) {
            Ok(()) | Err(_) => {}
        }
    }
    written.doing(doing)
}

fn write_out(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Builds a tree that is complete in itself, for plain `chroot`.
///
/// # Errors
/// As [`build::standalone`].
pub fn standalone(
    places: &Places,
    name: &str,
    directory: &Path,
    incomplete: Incomplete,
    report: &Report<'_>,
) -> Result<Built> {
    must_be_root(&format!("build the jail {name}"))?;
    let spec = load_spec(places, name)?;
    incomplete.judge_spec(&spec)?;
    let account = Account::of(&spec)?;
    report(Event::Doing(format!("building {}", directory.display())));
    let made = build::standalone(
        &spec,
        &account,
        directory,
        &guarded::modes(places)?,
        &|_| (),
    )?;
    for path in &made.left_out {
        report(Event::Note(format!(
            "{} cannot be copied and is left out",
            path.display()
        )));
    }
    Ok(made.built)
}
