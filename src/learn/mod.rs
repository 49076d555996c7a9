//! Runs a service under a tracer and says what it needed: `Event → Trace → Needs`, each need
//! with its evidence. Never writes a spec.
#![forbid(unsafe_code)]

pub mod address;
pub mod calls;
pub mod capabilities;
mod exercises;
mod heard;
pub mod paths;
pub mod process;
pub mod record;
mod session;
pub mod trace;
mod tracer;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{BufReader, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::spec::{Exercise, Ready};
use crate::sys::spawn_traced::Program;
use trace::{Certificate, PathKind};

pub use trace::{ExerciseRun, Trace};

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A service to learn, and how.
#[derive(Debug)]
pub struct Request {
    /// The program, found in `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it starts.
    pub workdir: PathBuf,
    /// It is ready when all of these hold; without any, when it makes no call for 500 ms.
    pub ready: Vec<Ready>,
    /// How long that may take.
    pub ready_timeout: Duration,
    /// What is done with it when it is ready, one after another.
    pub exercises: Vec<Exercise>,
    /// How long it serves on after that.
    pub serve_for: Duration,
    /// Its own way to stop; empty for SIGTERM alone.
    pub stop_command: Vec<String>,
    /// Between its own way to stop, SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Its standard output and error: a file, if a `log:` sign is to be looked for in it.
    pub output: OwnedFd,
}

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// So many system calls were seen.
    Calls(u64),
    /// An exercise has ended.
    ExerciseEnded(ExerciseRun),
    /// It was not passed.
    ExerciseFailed {
        /// Its name.
        name: String,
        /// What it did instead of what was expected, in words.
        why: String,
        /// What it printed.
        output: String,
    },
    /// An exercise was started.
    ExerciseStarted {
        /// Its name.
        name: String,
    },
    /// The service is ready.
    Ready {
        /// Since it was started.
        after: Duration,
    },
    /// The service was started.
    Started {
        /// Its first process.
        pid: i32,
    },
    /// It is being stopped.
    Stopping,
}

/// Runs a service, exercises it, stops it, and says what it did. Everything that it started is
/// gone when this returns, whether or not it worked.
///
/// `progress` is called from other threads than the caller's. The trace is taken with
/// `ptrace(2)` and a seccomp filter that stops at every call; that takes `CAP_SYS_ADMIN`.
///
/// # Errors
/// If the service cannot be started or traced, ends before it is ready, or is not ready in time.
/// What goes wrong later is a gap in the trace's certificate.
pub fn learn(request: Request, progress: &(dyn Fn(Progress) + Sync)) -> Result<Trace> {
    let program = program(&request)?;
    // A thread of its own, because waiting as a tracer would reap the caller's other children.
    std::thread::scope(|scope| {
        let traced = scope
            .spawn(|| trace_run(&request, &program, progress))
            .join();
        traced.unwrap_or_else(|_| Err(Error::new("learn the service", "the tracer panicked")))
    })
}

/// Writes a trace as JSON, beside and then over what was there.
///
/// # Errors
/// As creating, writing and renaming a file.
pub fn save(trace: &Trace, path: &Path) -> Result<()> {
    let doing = || format!("write the trace {}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).doing(doing);
        }
        _ => {}
    }
    let file = std::fs::File::create_new(&beside).doing(doing)?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut writer, trace).map_err(|error| Error::new(doing(), error))?;
    writer.flush().doing(doing)?;
    std::fs::rename(&beside, path).doing(doing)
}

/// Reads a trace that [`save`] has written.
///
/// # Errors
/// If it cannot be read, or is no trace.
pub fn load(path: &Path) -> Result<Trace> {
    let doing = || format!("read the trace {}", path.display());
    let file = std::fs::File::open(path).doing(doing)?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| Error::new(doing(), error))
}

/// The tracer's thread, with the exercises on another.
fn trace_run(
    request: &Request,
    program: &Program,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Trace> {
    let over = AtomicBool::new(false);
    let (ready, is_ready) = channel();
    let (tell, messages) = channel();
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || exercises::drive(request, &is_ready, &tell, over, progress));
        let driver = session::Driver { ready, messages };
        let ran = run_session(request, program, driver, over, progress);
        // Whatever happened, the exercises end too.
        over.store(true, Ordering::Relaxed);
        ran
    })
}

fn run_session(
    request: &Request,
    program: &Program,
    driver: session::Driver,
    over: &AtomicBool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Trace> {
    let mut tracer = tracer::Tracer::start(program)?;
    progress(Progress::Started { pid: tracer.first });
    let mut session = session::Session::new(request, driver, over, progress)?;
    session.run(&mut tracer)?;
    progress(Progress::Calls(tracer.stops));
    let recorder = std::mem::take(&mut tracer.recorder);
    let mut trace = recorder.finish(tracer.main, |number| calls::name(number.into()));
    trace.command.clone_from(&request.command);
    let gaps = std::mem::take(&mut trace.certificate.gaps);
    trace.certificate = certify(&tracer, session, gaps);
    for seen in &mut trace.paths {
        (seen.kind, seen.device) = look(&seen.host);
    }
    Ok(trace)
}

fn certify(
    tracer: &tracer::Tracer,
    session: session::Session<'_>,
    mut gaps: Vec<String>,
) -> Certificate {
    gaps.extend(session.gaps);
    if tracer.stops != tracer.records {
        gaps.push(format!(
            "{} system call stops, but {} records",
            tracer.stops, tracer.records
        ));
    }
    Certificate {
        stops: tracer.stops,
        records: tracer.records,
        complete: gaps.is_empty(),
        gaps,
        processes: tracer.processes,
        threads: tracer.threads,
        passes: 1,
        exercises: session.exercises,
        kernel: process::kernel(),
        forked: tracer.forked,
    }
}

/// What a path of the host is now.
fn look(path: &Path) -> (PathKind, Option<(u32, u32)>) {
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

/// Everything that the child needs, as the kernel wants it.
fn program(request: &Request) -> Result<Program> {
    let Some(name) = request.command.first() else {
        return Err(Error::usage("learn a service", "its command is empty"));
    };
    let input = std::fs::File::open("/dev/null").doing(|| "open /dev/null")?;
    // The child puts them in the places of its own standard streams, which they must not be.
    let above = |fd: OwnedFd| rustix::io::fcntl_dupfd_cloexec(&fd, 3);
    let output = request
        .output
        .try_clone()
        .doing(|| "pass on the service's output")?;
    let mut arguments = Vec::new();
    for argument in &request.command {
        arguments.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::new();
    for (name, value) in &request.environment {
        environment.push(text(format!("{name}={value}").as_bytes())?);
    }
    Ok(Program {
        file: text(find(name, request)?.as_os_str().as_bytes())?,
        arguments,
        environment,
        workdir: text(request.workdir.as_os_str().as_bytes())?,
        input: above(input.into()).doing(|| "pass on /dev/null")?,
        output: above(output).doing(|| "pass on the service's output")?,
    })
}

fn text(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        Error::usage("start the service", format!("{shown:?} has a NUL in it"))
    })
}

/// Finds a program as `execvp(3)` does, in the `PATH` of the service's own environment.
fn find(name: &str, request: &Request) -> Result<PathBuf> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = request
        .environment
        .get("PATH")
        .map_or(DEFAULT_PATH, String::as_str);
    path.split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| {
            Error::usage(
                format!("find the program {name}"),
                format!("it is not in {path}"),
            )
        })
}
