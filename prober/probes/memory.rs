//! Running what one has written.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{CREATE, HERE, Path, READ, READ_WRITE, Scene, open, remove};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("code-writable-executable", writable_executable),
    ("code-made-executable", made_executable),
    ("code-memfd-execute", memfd_execute),
    ("code-memfd-map", memfd_map),
    ("code-write-and-execute", write_and_execute),
    ("code-write-and-map", write_and_map),
    ("code-script", script),
    ("code-shell", shell),
    ("code-overwrite-program", overwrite_program),
];

const PAGE: usize = 4096;
const PRIVATE: usize = 2;
const ANONYMOUS: usize = 0x20;
const READABLE: usize = 1;
const WRITABLE: usize = 2;
const EXECUTABLE: usize = 4;

#[cfg(target_arch = "x86_64")]
const RETURN: &[u8] = &[0xc3];
#[cfg(target_arch = "aarch64")]
const RETURN: &[u8] = &[0xc0, 0x03, 0x5f, 0xd6];

fn write_code(page: usize) {
    raw::bytes_at(page, RETURN.len()).copy_from_slice(RETURN);
}

fn writable_executable(_: Scene) -> Tried {
    let all = READABLE | WRITABLE | EXECUTABLE;
    let page =
        raw::map(PAGE, all, PRIVATE | ANONYMOUS, -1).at("map writable and executable memory")?;
    write_code(page);
    raw::run_at(page);
    Ok("ran code in writable memory")
}

fn made_executable(_: Scene) -> Tried {
    let page = raw::map(PAGE, READABLE | WRITABLE, PRIVATE | ANONYMOUS, -1).at("map memory")?;
    write_code(page);
    raw::protect(page, PAGE, READABLE | EXECUTABLE).at("make written memory executable")?;
    raw::run_at(page);
    Ok("ran code that it had written")
}

/// The smallest program: it ends with the code that means "through".
#[cfg(target_arch = "x86_64")]
const PROGRAM: [u8; 132] = {
    let mut program = [0; 132];
    let header: [u8; 120] = [
        // The file: 64-bit, little endian, an x86-64 program, entry at 0x400078, one header.
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x3e, 0, 1, 0, 0, 0, 0x78,
        0, 0x40, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x40, 0, 0x38, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        // Its segment: all of the file at 0x400000, readable and executable.
        1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0,
        0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
    ];
    let code: [u8; 12] = [
        0xbf, 240, 0, 0, 0, // mov edi, 240
        0xb8, 231, 0, 0, 0, // mov eax, exit_group
        0x0f, 0x05, // syscall
    ];
    let mut at = 0;
    while at < 120 {
        program[at] = header[at];
        at += 1;
    }
    while at < 132 {
        program[at] = code[at - 120];
        at += 1;
    }
    program
};

/// The same for aarch64: mov x0, 240; mov x8, exit_group; svc 0.
#[cfg(target_arch = "aarch64")]
const PROGRAM: [u8; 132] = {
    let mut program = [0; 132];
    let header: [u8; 120] = [
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xb7, 0, 1, 0, 0, 0,
        0x78, 0, 0x40, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0x40, 0, 0x38, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0x84,
        0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
    ];
    let code: [u8; 12] = [
        0x00, 0x1e, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    ];
    let mut at = 0;
    while at < 120 {
        program[at] = header[at];
        at += 1;
    }
    while at < 132 {
        program[at] = code[at - 120];
        at += 1;
    }
    program
};

fn memfd(content: &[u8]) -> Result<usize, Stop> {
    let file = raw::call(numbers::MEMFD_CREATE, [c"probe".into(), 0.into()])
        .at("make a file in memory")?;
    raw::call(
        numbers::WRITE,
        [file.into(), content.into(), content.len().into()],
    )
    .at("write to it")?;
    Ok(file)
}

