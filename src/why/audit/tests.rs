//! Lines as distributions of many ages have them, what is made of them, and what hostile ones do.

mod apparmor;
mod heads;
mod hostile;
mod joined;
mod landlock;
mod seccomp;
mod selinux;
mod sources;

use super::*;

/// What is read of a text of unknown origin.
fn text(lines: &str) -> Log {
    read(lines.as_bytes(), Origin::Text).unwrap()
}

/// What is read of auditd's file.
fn audit_file(lines: &str) -> Log {
    read(lines.as_bytes(), Origin::AuditFile).unwrap()
}

/// The one record of one line.
fn one(line: &str) -> Record {
    let mut log = text(line);
    assert_eq!(log.unreadable, [], "{line}");
    assert_eq!(log.records.len(), 1, "{line}");
    log.records.remove(0)
}

/// Why a line cannot be read.
fn fault(line: &str) -> Fault {
    let log = text(line);
    assert_eq!(log.records, [], "{line}");
    assert_eq!(log.unreadable_lines, 1, "{line}");
    log.unreadable[0].fault
}

/// That nothing is seen in a line.
fn skipped(line: &str) {
    let log = text(line);
    assert_eq!(log.records, [], "{line}");
    assert_eq!(log.unreadable, [], "{line}");
}

fn seccomp_of(record: &Record) -> &Seccomp {
    match &record.what {
        What::Seccomp(seccomp) => seccomp,
        other => panic!("{other:?}"),
    }
}

fn apparmor_of(record: &Record) -> &AppArmor {
    match &record.what {
        What::AppArmor(apparmor) => apparmor,
        other => panic!("{other:?}"),
    }
}

fn selinux_of(record: &Record) -> &Selinux {
    match &record.what {
        What::Selinux(selinux) => selinux,
        other => panic!("{other:?}"),
    }
}

fn landlock_of(record: &Record) -> &Landlock {
    match &record.what {
        What::Landlock(landlock) => landlock,
        other => panic!("{other:?}"),
    }
}
