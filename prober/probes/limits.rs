//! Exhaustion: how much of the machine it can take.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{CREATE, Path, READ_WRITE, Scene, open, remove};
use crate::{At, Tried, numbers};

pub const PROBES: Probes = &[
    ("limit-processes", processes),
    ("limit-memory", memory),
    ("limit-descriptors", descriptors),
    ("limit-file-size", file_size),
    ("limit-core", core),
    ("limit-raise", raise),
    ("limit-realtime", realtime),
    ("limit-lock-memory", lock_memory),
    ("limit-out-of-memory", out_of_memory),
];

/// One more than the jail allows, or as many as show that nothing does. They end at once, but are
/// counted until somebody asks how, and nobody does while this process lives.
fn processes(scene: Scene) -> Tried {
    for _ in 0..=scene.number("processes")? {
        if raw::fork(0).at("make one process more")? == 0 {
            raw::end(0);
        }
    }
    Ok("made as many processes as it liked")
}

fn memory(scene: Scene) -> Tried {
    const PIECE: usize = 4 << 20;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    let most = scene.number("memory")?;
    let mut taken = 0;
    while taken <= most {
        let piece = raw::map(PIECE, 3, PRIVATE_ANONYMOUS, -1).at("take more memory")?;
        for page in raw::bytes_at(piece, PIECE).iter_mut().step_by(4096) {
            *page = 1;
        }
        taken += PIECE;
    }
    Ok("took as much memory as it liked")
}

fn descriptors(scene: Scene) -> Tried {
    let most = scene.number("descriptors")?;
    for _ in 0..=most {
        raw::call(numbers::DUP, [1.into()]).at("open one descriptor more")?;
    }
    Ok("opened as many descriptors as it liked")
}

fn file_size(scene: Scene) -> Tried {
    let most = scene.number("file_size")?;
    let path = Path::new()
        .with(scene.text("writable")?.to_bytes())
        .with(b"/.gaoler-large");
    let file = open(path.text(), CREATE | READ_WRITE).at("make a file")?;
    remove(&path);
    raw::call(numbers::FTRUNCATE, [file.into(), (most + 1).into()]).at("make it large")?;
    Ok("made a file as large as it liked")
}

fn set(resource: usize, value: u64) -> Result<usize, raw::Refused> {
    let mut limit = [value, value];
    let limit = Word::Room(raw::bytes_of(&mut limit));
    raw::call(
        numbers::PRLIMIT64,
        [0.into(), resource.into(), limit, 0.into()],
    )
}

/// A core file holds what the service knows; its handler runs as root, outside (`core(5)`).
fn core(_: Scene) -> Tried {
    const CORE: usize = 4;
    set(CORE, u64::MAX).at("allow itself core files")?;
    Ok("allowed itself core files")
}

fn raise(scene: Scene) -> Tried {
    const DESCRIPTORS: usize = 7;
    let most = scene.number("descriptors")?;
    set(DESCRIPTORS, most as u64 + 1).at("raise a limit")?;
    Ok("raised a limit")
}

fn realtime(_: Scene) -> Tried {
    const FIFO: usize = 1;
    let mut priority = [1_u32];
    let priority = Word::Room(raw::bytes_of(&mut priority));
    raw::call(
        numbers::SCHED_SETSCHEDULER,
        [0.into(), FIFO.into(), priority],
    )
    .at("take a real-time priority")?;
    Ok("runs before everybody else")
}

fn lock_memory(_: Scene) -> Tried {
    const CURRENT: usize = 1;
    const FUTURE: usize = 2;
    raw::call(numbers::MLOCKALL, [(CURRENT | FUTURE).into()]).at("lock its memory")?;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    raw::map(256 << 20, 3, PRIVATE_ANONYMOUS, -1).at("lock 256 MiB")?;
    Ok("locked as much memory as it liked")
}

/// Who protects himself has others killed in his place.
fn out_of_memory(_: Scene) -> Tried {
    let file = open(c"/proc/self/oom_score_adj", 1).at("open its own out-of-memory score")?;
    raw::call(numbers::WRITE, [file.into(), b"-1000".into(), 5.into()]).at("change it")?;
    Ok("is never killed when memory is short")
}
