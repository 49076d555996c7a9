//! A service that is about to be learned: what is known of it, or was said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::preflight::{self, Copies};
use super::super::{Event, Places, Report, is_ordinary};
use super::{Beginning, LearnOptions};
use crate::host::command::PATH;
use crate::learn::Ids;
use crate::learn::trace::Phase;
use crate::spec::{self, Exercise, Knowledge, Ready, Resolved};
use crate::{Error, Result};

/// How long printing a configuration may take.
const CONFIG_LIMIT: Duration = Duration::from_secs(60);

/// A service that is about to be learned.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) command: Vec<String>,
    pub(super) beginning: Beginning,
    /// Nothing that gaoler knows about it is used.
    pub(super) unaided: bool,
    /// Whom it starts as while it is learned; `None` for root.
    pub(super) ids: Option<Ids>,
    pub(super) ready: Vec<Ready>,
    pub(super) exercises: Vec<Exercise>,
    /// gaoler's own directories.
    pub(super) places: Vec<PathBuf>,
    copies: Copies,
    pub(super) known: Option<Resolved>,
    /// The whole configuration in its printed form; empty if there is no way to print it.
    pub(super) configuration: String,
}

impl Service {
    /// From gaoler's own knowledge, or from what the user said.
    pub(super) fn find(options: &LearnOptions) -> Result<Self> {
        let mut exercises = own_exercises(&options.start_exercises, Phase::Start)?;
        exercises.extend(own_exercises(&options.exercises, Phase::Serve)?);
        let ready = options
            .ready
            .iter()
            .map(|text| spec::ready(text))
            .collect::<Result<_>>()?;
        let known = known(options)?;
        let command = match &known {
            Some(known) => absolute_program(&known.knowledge.command)?,
            None => absolute_program(&options.command)?,
        };
        let usual = known.as_ref().map(|known| beginning(&known.knowledge));
        // Whoever names a user does not want root.
        let usual = usual.filter(|usual| *usual != Beginning::StaysRoot || options.user.is_none());
        Ok(Self {
            name: options.name.clone(),
            command,
            beginning: options.beginning.or(usual).unwrap_or_default(),
            unaided: options.unaided,
            ids: None,
            ready,
            exercises,
            places: Places::default().all(),
            copies: if options.command.is_empty() {
                Copies::SameProgram
            } else {
                Copies::SameCommand
            },
            known,
            configuration: String::new(),
        })
    }

    pub(super) fn knowledge(&self) -> Option<&Knowledge> {
        self.known.as_ref().map(|known| &known.knowledge)
    }

    /// The user that it is known to run as.
    pub(super) fn known_user(&self) -> Option<String> {
        self.knowledge().map(|known| known.user.clone())
    }

    /// The whole environment of the service in its jail.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let usual = [("PATH", PATH), ("LC_ALL", "C.UTF-8")];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let known = self.knowledge().map(|known| known.environment.clone());
        usual.into_iter().chain(known.unwrap_or_default()).collect()
    }

    pub(super) fn preflight(&self, report: &Report<'_>) -> Result<()> {
        preflight::host_copy_is_stopped(&self.name, &self.command, self.copies)?;
        self.make_own_directories()?;
        if let Some(knowledge) = self.knowledge() {
            report(Event::Doing("testing the configuration".to_owned()));
            preflight::configuration_is_good(&self.name, &knowledge.config_test)?;
        }
        Ok(())
    }

    /// Those that its unit would make, also for the test of its configuration.
    fn make_own_directories(&self) -> Result<()> {
        if is_ordinary() {
            return Ok(());
        }
        let Some(knowledge) = self.knowledge() else {
            return Ok(());
        };
        let Some(user) = crate::host::users::user(&knowledge.user)? else {
            return Ok(());
        };
        let places = knowledge.places.iter().filter(|place| place.writable);
        preflight::make_own_directories(
            places.map(|place| place.path.as_path()),
            user.uid,
            user.gid,
        )
    }

    /// Reads the configuration of a known service, which must be good, and with it where the
    /// service waits for its clients and where it connects to: signs of readiness, exercises and
    /// port rules follow from that.
    pub(super) fn settle_ports(&mut self, options: &LearnOptions) -> Result<()> {
        let Some(known) = &mut self.known else {
            return Ok(());
        };
        if let Some(paths) = &known.knowledge.config_paths {
            self.configuration = printed(&self.name, &paths.command)?;
        }
        let fallback = known.knowledge.port_default;
        let port = match &known.knowledge.config_ports {
            Some(ports) => spec::config_port(&self.configuration, ports, known.port, fallback),
            None => known.port.or(fallback),
        };
        let port = match &known.knowledge.port_lines {
            Some(lines) if known.port.is_none() => {
                let text = printed(&self.name, &lines.command)?;
                spec::listed_port(&text, lines).or(port)
            }
            _ => port,
        };
        if let Some(ports) = &known.knowledge.config_ports {
            let peers = spec::peer_ports(&self.configuration, ports);
            known.knowledge.ports.extend(peers);
        }
        known.knowledge = std::mem::take(&mut known.knowledge).on_port(port);
        if options.ready.is_empty() {
            self.ready.clone_from(&known.knowledge.ready);
        }
        self.exercises.extend(known.knowledge.exercises_on(port));
        Ok(())
    }
}

