//! What the dynamic linker says when it cannot start a program or load a module, and which files
//! of this host would help.
//!
//! ld.so of glibc and of musl write to standard error before `main`; a module that fails to load
//! is reported by the program, which quotes dlerror(3) in words of its own. Both are read here
//! ([`messages`]); what they mean on this host is looked up after ([`candidates`]).
//!
//! The text comes out of a jail: a service can say whatever it likes. So a message only ever
//! gives a name, and what is proposed for it is a library of this host, found as ld.so finds it, or
//! an ELF file at the very path that was asked for. Whether the jail gets it is for a person to say.

mod host;
mod parse;
mod phrases;

use std::fmt;

pub use host::{Candidate, Reason, candidates};
pub use parse::messages;

/// What a message of the dynamic linker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whose message it is.
    pub linker: Linker,
    /// What is wrong.
    pub problem: Problem,
    /// What the message says was being loaded when it happened, as it is named there: the program
    /// as it was called, or a module.
    pub loading: Option<String>,
}

/// A dynamic linker. Their libraries are not for each other's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linker {
    /// glibc's, or a shell or tool of a system that has it.
    Glibc,
    /// musl's.
    Musl,
}

/// What can be wrong. Names are as in the message: a library's is what was searched for, or a path
/// if it has a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A library could not be opened.
    Unopened {
        /// The library.
        library: String,
        /// Why not.
        cause: Cause,
    },
    /// A file was found, and is no library for this program.
    Unusable {
        /// The file.
        library: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A library could not be brought into memory: a limit or a protection forbids it.
    Unmapped {
        /// The library.
        library: String,
        /// What was refused.
        refused: Refused,
        /// The kernel's reason, where the message has it.
        cause: Option<Cause>,
    },
    /// No library that is loaded defines a symbol.
    UndefinedSymbol {
        /// The symbol, mangled.
        symbol: String,
        /// Its version.
        version: Option<String>,
        /// The object that wants it.
        wanted_by: Option<String>,
        /// The library that defined it when the object was linked.
        expected_in: Option<String>,
    },
    /// A library is there in another version, as a rule an older one.
    MissingVersion {
        /// The version.
        version: String,
        /// The library that ought to define it.
        library: String,
        /// The object that wants it.
        wanted_by: String,
    },
    /// A program cannot be executed though it is there: what its `PT_INTERP` or first line names
    /// is not.
    MissingInterpreter {
        /// The program.
        program: String,
        /// The interpreter, where the message has it.
        interpreter: Option<String>,
    },
    /// iconv(3) has no module for a character set.
    Charset {
        /// Its name.
        charset: String,
    },
}

/// Why a file could not be opened: the C library's words for errno (strerror(3)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `ENOENT`, or a path that leads through something that is no directory.
    Absent,
    /// `EACCES` or `EPERM`.
    Denied,
    /// `EMFILE` or `ENFILE`.
    Descriptors,
    /// `ENOMEM`.
    Memory,
    /// In the message's own words, also for what it left out: empty.
    Other(String),
}

/// What is wrong with a file that ought to be a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Cut off, or empty.
    Truncated,
    /// Not an ELF file.
    NotElf,
    /// For a program of another width, 32 or 64 bits.
    WrongClass,
    /// For another machine, byte order or system.
    Foreign,
    /// For a better CPU, or a newer dynamic linker.
    TooNew,
    /// A program, which cannot be loaded as a library.
    Program,
    /// Damaged in another way.
    Damaged,
}

/// What the kernel refused to the dynamic linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// To map the file's segments: by a mount without execution, a limit on memory, a filter.
    Map,
    /// To make memory writable or executable that was not: text relocations, and what forbids
    /// memory that is both.
    Protect,
    /// An executable stack, which the library asks for (`PT_GNU_STACK`).
    ExecutableStack,
    /// Memory.
    Memory,
    /// To read the file.
    Read,
}

impl fmt::Display for Problem {
    /// One line of cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unopened { library, cause } => write!(f, "{library} cannot be opened: {cause}"),
            Self::Unusable { library, fault } => write!(f, "{library} is {fault}"),
            Self::Unmapped {
                library,
                refused,
                cause,
            } => {
                write!(f, "{library} cannot be loaded: {refused}")?;
                cause.iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
            Self::UndefinedSymbol {
                symbol,
                version,
                wanted_by,
                ..
            } => {
                write!(f, "the symbol {symbol}")?;
                version
                    .iter()
                    .try_for_each(|version| write!(f, " of version {version}"))?;
                wanted_by
                    .iter()
                    .try_for_each(|object| write!(f, ", which {object} wants,"))?;
                write!(f, " is in no library that is loaded")
            }
            Self::MissingVersion {
                version,
                library,
                wanted_by,
            } => {
                write!(
                    f,
                    "{library} does not have the version {version}, which {wanted_by} wants"
                )
            }
            Self::MissingInterpreter {
                program,
                interpreter,
            } => match interpreter {
                Some(interpreter) => {
                    write!(f, "{program} is run by {interpreter}, which is missing")
                }
                None => write!(f, "{program} is there, and what runs it is missing"),
            },
            Self::Charset { charset } => write!(f, "iconv has no module for {charset}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "it is not there",
            Self::Denied => "permission denied",
            Self::Descriptors => "no file descriptor is left",
            Self::Memory => "no memory is left",
            Self::Other(words) if words.is_empty() => "the message gives no reason",
            Self::Other(words) => words,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "cut off or empty",
            Self::NotElf => "not an ELF file",
            Self::WrongClass => "for programs of another width",
            Self::Foreign => "for another machine or system",
            Self::TooNew => "for a newer CPU or dynamic linker",
            Self::Program => "a program, not a library",
            Self::Damaged => "damaged",
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "its segments cannot be mapped",
            Self::Protect => "the protection of its memory cannot be changed",
            Self::ExecutableStack => "it asks for an executable stack",
            Self::Memory => "there is not enough memory",
            Self::Read => "it cannot be read",
        })
    }
}

#[cfg(test)]
mod tests;
