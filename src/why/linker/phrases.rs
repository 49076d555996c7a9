//! The fixed words of the dynamic linkers: glibc's `elf/dl-load.c`, `elf/dl-reloc.c` and
//! `elf/dl-open.c`, and strerror(3) in the C locale. A service that has set a locale whose
//! messages are installed says it in that language, and is not understood.

use crate::spec::turns_writing;

use super::{Cause, Fault, Refused};

/// The most that is kept of a cause that is not known, characters.
const WORDS: usize = 120;

/// What a phrase is about.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Unopened,
    Unusable(Fault),
    Unmapped(Refused),
}

/// What follows `OBJECT: ` in glibc's messages. None is the beginning of another.
pub(super) const PHRASES: &[(&str, Meaning)] = &[
    ("cannot open shared object file", Meaning::Unopened),
    ("file too short", Meaning::Unusable(Fault::Truncated)),
    ("invalid ELF header", Meaning::Unusable(Fault::NotElf)),
    ("wrong ELF class", Meaning::Unusable(Fault::WrongClass)),
    (
        "ELF file data encoding not",
        Meaning::Unusable(Fault::Foreign),
    ),
    ("ELF file OS ABI invalid", Meaning::Unusable(Fault::Foreign)),
    (
        "ELF file ABI version invalid",
        Meaning::Unusable(Fault::TooNew),
    ),
    (
        "CPU ISA level is lower than required",
        Meaning::Unusable(Fault::TooNew),
    ),
    (
        "DT_RELR without GLIBC_ABI_DT_RELR dependency",
        Meaning::Unusable(Fault::TooNew),
    ),
    (
        "only ET_DYN and ET_EXEC can be loaded",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "ELF file version ident does not match current one",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "ELF file version does not match current one",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "ELF file's phentsize not the expected size",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "nonzero padding in e_ident",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "object file has no loadable segments",
        Meaning::Unusable(Fault::Damaged),
    ),
    (
        "object file has no dynamic section",
        Meaning::Unusable(Fault::Damaged),
    ),
    ("ELF load command", Meaning::Unusable(Fault::Damaged)),
    (
        "cannot dynamically load executable",
        Meaning::Unusable(Fault::Program),
    ),
    (
        "cannot dynamically load position-independent executable",
        Meaning::Unusable(Fault::Program),
    ),
    (
        "shared object cannot be dlopen()ed",
        Meaning::Unusable(Fault::Program),
    ),
    (
        "failed to map segment from shared object",
        Meaning::Unmapped(Refused::Map),
    ),
    (
        "cannot map zero-fill pages",
        Meaning::Unmapped(Refused::Memory),
    ),
    (
        "cannot allocate memory in static TLS block",
        Meaning::Unmapped(Refused::Memory),
    ),
    (
        "cannot create shared object descriptor",
        Meaning::Unmapped(Refused::Memory),
    ),
    (
        "cannot change memory protections",
        Meaning::Unmapped(Refused::Protect),
    ),
    (
        "cannot make segment writable for relocation",
        Meaning::Unmapped(Refused::Protect),
    ),
    (
        "cannot restore segment prot after reloc",
        Meaning::Unmapped(Refused::Protect),
    ),
    (
        "cannot apply additional memory protection after relocation",
        Meaning::Unmapped(Refused::Protect),
    ),
    (
        "cannot enable executable stack",
        Meaning::Unmapped(Refused::ExecutableStack),
    ),
    ("cannot read file data", Meaning::Unmapped(Refused::Read)),
    (
        "cannot stat shared object",
        Meaning::Unmapped(Refused::Read),
    ),
];

/// strerror(3) of glibc and of musl.
const CAUSES: &[(&str, Cause)] = &[
    ("No such file or directory", Cause::Absent),
    ("Not a directory", Cause::Absent),
    ("Permission denied", Cause::Denied),
    ("Operation not permitted", Cause::Denied),
    ("Too many open files", Cause::Descriptors),
    ("No file descriptors available", Cause::Descriptors),
    ("Cannot allocate memory", Cause::Memory),
    ("Out of memory", Cause::Memory),
];

/// The cause that a text begins with.
pub(super) fn cause(text: &str) -> Cause {
    let known = CAUSES.iter().find(|(words, _)| text.starts_with(words));
    match known {
        Some((_, cause)) => cause.clone(),
        None => Cause::Other(plain(text)),
    }
}

/// The first words of a text, without what a terminal would act upon.
fn plain(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    let shown = text
        .chars()
        .take(WORDS)
        .map(|c| if is_odd(c) { ' ' } else { c });
    shown.collect::<String>().trim_end().to_owned()
}
