//! `learn`: from a name or a command to a spec.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::preflight::Copies;
use super::user::{self, Identity, Wish};
use super::{
    Event, Places, Report, closure, handover, jail, must_be_root, ports, preflight, valid_name,
};
use crate::host::Host;
use crate::host::command::{PATH, last_lines};
use crate::learn::{self, Progress, Request, Trace};
use crate::spec::{self, DirectoryFacts, Exercise, Facts, Knowledge, Ready, Resolved, Spec};
use crate::{Doing, Error, Result};

/// How long a service may take to become ready under the tracer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long printing a configuration may take.
const CONFIG_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How many lines of the service's own words an error shows.
const LAST_WORDS: usize = 12;

/// What `learn` was told.
#[derive(Clone, Debug, Default)]
pub struct LearnOptions {
    /// The jail's name.
    pub name: String,
    /// The service's command; empty for one that gaoler knows.
    pub command: Vec<String>,
    /// Exercises as the user wrote them.
    pub exercises: Vec<String>,
    /// Seconds to watch after the exercises.
    pub serve_for: u64,
    /// Signs of readiness as the user wrote them.
    pub ready: Vec<String>,
    /// The user it shall run as.
    pub user: Option<String>,
    /// Make the user if there is none.
    pub create_user: bool,
    /// Replace a spec that is there.
    pub again: bool,
    /// How often the service is run: 1 or 2.
    pub passes: u32,
}

/// What `learn` brought.
#[derive(Debug)]
pub struct Learned {
    /// The spec.
    pub spec: Spec,
    /// Where it was written.
    pub path: PathBuf,
    /// The trace.
    pub trace: Trace,
    /// What was seen and not put into the spec, with the reason.
    pub notes: Vec<String>,
}

/// Runs the service under the tracer and writes its spec.
///
/// # Errors
/// A spec is there already; the host's copy runs; the configuration is bad; the service does
/// not start; the trace is incomplete. Nothing is written then.
pub fn learn(places: &Places, options: &LearnOptions, report: &Report<'_>) -> Result<Learned> {
    valid_name(&options.name)?;
    must_be_root(&format!("learn {}", options.name))?;
    let path = places.spec(&options.name);
    if path.exists() && !options.again {
        return Err(Error::usage(
            format!("learn {}", options.name),
            format!(
                "{} is there already and belongs to a person",
                path.display()
            ),
        )
        .hint("--again learns anew and keeps the old spec beside it"));
    }
    let mut subject = Service::find(options)?;
    subject.preflight(report)?;
    subject.settle_ports(options)?;
    ports::are_free_everywhere(&subject.name, &subject.ready)?;
    let began = handover::now();
    let trace = subject.trace(places, options, report)?;
    let wish = Wish {
        name: &options.name,
        asked: subject.user.as_deref(),
        create: options.create_user,
    };
    let identity = user::choose(wish, &trace)?;
    for note in handover::hand_over(&trace, &identity, began)? {
        report(Event::Note(note));
    }
    let facts = subject.facts(&trace, &identity)?;
    let mut derived = spec::derive(&trace, subject.knowledge(), &facts);
    if !options.ready.is_empty() {
        // The person knows better than the trace what to wait for.
        derived.spec.service.ready.clone_from(&subject.ready);
    }
    write(places, &path, &derived.spec)?;
    report(Event::Did(format!("wrote {}", path.display())));
    keep_trace(places, &options.name, &trace)?;
    Ok(Learned {
        spec: derived.spec,
        path,
        trace,
        notes: derived.notes,
    })
}

/// The trace stays beside the generations: it is the evidence for the spec.
fn keep_trace(places: &Places, name: &str, trace: &Trace) -> Result<()> {
    crate::build::State::create(&places.state, name)?;
    learn::save(trace, &places.trace(name))
}

/// A service that is about to be learned.
struct Service {
    name: String,
    command: Vec<String>,
    user: Option<String>,
    ready: Vec<Ready>,
    exercises: Vec<Exercise>,
    copies: Copies,
    known: Option<Resolved>,
    /// The whole configuration in its printed form; empty if there is no way to print it.
    configuration: String,
}

