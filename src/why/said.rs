//! What the dynamic linker said of a jail's service, as denials.
//!
//! The text is the jail's own. A denial that comes of it proposes at most a library of this host, and
//! is never one that is taken over without asking ([`Denial::is_safe`]).

use std::path::{Path, PathBuf};

use super::denial::{Denial, Limit, Remedy, Source};
use super::linker::{
    Candidate, Cause, Linker, Message, Problem, Reason, Refused, candidates, messages,
};
use crate::build::elf::Resolver;
use crate::build::{Entry, EntryKind, Manifest};
use crate::spec::{Allowance, Evidence, FileKind, FileRule, Spec};

/// How many candidates beside the first are named.
const OTHERS: usize = 3;

/// Explains the messages of the dynamic linker in `words`; `unexecuted` says that the kernel did
/// not find the program, or what runs it, when the jail was started.
///
/// # Errors
/// The libraries of this host cannot be looked at.
pub fn said(
    words: &str,
    unexecuted: bool,
    spec: &Spec,
    manifest: &Manifest,
) -> crate::Result<Vec<Denial>> {
    let mut messages = messages(words.as_bytes());
    if unexecuted {
        messages.extend(missing_interpreter(spec));
    }
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let own = own(spec, manifest);
    let mut resolver = Resolver::new(Path::new("/"))?;
    let mut denials: Vec<Denial> = Vec::new();
    for message in &messages {
        let found = candidates(&mut resolver, message, &own);
        let denial = explained(message, &found, spec, manifest);
        if denials.iter().all(|known| known.subject != denial.subject) {
            denials.push(denial);
        }
    }
    Ok(denials)
}

/// The kernel says ENOENT of a program that is there if what runs it is not (execve(2)).
fn missing_interpreter(spec: &Spec) -> Option<Message> {
    let program = spec.service.command.first()?.clone();
    Some(Message {
        linker: Linker::Glibc,
        problem: Problem::MissingInterpreter {
            program,
            interpreter: None,
        },
        loading: None,
    })
}

/// The programs and libraries of the jail by their paths on the host, its own program first.
fn own(spec: &Spec, manifest: &Manifest) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = spec
        .service
        .command
        .first()
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let is_code = |entry: &&Entry| {
        let runs = entry.mode_bits().is_some_and(|mode| mode & 0o111 != 0);
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        entry.kind == EntryKind::File && (runs || name.contains(".so"))
    };
    let entries = manifest.entries.iter().filter(is_code);
    own.extend(entries.filter_map(|entry| entry.source.clone()));
    own
}

fn explained(message: &Message, found: &[Candidate], spec: &Spec, manifest: &Manifest) -> Denial {
    let problem = &message.problem;
    let Some((best, others)) = found.split_first() else {
        return without_file(problem, spec);
    };
    let path = best.path.display();
    let mut cause = format!("it said that {problem}: {path} {}", reason(&best.reason));
    let others: Vec<String> = others
        .iter()
        .take(OTHERS)
        .map(|other| other.path.display().to_string())
        .collect();
    if !others.is_empty() {
        cause += &format!("; so would {}", others.join(", "));
    }
    if is_there(manifest, &best.path) {
        cause += "; the jail has it in another state";
        return Denial::new(Source::Output, path.to_string(), cause, Remedy::Rebuild);
    }
    let rule = FileRule {
        path: best.path.clone(),
        kind: FileKind::Library,
        because: format!("the dynamic linker: {problem}"),
        evidence: Evidence::default(),
    };
    let given = Allowance::File(rule);
    let subject = given.name();
    Denial::new(Source::Output, subject, cause, Remedy::Allow(vec![given]))
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Searched => "is what the host's dynamic linker finds".to_owned(),
        Reason::SamePath => "is what the host has at that path".to_owned(),
        Reason::Beside => "lies beside the jail's other libraries".to_owned(),
        Reason::Defines {
            version: Some(version),
            ..
        } => {
            format!("of this host defines it, in version {version}")
        }
        Reason::Defines { version: None, .. } => "of this host defines it".to_owned(),
        Reason::HasVersion => "of this host has that version".to_owned(),
        Reason::Interpreter => "is what runs it on the host".to_owned(),
        Reason::Converter => "is the module of this host".to_owned(),
    }
}

fn is_there(manifest: &Manifest, path: &Path) -> bool {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    [path, &real].iter().any(|path| {
        let entry = manifest.entry(path);
        entry.is_some_and(|entry| entry.kind == EntryKind::File)
    })
}

/// No file of this host would help.
fn without_file(problem: &Problem, spec: &Spec) -> Denial {
    let said = format!("it said that {problem}");
    let (remedy, why) = match problem {
        Problem::Unmapped {
            refused: Refused::Protect | Refused::ExecutableStack,
            ..
        } if !spec.service.writable_executable => {
            let remedy = Remedy::Allow(vec![Allowance::WritableExecutable]);
            (
                remedy,
                "the filter lets no memory be executed that was or can be written",
            )
        }
        Problem::Unmapped {
            refused: Refused::Memory,
            ..
        }
        | Problem::Unopened {
            cause: Cause::Memory,
            ..
        } => (Limit::Memory.raised(spec), "the jail's memory is limited"),
        Problem::Unopened {
            cause: Cause::Descriptors,
            ..
        } => (
            Limit::Descriptors.raised(spec),
            "its descriptors are limited",
        ),
        Problem::Unmapped { .. } => (
            Remedy::None,
            "a mount without execution, Landlock or the filter forbids it",
        ),
        Problem::MissingInterpreter { .. } => (Remedy::None, "this host has nothing that runs it"),
        _ => (Remedy::None, "no library of this host helps"),
    };
    let subject = match problem {
        Problem::Unopened { library, .. }
        | Problem::Unusable { library, .. }
        | Problem::Unmapped { library, .. }
        | Problem::MissingVersion { library, .. } => library,
        Problem::UndefinedSymbol { symbol, .. } => symbol,
        Problem::MissingInterpreter { program, .. } => program,
        Problem::Charset { charset } => charset,
    };
    Denial::new(Source::Output, subject, format!("{said}: {why}"), remedy)
}
