//! `apparmor`: the exported profile of a jail in the kernel, and how AppArmor stands to the jails and to
//! what listens (aa-status(8), aa-enforce(8), aa-complain(8), aa-disable(8), aa-unconfined(8)).

mod file;
mod status;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Enforcer, Event, Places, Report, must_be_root, valid_name};
use crate::host::{apparmor, command};
use crate::{Doing, Error, Result};
use file::Installed;
pub use status::{Confined, Profiled, Status as AppArmorStatus, Unconfined, apparmor_status};

/// What becomes of what a profile does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileMode {
    /// It is allowed and written down.
    Complain,
    /// It is denied.
    Enforce,
}

/// How long the parser may take: a cold cache and a slow machine.
const PARSER_LIMIT: Duration = Duration::from_secs(60);

/// Installs the profile of the jail's current generation, in place of the distribution's for the same
/// program, and loads it in this mode. Processes that run under a profile of that name are under it
/// at once; others when they are started again.
///
/// # Errors
/// AppArmor is off; the parser refuses the profile: then everything is as before.
pub fn apparmor_load(
    places: &Places,
    name: &str,
    (mode, on_host): (ProfileMode, bool),
    report: &Report<'_>,
) -> Result<Profiled> {
    let doing = || format!("confine {name} by a profile of AppArmor");
    must_be_root(&doing())?;
    is_on(&doing())?;
    let asked = Enforcer::AppArmor {
        version: None,
        on_host,
        complain: mode == ProfileMode::Complain,
    };
    let exported = super::export(places, name, &asked, report)?.exported;
    let (profile, local) = exported
        .files
        .split_first()
        .ok_or_else(|| Error::new(doing(), "there is no profile"))?;
    let spec = super::jail::load_spec(places, name)?;
    let program = spec.service.command.first().cloned().unwrap_or_default();
    let before = Installed::find(name)?;
    let others = others(name, &program, before.is_some())?;
    let mut rivals = before.as_ref().map_or(Vec::new(), Installed::rivals);
    let words = others.iter().map(String::as_str);
    rivals.extend(file::rivals(
        &words.chain([name, program.as_str()]).collect::<Vec<_>>(),
    )?);
    let mut changed = Vec::new();
    let missing: Vec<_> = local.iter().filter(|it| !it.install.exists()).collect();
    for local in &missing {
        super::jail::replace(&local.install, &local.text)?;
        changed.push(format!("wrote {}", local.install.display()));
    }
    let now = Installed::new(name, &profile.text, &rivals);
    now.write()?;
    report(Event::Doing(format!("loading {}", now.path.display())));
    if let Err(error) = parser(&["--replace", "--write-cache"], &now.path) {
        // The kernel has kept what it had.
        match &before {
            Some(before) => before.write()?,
            None => now.remove()?,
        }
        for local in &missing {
            let path = &local.install;
            fs::remove_file(path).doing(|| format!("remove {}", path.display()))?;
        }
        return Err(error);
    }
    changed.push(format!("loaded {}", now.path.display()));
    for rival in &rivals {
        if rival.disable()? {
            changed.push(format!("disabled {}", rival.path.display()));
        }
    }
    for other in &others {
        apparmor::remove(other)?;
    }
    Ok(Profiled {
        changed,
        ..status::of(places, name)?
    })
}

/// Takes the profile of a jail out of the kernel and away from where it is loaded at boot, and gives
/// the distribution's its place back. A jail without one is left as it is.
///
/// # Errors
/// The profile that had its place cannot be loaded any more.
pub fn apparmor_disable(places: &Places, name: &str) -> Result<Profiled> {
    let doing = || format!("take the profile of {name} away");
    valid_name(name)?;
    must_be_root(&doing())?;
    is_on(&doing())?;
    let mut changed = Vec::new();
    if let Some(installed) = Installed::find(name)? {
        let mut takes_the_name = false;
        for rival in &installed.rivals() {
            rival.enable()?;
            parser(&["--replace", "--write-cache"], &rival.path)?;
            takes_the_name |= rival.names()?.iter().any(|other| other == name);
            changed.push(format!("loaded {}", rival.path.display()));
        }
        if !takes_the_name {
            apparmor::remove(name)?;
        }
        installed.remove()?;
        changed.push(format!("removed {}", installed.path.display()));
    }
    Ok(Profiled {
        changed,
        ..status::of(places, name)?
    })
}

/// The other profiles that are loaded for the program.
///
/// # Errors
/// One of the jail's name is for something else, which would lose it.
fn others(name: &str, program: &str, is_own: bool) -> Result<Vec<String>> {
    let loaded = file::loaded()?;
    let is_for_it = |it: &&apparmor::Loaded| it.is_for(Path::new(program));
    let same = loaded.iter().find(|it| it.name == name && !is_own);
    if let Some(foreign) = same.filter(|it| !is_for_it(it)) {
        let attachment = foreign.attachment.as_deref().unwrap_or("what asks for it");
        return Err(Error::new(
            format!("confine {name} by a profile of AppArmor"),
            format!("a profile of that name is loaded, for {attachment}"),
        )
        .hint("it would be replaced: give the jail another name"));
    }
    let others = loaded.iter().filter(is_for_it).filter(|it| it.name != name);
    Ok(others.map(|it| it.name.clone()).collect())
}

fn is_on(doing: &str) -> Result<()> {
    match apparmor::is_on() {
        true => Ok(()),
        false => Err(Error::setup(doing, "this kernel has no AppArmor, or it is off").hint(
            "boot with apparmor=1 security=apparmor; the profile alone: gaoler export NAME --to apparmor",
        )),
    }
}

/// Has the parser do something with a file.
fn parser(options: &[&str], path: &Path) -> Result<String> {
    let mut words = vec!["apparmor_parser".to_owned()];
    words.extend(options.iter().map(|&option| option.to_owned()));
    words.push(path.display().to_string());
    let doing = || words.join(" ");
    let told = command::run(&words, PARSER_LIMIT)
        .map_err(|error| error.hint("it comes with the package apparmor"))?;
    match told.succeeded() {
        true => Ok(told.output),
        false => Err(Error::new(doing(), "the parser has refused it").hint(told.last_lines(5))),
    }
}

/// The names of the profiles in a file.
fn names_in(path: &Path) -> Result<Vec<String>> {
    let told = parser(&["--names"], path)?;
    Ok(told.lines().map(str::to_owned).collect())
}

/// Where profiles are loaded from at boot.
fn directory() -> PathBuf {
    PathBuf::from("/etc/apparmor.d")
}