impl Service {
    /// From gaoler's own knowledge, or from what the user said.
    fn find(options: &LearnOptions) -> Result<Self> {
        let exercises = own_exercises(&options.exercises)?;
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
        let user = known.as_ref().map(|known| &known.knowledge.user);
        Ok(Self {
            name: options.name.clone(),
            command,
            user: options.user.as_ref().or(user).cloned(),
            ready,
            exercises,
            copies: if options.command.is_empty() {
                Copies::SameProgram
            } else {
                Copies::SameCommand
            },
            known,
            configuration: String::new(),
        })
    }

    fn knowledge(&self) -> Option<&Knowledge> {
        self.known.as_ref().map(|known| &known.knowledge)
    }

    fn preflight(&self, report: &Report<'_>) -> Result<()> {
        preflight::host_copy_is_stopped(&self.name, &self.command, self.copies)?;
        if let Some(knowledge) = self.knowledge() {
            report(Event::Doing("testing the configuration".to_owned()));
            preflight::configuration_is_good(&self.name, &knowledge.config_test)?;
        }
        Ok(())
    }

    /// Reads the configuration of a known service, which must be good, and with it where the
    /// service waits for its clients and where it connects to: signs of readiness, exercises and
    /// port rules follow from that.
    fn settle_ports(&mut self, options: &LearnOptions) -> Result<()> {
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
        if let Some(ports) = &known.knowledge.config_ports {
            let peers = spec::peer_ports(&self.configuration, ports);
            known.knowledge.ports.extend(peers);
        }
        known.knowledge = std::mem::take(&mut known.knowledge).on_port(port);
        if options.ready.is_empty() {
            self.ready.clone_from(&known.knowledge.ready);
        }
        if let Some(port) = port {
            self.exercises.extend(known.knowledge.exercises_on(port));
        }
        Ok(())
    }

    fn trace(&self, places: &Places, options: &LearnOptions, report: &Report<'_>) -> Result<Trace> {
        report(Event::Doing(format!(
            "learning {}: starting it under the tracer",
            self.name
        )));
        self.make_runtime_directories()?;
        crate::build::State::create(&places.state, &self.name)?;
        let output = tempfile()?;
        let handle = output.try_clone().doing(|| "duplicate a descriptor")?;
        let stop = self
            .knowledge()
            .map(|known| known.stop.clone())
            .unwrap_or_default();
        let request = Request {
            command: self.command.clone(),
            environment: environment(),
            workdir: PathBuf::from("/"),
            ready: self.ready.clone(),
            ready_timeout: READY_TIMEOUT,
            exercises: self.exercises.clone(),
            serve_for: Duration::from_secs(options.serve_for),
            stop_command: stop,
            stop_timeout: STOP_TIMEOUT,
            output: OwnedFd::from(handle),
            passes: options.passes,
            unfinished: Some(places.unfinished_trace(&self.name)),
        };
        let progress = |progress: Progress| match progress {
            Progress::Ready { .. } => {
                report(Event::Doing(format!("learning {}: it is ready", self.name)))
            }
            Progress::ExerciseStarted { name } => {
                report(Event::Doing(format!("learning {}: {name}", self.name)));
            }
            Progress::ExerciseEnded(run) if !run.passed => {
                report(Event::Note(format!("the exercise {} failed", run.name)));
            }
            Progress::Stopping => {
                report(Event::Doing(format!("learning {}: stopping it", self.name)))
            }
            _ => {}
        };
        let words = || own_words(&output);
        let trace = learn::learn(request, &progress).map_err(|error| {
            let words = words();
            let error = if words.is_empty() {
                error
            } else {
                error.hint(format!("its last words:\n{words}"))
            };
            ports::explain(&self.name, &self.ready, error)
        })?;
        self.judge(&trace, &words())?;
        Ok(trace)
    }

    fn make_runtime_directories(&self) -> Result<()> {
        let Some(knowledge) = self.knowledge() else {
            return Ok(());
        };
        let Some(user) = crate::host::users::user(&knowledge.user)? else {
            return Ok(());
        };
        let places = knowledge.places.iter().filter(|place| place.writable);
        preflight::make_runtime_directories(
            places.map(|place| place.path.as_path()),
            user.uid,
            user.gid,
        )
    }

    /// A trace that must not become a policy.
    fn judge(&self, trace: &Trace, words: &str) -> Result<()> {
        let doing = || format!("learn {}", self.name);
        ports::were_free(&self.name, trace)?;
        if trace.calls.is_empty() {
            return Err(Error::setup(doing(), "the trace is empty").hint(words));
        }
        if !trace.certificate.complete {
            return Err(Error::setup(
                doing(),
                format!(
                    "the trace is incomplete: {}",
                    trace.certificate.gaps.join("; ")
                ),
            )
            .hint("run it again; if it stays so, report it"));
        }
        Ok(())
    }

