//! A profile for AppArmor (`apparmor.d(5)`).

mod rules;
mod text;

use std::path::{Path, PathBuf};

use super::{Exported, ExportedFile, Item, Ledger, Loss, Root, Subject};
use crate::audit::Severity;
use crate::spec::{Direction, Protocol};
use crate::{Error, Result};
use rules::Rules;

/// What is wanted of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The version of the parser that will read it: major and minor.
    pub version: (u32, u32),
    /// Whose files the service sees.
    pub root: Root,
    /// What it does not allow is written down, and not denied.
    pub complain: bool,
}

/// The first parser that pins what a profile may count on (`abi`) and includes what may be missing.
const ABI: (u32, u32) = (3, 0);

/// The oldest that profiles are written for: the one of Debian 10.
pub const OLDEST: (u32, u32) = (2, 13);

/// Writes the profile.
///
/// # Errors
/// The parser is too old; a path that a profile cannot hold.
pub fn export(subject: Subject<'_>, options: &Options) -> Result<Exported> {
    let spec = subject.spec;
    let name = &spec.name;
    if options.version < OLDEST {
        return Err(Error::usage(
            format!("export the jail {name} to AppArmor"),
            format!(
                "the oldest that profiles are written for is {}.{}",
                OLDEST.0, OLDEST.1
            ),
        ));
    }
    let program = spec.service.command.first().map_or("", String::as_str);
    let file = program.trim_start_matches('/').replace('/', ".");
    let mut rules = Rules::new(subject, options.root);
    rules.say()?;
    let mut ledger = rules.ledger;
    silent(&mut ledger, subject);
    let local = format!("local/{file}");
    let include = match options.version >= ABI {
        true => format!("include if exists <{local}>"),
        false => format!("#include <{local}>"),
    };
    let abi = match options.version >= ABI {
        true => "abi <abi/3.0>,\n\n",
        false => "",
    };
    let where_ = match options.root {
        Root::Tree => "in the tree of its jail",
        Root::Host => "on the host's files",
    };
    let flags = match options.complain {
        true => "attach_disconnected, complain",
        false => "attach_disconnected",
    };
    let text = format!(
        "{}\n{}\n{abi}profile {} {} flags=({flags}) {{\n{}\n  {}\n  {include}\n}}\n",
        text::comment(&format!(
            "{name} {where_}: for AppArmor {}.{}.",
            options.version.0, options.version.1
        )),
        text::comment(&format!(
            "Made by \"gaoler export {name} --to apparmor\" from the spec of the jail {name}."
        )),
        name,
        text::path(Path::new(program))?,
        rules.text,
        text::comment("what this host needs besides; this file is not overwritten"),
    );
    let directory = PathBuf::from("/etc/apparmor.d");
    let mut files = vec![ExportedFile {
        install: directory.join(&file),
        path: PathBuf::from(&file),
        text,
        executable: false,
    }];
    if options.version < ABI {
        files.push(ExportedFile {
            install: directory.join(&local),
            path: PathBuf::from(&local),
            text: text::comment(&format!("What this host allows {name} besides.")) + "\n",
            executable: false,
        });
    }
    Ok(Exported {
        files,
        gaps: ledger.close(),
    })
}

/// What a profile has no words for.
fn silent(ledger: &mut Ledger, subject: Subject<'_>) {
    let spec = subject.spec;
    let limits = ["memory_bytes", "processes"].map(Item::Limit);
    ledger.started_by_others(
        spec,
        limits,
        "a profile confines what somebody else starts: gaoler, or a unit that says this",
    );
    ledger.gap(
        [Item::NoAbstractSocket],
        Loss::Loosened,
        Severity::Low,
        "it connects to abstract Unix sockets of other services, where the kernel's AppArmor does not \
         know Unix sockets",
    );
    let calls = spec.calls.iter();
    let numbers = calls.flat_map(|rule| [Item::Call(rule.number), Item::StartOnly(rule.number)]);
    let filter = [
        Item::NoOtherCall,
        Item::NoOtherArchitecture,
        Item::Logged,
        Item::NoWritableExecutable,
        Item::Arguments("clone"),
        Item::Arguments("ioctl"),
        Item::Arguments("setgroups"),
    ];
    ledger.gap(
        numbers.chain(filter),
        Loss::Lost,
        Severity::Medium,
        "AppArmor knows no system calls: the whole kernel can be reached",
    );
    ledger.gap(
        [
            "ipc_namespace",
            "mount_namespace",
            "pid_namespace",
            "uts_namespace",
        ]
        .map(Item::Namespace),
        Loss::Lost,
        Severity::Low,
        "a profile makes no namespaces; it refuses what the service does not need instead",
    );
    let ports = spec.ports.iter();
    ledger.gap(
        ports
            .map(|rule| Item::Port(rule.direction, rule.protocol, rule.port))
            .chain([
                Item::NoOtherPort(Direction::Bind, Protocol::Tcp),
                Item::NoOtherPort(Direction::Connect, Protocol::Tcp),
            ]),
        Loss::Loosened,
        Severity::Low,
        "AppArmor knows families and no ports",
    );
    ledger.gap(
        [Item::Check, Item::Incidents],
        Loss::Lost,
        Severity::Info,
        "what is refused is in the audit log; nobody notices what may be an attack",
    );
    ledger.without_own_tools();
    // A file that is opened from a directory has its path, whoever opened the directory.
    ledger.said(&Item::NoPassedDirectory);
}
