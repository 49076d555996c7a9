//! Init scripts: SysV with the header of LSB and OpenRC, in which gaoler goes on to enforce the
//! spec, and rc.d of FreeBSD and NetBSD, where gaoler does not run.

mod openrc;
mod rcd;
mod sysv;
mod text;

use std::path::{Path, PathBuf};

use super::sh::{comment, path};
use super::{Exported, ExportedFile, Item, Ledger, Loss, Subject};
use crate::Result;
use crate::audit::Severity;
use crate::spec::{Listen, LogTo};
use text::bare;

/// Whose script it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// An init that reads the header of LSB, or chkconfig's.
    Sysv,
    /// OpenRC.
    OpenRc,
    /// rc.subr(8) of FreeBSD and NetBSD.
    RcD,
}

/// What is wanted of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose script it is.
    pub system: System,
    /// gaoler, as it is installed.
    pub program: PathBuf,
    /// The file that the spec is in.
    pub spec: PathBuf,
    /// The directories that are not the usual ones, each after its option: `--etc`.
    pub directories: Vec<(&'static str, PathBuf)>,
}

/// Writes the script.
///
/// # Errors
/// The spec says something that a script cannot hold.
pub fn export(subject: Subject<'_>, options: &Options) -> Result<Exported> {
    let name = &subject.spec.name;
    let (text, gaps) = match options.system {
        System::Sysv => (sysv::script(name, options)?, enforced(subject)),
        System::OpenRc => (openrc::script(name, options)?, enforced(subject)),
        System::RcD => rcd::script(subject)?,
    };
    let directory = match options.system {
        System::Sysv | System::OpenRc => "/etc/init.d",
        System::RcD => "/usr/local/etc/rc.d",
    };
    let path = match options.system {
        System::Sysv | System::OpenRc => PathBuf::from(name),
        // rcorder(8) and service(8) know it by the name that its variables begin with.
        System::RcD => PathBuf::from(rcd::identifier(name)),
    };
    Ok(Exported {
        files: vec![ExportedFile {
            install: Path::new(directory).join(&path),
            path,
            text,
            executable: true,
        }],
        gaps: gaps.close(),
    })
}

/// gaoler itself keeps what the spec says: only what an init script cannot hand over is missing.
fn enforced(subject: Subject<'_>) -> Ledger {
    let spec = subject.spec;
    let mut ledger = Ledger::new(spec);
    let handed = spec.sockets.iter();
    let handed = handed.filter(|socket| socket.listen == Listen::Manager);
    ledger.gap(
        handed.map(|socket| Item::Socket(socket.name.clone())),
        Loss::Lost,
        Severity::Medium,
        "no init script hands over sockets, so the service does not start: let gaoler bind it, as \
         in listen = \"tcp:ADDRESS:PORT\"",
    );
    if spec.log.sink.to == LogTo::Stderr {
        ledger.gap(
            [Item::Log],
            Loss::Lost,
            Severity::Info,
            "who is started by an init script has no standard error that anybody reads",
        );
    }
    for item in super::items(spec) {
        if ledger.is_open(&item) {
            ledger.said(&item);
        }
    }
    ledger
}

/// The first lines: what the script is and where it comes from.
fn heading(name: &str, option: &str, what: &[String]) -> String {
    let from =
        format!("Made by \"gaoler export {name} --to {option}\" from the spec of the jail {name}.");
    let lines = what.iter().chain([&from]);
    let lines: Vec<String> = lines.map(|line| comment(line)).collect();
    lines.join("\n")
}

/// What the scripts for Linux have in common.
fn values(name: &str, options: &Options) -> Result<Vec<(&'static str, String)>> {
    let mut directories = String::new();
    for (option, directory) in &options.directories {
        directories += &format!(" {option} {}", path(directory)?);
    }
    Ok(vec![
        ("name", bare(name)?.to_owned()),
        ("program", path(&options.program)?),
        ("spec", path(&options.spec)?),
        ("directories", directories),
    ])
}