/// What gaoler itself knows: about the service of that name, or about the program of a command.
fn known(options: &LearnOptions) -> Result<Option<Resolved>> {
    if options.unaided {
        return Ok(None);
    }
    if !options.command.is_empty() {
        let command = absolute_program(&options.command)?;
        let Some(given) = command.first().map(Path::new) else {
            return Ok(None);
        };
        let known = match (spec::shipped_program(given)?, fs::canonicalize(given)) {
            (None, Ok(program)) => spec::shipped_program(&program)?,
            (known, _) => known,
        };
        return known
            .map(|knowledge| knowledge.resolve_command(&command))
            .transpose();
    }
    let Some(knowledge) = spec::shipped(&options.name)? else {
        return Err(Error::usage(
            format!("learn {}", options.name),
            "gaoler knows no service of that name",
        )
        .hint(format!(
            "say how it is started: gaoler learn {} -- COMMAND...",
            options.name
        )));
    };
    knowledge
        .resolve(&|path| fs::read_to_string(path).ok())
        .map(Some)
}

/// The configuration as the service's own tool prints it.
fn printed(name: &str, command: &[String]) -> Result<String> {
    let outcome = crate::host::command::run(command, CONFIG_LIMIT)?;
    if outcome.succeeded() {
        return Ok(outcome.output);
    }
    Err(Error::setup(
        format!("read the configuration of {name}"),
        outcome.last_lines(5),
    ))
}

fn beginning(known: &Knowledge) -> Beginning {
    match (known.start_as_root, known.refuses_root) {
        (true, _) => Beginning::StaysRoot,
        (_, true) => Beginning::AsUser,
        _ => Beginning::RootThenUser,
    }
}

/// Whether `gaoler learn NAME` would learn this command by itself. Where that cannot be told, it
/// would not.
pub(in crate::verbs) fn is_shipped(name: &str, command: &[String]) -> bool {
    let Ok(Some(knowledge)) = spec::shipped(name) else {
        return false;
    };
    let resolved = knowledge.resolve(&|path| fs::read_to_string(path).ok());
    resolved.is_ok_and(|resolved| resolved.knowledge.command == command)
}

fn own_exercises(commands: &[String], phase: Phase) -> Result<Vec<Exercise>> {
    let kind = match phase {
        Phase::Start => "start",
        Phase::Serve => "exercise",
    };
    commands
        .iter()
        .zip(1..)
        .map(|(text, number)| {
            let command = spec::exercise_words(text)?;
            if command.first().is_none_or(String::is_empty) {
                return Err(Error::usage(
                    format!("use {text:?} as an exercise"),
                    "it is no command",
                )
                .hint("give a program and its arguments: --exercise 'curl -sf URL'"));
            }
            Ok(Exercise {
                name: format!("{kind}-{number}"),
                command,
                expect: 0,
                output: String::new(),
                phase,
                because: "given on the command line".to_owned(),
            })
        })
        .collect()
}

/// The program by its absolute path: a jail has no search path.
fn absolute_program(command: &[String]) -> Result<Vec<String>> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::usage("learn a service", "its command is empty"));
    };
    let found = if program.contains('/') {
        std::path::absolute(program)
            .ok()
            .filter(|path| path.exists())
    } else {
        PATH.split(':')
            .map(|directory| Path::new(directory).join(program))
            .find(|path| path.exists())
    };
    let found = found.ok_or_else(|| {
        Error::usage(
            format!("find the program {program}"),
            "there is no such file",
        )
        .hint("install it, or give its whole path")
    })?;
    Ok(std::iter::once(found.display().to_string())
        .chain(arguments.iter().cloned())
        .collect())
}
