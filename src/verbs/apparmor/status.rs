//! How AppArmor stands to the jails, and to what listens.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::{self, Installed};
use super::is_on;
use crate::Result;
use crate::audit::scan::{self, Socket};
use crate::host::apparmor::Loaded;
use crate::host::confinement::{self, AppArmor};
use crate::host::process;
use crate::run::state::State;
use crate::verbs::{Enforcer, Places, jail, must_be_root};

/// The jails, and what listens without a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The jails that have a profile, or were asked for.
    pub jails: Vec<Profiled>,
    /// By the measure of aa-unconfined(8): what listens on TCP or UDP without a profile.
    pub unconfined: Vec<Unconfined>,
}

impl Status {
    /// Whether a profile does not confine what it is for.
    pub fn has_problems(&self) -> bool {
        self.jails.iter().any(|jail| !jail.problems.is_empty())
            || self.unconfined.iter().any(|it| it.instead.is_some())
    }
}

/// A jail and its profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profiled {
    /// The jail's name, which is the profile's too.
    pub name: String,
    /// Where the profile is loaded from at boot; null if gaoler has put none there.
    pub file: Option<PathBuf>,
    /// `enforce` or `complain`, as the kernel has it; null if it has no profile of that name.
    pub mode: Option<String>,
    /// The program of the spec.
    pub program: PathBuf,
    /// The processes of the jail, if it runs.
    pub processes: Vec<Confined>,
    /// What keeps the profile from confining it.
    pub problems: Vec<String>,
    /// What was done just now.
    pub changed: Vec<String>,
}

/// A process of a jail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confined {
    /// Its pid on the host.
    pub pid: i32,
    /// What it calls itself: its own choice.
    pub name: String,
    /// The profile that confines it; null if none does.
    pub apparmor: Option<AppArmor>,
}

/// A process that listens and has no profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unconfined {
    /// Its pid.
    pub pid: i32,
    /// What it calls itself: its own choice.
    pub name: String,
    /// Its program.
    pub executable: Option<String>,
    /// What it listens on.
    pub sockets: Vec<Socket>,
    /// The path that a loaded profile is for, of a program with the same file name: this one is somewhere
    /// else, so it is not confined.
    pub instead: Option<String>,
}

/// How it stands to the jail `name`, or to all that have a profile of gaoler's; and to what listens.
///
/// # Errors
/// Root alone can see that; AppArmor is off.
pub fn apparmor_status(places: &Places, name: Option<&str>) -> Result<Status> {
    let doing = "look at AppArmor";
    must_be_root(doing)?;
    is_on(doing)?;
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => crate::verbs::scan::names(&places.etc, ".toml")?,
    };
    let mut jails = Vec::new();
    for one in &names {
        let found = of(places, one)?;
        if name.is_some() || found.file.is_some() {
            jails.push(found);
        }
    }
    Ok(Status {
        jails,
        unconfined: unconfined()?,
    })
}

/// One jail.
pub(super) fn of(places: &Places, name: &str) -> Result<Profiled> {
    let spec = jail::load_spec(places, name)?;
    let program = PathBuf::from(spec.service.command.first().map_or("", String::as_str));
    let installed = Installed::find(name)?;
    let loaded = file::loaded()?;
    let own = loaded.iter().find(|profile| profile.name == name);
    let processes = processes(places, name)?;
    let mut problems = Vec::new();
    if let Some(installed) = &installed {
        problems.extend(of_file(places, name, installed));
        problems.extend(of_profile(name, &program, own));
    }
    if own.is_some() {
        problems.extend(of_others(&program, name, &loaded));
        problems.extend(of_processes(name, &processes));
    }
    Ok(Profiled {
        name: name.to_owned(),
        file: installed.map(|installed| installed.path),
        mode: own.map(|profile| profile.mode.clone()),
        program,
        processes,
        problems,
        changed: Vec::new(),
    })
}

fn processes(places: &Places, name: &str) -> Result<Vec<Confined>> {
    let Some(state) = State::running(&places.runtime(name))? else {
        return Ok(Vec::new());
    };
    let first = state.init.unwrap_or(state.service).pid;
    // One that ends meanwhile is in no jail any more; the first of them is gaoler's own.
    let pids = process::companions(first).unwrap_or_default();
    let own = |pid: &i32| state.init.is_none_or(|init| init.pid != *pid);
    let confined = pids.into_iter().filter(own).map(|pid| Confined {
        pid,
        name: process::command_name(pid).unwrap_or_default(),
        apparmor: confinement::labels(pid).apparmor,
    });
    Ok(confined.collect())
}