/// It does not come back if it succeeds: the new program ends as one that got through.
fn execute(
    directory: Word<'_>,
    path: &core::ffi::CStr,
    flags: usize,
) -> Result<usize, raw::Refused> {
    let arguments = [raw::address(c"probe"), 0];
    let words = [
        directory,
        path.into(),
        raw::address(&arguments).into(),
        0.into(),
        flags.into(),
    ];
    raw::call(numbers::EXECVEAT, words)
}

fn memfd_execute(_: Scene) -> Tried {
    const EMPTY_PATH: usize = 0x1000;
    let file = memfd(&PROGRAM)?;
    execute(file.into(), c"", EMPTY_PATH).at("execute a file in memory")?;
    Err(Stop::Nothing("execve came back"))
}

fn memfd_map(_: Scene) -> Tried {
    let file = memfd(RETURN)?;
    let page = raw::map(PAGE, READABLE | EXECUTABLE, PRIVATE, file as i32)
        .at("map a file in memory as code")?;
    raw::run_at(page);
    Ok("ran code from a file in memory")
}

/// A file in a place that the service can write to; the path and the open file.
fn written(scene: Scene, content: &[u8], mode: usize) -> Result<(Path, usize), Stop> {
    const EXCLUSIVE: usize = 0o200;
    let path = Path::new()
        .with(scene.text("writable")?.to_bytes())
        .with(b"/.gaoler-written");
    let words = [
        HERE.into(),
        path.text().into(),
        (CREATE | EXCLUSIVE | READ_WRITE).into(),
        mode.into(),
    ];
    let file = raw::call(numbers::OPENAT, words).at("make a file")?;
    raw::call(
        numbers::WRITE,
        [file.into(), content.into(), content.len().into()],
    )
    .at("write to it")?;
    Ok((path, file))
}

/// By path, or through the descriptor of it: gaoler's own way in must not be one for others.
fn write_and_execute(scene: Scene) -> Tried {
    let (path, file) = written(scene, &PROGRAM, 0o700)?;
    // What is open for writing cannot be executed (ETXTBSY).
    crate::scene::close(file);
    let program = open(path.text(), READ);
    remove(&path);
    const EMPTY_PATH: usize = 0x1000;
    let program = program.at("open it again")?;
    execute(program.into(), c"", EMPTY_PATH).at("execute what was written")?;
    Err(Stop::Nothing("execve came back"))
}

/// What `dlopen(3)` does.
fn write_and_map(scene: Scene) -> Tried {
    let (path, file) = written(scene, RETURN, 0o700)?;
    remove(&path);
    let page = raw::map(PAGE, READABLE | EXECUTABLE, PRIVATE, file as i32)
        .at("map what was written as code")?;
    raw::run_at(page);
    Ok("ran code from a file that it had written")
}

fn script(scene: Scene) -> Tried {
    let (path, file) = written(scene, b"#!/bin/sh\nexit 240\n", 0o700)?;
    crate::scene::close(file);
    let started = execute(HERE.into(), path.text(), 0);
    remove(&path);
    started.at("execute a script")?;
    Err(Stop::Nothing("execve came back"))
}

fn shell(_: Scene) -> Tried {
    let arguments = [
        raw::address(c"sh"),
        raw::address(c"-c"),
        raw::address(c"exit 240"),
        0,
    ];
    let mut last = Err(Stop::Nothing("there is no shell"));
    for path in [c"/bin/sh", c"/bin/bash", c"/bin/dash", c"/bin/busybox"] {
        let words = [path.into(), raw::address(&arguments).into(), 0.into()];
        last = raw::call(numbers::EXECVE, words)
            .at("execute a shell")
            .map(|_| "");
    }
    last
}

/// The service's own program, or a library: whoever changes it is executed next time.
fn overwrite_program(scene: Scene) -> Tried {
    const WRITE: usize = 1;
    open(scene.text("program")?, WRITE).at("open the service's program for writing")?;
    Ok("can write to the service's program")
}
