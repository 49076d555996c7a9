//! From what a service printed to the messages in it.

use crate::spec::turns_writing;

use super::phrases::{self, Meaning, PHRASES};
use super::{Cause, Fault, Linker, Message, Problem};

/// The most of a line that is read, bytes: two paths and some words.
const LINE: usize = 16 << 10;
/// The longest name, bytes (`PATH_MAX`).
const NAME: usize = 4096;
/// The most messages that are kept; a program that cannot load its modules says so of each.
const MESSAGES: usize = 128;

/// After the program's name, when ld.so ends it (glibc, `elf/dl-catch.c`).
const FATAL: [&str; 3] = [
    ": error while loading shared libraries: ",
    ": symbol lookup error: ",
    ": relocation error: ",
];
/// What glibc's thread library says when it cannot load the unwinder, and aborts (nptl's
/// `unwind-forcedunwind.c`, since 2.34 `misc/unwind-link.c`).
const UNWINDER: &str = "libgcc_s.so.1";

/// What is wrong, and what was being loaded.
type Said = (Problem, Option<String>);

/// The messages of the dynamic linker in what a service printed, each once, in order. Their names
/// have no characters that a terminal acts upon.
pub fn messages(text: &[u8]) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if found.len() >= MESSAGES {
            break;
        }
        let line = String::from_utf8_lossy(line.get(..LINE).unwrap_or(line));
        if let Some(message) = message(&line).filter(|message| !found.contains(message)) {
            found.push(message);
        }
    }
    found
}

fn message(line: &str) -> Option<Message> {
    let line = line.trim_end();
    let message = |(problem, loading)| Message {
        linker: Linker::Glibc,
        problem,
        loading,
    };
    musl(line).or_else(|| glibc(line).map(message))
}

/// What glibc's dynamic linker says, and others of a system that has it.
fn glibc(line: &str) -> Option<Said> {
    version(line)
        .or_else(|| undefined(line))
        .or_else(|| relocation(line))
        .or_else(|| phrase(line))
        .or_else(|| interpreter(line))
        .or_else(|| unwinder(line))
        .or_else(|| charset(line))
}

/// What musl's dynamic linker says.
fn musl(line: &str) -> Option<Message> {
    let (problem, loading) = musl_loading(line).or_else(|| musl_relocating(line))?;
    let linker = Linker::Musl;
    Some(Message {
        linker,
        problem,
        loading,
    })
}

/// `Error loading shared library NAME: WHY (needed by OBJECT)` (musl, `ldso/dynlink.c`).
fn musl_loading(line: &str) -> Option<Said> {
    let (_, rest) = line.split_once("Error loading shared library ")?;
    let (library, why) = rest.split_once(": ")?;
    let (why, needed_by) = why.split_once(" (needed by ").unwrap_or((why, ""));
    let library = name(library)?;
    let problem = if why.starts_with("Exec format error") {
        let fault = Fault::Damaged;
        Problem::Unusable { library, fault }
    } else {
        let cause = phrases::cause(why);
        Problem::Unopened { library, cause }
    };
    let object = needed_by.rsplit_once(')').map(|(object, _)| object);
    Some((problem, object.and_then(name)))
}

/// `Error relocating OBJECT: NAME: symbol not found`, and of dlsym(3) `Symbol not found: NAME`
/// (the same).
fn musl_relocating(line: &str) -> Option<Said> {
    if let Some((_, symbol)) = line.split_once("Symbol not found: ") {
        return undefined_symbol(word(symbol), None, None, None);
    }
    let (_, rest) = line.split_once("Error relocating ")?;
    let (object, symbol) = rest.split_once(": symbol not found")?.0.rsplit_once(": ")?;
    undefined_symbol(symbol, None, name(object), None)
}

/// `LIBRARY: version `VERSION' not found (required by OBJECT)` (glibc, `elf/dl-version.c`).
fn version(line: &str) -> Option<Said> {
    let (before, rest) = ["version `", "weak version `"]
        .iter()
        .find_map(|words| line.split_once(&format!(": {words}")))?;
    let (version, rest) = rest.split_once("' not found (required by ")?;
    let (library, loading) = object_before(before);
    let problem = Problem::MissingVersion {
        version: name(version)?,
        library: name(library)?,
        wanted_by: name(rest.rsplit_once(')')?.0)?,
    };
    // ld.so ends the program with `PROGRAM: LIBRARY: version ...`, without words in between.
    Some((problem, loading))
}

/// `OBJECT: undefined symbol: NAME, version VERSION` (glibc, `elf/dl-lookup.c`).
fn undefined(line: &str) -> Option<Said> {
    let (before, rest) = line.split_once("undefined symbol: ")?;
    let symbol = word(rest);
    let version = rest
        .get(symbol.len()..)
        .and_then(|rest| rest.strip_prefix(", version "))
        .map(word);
    let (object, loading) = object_before(before.trim_end_matches([' ', ':']));
    let (problem, _) = undefined_symbol(symbol, version, name(object), None)?;
    Some((problem, loading))
}

