//! The TOML of the shipped knowledge: looked up and checked like a spec.
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ConfigPaths, ConfigPorts, Knowledge, Place, PortLines};
use crate::Result;
use crate::spec::parse::document::{BindTable, CallTable, ExerciseTable, PortTable, Text, Words};
use crate::spec::parse::problem::Problems;
use crate::spec::{CallRule, Reload};
use crate::sys::calls;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnowledgeTable {
    name: Text,
    #[serde(default)]
    aliases: Vec<Text>,
    command: Words,
    #[serde(default)]
    environment_files: Vec<Text>,
    option_file: Option<Text>,
    #[serde(default)]
    options_dropped: Vec<String>,
    #[serde(default)]
    versions: Vec<String>,
    version_file: Option<Text>,
    user: Text,
    #[serde(default)]
    refuses_root: bool,
    #[serde(default)]
    start_as_root: bool,
    #[serde(default)]
    environment: BTreeMap<Text, Text>,
    user_option: Option<String>,
    config_option: Option<String>,
    config_default: Option<Text>,
    root_option: Option<String>,
    port_option: Option<String>,
    port_default: Option<u16>,
    config_test: Option<Words>,
    #[serde(default)]
    config_test_writes: bool,
    #[serde(default)]
    ready: Vec<Text>,
    #[serde(default)]
    exercise: Vec<ExerciseTable>,
    reload_command: Option<Words>,
    reload_signal: Option<Text>,
    stop: Option<Words>,
    pid_file: Option<Text>,
    host_pid_file: Option<Text>,
    #[serde(default)]
    places: Vec<BindTable>,
    config_paths: Option<ConfigPathsTable>,
    config_ports: Option<ConfigPortsTable>,
    port_lines: Option<PortLinesTable>,
    #[serde(default)]
    ports: Vec<PortTable>,
    #[serde(default)]
    calls: Vec<CallTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigPathsTable {
    command: Words,
    base: String,
    base_default: Text,
    files: Vec<String>,
    directories: Vec<String>,
    because: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigPortsTable {
    listeners: Vec<String>,
    default: String,
    secured: Vec<String>,
    nobody: String,
    peers: Vec<String>,
    because: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortLinesTable {
    command: Words,
    keywords: Vec<String>,
    #[serde(default)]
    secured: Vec<String>,
}

/// Reads knowledge about a service.
///
/// # Errors
/// As for a spec: every mistake with file, line and column.
pub(super) fn knowledge(text: &str, origin: &str) -> Result<Knowledge> {
    let mut problems = Problems::new(text, origin);
    let table: KnowledgeTable = problems.read()?;
    let mut knowledge = problems.knowledge(table);
    knowledge.file = origin.to_owned();
    problems.finish(knowledge)
}

impl Problems<'_> {
    fn knowledge(&mut self, table: KnowledgeTable) -> Knowledge {
        let reload = match (&table.reload_command, &table.reload_signal) {
            (Some(command), _) => Some(Reload::Command(self.command(command))),
            (None, Some(signal)) => Some(Reload::Signal(self.signal(signal))),
            (None, None) => None,
        };
        Knowledge {
            file: String::new(),
            name: self.name(&table.name),
            aliases: table.aliases.iter().map(|alias| self.name(alias)).collect(),
            command: self.command(&table.command),
            environment_files: table
                .environment_files
                .iter()
                .map(|path| self.path(path))
                .collect(),
            option_file: table.option_file.as_ref().map(|path| self.path(path)),
            options_dropped: table.options_dropped,
            versions: table.versions,
            version_file: table.version_file.as_ref().map(|path| self.path(path)),
            user: self.account(&table.user, "user", table.start_as_root),
            refuses_root: table.refuses_root,
            start_as_root: table.start_as_root,
            environment: self.environment(&table.environment),
            user_option: table.user_option,
            config_option: table.config_option,
            config_default: table.config_default.as_ref().map(|path| self.path(path)),
            root_option: table.root_option,
            port_option: table.port_option,
            port_default: table.port_default,
            config_test: self.optional_command(table.config_test.as_ref()),
            config_test_writes: table.config_test_writes,
            ready: table.ready.iter().map(|ready| self.ready(ready)).collect(),
            exercises: table
                .exercise
                .iter()
                .map(|exercise| self.exercise(exercise))
                .collect(),
            reload,
            stop: self.optional_command(table.stop.as_ref()),
            pid_file: table.pid_file.as_ref().map(|path| self.path(path)),
            host_pid_file: table.host_pid_file.as_ref().map(|path| self.path(path)),
            places: table.places.iter().map(|place| self.place(place)).collect(),
            config_paths: table.config_paths.map(|paths| self.config_paths(paths)),
            config_ports: table.config_ports.map(|ports| ConfigPorts {
                listeners: ports.listeners,
                default: ports.default,
                secured: ports.secured,
                nobody: ports.nobody,
                peers: ports.peers,
                because: self.because(&ports.because),
            }),
            port_lines: table.port_lines.map(|lines| PortLines {
                command: self.command(&lines.command),
                keywords: lines.keywords,
                secured: lines.secured,
            }),
            ports: table.ports.iter().map(|port| self.port(port)).collect(),
            calls: table
                .calls
                .iter()
                .filter_map(|call| self.call_here(call))
                .collect(),
        }
    }

    fn place(&mut self, table: &BindTable) -> Place {
        let path = self.path_below_root(&table.path);
        Place {
            path,
            writable: table.writable,
            because: self.because(&table.because),
        }
    }

    fn config_paths(&mut self, table: ConfigPathsTable) -> ConfigPaths {
        ConfigPaths {
            command: self.command(&table.command),
            base: table.base,
            base_default: self.path(&table.base_default),
            files: table.files,
            directories: table.directories,
            because: self.because(&table.because),
        }
    }

    /// A call that this architecture has. One that only x86 has, as `rename`, is no mistake
    /// elsewhere: the library uses another one there.
    fn call_here(&mut self, table: &CallTable) -> Option<CallRule> {
        let name = table.call.get_ref();
        let elsewhere =
            calls::number(name).is_none() && name.parse::<syscalls::x86_64::Sysno>().is_ok();
        (!elsewhere).then(|| self.call(table))
    }
}