/// Whether it is the profile that would be written today.
fn of_file(places: &Places, name: &str, installed: &Installed) -> Option<String> {
    let is_it = |on_host: bool, complain: bool| {
        let asked = Enforcer::AppArmor {
            version: None,
            on_host,
            complain,
        };
        let exported = crate::verbs::export(places, name, &asked, &|_| ());
        exported.is_ok_and(|export| {
            let mut files = export.exported.files.iter();
            files
                .next()
                .is_some_and(|file| file.text == installed.profile())
        })
    };
    let ways = [(false, false), (false, true), (true, false), (true, true)];
    let same = ways
        .into_iter()
        .any(|(host, complain)| is_it(host, complain));
    (!same).then(|| {
        format!(
            "{} is not what the current generation of the jail gives: load it again, gaoler apparmor enforce {name}",
            installed.path.display()
        )
    })
}

fn of_profile(name: &str, program: &Path, own: Option<&Loaded>) -> Option<String> {
    let Some(own) = own else {
        return Some(format!(
            "its profile is not loaded: gaoler apparmor enforce {name}"
        ));
    };
    let attachment = own.attachment.as_deref().unwrap_or("no program");
    (!own.is_for(program)).then(|| {
        format!(
            "the profile is for {attachment}, and the service is {}: what starts it is not confined",
            program.display()
        )
    })
}

/// Where two are for one program, the kernel takes neither.
fn of_others(program: &Path, name: &str, loaded: &[Loaded]) -> Vec<String> {
    let same = |profile: &&Loaded| profile.name != name && profile.is_for(program);
    let others = loaded.iter().filter(same);
    let told = others.map(|other| {
        format!(
            "the profile {} is for {} too, and of two the kernel takes neither: aa-disable(8)",
            other.name,
            program.display()
        )
    });
    told.collect()
}

fn of_processes(name: &str, processes: &[Confined]) -> Vec<String> {
    let outside = |process: &&Confined| {
        let profile = process.apparmor.as_ref();
        profile.is_none_or(|it| it.profile != name && !it.profile.starts_with(&format!("{name}//")))
    };
    let told = processes.iter().filter(outside).map(|process| {
        format!(
            "process {} ({}) was started before the profile was loaded: gaoler restart {name}",
            process.pid, process.name
        )
    });
    told.collect()
}

/// What listens without a profile.
fn unconfined() -> Result<Vec<Unconfined>> {
    let loaded = file::loaded()?;
    let listening = scan::look(&std::collections::BTreeMap::new(), false)?;
    let without = listening.into_iter().filter(|it| !it.apparmor_confined);
    Ok(without
        .map(|it| Unconfined {
            pid: it.pid,
            instead: it
                .executable
                .as_deref()
                .and_then(|program| instead(Path::new(program), &loaded)),
            name: it.name,
            executable: it.executable,
            sockets: it.sockets,
        })
        .collect())
}

/// The path that a profile is for, of a program of the same file name elsewhere.
fn instead(program: &Path, loaded: &[Loaded]) -> Option<String> {
    let mut others = loaded.iter().filter(|profile| !profile.is_for(program));
    others.find_map(|profile| {
        let attachment = profile.attachment.as_ref()?;
        (Path::new(attachment).file_name() == program.file_name()).then(|| attachment.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(name: &str, attachment: &str) -> Loaded {
        Loaded {
            name: name.to_owned(),
            mode: "enforce".to_owned(),
            attachment: Some(attachment.to_owned()),
        }
    }

    #[test]
    fn a_program_elsewhere_is_not_confined() {
        let profiles = [
            loaded("named", "/usr/sbin/named"),
            loaded("any", "/usr/bin/*"),
        ];
        let instead = |path: &str| instead(Path::new(path), &profiles);
        assert_eq!(
            instead("/usr/local/sbin/named").as_deref(),
            Some("/usr/sbin/named")
        );
        assert_eq!(instead("/usr/sbin/named"), None);
        assert_eq!(instead("/usr/sbin/other"), None);
    }

    #[test]
    fn two_profiles_for_one_program_are_told() {
        let profiles = [
            loaded("named", "/usr/sbin/named"),
            loaded("bind", "/usr/sbin/named"),
        ];
        let program = Path::new("/usr/sbin/named");
        let told = of_others(program, "named", &profiles);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("profile bind"));
        assert_eq!(of_profile("named", program, Some(&profiles[0])), None);
        let elsewhere = of_profile("named", Path::new("/opt/named"), Some(&profiles[0]));
        assert!(elsewhere.is_some_and(|it| it.contains("/opt/named")));
        assert!(of_profile("named", program, None).is_some());
    }

    #[test]
    fn a_process_that_is_older_than_the_profile_is_told() {
        let process = |pid, profile: Option<&str>| Confined {
            pid,
            name: "named".to_owned(),
            apparmor: profile.map(|profile| AppArmor {
                profile: profile.to_owned(),
                mode: "enforce".to_owned(),
            }),
        };
        let all = [
            process(7, Some("named")),
            process(8, Some("named//helper")),
            process(9, None),
            process(10, Some("other")),
        ];
        let told = of_processes("named", &all);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("process 9") && told[1].contains("process 10"));
    }
}