/// `OBJECT: symbol NAME[,] version VERSION not defined in file LIBRARY with link time reference`
/// (the same).
fn relocation(line: &str) -> Option<Said> {
    let (before, rest) = line.split_once(": symbol ")?;
    let (what, rest) = rest.split_once(" not defined in file ")?;
    let library = rest.split_once(" with link time reference")?.0;
    let (symbol, version) = what.split_once(" version ")?;
    let (object, loading) = object_before(before);
    let symbol = symbol.trim_end_matches(',');
    let (problem, _) = undefined_symbol(symbol, Some(version), name(object), name(library))?;
    Some((problem, loading))
}

fn undefined_symbol(
    symbol: &str,
    version: Option<&str>,
    wanted_by: Option<String>,
    expected_in: Option<String>,
) -> Option<Said> {
    let problem = Problem::UndefinedSymbol {
        symbol: name(symbol)?,
        version: version.and_then(name),
        wanted_by,
        expected_in,
    };
    Some((problem, None))
}

/// `OBJECT: PHRASE[: WHY]` (see [`PHRASES`]).
fn phrase(line: &str) -> Option<Said> {
    let (at, words, meaning) = PHRASES.iter().find_map(|(words, meaning)| {
        let at = line.find(&format!(": {words}"))?;
        Some((at, words, *meaning))
    })?;
    let (object, loading) = object_before(line.get(..at)?);
    let library = name(object)?;
    let rest = line.get(at + 2 + words.len()..)?;
    let why = rest.split_once(": ").map(|(_, why)| phrases::cause(why));
    let problem = match meaning {
        Meaning::Unopened => Problem::Unopened {
            library,
            cause: why.unwrap_or(Cause::Other(String::new())),
        },
        Meaning::Unusable(fault) => Problem::Unusable { library, fault },
        Meaning::Unmapped(refused) => Problem::Unmapped {
            library,
            refused,
            cause: why,
        },
    };
    Some((problem, loading))
}

/// What a shell says when execve(2) gives ENOENT for a file that is there: bash's `execute_cmd.c`.
fn interpreter(line: &str) -> Option<Said> {
    if let Some((before, _)) = line.split_once(": bad interpreter: ") {
        let (program, interpreter) = before.rsplit_once(": ")?;
        let program = program.rsplit(": ").next()?;
        return missing_interpreter(program, name(interpreter));
    }
    let (before, _) = line.split_once(": cannot execute: required file not found")?;
    missing_interpreter(before.rsplit(": ").next()?, None)
}

fn missing_interpreter(program: &str, interpreter: Option<String>) -> Option<Said> {
    let program = name(program)?;
    let problem = Problem::MissingInterpreter {
        program,
        interpreter,
    };
    Some((problem, None))
}

fn unwinder(line: &str) -> Option<Said> {
    let says = line.contains("libgcc_s.so.1 must be installed for ");
    let problem = Problem::Unopened {
        library: UNWINDER.to_owned(),
        cause: Cause::Other(String::new()),
    };
    says.then_some((problem, None))
}

/// ``conversion from `NAME' to `NAME' is not supported``: iconv(1) of glibc before 2.32, and what
/// copies its words. Since then it does not say which is missing.
fn charset(line: &str) -> Option<Said> {
    let (before, _) = line.split_once("not supported")?;
    let (_, rest) = before
        .split_once("conversion from ")
        .or_else(|| before.split_once("conversion to "))
        .or_else(|| before.split_once("conversions from "))?;
    let quoted = |text: &str| {
        let text = text.strip_prefix(['`', '\'', '"', '\u{2018}'])?;
        let end = text.find(['\'', '"', '`', '\u{2019}'])?;
        name(text.get(..end)?)
    };
    // The one of the two that glibc knows without a module is not the one that is missing.
    let both = [Some(rest), rest.split_once(" to ").map(|(_, to)| to)];
    let mut names = both.into_iter().flatten().filter_map(quoted);
    let charset = names.find(|name| !is_builtin(name))?;
    Some((Problem::Charset { charset }, None))
}

/// The character sets that are in the C library itself (glibc, `iconv/gconv_builtin.h`).
fn is_builtin(charset: &str) -> bool {
    let plain: String = charset
        .split('/')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    matches!(
        plain.as_str(),
        "UTF-8" | "UTF8" | "UCS-2" | "UCS-4" | "ASCII" | "US-ASCII" | "ANSI_X3.4-1968" | "WCHAR_T"
    )
}

/// The object at the end of what stands before a message, and what else it says was being loaded.
/// In ld.so's own messages the object is all that follows its words; where a program quotes
/// dlerror(3), it goes back to the last thing that separates.
fn object_before(before: &str) -> (&str, Option<String>) {
    let fatal = FATAL.iter().find_map(|words| before.split_once(words));
    if let Some((program, object)) = fatal {
        return (object, name(program));
    }
    let start = before
        .rfind(": ")
        .map(|at| at + 2)
        .into_iter()
        .chain(
            before
                .rfind(['(', '[', '"', '\'', '`', '<', '='])
                .map(|at| at + 1),
        )
        .max();
    let (rest, object) = before.split_at(start.unwrap_or(0));
    let separates = |c: char| c.is_whitespace() || "()[]<>\"'`:,=".contains(c);
    let module = rest
        .split(separates)
        .rfind(|one| one.contains(".so") && *one != object);
    (object, module.and_then(name))
}

/// The characters that symbols and versions are made of, at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || "_.$@+-".contains(c)));
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

/// A name that can be one.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    let fine = !text.is_empty() && text.len() <= NAME && !text.contains(is_odd);
    fine.then(|| text.to_owned())
}
