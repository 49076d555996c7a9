//! The file as serde sees it: every value that is looked up later keeps its place in the text.
use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::learn::trace::Phase;
use crate::spec::{Demand, Device, Direction, FileKind, Protocol, When};

/// Text and where it stands.
pub(in crate::spec) type Text = Spanned<String>;
/// Words and where they stand.
pub(in crate::spec) type Words = Spanned<Vec<Text>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub format: Spanned<i64>,
    pub name: Text,
    pub incomplete: Option<Text>,
    pub service: ServiceTable,
    #[serde(default)]
    pub socket: Vec<SocketTable>,
    #[serde(default)]
    pub exercise: Vec<ExerciseTable>,
    #[serde(default)]
    pub tree: TreeTable,
    #[serde(default)]
    pub allow: AllowTable,
    #[serde(default)]
    pub limits: LimitsTable,
    #[serde(default)]
    pub protections: ProtectionsTable,
    #[serde(default)]
    pub restart: RestartTable,
    pub liveness: Option<Spanned<LivenessTable>>,
    #[serde(default)]
    pub check: CheckTable,
    #[serde(default)]
    pub incidents: IncidentsTable,
    #[serde(default)]
    pub log: LogTable,
    #[serde(default)]
    pub accepted: Vec<AcceptedTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RestartTable {
    pub when: When,
    pub delay: Option<Text>,
    pub longest_delay: Option<Text>,
    pub limit: Option<Spanned<u32>>,
    pub period: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IncidentsTable {
    pub freeze: Vec<Text>,
    pub command: Option<Words>,
    pub webhook: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LivenessTable {
    pub every: Option<Text>,
    pub timeout: Option<Text>,
    pub failures: Option<Spanned<u32>>,
    pub command: Option<Words>,
    pub port: Option<Text>,
    pub watchdog: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckTable {
    pub every: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::spec) struct LogTable {
    pub to: Option<Text>,
    pub file_size_kib: Option<Spanned<u32>>,
    pub old_files: Option<Spanned<u32>>,
    pub journal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::spec) struct AcceptedTable {
    pub check: Text,
    pub subject: Text,
    pub because: Text,
    pub until: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceTable {
    pub command: Words,
    pub user: Text,
    pub group: Text,
    #[serde(default)]
    pub groups: Vec<Text>,
    #[serde(default)]
    pub start_as_root: bool,
    #[serde(default)]
    pub refuses_root: bool,
    #[serde(default)]
    pub unaided: bool,
    #[serde(default)]
    pub accounts: Vec<Text>,
    pub workdir: Option<Text>,
    #[serde(default)]
    pub environment: BTreeMap<Text, Text>,
    pub umask: Option<Text>,
    pub config_test: Option<Words>,
    #[serde(default)]
    pub ready: Vec<Text>,
    pub reload_command: Option<Words>,
    pub reload_signal: Option<Text>,
    pub stop: Option<Words>,
    pub stop_timeout_s: Option<u32>,
    pub pid_file: Option<Text>,
    pub host_pid_file: Option<Text>,
    #[serde(default)]
    pub forks: bool,
    #[serde(default)]
    pub writable_executable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SocketTable {
    pub name: Text,
    pub listen: Text,
    pub backlog: Option<Spanned<u32>>,
    pub only_ipv6: Option<Spanned<bool>>,
    pub reuse_port: Option<Spanned<bool>>,
    pub mode: Option<Text>,
    pub user: Option<Text>,
    pub group: Option<Text>,
    pub because: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::spec) struct ExerciseTable {
    pub name: Text,
    pub command: Words,
    #[serde(default)]
    pub expect: i32,
    pub output: Option<Text>,
    #[serde(default = "serve")]
    pub phase: Phase,
    pub because: Text,
}

/// When an exercise runs if the file does not say.
fn serve() -> Phase {
    Phase::Serve
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TreeTable {
    pub files: Vec<FileTable>,
    pub binds: Vec<BindTable>,
    pub scratch: Vec<ScratchTable>,
    pub devices: Vec<DeviceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTable {
    pub path: Text,
    pub kind: FileKind,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::spec) struct BindTable {
    pub path: Text,
    #[serde(default)]
    pub writable: bool,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScratchTable {
    pub path: Text,
    pub size_kib: Spanned<u32>,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceTable {
    pub path: Text,
    pub device: Device,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AllowTable {
    pub capabilities: Vec<CapabilityTable>,
    pub calls: Vec<CallTable>,
    pub families: Vec<FamilyTable>,
    pub ports: Vec<PortTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CapabilityTable {
    pub capability: Text,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::spec) struct CallTable {
    pub call: Text,
    pub phase: Option<CallPhase>,
    pub because: Text,
    pub evidence: Option<Text>,
}

/// When a call is allowed, if not always.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::spec) enum CallPhase {
    /// Until the service is ready.
    Start,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FamilyTable {
    pub family: Text,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::spec) struct PortTable {
    pub direction: Direction,
    pub protocol: Protocol,
    pub port: Spanned<u16>,
    pub because: Text,
    pub evidence: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    pub core_bytes: Option<u64>,
    pub descriptors: Option<u64>,
    pub file_size_bytes: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub processes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProtectionsTable {
    pub cgroup: Demand,
    pub ipc_namespace: Demand,
    pub landlock: Demand,
    pub mount_namespace: Demand,
    pub pid_namespace: Demand,
    pub seccomp: Demand,
    pub uts_namespace: Demand,
}
