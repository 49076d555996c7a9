//! Waits until a service that was started shows every sign that it is ready.

use std::path::Path;
use std::time::{Duration, Instant};

use super::elsewhere::{Elsewhere, learn_again};
use super::lifecycle::{Announcement, POLL};
use super::listening::Listening;
use super::ports;
use crate::host::begun::Begun;
use crate::host::command::last_lines;
use crate::host::process;
use crate::run::readiness;
use crate::run::state::{Last, State};
use crate::spec::{Ready, Spec};
use crate::{Error, Result};

/// How long a started service may take to become ready.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a service that has no sign of readiness must live: one that ends at once has not
/// started.
const LIFE: Duration = Duration::from_millis(200);

/// How long a daemon may take to write its pid file once it has its ports.
const PID_FILE: Duration = Duration::from_secs(3);

/// How long a supervisor may take to write down that its service is ready: it looks once a second, or
/// more often.
const RECORDED: Duration = Duration::from_millis(1500);

/// How many lines of what it said an error shows.
const LAST_WORDS: usize = 20;

/// How services say that they were denied something (`strerror(3)`), with or without a capital.
const DENIED: [&str; 2] = ["ermission denied", "peration not permitted"];

/// Waits for every sign of readiness of a service that has `begun`; gives up when it ends or time is
/// over.
pub(super) fn wait(
    spec: &Spec,
    directory: &Path,
    listening: &mut Listening,
    begun: &Begun,
    patience: Duration,
) -> Result<State> {
    let mut elsewhere = Elsewhere::new();
    loop {
        listening.listen();
        let loaded = State::load(directory)?;
        let supervised = loaded
            .as_ref()
            .is_some_and(|state| state.supervisor.is_some_and(|process| process.is_alive()));
        let running = loaded.filter(|state| state.service.is_alive());
        let late = begun.elapsed() > patience;
        if running.is_none() && supervised && !late {
            // A daemon between its first process and the one that stays; or a supervisor that
            // cleans up.
            std::thread::sleep(POLL);
            continue;
        }
        let Some(state) = running else {
            return Err(match supervised {
                true => not_ready(spec, None, listening, patience),
                false => {
                    listening.listen();
                    has_ended(spec, directory, listening)
                }
            });
        };
        if is_ready(spec, &state, listening, begun)? {
            return recorded(directory, state);
        }
        elsewhere.look(spec, &state, listening.heard())?;
        if late {
            let elsewhere = elsewhere.error(spec);
            return Err(elsewhere.unwrap_or_else(|| {
                not_ready(spec, state.waits_for.as_deref(), listening, patience)
            }));
        }
        std::thread::sleep(POLL);
    }
}

/// The state once the supervisor has seen it, too, and written it down: `list` goes by that. One that
/// cannot, as the disk is full, tries again by itself.
fn recorded(directory: &Path, mut state: State) -> Result<State> {
    let until = Instant::now() + RECORDED;
    while state.supervisor.is_some() && !state.ready && Instant::now() < until {
        std::thread::sleep(POLL);
        match State::load(directory)? {
            Some(now) if now.service == state.service => state = now,
            // It has ended meanwhile, or is another one by now.
            Some(_) | None => break,
        }
    }
    Ok(state)
}

fn not_ready(
    spec: &Spec,
    waits_for: Option<&str>,
    listening: &Listening,
    patience: Duration,
) -> Error {
    let hint = match waits_for {
        Some(_) => "see what it says in the log; change the exercise if it is wrong",
        None => "see what it says in the log; change service.ready if the sign is wrong",
    };
    let why = waits_for.map(|why| format!(": {why}")).unwrap_or_default();
    let hint = match last_words(&listening.words()) {
        Some(words) => format!("{hint}; {words}"),
        None => hint.to_owned(),
    };
    Error::new(
        format!("start {}", spec.name),
        format!(
            "it runs but is not ready after {} s{why}",
            patience.as_secs()
        ),
    )
    .hint(hint)
}

fn has_ended(spec: &Spec, directory: &Path, listening: &Listening) -> Error {
    let last = Last::load(directory);
    let how = match &last {
        Some(last) => last.ended.to_string(),
        // How could not be written down.
        None => match listening.words().lines().rev().find_map(failed) {
            Some(why) => format!("it has ended: {}", last_lines(&why, LAST_WORDS)),
            None => "it has ended".to_owned(),
        },
    };
    let doing = format!("start {}", spec.name);
    let error = Error::new(doing, format!("before it was ready, {how}"));
    let words = last.and_then(|last| last_words(&last.words));
    let error = match words {
        // A port that is not in the spec cannot be bound, and so on.
        Some(words) if DENIED.iter().any(|denied| words.contains(denied)) => {
            error.hint(format!("{}; {words}", learn_again(spec)))
        }
        Some(words) => error.hint(words),
        None => error,
    };
    ports::explain(&spec.name, &spec.service.ready, error)
}

/// Why a supervisor has given up that had said that it was started. The service could say it too.
fn failed(line: &str) -> Option<String> {
    match serde_json::from_str(line).ok()? {
        Announcement::Failed(what, why, _) => Some(format!("{what}: {why}")),
        _ => None,
    }
}

/// What it printed or logged last, as it may be shown.
fn last_words(words: &str) -> Option<String> {
    let shown = last_lines(words, LAST_WORDS);
    (!shown.is_empty()).then(|| format!("its last words:\n{shown}"))
}

/// Whether the process that is followed is the one that wrote the pid file: a daemon that forks
/// twice may listen while the one in between still ends. Without a pid file there is no telling.
fn is_the_daemon(spec: &Spec, state: &State, begun: &Begun) -> bool {
    let Some(path) = spec
        .service
        .pid_file
        .as_ref()
        .filter(|_| spec.service.forks)
    else {
        return true;
    };
    let Some(written) = crate::run::pid_file::number(path) else {
        // One that is there and still empty will have its number in a moment. One that is not
        // there is about to be, unless this service has stopped writing it.
        let empty = std::fs::symlink_metadata(path).map(|file| file.is_file() && file.len() == 0);
        return empty.map_or(begun.elapsed() >= PID_FILE, |empty| !empty);
    };
    process::status(state.service.pid).is_ok_and(|status| status.pids.contains(&written))
        // A first process that waits while others serve, for ever or for long.
        || begun.elapsed() >= PID_FILE && crate::run::pid_file::writer(written, state).is_some()
}

fn is_ready(spec: &Spec, state: &State, listening: &Listening, begun: &Begun) -> Result<bool> {
    if !is_the_daemon(spec, state, begun) {
        return Ok(false);
    }
    if spec.service.ready.is_empty() && begun.elapsed() < LIFE {
        return Ok(false);
    }
    let first = state.init.map_or(state.service.pid, |init| init.pid);
    let heard = |sign: &Ready| match sign {
        Ready::Log(expression) => listening.has_seen(expression),
        _ => state.notified,
    };
    Ok(state.serving && readiness::is_ready(&spec.service.ready, first, begun, &heard))
}
