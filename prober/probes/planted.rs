//! What is put where the host's tools read and write: pid files, log files, links. Whether these
//! are taken in is seen on the host.

use super::Probes;
use crate::raw::{self, Refused};
use crate::scene::{CREATE, HERE, Path, Scene, WRITE, close, open};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("pid-file-other", pid_of_another),
    ("pid-file-first", pid_of_first),
    ("pid-file-everybody", pid_of_everybody),
    ("pid-file-fifo", pid_file_fifo),
    ("link-pid-file", link_pid_file),
    ("link-new-pid-file", link_new_pid_file),
    ("link-hard-pid-file", hard_link_pid_file),
    ("link-log-file", link_log_file),
    ("link-hard-log-file", hard_link_log_file),
    ("link-mount-source", link_directory),
    ("link-removed", link_directory),
];

/// These names are known to gaoler, which looks there, and removes them.
const PID_FILE: &[u8] = b"/.gaoler-pid";
/// What a tool of the host may write a new pid file under, before it has its name.
const NEW_PID_FILE: &[u8] = b"/..gaoler-pid.gaoler";
const LOG_FILE: &[u8] = b"/.gaoler-log";
const DIRECTORY: &[u8] = b"/.gaoler-link";

/// Puts it in every place of the host that the jail may write to.
fn everywhere(
    scene: Scene,
    name: &[u8],
    put: impl Fn(&Path) -> Result<usize, Refused>,
    step: &'static str,
    left: &'static str,
) -> Tried {
    let mut answer = Err(Stop::NotTried("it may write to no place of the host"));
    for place in scene.text("places")?.to_bytes().split(|byte| *byte == b':') {
        if place.is_empty() {
            continue;
        }
        let tried = put(&Path::new().with(place).with(name)).at(step);
        if let Err(Stop::Left(_)) = answer {
            continue;
        }
        answer = match tried {
            Ok(_) => Err(Stop::Left(left)),
            Err(stop) => Err(stop),
        };
    }
    answer
}

fn pid_file(scene: Scene, number: &[u8], left: &'static str) -> Tried {
    let write = |path: &Path| {
        let file = open(path.text(), CREATE | WRITE)?;
        let words = [file.into(), number.into(), number.len().into()];
        let written = raw::call(numbers::WRITE, words);
        close(file);
        written
    };
    everywhere(scene, PID_FILE, write, "write a pid file", left)
}

fn pid_of_another(scene: Scene) -> Tried {
    let number = Path::new().with_number(scene.number("victim")?).with(b"\n");
    let left = "wrote the number of a process outside into a pid file";
    pid_file(scene, number.text().to_bytes(), left)
}

fn pid_of_first(scene: Scene) -> Tried {
    pid_file(scene, b"1\n", "wrote the number 1 into a pid file")
}

/// To signal -1 is to signal every process (`kill(2)`).
fn pid_of_everybody(scene: Scene) -> Tried {
    pid_file(scene, b"-1\n", "wrote the number -1 into a pid file")
}

fn pid_file_fifo(scene: Scene) -> Tried {
    const FIFO: usize = 0o010_600;
    let make = |path: &Path| {
        let words = [HERE.into(), path.text().into(), FIFO.into(), 0.into()];
        raw::call(numbers::MKNODAT, words)
    };
    let left = "made a FIFO in the place of a pid file";
    everywhere(scene, PID_FILE, make, "make a FIFO", left)
}

fn symbolic(scene: Scene, target: &str, name: &[u8], left: &'static str) -> Tried {
    let target = scene.text(target)?;
    let link = |path: &Path| {
        let words = [target.into(), HERE.into(), path.text().into()];
        raw::call(numbers::SYMLINKAT, words)
    };
    everywhere(scene, name, link, "make a symbolic link", left)
}

fn hard(scene: Scene, name: &[u8], left: &'static str) -> Tried {
    let target = scene.text("precious")?;
    let link = |path: &Path| {
        let words = [
            HERE.into(),
            target.into(),
            HERE.into(),
            path.text().into(),
            0.into(),
        ];
        raw::call(numbers::LINKAT, words)
    };
    everywhere(scene, name, link, "link a file of root's", left)
}

fn link_pid_file(scene: Scene) -> Tried {
    let left = "put a link to a file outside in the place of a pid file";
    symbolic(scene, "precious", PID_FILE, left)
}

fn link_new_pid_file(scene: Scene) -> Tried {
    let left = "put a link to a file outside where a new pid file is written";
    symbolic(scene, "precious", NEW_PID_FILE, left)
}

fn hard_link_pid_file(scene: Scene) -> Tried {
    let left = "put a hard link to a file outside in the place of a pid file";
    hard(scene, PID_FILE, left)
}

fn link_log_file(scene: Scene) -> Tried {
    let left = "put a link to a file outside in the place of a log file";
    symbolic(scene, "precious", LOG_FILE, left)
}

fn hard_link_log_file(scene: Scene) -> Tried {
    let left = "put a hard link to a file outside in the place of a log file";
    hard(scene, LOG_FILE, left)
}

fn link_directory(scene: Scene) -> Tried {
    let left = "put a link to a directory outside in the place of a directory";
    symbolic(scene, "kept", DIRECTORY, left)
}
