//! The passes over a service, and the certificate of what they showed.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::channel;

use super::exercises::{self, Shared};
use super::record::Recorder;
use super::session::{Driver, Session};
use super::trace::{CapabilitySource, Certificate, ExerciseRun, PathKind, Trace};
use super::tracer::{Before, Halts, Held, Tracer};
use super::watch::Watches;
use super::{Progress, Request, c_library, calls, names, passes, process};
use crate::error::{Doing, Error, Result};
use crate::sys::spawn_traced::Program;

/// What the certificate says of a trace whose tracer was killed.
const UNFINISHED: &str = "the tracer did not come to its end";

/// What the passes so far have counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    stops: u64,
    records: u64,
    processes: u64,
    threads: u64,
    passes: u32,
    free: Vec<String>,
    watched: Vec<String>,
    repeated: Vec<String>,
    doubt: Option<String>,
    one_pass: String,
    by_rule: String,
    exercises: Vec<ExerciseRun>,
    gaps: Vec<String>,
    forked: bool,
    ended_after_s: u32,
}

/// Runs the service as often as was asked, and says what it did.
pub fn trace(
    request: &Request,
    program: &Program,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Trace> {
    let mut counted = Counted::default();
    let mut recorder = first(request, program, &mut counted, progress)?;
    if request.passes > 1 && counted.gaps.is_empty() {
        match second(request, program, &recorder, &counted, progress) {
            Ok(both) => (recorder, counted) = both,
            // What every call stopped for is whole without it.
            Err(error) => {
                let why = error.why();
                counted.one_pass =
                    format!("the second failed, so it was watched only while exercised: {why}");
            }
        }
    } else if request.passes <= 1 {
        let window = request.serve_for.as_secs();
        counted.one_pass =
            format!("as it was asked, with {window} s after the exercises to be watched in");
    }
    let mut trace = conclude(request, recorder, counted);
    look_at_paths(&mut trace);
    Ok(trace)
}

/// What the paths of a trace are on the host now.
fn look_at_paths(trace: &mut Trace) {
    for seen in &mut trace.paths {
        (seen.kind, seen.device) = look(&seen.host);
    }
    trace.certificate.libc = c_library::of(&trace.paths);
}

/// Runs the service with every call stopping. Where a filter of its own may have hidden calls from
/// ours, nothing of that counts, and it is run once more in steps.
fn first(
    request: &Request,
    program: &Program,
    counted: &mut Counted,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Recorder> {
    if process::may_filter() {
        let before = Before {
            capabilities: request.capabilities,
            ..Before::default()
        };
        let ran = pass(request, program, before, counted, progress);
        match counted.doubt.take() {
            None => return ran,
            Some(doubt) => {
                *counted = Counted::default();
                counted.repeated.push(doubt);
            }
        }
    }
    let before = Before {
        capabilities: request.capabilities,
        halts: Halts::Steps,
        ..Before::default()
    };
    pass(request, program, before, counted, progress)
}

/// Runs the service again, with what the first pass has shown. Where a name may have been missed
/// while calls with known names ran, nothing of that counts, and it is run once more without.
fn second(
    request: &Request,
    program: &Program,
    first: &Recorder,
    counted: &Counted,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Recorder, Counted)> {
    let mut both = counted.clone();
    let watches = Watches::new(names::watched(first));
    if watches.are_on() {
        let ran = again(request, program, first, watches, &mut both, progress);
        match both.doubt.take() {
            None => return Ok((ran?, both)),
            Some(doubt) => {
                both = counted.clone();
                both.repeated.push(doubt);
            }
        }
    }
    let watches = Watches::default();
    let recorder = again(request, program, first, watches, &mut both, progress)?;
    Ok((recorder, both))
}

fn again(
    request: &Request,
    program: &Program,
    first: &Recorder,
    watches: Watches,
    counted: &mut Counted,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Recorder> {
    let free = passes::free(first, watches.calls())?;
    let name = |call: u32| calls::name(call.into());
    counted.free = free.calls.iter().copied().map(name).collect();
    counted.watched = watches.calls().map(|one| name(one.call)).collect();
    let before = Before {
        recorder: first.clone(),
        capabilities: request.capabilities,
        halts: Halts::Filtered(free.program),
        watches,
    };
    pass(request, program, before, counted, progress)
}

/// Runs the service in its jail, once and in steps. What it has shown by then is the answer even
/// if it could not go on; why it could not comes with it.
pub fn follow(
    request: &Request,
    held: Held<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Trace, Option<Error>)> {
    let mut counted = Counted::default();
    let mut failed = None;
    let mut recorder = None;
    let over = |tracer: &mut Tracer<'_>, ran: Result<()>| {
        failed = ran.err();
        recorder = Some(std::mem::take(&mut tracer.recorder));
    };
    let Held {
        pid,
        let_go,
        has_started,
    } = held;
    session(
        request,
        &has_started,
        |exercise| Tracer::follow(pid, let_go, exercise),
        &mut counted,
        progress,
        over,
    )?;
    let recorder = recorder.unwrap_or_default();
    let mut trace = conclude(request, recorder, counted);
    look_at_paths(&mut trace);
    Ok((trace, failed))
}

/// One run of the service, with the exercises on a thread of their own.
fn pass(
    request: &Request,
    program: &Program,
    before: Before,
    counted: &mut Counted,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Recorder> {
    let mut recorded = Ok(Recorder::default());
    let over = |tracer: &mut Tracer<'_>, ran: Result<()>| {
        recorded = ran.map(|()| {
            let mut recorder = std::mem::take(&mut tracer.recorder);
            recorder.end_pass(tracer.main);
            recorder
        });
    };
    session(
        request,
        &|| true,
        |exercise| Tracer::start(program, before, exercise),
        counted,
        progress,
        over,
    )?;
    recorded
}

/// A run from its start to its end; `over` gets what came of it.
fn session(
    request: &Request,
    has_started: &dyn Fn() -> bool,
    start: impl for<'a> FnOnce(&'a AtomicU16) -> Result<Tracer<'a>>,
    counted: &mut Counted,
    progress: &(dyn Fn(Progress) + Sync),
    over: impl FnOnce(&mut Tracer<'_>, Result<()>),
) -> Result<()> {
    let number = counted.passes + 1;
    let shared = Shared::default();
    let (ready, is_ready) = channel();
    let (tell, messages) = channel();
    std::thread::scope(|scope| {
        let shared = &shared;
        std::thread::Builder::new()
            .spawn_scoped(scope, move || {
                exercises::drive(request, number, &is_ready, &tell, shared, progress);
            })
            .doing(|| "start the thread that runs the exercises")?;
        let driver = Driver { ready, messages };
        let ran = (|| {
            let mut tracer = start(&shared.exercise)?;
            let pid = tracer.first;
            progress(Progress::Started { pid, pass: number });
            let mut session =
                Session::new(request, has_started, driver, shared, progress, counted)?;
            let ran = session.run(&mut tracer);
            let Session {
                exercises,
                gaps,
                ended_after_s,
                ..
            } = session;
            progress(Progress::Calls(tracer.stops));
            counted.ended_after_s = counted.ended_after_s.max(ended_after_s);
            counted.add(&tracer, exercises, gaps);
            counted.doubt = tracer.doubt();
            over(&mut tracer, ran);
            Ok(())
        })();
        // Whatever happened, the exercises end too.
        shared.over.store(true, Ordering::Relaxed);
        ran
    })
}

impl Counted {
    fn add(&mut self, tracer: &Tracer<'_>, exercises: Vec<ExerciseRun>, gaps: Vec<String>) {
        self.passes += 1;
        self.stops += tracer.stops;
        self.records += tracer.records;
        self.processes += tracer.processes;
        self.threads += tracer.threads;
        self.exercises.extend(exercises);
        self.gaps.extend(gaps);
        self.gaps.extend(tracer.asked.gaps());
        if self.by_rule.is_empty() {
            self.by_rule.clone_from(&tracer.asked.by_rule);
        }
        self.forked |= tracer.forked;
    }
}

/// What a run that is still under way has shown, for the case that nothing follows.
pub fn unfinished(request: &Request, so_far: &Counted, tracer: &Tracer<'_>) -> Trace {
    let mut counted = so_far.clone();
    counted.add(tracer, Vec::new(), vec![UNFINISHED.to_owned()]);
    conclude(request, tracer.recorder.clone(), counted)
}

fn conclude(request: &Request, recorder: Recorder, counted: Counted) -> Trace {
    let names: Vec<String> = request
        .exercises
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let mut trace = recorder.finish(&names, |number| calls::name(number.into()));
    trace.command.clone_from(&request.command);
    let mut gaps = std::mem::take(&mut trace.certificate.gaps);
    gaps.extend(counted.gaps);
    if counted.stops != counted.records {
        let (stops, records) = (counted.stops, counted.records);
        gaps.push(format!("{stops} system call stops, but {records} records"));
    }
    trace.certificate = Certificate {
        stops: counted.stops,
        records: counted.records,
        complete: gaps.is_empty(),
        gaps,
        capabilities: if counted.by_rule.is_empty() {
            CapabilitySource::KernelEvent
        } else {
            CapabilitySource::Rule
        },
        by_rule: counted.by_rule,
        processes: counted.processes,
        threads: counted.threads,
        runs: 1,
        passes: counted.passes,
        one_pass: counted.one_pass,
        free: counted.free,
        watched: counted.watched,
        repeated: counted.repeated,
        exercises: counted.exercises,
        kernel: process::kernel(),
        forked: counted.forked,
        ended_after_s: counted.ended_after_s,
        ..trace.certificate
    };
    trace
}

/// What a path of the host is now.
pub(super) fn look(path: &Path) -> (PathKind, Option<(u32, u32)>) {
    // A link that dangles is there, but leads nowhere.
    let Ok(metadata) = path.metadata() else {
        return (PathKind::Missing, None);
    };
    let kind = metadata.file_type();
    let device = Some((
        rustix::fs::major(metadata.rdev()),
        rustix::fs::minor(metadata.rdev()),
    ));
    if kind.is_dir() {
        (PathKind::Directory, None)
    } else if kind.is_block_device() {
        (PathKind::Block, device)
    } else if kind.is_char_device() {
        (PathKind::Character, device)
    } else if kind.is_fifo() {
        (PathKind::Fifo, None)
    } else if kind.is_socket() {
        (PathKind::Socket, None)
    } else {
        (PathKind::File, None)
    }
}
