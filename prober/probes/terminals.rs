//! Terminals: what is typed into one of the host's, its shell runs.

use super::Probes;
use crate::raw;
use crate::scene::{READ_WRITE, Scene, open};
use crate::{At, Stop, Tried, errors, numbers};

pub const PROBES: Probes = &[
    ("terminal-tiocsti", type_into),
    ("terminal-tiocsti-high-bits", type_into_high_bits),
    ("terminal-tioclinux", paste),
    ("terminal-open", open_one),
    ("terminal-controlling", controlling),
];

const TIOCSTI: usize = 0x5412;
const TIOCLINUX: usize = 0x541c;

/// The kernel takes the low half of the number; a filter that compares all of it lets this by
/// (CVE-2019-7303).
const HIGH_BIT: usize = 1 << 32;

/// A request on each standard descriptor, and on the terminal that it is told of.
fn ask(scene: Scene, request: usize) -> Result<usize, Stop> {
    let byte = [b' '];
    let ask = |descriptor: usize| {
        raw::call(
            numbers::IOCTL,
            [descriptor.into(), request.into(), (&byte).into()],
        )
    };
    for descriptor in 0..3 {
        if let Ok(answer) = ask(descriptor) {
            return Ok(answer);
        }
    }
    let terminal = open(scene.text("terminal")?, READ_WRITE).at("open a terminal")?;
    ask(terminal).at("type into the terminal")
}

fn type_into(scene: Scene) -> Tried {
    ask(scene, TIOCSTI)?;
    Ok("typed into the terminal")
}

fn type_into_high_bits(scene: Scene) -> Tried {
    ask(scene, TIOCSTI | HIGH_BIT)?;
    Ok("typed into the terminal")
}

/// Its subcommand 12 asks for the console in front; on a terminal that is none, who may ask is
/// told that there is none.
fn paste(_: Scene) -> Tried {
    const FOREGROUND: u8 = 12;
    let request = [FOREGROUND];
    let console = open(c"/dev/tty0", READ_WRITE).at("open the console")?;
    let answer = raw::call(
        numbers::IOCTL,
        [console.into(), TIOCLINUX.into(), (&request).into()],
    );
    crate::past(
        answer,
        &[errors::EINVAL],
        "paste into the console",
        "may paste into the console",
    )
}

fn open_one(_: Scene) -> Tried {
    let mut last = Err(Stop::Nothing("there is no terminal"));
    for path in [
        c"/dev/console",
        c"/dev/tty0",
        c"/dev/tty1",
        c"/dev/ttyS0",
        c"/dev/pts/0",
        c"/dev/ptmx",
        c"/dev/pts/ptmx",
    ] {
        match open(path, READ_WRITE) {
            Ok(_) => return Ok("opened a terminal"),
            refused => last = refused.at("open a terminal").map(|_| ""),
        }
    }
    last
}

/// `/dev/tty` is whatever terminal the session has (`tty(4)`).
fn controlling(_: Scene) -> Tried {
    open(c"/dev/tty", READ_WRITE).at("open the controlling terminal")?;
    Ok("opened the controlling terminal")
}
