//! What a prober is told of the scene, in the jail and outside: where it may write, what is too much.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;

use super::setting::Setting;
use crate::spec::Limits;
use crate::sys::handle;
use crate::{Doing, Result};

/// What probes take where the spec sets no limit: enough to show that nothing stops them.
const PROCESSES: u64 = 256;
const MEMORY: u64 = 128 << 20;
const DESCRIPTORS: u64 = 512;
const FILE_SIZE: u64 = 64 << 20;

/// More memory than this is not taken for the sake of a proof.
const MOST_MEMORY: u64 = 1 << 30;

/// What is too much.
pub(super) fn limits(limits: &Limits) -> Vec<String> {
    let mut values = vec![
        format!("processes={}", limits.processes.unwrap_or(PROCESSES)),
        format!("descriptors={}", limits.descriptors.unwrap_or(DESCRIPTORS)),
        format!("file_size={}", limits.file_size.unwrap_or(FILE_SIZE)),
    ];
    let memory = limits.memory.unwrap_or(MEMORY);
    if memory <= MOST_MEMORY {
        values.push(format!("memory={memory}"));
    }
    values
}

/// The handle of the directory above a tree.
pub(super) fn above(tree: &Path) -> Result<String> {
    let above = tree.parent().unwrap_or(tree);
    let handle = match handle::of(above) {
        Ok(handle) => handle,
        // A file system without handles has no file that is found by one.
        Err(Errno::OPNOTSUPP) => Vec::new(),
        Err(errno) => return Err(errno).doing(|| format!("look at {}", above.display())),
    };
    Ok(handle.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where a prober in the jail may write and look.
pub(super) fn in_jail(setting: &Setting) -> Vec<String> {
    let mut values = vec![
        "directory=/dev".to_owned(),
        format!("mounted={}", setting.mounted),
        "tree=".to_owned(),
        "null=/dev/null".to_owned(),
        "log=/dev/log".to_owned(),
        format!("capabilities={}", setting.capabilities),
        "top=/".to_owned(),
        format!("disk={}", disk(&setting.tree)),
    ];
    let groups: Vec<String> = setting.groups.iter().map(u32::to_string).collect();
    values.push(format!("groups={}", groups.join(",")));
    if let Some(path) = &setting.writable {
        values.push(format!("writable={}", path.display()));
    }
    let places: Vec<String> = setting
        .bound
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    values.push(format!("places={}", places.join(":")));
    if let Some(program) = &setting.program {
        values.push(format!("program={program}"));
    }
    if let Some(shared) = &setting.shared {
        values.push(format!("sibling={}", shared.display()));
    }
    values
}

/// The host's root directory, by which a prober knows whether it is its own too.
pub(super) fn host_root() -> Result<[String; 2]> {
    let metadata = fs::metadata("/").doing(|| "look at /")?;
    Ok([
        format!("root_device={}", metadata.dev()),
        format!("root_inode={}", metadata.ino()),
    ])
}

/// The same outside.
pub(super) fn in_directory(directory: &Path, tree: &Path) -> Vec<String> {
    let within = |name: &str| directory.join(name).display().to_string();
    vec![
        format!("directory={}", within("below")),
        "mounted=/proc".to_owned(),
        format!("tree={}", within("tree")),
        format!("null={}", within("place/null")),
        format!("top={}", tree.display()),
        format!("disk={}", disk(tree)),
        "groups=".to_owned(),
        "capabilities=0".to_owned(),
        format!("writable={}", within("place")),
        format!("places={}", within("place")),
        format!("log={}", within("syslog/log")),
        format!("program={}", within("program")),
        format!("sibling={}", within("place/socket")),
    ]
}

/// The number of the disk that a tree is on, as `mknod(2)` wants it.
fn disk(tree: &Path) -> u64 {
    let device = fs::metadata(tree).map_or(0, |metadata| metadata.dev());
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let (major, minor) = (u64::from(major), u64::from(minor));
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}
