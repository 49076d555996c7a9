//! The log: what is sent there for the host to believe. Whether it does is seen on the host.

use super::{Probes, sockets};
use crate::raw::{self, Refused};
use crate::scene::{Path, Scene};
use crate::{At, Stop, Tried, errors, numbers};

pub const PROBES: Probes = &[
    ("log-forged-jail", forged_jail),
    ("log-forged-gaoler", forged_gaoler),
    ("log-forged-process", forged_process),
    ("log-forged-facility", forged_facility),
    ("log-forged-line", forged_line),
    ("log-control-characters", control_characters),
    ("log-huge", huge),
    ("log-flood", flood),
];

/// Longer than the host's log takes.
const HUGE: usize = 32768;

/// More than the host's log has room for while nobody reads it.
const FLOOD: usize = 20_000;

/// The host's own log, if it can be reached; or else what is there to log to.
fn log(scene: Scene) -> Result<usize, Stop> {
    let host = scene.text("host_log").and_then(sockets::connect_log);
    host.or_else(|_| sockets::connect_log(scene.text("log")?))
}

/// `send(3)`, without waiting.
fn send(log: usize, message: &[u8]) -> Result<usize, Refused> {
    const DONT_WAIT: usize = 0x40;
    let length = message.len().into();
    let words = [
        log.into(),
        message.into(),
        length,
        DONT_WAIT.into(),
        0.into(),
        0.into(),
    ];
    raw::call(numbers::SENDTO, words)
}

fn logged(scene: Scene, message: &[u8], claim: &'static str) -> Tried {
    send(log(scene)?, message).at("log a message")?;
    Err(Stop::Left(claim))
}

fn forged_jail(scene: Scene) -> Tried {
    let message = b"<30>Jan  1 00:00:00 other/web[1]: a probe of gaoler's";
    logged(scene, message, "logged in the name of another jail")
}

/// What is logged of a jail by its supervisor.
fn forged_gaoler(scene: Scene) -> Tried {
    let message = b"<28>Jan  1 00:00:00 gaoler: nothing differs in this jail";
    logged(scene, message, "logged in the name of the supervisor")
}

fn forged_process(scene: Scene) -> Tried {
    let message = Path::new()
        .with(b"<30>Jan  1 00:00:00 web[")
        .with_number(scene.number("victim")?)
        .with(b"]: a probe of gaoler's");
    let message = message.text().to_bytes();
    logged(scene, message, "logged in the name of another process")
}

/// Facility 0 is the kernel's, severity 0 is shown on every terminal (RFC 3164, 4.1.1).
fn forged_facility(scene: Scene) -> Tried {
    let message = b"<0>kernel: a probe of gaoler's";
    logged(scene, message, "logged in the name of the kernel")
}

fn forged_line(scene: Scene) -> Tried {
    let message = b"<30>web: one\n<0>Jan  1 00:00:00 kernel: a probe of gaoler's";
    logged(scene, message, "logged a line with another in it")
}

/// What a terminal obeys (console_codes(4)), the end of a string, and bytes that are no text.
fn control_characters(scene: Scene) -> Tried {
    let message = b"<30>web: \x1b]0;title\x07\x1b[2J\x00\x7f\xc2\x9b1m\xff\xfe a probe of gaoler's";
    logged(scene, message, "logged control characters")
}

fn huge(scene: Scene) -> Tried {
    let mut message = [b'x'; HUGE];
    let begin = b"<30>web: ";
    message[..begin.len()].copy_from_slice(begin);
    logged(scene, &message, "logged a message of 32 KiB")
}

/// The host's log is one that is stuck: gaoler reads it only afterwards.
fn flood(scene: Scene) -> Tried {
    let log = log(scene)?;
    for _ in 0..FLOOD {
        match send(log, b"<30>web: a probe of gaoler's") {
            Err(refused) if refused.errno != errors::EAGAIN => {
                return Err(Stop::Refused("log a message", refused));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Err(Stop::Left("logged 20000 messages without waiting"))
}
