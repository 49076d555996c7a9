//! The prober: one attempt to get out of a jail, or to get at something that a jail should keep
//! away. `gaoler attack` executes it in place of the service, once for each attempt:
//!
//!     prober PROBE quiet|tell now|serve [NAME=VALUE...]
//!
//! Its exit code is the answer: the error number of what stopped it, or one of the codes below.
//! It makes no system call but those that it tries, and with `tell` one `write` to standard
//! output, which says what stopped it.
#![no_std]
#![no_main]

#[allow(dead_code, reason = "the table has every call")]
mod numbers {
    include!(env!("PROBER_NUMBERS"));
}
mod probes;
mod raw;
mod scene;
mod tell;

use core::ffi::CStr;

use scene::Scene;

/// It got through.
const THROUGH: usize = 240;
/// It has left something for the host: what that does with it is seen there.
const LEFT: usize = 238;
/// Everything was answered, but nothing was gained.
const NOTHING: usize = 239;
/// What it needs to try is not there; nothing was tried.
const NOT_TRIED: usize = 241;
/// There is no such probe.
const UNKNOWN: usize = 242;
/// A mistake of its own.
const PANICKED: usize = 243;

/// Why a probe did not get through.
pub enum Stop {
    /// The kernel refused.
    Refused(&'static str, raw::Refused),
    /// Everything answered, but nothing was gained.
    Nothing(&'static str),
    /// What it needs is not there.
    NotTried(&'static str),
    /// Something is left for the host.
    Left(&'static str),
}

/// `Ok`: through, and what was gained.
pub type Tried = Result<&'static str, Stop>;

/// Words for a refusal.
pub trait At<T> {
    /// What was being done when the kernel refused.
    fn at(self, step: &'static str) -> Result<T, Stop>;
}

impl<T> At<T> for Result<T, raw::Refused> {
    fn at(self, step: &'static str) -> Result<T, Stop> {
        self.map_err(|refused| Stop::Refused(step, refused))
    }
}

/// What is gained without an effect: these errors come only after the permission was checked.
pub fn past(
    answer: Result<usize, raw::Refused>,
    errors: &[u8],
    step: &'static str,
    gained: &'static str,
) -> Tried {
    match answer {
        Ok(_) => Ok(gained),
        Err(refused) if errors.contains(&refused.errno) => Ok(gained),
        Err(refused) => Err(Stop::Refused(step, refused)),
    }
}

/// The numbers of errors that the probes name (`errno(3)`).
#[allow(dead_code, reason = "a probe may need any of them")]
pub mod errors {
    pub const ENOENT: u8 = 2;
    pub const ESRCH: u8 = 3;
    pub const EIO: u8 = 5;
    pub const EBADF: u8 = 9;
    pub const EAGAIN: u8 = 11;
    pub const EFAULT: u8 = 14;
    pub const ENOTBLK: u8 = 15;
    pub const EBUSY: u8 = 16;
    pub const ENODEV: u8 = 19;
    pub const EINVAL: u8 = 22;
    pub const ENOTTY: u8 = 25;
    pub const EADDRINUSE: u8 = 98;
}

fn main(arguments: raw::Arguments) -> ! {
    let Some(name) = arguments.at(1) else {
        raw::end(UNKNOWN)
    };
    let telling = arguments.at(2).is_some_and(|word| word == c"tell");
    let scene = Scene { arguments };
    if name == c"stand" {
        probes::stand(scene)
    }
    if name == c"stay" {
        stay()
    }
    let Some(probe) = find(name) else {
        raw::end(UNKNOWN)
    };
    if arguments.at(3).is_some_and(|word| word == c"serve") {
        await_service();
    }
    let tried = probe(scene);
    if telling {
        tell::tell(&tried);
    }
    raw::end(match tried {
        Ok(_) => THROUGH,
        Err(Stop::Refused(_, refused)) => usize::from(refused.errno),
        Err(Stop::Nothing(_)) => NOTHING,
        Err(Stop::NotTried(_)) => NOT_TRIED,
        Err(Stop::Left(_)) => LEFT,
    })
}

/// Runs until it is ended, without a call that a filter could refuse: a service that is there.
fn stay() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// The probe of this name; `look` is none, but asks where it is.
fn find(name: &CStr) -> Option<probes::Probe> {
    match name.to_bytes() {
        b"look" => Some(scene::look),
        name => probes::find(name),
    }
}

/// Waits for the end of the start. A jail whose start has an end makes execveat wait for an answer
/// until then, and nobody answers; afterwards the kernel says ENOSYS by itself
/// (`seccomp_unotify(2)`). Where the start has none, there is nothing to wait for.
fn await_service() {
    match raw::call(
        numbers::EXECVEAT,
        [(-1).into(), c"".into(), 0.into(), 0.into(), 0.into()],
    ) {
        Ok(_) | Err(_) => {}
    }
}