    /// What the spec depends on beside the trace.
    fn facts(&self, trace: &Trace, identity: &Identity) -> Result<Facts> {
        let config_paths = self.config_paths();
        let mut paths: BTreeSet<PathBuf> =
            trace.paths.iter().map(|seen| seen.host.clone()).collect();
        paths.extend(config_paths.iter().map(|(path, _)| path.clone()));
        paths.extend(
            self.knowledge()
                .into_iter()
                .flat_map(|known| known.places.iter().map(|place| place.path.clone())),
        );
        Ok(Facts {
            name: self.name.clone(),
            user: identity.user.name.clone(),
            group: identity.group.name.clone(),
            groups: identity
                .groups
                .iter()
                .map(|group| group.name.clone())
                .collect(),
            uid: identity.user.uid,
            gid: identity.group.gid,
            group_ids: identity.groups.iter().map(|group| group.gid).collect(),
            directories: directories(&paths),
            config_paths,
            unprivileged_port_start: Host::probe()?.unprivileged_port_start,
            workdir: PathBuf::from("/"),
            environment: environment(),
            closure: closure::of(trace)?,
            exercises: self.exercises.clone(),
        })
    }

    /// The paths that the service's configuration names, as the host sees them.
    fn config_paths(&self) -> Vec<(PathBuf, bool)> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let Some(config) = &known.knowledge.config_paths else {
            return Vec::new();
        };
        let root = known.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        spec::config_paths(&self.configuration, config)
            .into_iter()
            .map(|(path, is_directory)| {
                let below = root.join(path.strip_prefix("/").unwrap_or(&path));
                (fs::canonicalize(&below).unwrap_or(below), is_directory)
            })
            .collect()
    }
}

/// What gaoler itself knows: about the service of that name, or about the program of a command.
fn known(options: &LearnOptions) -> Result<Option<Resolved>> {
    if !options.command.is_empty() {
        let command = absolute_program(&options.command)?;
        let Some(Ok(program)) = command.first().map(fs::canonicalize) else {
            return Ok(None);
        };
        return spec::shipped_program(&program)?
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

/// The whole environment of a jailed service.
fn environment() -> BTreeMap<String, String> {
    [("PATH", PATH), ("LC_ALL", "C.UTF-8")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn own_exercises(commands: &[String]) -> Result<Vec<Exercise>> {
    commands
        .iter()
        .zip(1..)
        .map(|(text, number)| {
            Ok(Exercise {
                name: format!("exercise-{number}"),
                command: spec::words(text)?,
                expect: 0,
                output: String::new(),
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

/// Every directory among the paths and above them.
fn directories(paths: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, DirectoryFacts> {
    paths
        .iter()
        .flat_map(|path| path.ancestors())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|path| {
            let metadata = fs::symlink_metadata(path)
                .ok()
                .filter(fs::Metadata::is_dir)?;
            let facts = DirectoryFacts {
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.mode() & 0o7777,
            };
            Some((path.to_owned(), facts))
        })
        .collect()
}

/// A file without a name: what the service prints while it is learned.
fn tempfile() -> Result<fs::File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("output", flags).doing(|| "make a file in memory")?;
    Ok(fs::File::from(file))
}

fn own_words(mut output: &fs::File) -> String {
    let mut text = Vec::new();
    let read = output.rewind().and_then(|()| output.read_to_end(&mut text));
    match read {
        Ok(_) => last_lines(&String::from_utf8_lossy(&text), LAST_WORDS),
        Err(_) => String::new(),
    }
}

/// Writes the spec, keeping an old one beside it.
fn write(places: &Places, path: &Path, spec: &Spec) -> Result<()> {
    let doing = || format!("make {}", places.etc.display());
    fs::create_dir_all(&places.etc).doing(doing)?;
    super::must_be_ours(&places.etc, &doing())?;
    if path.exists() {
        let old = path.with_extension("toml.old");
        fs::rename(path, &old).doing(|| format!("keep the old spec as {}", old.display()))?;
    }
    jail::replace(path, &spec::to_toml(spec))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        .doing(|| format!("set the mode of {}", path.display()))
}
