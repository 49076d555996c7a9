//! What a file is to the kernel that executes it, and how a program was hardened.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Error, Result};

use super::absolute_text;
use super::blocks::Blocks;
use super::machine::NATIVE;
use super::object::{self, Contents, DependencyKind, ElfObject};
use super::property::ControlFlow;
use super::root::HostRoot;

/// How much of a file the kernel looks at to find its interpreter, bytes (`BINPRM_BUF_SIZE`,
/// linux/binfmts.h).
const SCRIPT_LINE: usize = 256;
/// What a function compiled with `-fstack-protector` calls when its stack is overwritten.
const STACK_PROTECTOR: [&str; 2] = ["__stack_chk_fail", "__stack_chk_guard"];

/// Functions whose use shows that code was compiled without `_FORTIFY_SOURCE`, if it imports them
/// and no checked one (`feature_test_macros(7)`).
const FORTIFIABLE: [&str; 14] = [
    "fgets",
    "fprintf",
    "memcpy",
    "memmove",
    "memset",
    "printf",
    "read",
    "recv",
    "snprintf",
    "sprintf",
    "strcat",
    "strcpy",
    "strncpy",
    "vsnprintf",
];

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// A program or library for this machine.
    Elf(ElfInfo),
    /// A script that names the program to run it (execve(2), "Interpreter scripts").
    Script {
        /// The path after `#!`.
        interpreter: PathBuf,
        /// The rest of that line, which is passed as one argument.
        argument: Option<String>,
    },
    /// Anything else: also object files and core dumps, which cannot be executed or loaded.
    Data,
    /// An ELF file for another machine.
    ForeignElf {
        /// The machine, the class and the byte order in words.
        machine: String,
    },
}

/// What an ELF program or library says about itself (elf(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfInfo {
    /// The machine: `x86-64`, `AArch64`.
    pub machine: String,
    /// The class: 64 bits, the only one that is native.
    pub class: u8,
    /// `PT_INTERP`: the dynamic linker.
    pub interpreter: Option<PathBuf>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// `DT_NEEDED`, in order, as written.
    pub needed: Vec<String>,
    /// `DT_RPATH`, as written; absent where `DT_RUNPATH` takes its place.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`, as written.
    pub runpath: Option<String>,
    /// Loaded at a random address: `ET_DYN`, so a library or a position-independent program.
    pub position_independent: bool,
    /// Runs without a dynamic linker: no interpreter and no library asked for, though it is a
    /// program.
    pub statically_linked: bool,
    /// Has a segment that becomes read-only after relocation (`PT_GNU_RELRO`); full with
    /// `bind_now`, else partial.
    pub relro: bool,
    /// Binds all symbols before it runs (`DF_BIND_NOW`, `DF_1_NOW` or `DT_BIND_NOW`).
    pub bind_now: bool,
    /// `PT_GNU_STACK` is there and not executable; ld.so takes one without for executable.
    pub stack_not_executable: bool,
    /// Imports what code compiled with `-fstack-protector` calls. Unknown, so false, for a
    /// statically linked program.
    pub stack_protector: bool,
    /// The checked functions of `_FORTIFY_SOURCE` that it imports, such as `__memcpy_chk`.
    /// Empty for a statically linked program.
    pub fortified: Vec<String>,
    /// The functions that it imports and that `_FORTIFY_SOURCE` has a checked form of, such as
    /// `memcpy`. Empty for a statically linked program.
    pub fortifiable: Vec<String>,
    /// A segment of it is writable and executable at once.
    pub writable_code: bool,
    /// ld.so has to write into its code (`DT_TEXTREL`).
    pub text_relocations: bool,
    /// What it was compiled for of control-flow enforcement (CET on x86, BTI and PAC on ARM).
    pub control_flow: ControlFlow,
    /// dlopen(3) takes it: a library, and not marked `DF_1_NOOPEN`.
    pub dlopen_able: bool,
}

