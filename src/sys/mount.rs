//! `mount_setattr(2)` (Linux 5.12), which rustix lacks.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::StatVfsMountFlags;
use rustix::io::{Errno, Result};

/// Attributes of one mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Nothing can be written through it.
    pub read_only: bool,
    /// Set-user-ID, set-group-ID bits and file capabilities mean nothing on it.
    pub no_suid: bool,
    /// Device nodes on it cannot be opened.
    pub no_device: bool,
    /// Nothing on it can be executed or mapped executable.
    pub no_exec: bool,
}

/// Sets `attributes` on the mount behind `mount`, a descriptor of `open_tree` or `fsmount`, and
/// on every mount beneath it.
/// Attributes that are not asked for stay as they are: a mount never gets looser.
///
/// # Errors
/// As `mount_setattr(2)`.
pub fn set_attributes(mount: impl AsFd, attributes: MountAttributes) -> Result<()> {
    let flag = |set: bool, bit: u64| if set { bit } else { 0 };
    let change = libc::mount_attr {
        attr_set: flag(attributes.read_only, libc::MOUNT_ATTR_RDONLY)
            | flag(attributes.no_suid, libc::MOUNT_ATTR_NOSUID)
            | flag(attributes.no_device, libc::MOUNT_ATTR_NODEV)
            | flag(attributes.no_exec, libc::MOUNT_ATTR_NOEXEC),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a constant NUL-terminated string, `change` lives across the call and
    // its size is passed with it; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    super::check(result)?;
    read_back(mount, attributes)
}

/// A sandbox around gaoler can answer success to a call that it does not carry out
/// (`SECCOMP_RET_ERRNO` with 0), and a read-only mount that is not would be found by nobody.
fn read_back(mount: impl AsFd, attributes: MountAttributes) -> Result<()> {
    let found = rustix::fs::fstatvfs(mount)?.f_flag;
    let holds = [
        (attributes.read_only, StatVfsMountFlags::RDONLY),
        (attributes.no_suid, StatVfsMountFlags::NOSUID),
        (
            attributes.no_device,
            StatVfsMountFlags::from_bits_retain(libc::ST_NODEV),
        ),
        (
            attributes.no_exec,
            StatVfsMountFlags::from_bits_retain(libc::ST_NOEXEC),
        ),
    ];
    if holds
        .iter()
        .all(|(wanted, flag)| !wanted || found.contains(*flag))
    {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}
