//! `config.json` of a bundle, as far as a jail has use for it (OCI runtime specification 1.0.2,
//! `config.md` and `config-linux.md`).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of the specification: what is used here is in it, and in every later one.
pub const VERSION: &str = "1.0.2";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    pub oci_version: String,
    pub process: Process,
    pub root: Root,
    pub mounts: Vec<Mount>,
    pub linux: Linux,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    pub terminal: bool,
    pub user: User,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub capabilities: Capabilities,
    pub rlimits: Vec<Limit>,
    pub no_new_privileges: bool,
}

/// Who it runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub umask: u32,
    pub additional_gids: Vec<u32>,
}

/// Capability sets, by names as `CAP_CHOWN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub bounding: Vec<String>,
    pub effective: Vec<String>,
    pub inheritable: Vec<String>,
    pub permitted: Vec<String>,
    pub ambient: Vec<String>,
}

/// A resource limit (`setrlimit(2)`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    #[serde(rename = "type")]
    pub kind: String,
    pub hard: u64,
    pub soft: u64,
}

/// Its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub path: String,
    pub readonly: bool,
}

/// What is mounted below it, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: PathBuf,
    pub options: Vec<String>,
}

/// What is Linux's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    pub devices: Vec<Node>,
    pub namespaces: Vec<Namespace>,
    pub resources: Resources,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seccomp: Option<Seccomp>,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
}

/// A device node that the runtime makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub path: PathBuf,
    #[serde(rename = "type")]
    pub kind: String,
    pub major: u32,
    pub minor: u32,
    pub file_mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    #[serde(rename = "type")]
    pub kind: String,
}

/// Its cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub devices: Vec<DeviceRule>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory: Option<Most>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pids: Option<Most>,
}

/// Which devices may be opened, whatever nodes there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    pub allow: bool,
    pub access: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minor: Option<u32>,
}

/// As much may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Most {
    pub limit: u64,
}

/// The system call filter; also a file of its own for whoever takes one (`containers.conf(5)`,
/// Kubernetes' `localhostProfile`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    pub default_action: String,
    pub default_errno_ret: u32,
    pub architectures: Vec<String>,
    pub syscalls: Vec<Calls>,
}

/// Calls that are answered in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    pub names: Vec<String>,
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errno_ret: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub args: Vec<Argument>,
}

/// One argument of a call has these bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    pub index: u8,
    /// The bits that count.
    pub value: u64,
    /// What they are.
    pub value_two: u64,
    pub op: String,
}
