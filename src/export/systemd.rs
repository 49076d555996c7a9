//! A unit of systemd's, or a drop-in for one that is there (`systemd.service(5)`,
//! `systemd.exec(5)`, `systemd.resource-control(5)`).

mod confine;
mod keys;
mod network;
mod places;
mod service;
mod text;
mod tree;
mod unit;

use std::path::PathBuf;

use super::{Exported, ExportedFile, Root, Subject};
use crate::{Error, Result};
use unit::Unit;

pub use keys::OLDEST;
pub use tree::root;

/// What is wanted of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The version of systemd that will read it.
    pub version: u32,
    /// Whose files the service sees.
    pub root: Root,
    /// The unit that it is a drop-in for, as in `named.service`; `None`: a unit of its own.
    pub drop_in: Option<String>,
    /// The service keeps no capability for its low ports: a sysctl opens them to everybody.
    pub open_ports: bool,
}

/// Writes the unit.
///
/// # Errors
/// systemd is too old; the spec says something that a unit file cannot hold.
pub fn export(subject: Subject<'_>, options: &Options) -> Result<Exported> {
    let name = &subject.spec.name;
    let doing = || format!("export the jail {name} to systemd {}", options.version);
    if options.version < OLDEST {
        return Err(Error::usage(
            doing(),
            format!("the oldest that units are written for is {OLDEST}"),
        ));
    }
    let mut unit = Unit::new(subject, options.version, options.drop_in.is_some());
    let ports = network::open_ports(&unit, options.open_ports)?;
    service::say(&mut unit)?;
    places::say(&mut unit, options.root)?;
    confine::say(&mut unit, ports.is_some());
    network::say(&mut unit, ports.is_some());
    let (path, install) = place(name, options)?;
    let mut files = vec![ExportedFile {
        text: unit.text(&heading(&subject, options)),
        path,
        install,
        executable: false,
    }];
    files.extend(network::sockets(&unit, options)?);
    files.extend(ports);
    files.extend(tree::files(
        &subject,
        options,
        &service_name(name, options),
    )?);
    Ok(Exported {
        files,
        gaps: unit.ledger.close(),
    })
}

/// The unit that the service is.
fn service_name(name: &str, options: &Options) -> String {
    match &options.drop_in {
        Some(unit) => unit.clone(),
        None => format!("{name}.service"),
    }
}

/// Where the file is written to, and where it belongs.
fn place(name: &str, options: &Options) -> Result<(PathBuf, PathBuf)> {
    let path = match &options.drop_in {
        None => PathBuf::from(service_name(name, options)),
        Some(unit) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
            let named = unit
                .strip_suffix(".service")
                .is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.'));
            if !named || !unit.chars().all(plain) {
                return Err(Error::usage(
                    format!("write a drop-in for {unit}"),
                    "that is no name of a service unit",
                )
                .hint("name it as systemctl does, as in named.service"));
            }
            PathBuf::from(format!("{unit}.d")).join("50-gaoler.conf")
        }
    };
    let install = PathBuf::from("/etc/systemd/system").join(&path);
    Ok((path, install))
}

fn heading(subject: &Subject<'_>, options: &Options) -> Vec<String> {
    let name = &subject.spec.name;
    let what = match &options.drop_in {
        None => format!("{name} as a unit of its own"),
        Some(unit) => format!("{unit}, confined"),
    };
    let root = match options.root {
        Root::Tree => "on the tree of its jail",
        Root::Host => "on the host's files",
    };
    vec![
        format!("{what} {root}: for systemd {}.", options.version),
        format!("Made by \"gaoler export {name} --to systemd\" from the spec of the jail {name}."),
    ]
}
