//! Processes outside: one of the same user stands there and waits.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{Path, READ_WRITE, Scene, open};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("process-kill", kill),
    ("process-queue-signal", queue_signal),
    ("process-ptrace", ptrace),
    ("process-read-memory", read_memory),
    ("process-write-memory", write_memory),
    ("process-proc-memory", proc_memory),
    ("process-pidfd", pidfd),
    ("process-pidfd-getfd", pidfd_getfd),
    ("process-limits", limits),
    ("process-priority", priority),
    ("process-affinity", affinity),
    ("process-compare", compare),
    ("process-parent", parent),
];

fn kill(scene: Scene) -> Tried {
    let victim = scene.number("victim")?;
    raw::call(numbers::KILL, [victim.into(), 0.into()]).at("signal a process outside")?;
    Ok("may signal a process outside")
}

/// SIGCONT to what is not stopped: it is delivered, and changes nothing.
fn queue_signal(scene: Scene) -> Tried {
    const CONTINUE: usize = 18;
    let victim = scene.number("victim")?;
    raw::call(
        numbers::TGKILL,
        [victim.into(), victim.into(), CONTINUE.into()],
    )
    .at("signal a thread outside")?;
    Ok("signalled a thread outside")
}

fn ptrace(scene: Scene) -> Tried {
    const SEIZE: usize = 0x4206;
    let victim = scene.number("victim")?;
    raw::call(
        numbers::PTRACE,
        [SEIZE.into(), victim.into(), 0.into(), 0.into()],
    )
    .at("trace a process outside")?;
    Ok("traces a process outside")
}

/// Both sides of a transfer: 8 bytes here, 8 bytes of the process outside.
fn transfer(scene: Scene, number: usize, step: &'static str, gained: &'static str) -> Tried {
    let victim = scene.number("victim")?;
    let mut bytes = [0_u8; 8];
    let mut local = [raw::address_to_change(&mut bytes) as u64, 8];
    let mut remote = [scene.number("address")? as u64, 8];
    let words = [
        victim.into(),
        Word::Room(raw::bytes_of(&mut local)),
        1.into(),
        Word::Room(raw::bytes_of(&mut remote)),
        1.into(),
        0.into(),
    ];
    raw::call(number, words).at(step)?;
    Ok(gained)
}

fn read_memory(scene: Scene) -> Tried {
    let step = "read the memory of a process outside";
    transfer(
        scene,
        numbers::PROCESS_VM_READV,
        step,
        "read the memory of a process outside",
    )
}

fn write_memory(scene: Scene) -> Tried {
    let step = "write the memory of a process outside";
    transfer(
        scene,
        numbers::PROCESS_VM_WRITEV,
        step,
        "wrote the memory of a process outside",
    )
}

fn proc_memory(scene: Scene) -> Tried {
    let path = Path::new()
        .with(b"/proc/")
        .with_number(scene.number("victim")?)
        .with(b"/mem");
    open(path.text(), READ_WRITE).at("open the memory of a process outside")?;
    Ok("opened the memory of a process outside")
}

fn pidfd_of(scene: Scene) -> Result<usize, Stop> {
    let victim = scene.number("victim")?;
    raw::call(numbers::PIDFD_OPEN, [victim.into(), 0.into()]).at("open a process outside")
}

fn pidfd(scene: Scene) -> Tried {
    let process = pidfd_of(scene)?;
    let words = [process.into(), 0.into(), 0.into(), 0.into()];
    raw::call(numbers::PIDFD_SEND_SIGNAL, words).at("signal it")?;
    Ok("may signal a process outside")
}

fn pidfd_getfd(scene: Scene) -> Tried {
    let process = pidfd_of(scene)?;
    raw::call(numbers::PIDFD_GETFD, [process.into(), 0.into(), 0.into()])
        .at("take a descriptor of a process outside")?;
    Ok("took a descriptor of a process outside")
}

fn limits(scene: Scene) -> Tried {
    const DESCRIPTORS: usize = 7;
    let mut old = [0_u64; 2];
    let old = Word::Room(raw::bytes_of(&mut old));
    let words = [
        scene.number("victim")?.into(),
        DESCRIPTORS.into(),
        0.into(),
        old,
    ];
    raw::call(numbers::PRLIMIT64, words).at("read the limits of a process outside")?;
    Ok("read the limits of a process outside")
}

fn priority(scene: Scene) -> Tried {
    let victim = scene.number("victim")?;
    raw::call(numbers::SETPRIORITY, [0.into(), victim.into(), 19.into()])
        .at("change the priority of a process outside")?;
    Ok("changed the priority of a process outside")
}

fn affinity(scene: Scene) -> Tried {
    let mut all = [u64::MAX; 16];
    let size = size_of_val(&all);
    let all = Word::Room(raw::bytes_of(&mut all));
    let words = [scene.number("victim")?.into(), size.into(), all];
    raw::call(numbers::SCHED_SETAFFINITY, words)
        .at("change the processors of a process outside")?;
    Ok("changed the processors of a process outside")
}

/// Tells kernel pointers of two processes apart (`kcmp(2)`).
fn compare(scene: Scene) -> Tried {
    let victim = scene.number("victim")?;
    let words = [victim.into(), victim.into(), 1.into(), 0.into(), 0.into()];
    raw::call(numbers::KCMP, words).at("compare processes outside")?;
    Ok("compared processes outside")
}

/// Where the launcher is the parent and of the same user, it can be traced.
fn parent(_: Scene) -> Tried {
    const SEIZE: usize = 0x4206;
    let parent = raw::call(numbers::GETPPID, []).at("ask for the parent")?;
    if parent == 0 {
        return Err(Stop::Nothing("its parent is in another pid namespace"));
    }
    raw::call(
        numbers::PTRACE,
        [SEIZE.into(), parent.into(), 0.into(), 0.into()],
    )
    .at("trace the parent")?;
    Ok("traces its parent")
}
