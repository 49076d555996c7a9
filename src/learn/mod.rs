//! Runs a service under a tracer and says what it needed: `Event → Trace → Needs`, each need
//! with its evidence. Never writes a spec.
#![forbid(unsafe_code)]

pub mod address;
mod asked;
mod c_library;
pub mod calls;
pub mod capabilities;
pub mod coverage;
mod exercises;
mod heard;
mod merge;
mod names;
mod passes;
pub mod paths;
pub mod process;
pub mod record;
mod refused;
mod runs;
mod session;
pub mod speculative;
pub mod trace;
mod tracer;
mod unseen;
mod watch;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{BufReader, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::host::notifications::{Notifications, VARIABLE};
use crate::spec::{Exercise, Ready};
pub use crate::sys::spawn_traced::Ids;
use crate::sys::spawn_traced::Program;
pub use exercises::{try_out, try_out_within};
pub use merge::merge;
pub use refused::{Refused, refused, wanted};
use trace::CapabilitySource;
pub use trace::{ExerciseRun, Trace};
pub use tracer::Held;

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
    /// Whom it starts as; `None` for the caller. One that is not root is seen to need less.
    pub ids: Option<Ids>,
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
    /// How often it is run: 1 stops at every call; 2 runs it again at nearly full speed and
    /// stops at what the first run has not shown. It serves on only in the last.
    pub passes: u32,
    /// How capabilities shall be known. Where the kernel does not tell, it is by rule.
    pub capabilities: CapabilitySource,
    /// Where what was seen so far is kept meanwhile, marked incomplete: what is left if this
    /// program is killed. Removed again by [`learn`].
    pub unfinished: Option<PathBuf>,
    /// Where it says by itself that it is ready; without it a `notify` sign is never seen.
    pub notifications: Option<Notifications>,
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
        /// The number of the pass.
        pass: u32,
    },
    /// It is being stopped.
    Stopping,
}

/// Runs a service, exercises it, stops it, and says what it did. Everything that it started is
/// gone when this returns, whether or not it worked.
///
/// `progress` is called from other threads than the caller's. The trace is taken with
/// `ptrace(2)`, and in a second pass with a seccomp filter too, which takes `CAP_SYS_ADMIN`. If
/// this program is killed meanwhile, the service ends with it.
///
/// # Errors
/// If the service cannot be started or traced, ends before it is ready, or is not ready in time.
/// What goes wrong later is a gap in the trace's certificate. If only the second pass cannot be
/// had, the certificate says why.
pub fn learn(request: Request, progress: &(dyn Fn(Progress) + Sync)) -> Result<Trace> {
    let program = program(&request)?;
    let unfinished = request.unfinished.clone();
    // A thread of its own, because waiting as a tracer would reap the caller's other children.
    let learned = on_a_thread("learn the service", || {
        runs::trace(&request, &program, progress)
    });
    if let Some(path) = unfinished.filter(|path| path.exists()) {
        std::fs::remove_file(&path).doing(|| format!("remove {}", path.display()))?;
    }
    learned
}

/// Runs a service that is held in its jail, exercises and stops it, and says what it did there, as
/// far as it came; and why it came no further, if it did not. Everything is seen twice, once at
/// the entry of each call and once at its end, before and after whatever the jail makes of it.
///
/// # Errors
/// If it cannot be traced.
pub fn follow(
    request: &Request,
    held: Held<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Trace, Option<Error>)> {
    on_a_thread("follow the service", || {
        runs::follow(request, held, progress)
    })
}

/// Does the tracer's work on a thread of its own, and waits for it.
fn on_a_thread<T: Send>(doing: &'static str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let traced = std::thread::Builder::new().spawn_scoped(scope, work);
        let traced = traced.doing(|| doing)?.join();
        traced.unwrap_or_else(|_| Err(Error::new(doing, "the tracer panicked")))
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
    if let Some(notifications) = &request.notifications {
        let address = notifications.address();
        environment.push(text(format!("{VARIABLE}={address}").as_bytes())?);
    }
    Ok(Program {
        no_new_privs: !rustix::process::geteuid().is_root(),
        file: text(find(name, request)?.as_os_str().as_bytes())?,
        arguments,
        environment,
        workdir: text(request.workdir.as_os_str().as_bytes())?,
        ids: request.ids.clone(),
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
