//! What is in a root tree, where each thing came from and why it is there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A character device node.
    Device,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// An empty file or directory that something of the host is mounted on.
    Mountpoint,
    /// A symbolic link.
    Symlink,
}

/// One thing in a root tree. One line of JSON in the manifest file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Absolute path on the host that it was copied from; absent for what gaoler wrote itself.
    pub source: Option<PathBuf>,
    /// Of a regular file: the SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits in octal, four digits: `0755`.
    pub mode: String,
    /// Of a symbolic link: its text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<PathBuf>,
    /// Of a device: `major:minor`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// Size of a regular file, bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Why it is there.
    pub reason: String,
}

/// Everything in a root tree, sorted by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The entries, sorted by path, each path once. The root directory itself is `/`.
    pub entries: Vec<Entry>,
}
