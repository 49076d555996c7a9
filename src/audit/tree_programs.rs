//! Checks of the programs in the tree, by their names.

use super::rule::rule;
use super::{Check, Finding, Severity, Subject};
use crate::build::{Entry, EntryKind};

const TAKE_OUT: &str = "take it out of files if the service works without it";

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "tree.shell",
        Severity::Medium,
        "what is in the jail is there for an intruder too: a shell or interpreter does whatever \
         it is told",
        "",
        TAKE_OUT,
        shells,
    ),
    rule(
        "tree.compiler",
        Severity::Medium,
        "a compiler makes the intruder's programs",
        "",
        TAKE_OUT,
        compilers,
    ),
    rule(
        "tree.tool",
        Severity::Low,
        "tools that fetch, connect, trace or change files are the first that an intruder looks for",
        "",
        TAKE_OUT,
        tools,
    ),
    rule(
        "tree.launcher",
        Severity::Medium,
        "what changes roots and users is not found in the jail: an intruder could change it, and \
         it would be run as root the next time",
        "",
        TAKE_OUT,
        launchers,
    ),
];

/// Programs that run what they are told.
const SHELLS_AND_INTERPRETERS: [&str; 24] = [
    "ash", "awk", "bash", "busybox", "csh", "dash", "ed", "ex", "fish", "gawk", "guile", "ksh",
    "lua", "mawk", "node", "perl", "php", "python", "rbash", "ruby", "sh", "tclsh", "vi", "zsh",
];

/// Programs that make programs.
const COMPILERS: [&str; 20] = [
    "ar",
    "as",
    "c++",
    "c89",
    "c99",
    "cc",
    "clang",
    "cmake",
    "cpp",
    "g++",
    "gcc",
    "go",
    "javac",
    "ld",
    "llc",
    "make",
    "nasm",
    "rustc",
    "tcc",
    "x86_64-linux-gnu-gcc",
];

/// Programs that fetch, connect, trace, or change files at will.
const TOOLS: [&str; 30] = [
    "aria2c", "base64", "chattr", "chmod", "chown", "cp", "curl", "dd", "find", "ftp", "gdb",
    "ld.so", "mv", "nc", "ncat", "netcat", "nmap", "openssl", "rm", "rsync", "scp", "sed", "sftp",
    "socat", "ssh", "strace", "tar", "tcpdump", "telnet", "wget",
];

/// Programs that change the root, the user or the namespaces.
const LAUNCHERS: [&str; 26] = [
    "aa-exec",
    "bwrap",
    "capsh",
    "chroot",
    "doas",
    "firejail",
    "gaoler",
    "insmod",
    "jk_chrootsh",
    "jk_lsh",
    "jk_uchroot",
    "login",
    "modprobe",
    "mount",
    "newgidmap",
    "newuidmap",
    "nsenter",
    "pkexec",
    "runc",
    "runuser",
    "setpriv",
    "su",
    "sudo",
    "systemd-run",
    "umount",
    "unshare",
];

/// The regular files that may be executed, with their names.
fn programs<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
    let files = subject.manifest.entries.iter();
    files
        .filter(|entry| entry.kind == EntryKind::File && entry.mode.contains(['1', '5', '7']))
        .filter_map(|entry| Some((entry.path.file_name()?.to_str()?, entry)))
}

/// The programs with one of the names, whatever version follows it.
fn called(subject: &Subject<'_>, names: &[&str], severity: Severity, what: &str) -> Vec<Finding> {
    programs(subject)
        .filter(|(name, _)| {
            let stem =
                name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
            names.contains(name) || names.contains(&stem)
        })
        .map(|(_, entry)| {
            let evidence = format!("{what}: {}", entry.reason);
            Finding::plain(severity, entry.path.display().to_string(), evidence)
        })
        .collect()
}

fn shells(subject: &Subject<'_>) -> Vec<Finding> {
    let names = &SHELLS_AND_INTERPRETERS;
    called(subject, names, Severity::Medium, "a shell or interpreter")
}

fn compilers(subject: &Subject<'_>) -> Vec<Finding> {
    let what = "a compiler, or a part of one";
    called(subject, &COMPILERS, Severity::Medium, what)
}

fn tools(subject: &Subject<'_>) -> Vec<Finding> {
    called(
        subject,
        &TOOLS,
        Severity::Low,
        "a tool of use to an intruder",
    )
}

fn launchers(subject: &Subject<'_>) -> Vec<Finding> {
    let what = "it changes roots, users or namespaces";
    called(subject, &LAUNCHERS, Severity::Medium, what)
}
