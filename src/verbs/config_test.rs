//! Tests a configuration where the service sees it: in a second jail beside the one that runs, with
//! its tree, its places of the host and its user. A path that is missing in the jail, or that its
//! user may not read, shows before the service is told to read it.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, SealFlags};

use super::preflight::{self, CONFIG_TEST_LIMIT};
use super::{Event, Places, Report, guard, is_ordinary, jail};
use crate::build::Manifest;
use crate::build::elf::Resolver;
use crate::error::Kind;
use crate::host::command::last_lines;
use crate::plan::{LogSink, is_in_tree};
use crate::run::Ended;
use crate::run::attempt::{Attempt, Attempts, Terms};
use crate::run::log::Sink;
use crate::run::state::{self, State};
use crate::spec::Spec;
use crate::{Doing, Error, Result};

/// The place of the second jail's log, in the jail's directory below `/run/gaoler`.
const DIRECTORY: &str = "config-test";

/// What it logs.
const MESSAGES: &str = "messages";

/// The largest program that is handed over, bytes.
const LARGEST: u64 = 64 << 20;

/// How a test is run.
enum Way {
    /// These words, of which the first is in the tree.
    InTree(Vec<String>),
    /// These words, with this program.
    HandedOver(Vec<String>, OwnedFd),
    /// On the host, because.
    OnHost(String),
}

/// Runs the test of the spec for a jail that runs. It is done in the jail's view where its program
/// can be had there, and else on the host, which is told.
///
/// # Errors
/// The test failed, with what it said; it could not be run.
pub(super) fn run(places: &Places, spec: &Spec, state: &State, report: &Report<'_>) -> Result<()> {
    let (name, test) = (&spec.name, &spec.service.config_test);
    if test.is_empty() {
        return Ok(());
    }
    report(Event::Doing("testing the configuration".to_owned()));
    let directory = places.runtime(name).join(DIRECTORY);
    let label = format!("{name}.{DIRECTORY}");
    let jail = jail::beside(places, name, state.generation, &directory, &label)?;
    let (words, program) = match way(&spec.service.command, test, &jail.manifest)? {
        Way::InTree(words) => (words, None),
        Way::HandedOver(words, program) => (words, Some(program)),
        Way::OnHost(why) => {
            report(Event::Note(format!(
                "the configuration is tested outside of the jail: {why}"
            )));
            return guard::past(places, || preflight::configuration_is_good(name, test))
                .map_err(|error| error.kind(Kind::Failed));
        }
    };
    state::make_directory(&directory)?;
    let messages = directory.join(MESSAGES);
    let plan = jail.plan.testing(&words, program.is_some());
    let tested = try_out(&plan, program, &messages);
    let logged = fs::read_to_string(&messages).unwrap_or_default();
    remove(&directory)?;
    judge(name, &words, &tested?, &logged)
}

fn try_out(plan: &crate::plan::Plan, program: Option<OwnedFd>, messages: &Path) -> Result<Attempt> {
    let terms = Terms {
        serving: true,
        patience: CONFIG_TEST_LIMIT,
    };
    let mut attempts = Attempts::begin(plan, Sink::file(messages, &LogSink::default()))?;
    let tested = attempts.run(plan, program.as_ref(), terms);
    attempts.finish()?;
    tested
}

fn remove(directory: &Path) -> Result<()> {
    fs::remove_dir_all(directory).doing(|| format!("remove {}", directory.display()))
}

fn judge(name: &str, words: &[String], tested: &Attempt, logged: &str) -> Result<()> {
    let how = match tested.ended {
        Some(Ended::Exited(0)) => return Ok(()),
        Some(Ended::Exited(code)) => format!("answered with exit code {code}"),
        Some(Ended::Killed(signal)) => format!("was killed by signal {signal}"),
        Some(Ended::Unseen) => "ended, and nobody saw how".to_owned(),
        None => format!("did not end within {} s", CONFIG_TEST_LIMIT.as_secs()),
    };
    let said = last_lines(&format!("{}{logged}", tested.words), 10);
    Err(Error::new(
        format!("use the configuration of {name}"),
        format!("{} in the jail's view {how}:\n{said}", words.join(" ")),
    )
    .hint("mend the configuration, or what the jail has of it; nothing was changed"))
}

/// How this test can be run.
fn way(service: &[String], test: &[String], manifest: &Manifest) -> Result<Way> {
    if is_ordinary() {
        let why = "a second jail beside it takes root";
        return Ok(Way::OnHost(why.to_owned()));
    }
    // What comes before the service's own program prepares the host for it: in the jail the
    // service's environment and places take its place.
    let own = |word: &String| Some(word) == service.first();
    let words = test.iter().skip_while(|word| !own(word));
    let words: Vec<String> = words.cloned().collect();
    if words
        .first()
        .is_some_and(|own| is_in_tree(manifest, Path::new(own)))
    {
        return Ok(Way::InTree(words));
    }
    let Some(program) = test.first().map(PathBuf::from) else {
        return Ok(Way::OnHost("it is empty".to_owned()));
    };
    if is_in_tree(manifest, &program) {
        return Ok(Way::InTree(test.to_vec()));
    }
    match missing(&program, test, manifest)? {
        Some(why) => Ok(Way::OnHost(why)),
        None => Ok(Way::HandedOver(test.to_vec(), copy(&program)?)),
    }
}

/// Why a program of the host cannot be run with what is in the tree; `None` if it can.
fn missing(program: &Path, test: &[String], manifest: &Manifest) -> Result<Option<String>> {
    let starts_another = |word: &&String| word.starts_with('/') && is_program(Path::new(word));
    let shown = program.display();
    if let Some(other) = test.iter().skip(1).find(starts_another) {
        return Ok(Some(format!("{shown} starts {other}, which is not in it")));
    }
    let Ok(program) = fs::canonicalize(program) else {
        return Ok(Some(format!("{shown} is not there")));
    };
    let Ok(closure) = Resolver::new(Path::new("/"))?.closure(&program) else {
        return Ok(Some(format!("{shown} is no program of this machine's")));
    };
    let lacking = closure.iter().find(|it| !is_in_tree(manifest, &it.path));
    Ok(lacking.map(|lacking| {
        format!(
            "{shown} is not in it, nor is {}, which it needs; list it under files with kind = \
             \"program\" to have it tested inside",
            lacking.path.display()
        )
    }))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The program as a file in memory that nobody can change: nothing of it gets into the tree.
fn copy(program: &Path) -> Result<OwnedFd> {
    let doing = || format!("hand {} over", program.display());
    let file = fs::File::open(program).doing(doing)?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).doing(doing)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create(c"config-test", flags).doing(doing)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let written = rustix::io::write(&memory, rest).doing(doing)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::fchmod(&memory, Mode::from_raw_mode(0o555)).doing(doing)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals).doing(doing)?;
    Ok(memory)
}
