//! The table of probes, from `probes.toml`.

use serde::{Deserialize, Serialize};

use super::Layer;
use crate::spec::{FileKind, FileRule, Spec};
use crate::sys::{calls, caps, families};
use crate::{Error, Result};

const TABLE: &str = include_str!("probes.toml");

/// One attempt.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Its name, the prober's too.
    pub id: String,
    /// What it tries: "opens a file outside by its path".
    pub tries: String,
    /// Where that is from: a man page, a CVE, a document.
    pub source: String,
    /// The layers that are to stop it.
    pub layers: Vec<Layer>,
    /// What a spec has to hold, all of it, for the probe to be allowed. Empty: no spec can.
    #[serde(default)]
    pub allowed: Vec<Permit>,
}

/// Something in a spec that lets a probe through.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Permit {
    /// This system call.
    Call(u32),
    /// This capability.
    Capability(u8),
    /// This family of sockets.
    Family(u16),
    /// Memory that is writable and executable.
    WritableExecutable,
    /// A shell in its tree.
    Shell,
    /// No limit of this kind.
    NoLimit(Limit),
}

/// A limit that a spec may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `limits.processes`
    Processes,
    /// `limits.memory_bytes`
    Memory,
    /// `limits.descriptors`
    Descriptors,
    /// `limits.file_size_bytes`
    FileSize,
}

const LIMITS: [(&str, Limit); 4] = [
    ("processes", Limit::Processes),
    ("memory", Limit::Memory),
    ("descriptors", Limit::Descriptors),
    ("file-size", Limit::FileSize),
];

const WRITABLE_EXECUTABLE: &str = "writable-executable";
const SHELL: &str = "shell";

/// What the prober takes for one.
const SHELLS: [&str; 4] = ["bash", "busybox", "dash", "sh"];

impl TryFrom<String> for Permit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let permit = match text.split_once(':') {
            Some(("call", name)) => calls::number(name).map(Permit::Call),
            Some(("capability", name)) => caps::number(name).map(Permit::Capability),
            Some(("family", name)) => families::number(name).map(Permit::Family),
            Some(("no-limit", name)) => LIMITS
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, limit)| Permit::NoLimit(*limit)),
            _ => [
                (WRITABLE_EXECUTABLE, Permit::WritableExecutable),
                (SHELL, Permit::Shell),
            ]
            .into_iter()
            .find_map(|(name, permit)| (name == text).then_some(permit)),
        };
        permit.ok_or_else(|| format!("{text:?} is nothing that a spec holds"))
    }
}

impl From<Permit> for String {
    fn from(permit: Permit) -> Self {
        match permit {
            Permit::Call(number) => format!("call:{}", calls::name(number).unwrap_or("?")),
            Permit::Capability(number) => {
                format!("capability:{}", caps::name(number).unwrap_or("?"))
            }
            Permit::Family(number) => format!("family:{}", families::name(number).unwrap_or("?")),
            Permit::WritableExecutable => WRITABLE_EXECUTABLE.to_owned(),
            Permit::Shell => SHELL.to_owned(),
            Permit::NoLimit(limit) => {
                let name = LIMITS.iter().find(|(_, known)| *known == limit);
                format!("no-limit:{}", name.map_or("?", |(name, _)| name))
            }
        }
    }
}

impl Permit {
    /// Whether this spec holds it.
    pub fn is_in(&self, spec: &Spec) -> bool {
        match self {
            Permit::Call(number) => spec.calls.iter().any(|rule| rule.number == *number),
            Permit::Capability(number) => spec
                .capabilities
                .iter()
                .any(|rule| rule.capability == *number),
            Permit::Family(number) => spec.families.iter().any(|rule| rule.family == *number),
            Permit::WritableExecutable => spec.service.writable_executable,
            Permit::Shell => spec.files.iter().any(is_shell),
            Permit::NoLimit(Limit::Processes) => spec.limits.processes.is_none(),
            Permit::NoLimit(Limit::Memory) => spec.limits.memory.is_none(),
            Permit::NoLimit(Limit::Descriptors) => spec.limits.descriptors.is_none(),
            Permit::NoLimit(Limit::FileSize) => spec.limits.file_size.is_none(),
        }
    }
}

fn is_shell(file: &FileRule) -> bool {
    let name = file.path.file_name().and_then(|name| name.to_str());
    file.kind == FileKind::Program && name.is_some_and(|name| SHELLS.contains(&name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    probe: Vec<Probe>,
}

/// All probes, in the order of the table.
///
/// # Errors
/// None with the table that gaoler was built with: a test reads it.
pub fn probes() -> Result<Vec<Probe>> {
    let table: Table =
        toml::from_str(TABLE).map_err(|error| Error::new("read the table of probes", error))?;
    Ok(table.probe)
}

impl Probe {
    /// What in the spec lets it through, if everything that it takes is there.
    pub fn allowed_by(&self, spec: &Spec) -> Option<String> {
        let all = !self.allowed.is_empty() && self.allowed.iter().all(|permit| permit.is_in(spec));
        all.then(|| {
            let names: Vec<String> = self.allowed.iter().cloned().map(String::from).collect();
            names.join(", ")
        })
    }
}
