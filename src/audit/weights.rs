//! What capabilities, calls, groups, variables and places weigh.

use super::Severity;

/// Whether a call changes the machine or other processes, which a network service has rarely a
/// use for.
pub fn is_dangerous_call(name: &str) -> bool {
    DANGEROUS_CALLS.contains(&name)
}

/// Groups that lead to root on a Debian system: to the disks, to memory, to the container or
/// package tools, to the password hashes.
pub(super) const ROOT_EQUAL_GROUPS: [&str; 12] = [
    "disk",
    "docker",
    "incus",
    "incus-admin",
    "kmem",
    "libvirt",
    "lxd",
    "root",
    "shadow",
    "staff",
    "sudo",
    "wheel",
];

/// Groups that read what is said of everybody: logs, journals, other users' traffic.
pub(super) const TELLING_GROUPS: [&str; 4] = ["adm", "systemd-journal", "utmp", "wireshark"];

/// Families that services use every day.
pub(super) const USUAL_FAMILIES: [&str; 4] = ["inet", "inet6", "netlink", "unix"];

/// Variables that decide what code is loaded (glibc, `sysdeps/generic/unsecvars.h`; perlrun(1);
/// python(1); ruby(1); node(1)).
pub(super) const LOADING_VARIABLES: [&str; 15] = [
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCPATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "PERL5LIB",
    "PERL5OPT",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
];

/// Parts of names of variables that hold secrets.
pub(super) const SECRET_WORDS: [&str; 5] = ["PASSWD", "PASSWORD", "PRIVATE_KEY", "SECRET", "TOKEN"];

/// Places from which daemons that rule the host are spoken to, and homes.
pub(super) const RULING_PLACES: [&str; 6] = [
    "/home",
    "/root",
    "/run/docker.sock",
    "/var/lib/docker",
    "/var/run",
    "/var/spool/cron",
];

/// Calls that reach beyond the jail's own processes and files.
pub(super) const DANGEROUS_CALLS: [&str; 45] = [
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
];

/// What keeping a capability costs, by its name without `CAP_`.
pub(super) fn capability_severity(name: &str) -> Severity {
    match name {
        "NET_BIND_SERVICE" | "WAKE_ALARM" | "BLOCK_SUSPEND" | "LEASE" => Severity::Info,
        "NET_RAW" | "NET_BROADCAST" | "IPC_LOCK" | "SYS_NICE" | "SYS_CHROOT" | "KILL"
        | "AUDIT_WRITE" | "SYS_TTY_CONFIG" => Severity::Low,
        "SYS_ADMIN" | "SYS_MODULE" | "SYS_RAWIO" | "SYS_PTRACE" | "BPF" | "SYS_BOOT"
        | "MAC_ADMIN" | "MAC_OVERRIDE" => Severity::Critical,
        "SETUID" | "SETGID" | "DAC_OVERRIDE" | "DAC_READ_SEARCH" | "CHOWN" | "FOWNER"
        | "SETFCAP" | "MKNOD" | "SETPCAP" => Severity::High,
        _ => Severity::Medium,
    }
}
