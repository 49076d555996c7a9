//! Which directories belong to everybody, so that a jail never gets one whole.
use std::path::Path;

use super::Facts;

/// The mode bit of a directory in which everybody may make files (`inode(7)`).
const STICKY: u32 = 0o1000;

/// Shared themselves; what is below may be a service's own.
const PLACES: [&str; 24] = [
    "/",
    "/etc",
    "/home",
    "/media",
    "/mnt",
    "/nonexistent",
    "/opt",
    "/root",
    "/run",
    "/run/user",
    "/srv",
    "/tmp",
    "/var",
    "/var/backups",
    "/var/cache",
    "/var/lib",
    "/var/local",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Shared with everything below. The sockets under /run lead to daemons that rule the host.
const TREES: [&str; 32] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc/alternatives",
    "/etc/apt",
    "/etc/ca-certificates",
    "/etc/cron.d",
    "/etc/default",
    "/etc/init.d",
    "/etc/ld.so.conf.d",
    "/etc/pam.d",
    "/etc/pki",
    "/etc/profile.d",
    "/etc/security",
    "/etc/skel",
    "/etc/ssh",
    "/etc/ssl",
    "/etc/sudoers.d",
    "/etc/systemd",
    "/lib",
    "/proc",
    "/run/containerd",
    "/run/dbus",
    "/run/lock",
    "/run/nscd",
    "/run/systemd",
    "/run/udev",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/dpkg",
    "/var/lib/systemd",
];

/// The kernel's own file systems: nothing in them can be copied or is a service's own.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Files with everybody's passwords.
const SECRETS: [&str; 4] = [
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/shadow",
    "/etc/shadow-",
];

/// Where whoever writes rules the host: programs, libraries, accounts.
const RULING: [&str; 13] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/sudoers",
    "/lib",
    "/sbin",
    "/usr",
];

/// Where a file that is made by the service is private to it, so that memory will do.
const SCRATCH: [&str; 5] = ["/dev/shm", "/run", "/run/lock", "/tmp", "/var/tmp"];

fn is_below(path: &Path, trees: &[&str]) -> bool {
    trees.iter().any(|tree| path.starts_with(tree))
}

fn is_one_of(path: &Path, places: &[&str]) -> bool {
    places.iter().any(|place| path == Path::new(place))
}

/// In /proc or /sys.
pub fn is_kernel(path: &Path) -> bool {
    is_below(path, &KERNEL)
}

/// Never given to a jail.
pub fn is_secret(path: &Path) -> bool {
    is_one_of(path, &SECRETS)
}

/// Never given to a jail to write.
pub fn is_ruling(path: &Path) -> bool {
    is_below(path, &RULING) || is_library_tree(path)
}

/// Shared by its place in the file system hierarchy (`hier(7)`).
pub fn is_shared_place(path: &Path) -> bool {
    is_one_of(path, &PLACES)
        || is_below(path, &TREES)
        || is_library_tree(path)
        || path.parent() == Some(Path::new("/home"))
        || path.parent() == Some(Path::new("/run/user"))
}

/// /lib64, /lib32, /libx32 and what is in them.
fn is_library_tree(path: &Path) -> bool {
    let first = path
        .components()
        .nth(1)
        .and_then(|component| component.as_os_str().to_str());
    first.is_some_and(|first| first.starts_with("lib"))
}

/// Everybody may make files there.
pub(super) fn is_sticky(path: &Path, facts: &Facts) -> bool {
    facts
        .directories
        .get(path)
        .is_some_and(|directory| directory.mode & STICKY != 0)
}

/// `NAME` of a module of the name service, `libnss_NAME.so.2` (`nss(5)`).
pub(super) fn name_service_module(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_prefix("libnss_")?;
    let end = name.find(".so").or_else(|| name.find("-2."))?;
    name.get(..end)
}

/// A shared directory in which new files can go to memory instead.
pub(super) fn is_scratch(path: &Path, facts: &Facts) -> bool {
    is_one_of(path, &SCRATCH) || is_sticky(path, facts)
}

/// Whether the mode bits let the facts' user make and remove files there (`path_resolution(7)`).
pub(super) fn user_may_write(path: &Path, facts: &Facts) -> Option<u32> {
    let directory = facts.directories.get(path)?;
    let shift = if directory.uid == facts.uid {
        6
    } else if directory.gid == facts.gid || facts.group_ids.contains(&directory.gid) {
        3
    } else {
        0
    };
    let bits = (directory.mode >> shift) & 0o7;
    (bits & 0o3 == 0o3).then_some(directory.mode & 0o7777)
}
