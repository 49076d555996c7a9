//! What processes of the host share: System V IPC, message queues, shared memory, keys.

use core::ffi::CStr;

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{HERE, Path, READ, READ_WRITE, Scene, open};
use crate::{At, Stop, Tried, errors, numbers, past};

pub const PROBES: Probes = &[
    ("ipc-shared-memory", shared_memory),
    ("ipc-message-queue", message_queue),
    ("ipc-semaphores", semaphores),
    ("ipc-posix-queue", posix_queue),
    ("ipc-posix-memory", posix_memory),
    ("ipc-keyring-read", keyring_read),
    ("ipc-keyring-join", keyring_join),
    ("ipc-keyring-add", keyring_add),
];

fn shared_memory(scene: Scene) -> Tried {
    let words = [scene.number("key")?.into(), 0.into(), 0.into()];
    let segment = raw::call(numbers::SHMGET, words).at("find shared memory of the host")?;
    raw::call(numbers::SHMAT, [segment.into(), 0.into(), 0.into()]).at("attach it")?;
    Ok("attached shared memory of the host")
}

fn message_queue(scene: Scene) -> Tried {
    let words = [scene.number("key")?.into(), 0.into()];
    raw::call(numbers::MSGGET, words).at("find a message queue of the host")?;
    Ok("found a message queue of the host")
}

fn semaphores(scene: Scene) -> Tried {
    let words = [scene.number("key")?.into(), 0.into(), 0.into()];
    raw::call(numbers::SEMGET, words).at("find semaphores of the host")?;
    Ok("found semaphores of the host")
}

/// `mq_open(3)` gives the kernel the name without its slash.
fn posix_queue(scene: Scene) -> Tried {
    let words = [scene.text("queue")?.into(), READ.into(), 0.into(), 0.into()];
    raw::call(numbers::MQ_OPEN, words).at("open a message queue of the host")?;
    Ok("opened a message queue of the host")
}

fn posix_memory(scene: Scene) -> Tried {
    let path = shared_memory_path(scene.text("queue")?);
    open(path.text(), READ_WRITE).at("open shared memory of the host")?;
    Ok("opened shared memory of the host")
}

/// Where `shm_open(3)` puts it.
fn shared_memory_path(name: &CStr) -> Path {
    Path::new().with(b"/dev/shm/").with(name.to_bytes())
}

const USER_KEYRING: i32 = -4;
const SESSION_KEYRING: i32 = -3;

/// The keys of a user are those of all his processes, wherever they are (`user-keyring(7)`).
fn keyring_read(scene: Scene) -> Tried {
    const SEARCH: usize = 10;
    let name = scene.text("queue")?;
    let words = [
        SEARCH.into(),
        USER_KEYRING.into(),
        c"user".into(),
        name.into(),
        0.into(),
    ];
    raw::call(numbers::KEYCTL, words).at("find a key of the same user outside")?;
    Ok("found a key of the same user outside")
}

fn keyring_join(_: Scene) -> Tried {
    const JOIN: usize = 1;
    raw::call(numbers::KEYCTL, [JOIN.into(), c"gaoler".into()]).at("join a session's keys")?;
    Ok("joined the keys of a session")
}

fn keyring_add(_: Scene) -> Tried {
    let words = [
        c"user".into(),
        c"gaoler-probe".into(),
        b"x".into(),
        1.into(),
        SESSION_KEYRING.into(),
    ];
    let key = raw::call(numbers::ADD_KEY, words).at("add a key")?;
    const UNLINK: usize = 9;
    let unlinked: [Word<'_>; 3] = [UNLINK.into(), key.into(), SESSION_KEYRING.into()];
    past(
        raw::call(numbers::KEYCTL, unlinked),
        &[errors::ENOENT],
        "remove the key",
        "added a key",
    )
}

/// Makes what the probes look for, as the one outside. What this host does not have, no probe finds
/// outside a jail either, and so proves nothing. Not a probe.
pub fn make(scene: Scene) -> Result<(), Stop> {
    const CREATE: usize = 0o1000 | 0o666;
    const CREATE_FILE: usize = 0o100 | READ_WRITE;
    let key = scene.number("key")?;
    ignore(raw::call(
        numbers::SHMGET,
        [key.into(), 4096.into(), CREATE.into()],
    ));
    ignore(raw::call(numbers::MSGGET, [key.into(), CREATE.into()]));
    ignore(raw::call(
        numbers::SEMGET,
        [key.into(), 1.into(), CREATE.into()],
    ));
    let name = scene.text("queue")?;
    let words = [name.into(), CREATE_FILE.into(), 0o666.into(), 0.into()];
    ignore(raw::call(numbers::MQ_OPEN, words));
    let shared = shared_memory_path(name);
    let words = [
        HERE.into(),
        shared.text().into(),
        CREATE_FILE.into(),
        0o666.into(),
    ];
    ignore(raw::call(numbers::OPENAT, words));
    let words = [
        c"user".into(),
        name.into(),
        b"x".into(),
        1.into(),
        USER_KEYRING.into(),
    ];
    ignore(raw::call(numbers::ADD_KEY, words));
    Ok(())
}

/// Takes it away again; what is not there is gone. Not a probe.
pub fn remove(scene: Scene) {
    let Ok(key) = scene.number("key") else { return };
    const REMOVE: usize = 0;
    let found = |number, words| raw::call(number, words);
    if let Ok(segment) = found(numbers::SHMGET, [key.into(), 0.into(), 0.into()]) {
        ignore(raw::call(
            numbers::SHMCTL,
            [segment.into(), REMOVE.into(), 0.into()],
        ));
    }
    if let Ok(queue) = found(numbers::MSGGET, [key.into(), 0.into(), 0.into()]) {
        ignore(raw::call(
            numbers::MSGCTL,
            [queue.into(), REMOVE.into(), 0.into()],
        ));
    }
    if let Ok(set) = found(numbers::SEMGET, [key.into(), 0.into(), 0.into()]) {
        ignore(raw::call(
            numbers::SEMCTL,
            [set.into(), 0.into(), REMOVE.into()],
        ));
    }
    let Ok(name) = scene.text("queue") else {
        return;
    };
    ignore(raw::call(numbers::MQ_UNLINK, [name.into()]));
    let shared = shared_memory_path(name);
    ignore(raw::call(
        numbers::UNLINKAT,
        [HERE.into(), shared.text().into(), 0.into()],
    ));
    const SEARCH: usize = 10;
    const UNLINK: usize = 9;
    let words = [
        SEARCH.into(),
        USER_KEYRING.into(),
        c"user".into(),
        name.into(),
        0.into(),
    ];
    if let Ok(key) = raw::call(numbers::KEYCTL, words) {
        ignore(raw::call(
            numbers::KEYCTL,
            [UNLINK.into(), key.into(), USER_KEYRING.into()],
        ));
    }
}

fn ignore(answer: Result<usize, raw::Refused>) {
    match answer {
        Ok(_) | Err(_) => {}
    }
}