/// See [`Resolver::inspect`](super::Resolver::inspect).
pub(super) fn inspect(root: &HostRoot, path: &Path) -> Result<Inspected> {
    let what = || format!("read {}", path.display());
    let file = open(root, path)?;
    if let Some((interpreter, argument)) = script(&file) {
        return Ok(Inspected::Script {
            interpreter: interpreter.into(),
            argument,
        });
    }
    let damaged = |why| Error::new(what(), why);
    match object::read(Blocks::new(&file)).map_err(damaged)? {
        Contents::Native(object) => {
            let imports = object::imports(Blocks::new(&file)).map_err(damaged)?;
            Ok(Inspected::Elf(describe(object, imports)))
        }
        Contents::Foreign(machine) => Ok(Inspected::ForeignElf { machine }),
        Contents::Unloadable | Contents::NotElf => Ok(Inspected::Data),
    }
}

/// See [`Resolver::imports`](super::Resolver::imports).
pub(super) fn imports(root: &HostRoot, path: &Path) -> Result<Vec<String>> {
    let file = open(root, path)?;
    let damaged = |why| Error::new(format!("read {}", path.display()), why);
    match object::read(Blocks::new(&file)).map_err(damaged)? {
        Contents::Native(_) => object::imports(Blocks::new(&file)).map_err(damaged),
        Contents::Foreign(_) | Contents::Unloadable | Contents::NotElf => Ok(Vec::new()),
    }
}

fn open(root: &HostRoot, path: &Path) -> Result<File> {
    let what = || format!("read {}", path.display());
    let file = root.open(absolute_text(path)?).doing(what)?;
    if !file.metadata().doing(what)?.is_file() {
        return Err(Error::new(what(), "it is not a regular file"));
    }
    Ok(file)
}

fn describe(object: ElfObject, imports: Vec<String>) -> ElfInfo {
    let needed: Vec<String> = object
        .dependencies
        .into_iter()
        .filter(|dependency| dependency.kind == DependencyKind::Needed)
        .map(|dependency| dependency.name)
        .collect();
    let is_program = object.program || !object.position_independent;
    let loads_nothing = object.interpreter.is_none() && needed.is_empty();
    let checked = |name: &String| name.starts_with("__") && name.ends_with("_chk");
    ElfInfo {
        machine: NATIVE.name.to_owned(),
        class: 64,
        statically_linked: loads_nothing && is_program,
        interpreter: object.interpreter.map(PathBuf::from),
        soname: object.soname,
        needed,
        rpath: object.rpath,
        runpath: object.runpath,
        position_independent: object.position_independent,
        relro: object.relro,
        bind_now: object.bind_now,
        stack_not_executable: object.stack_not_executable,
        stack_protector: imports
            .iter()
            .any(|name| STACK_PROTECTOR.contains(&name.as_str())),
        fortifiable: imports
            .iter()
            .filter(|name| FORTIFIABLE.contains(&name.as_str()))
            .cloned()
            .collect(),
        fortified: imports.into_iter().filter(checked).collect(),
        writable_code: object.writable_code,
        text_relocations: object.text_relocations,
        control_flow: object.control_flow,
        dlopen_able: object.dynamic && !is_program && !object.no_open,
    }
}

/// The program that the kernel runs a script with, if the file is one.
pub(super) fn script_interpreter(file: &File) -> Option<String> {
    script(file).map(|(interpreter, _)| interpreter)
}

/// The interpreter of a script and the argument that its line gives to it.
pub(super) fn script(file: &File) -> Option<(String, Option<String>)> {
    let mut start = [0; SCRIPT_LINE];
    let mut length = 0;
    while let Some(rest) = start.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, length as u64) {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    parse_script(start.get(..length)?)
}

/// Reads the first line as the kernel does (fs/binfmt_script.c): spaces and tabs separate, the
/// argument is the rest of the line, and an interpreter cut off by the limit is not taken.
fn parse_script(start: &[u8]) -> Option<(String, Option<String>)> {
    let blank = |byte: char| byte == ' ' || byte == '\t';
    let rest = start.strip_prefix(b"#!")?;
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\0'));
    let line = std::str::from_utf8(rest.get(..end.unwrap_or(rest.len()))?)
        .ok()?
        .trim_matches(blank);
    if line.is_empty() {
        return None;
    }
    let Some((interpreter, argument)) = line.split_once(blank) else {
        let cut_off = end.is_none() && start.len() == SCRIPT_LINE;
        return (!cut_off).then(|| (line.to_owned(), None));
    };
    Some((
        interpreter.to_owned(),
        Some(argument.trim_matches(blank).to_owned()),
    ))
}

#[cfg(test)]
mod tests;
