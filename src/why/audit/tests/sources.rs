//! Which files there are, and what is not opened.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

const RECORD: &str = "type=SECCOMP msg=audit(1.001:1): pid=1 comm=\"a\" syscall=1\n";

fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("var/log/audit")).unwrap();
    root
}

fn write(root: &Path, path: &str) {
    fs::write(root.join(path), RECORD).unwrap();
}

#[test]
fn an_empty_host_has_none() {
    let root = tempfile::tempdir().unwrap();
    let sources = sources_under(root.path());
    assert_eq!(sources.found.len() + sources.refused.len(), 0);
    let none = sources_under(&root.path().join("none"));
    assert_eq!((none.found.len(), none.refused.len()), (0, 1));
}

#[test]
fn what_is_there_is_found_the_oldest_first() {
    let root = host();
    for path in [
        "var/log/syslog",
        "var/log/messages",
        "var/log/kern.log",
        "var/log/audit/audit.log",
        "var/log/audit/audit.log.1",
        "var/log/audit/audit.log.2",
    ] {
        write(root.path(), path);
    }
    let sources = sources_under(root.path());
    assert_eq!(sources.refused.len(), 0);
    let found: Vec<_> = sources
        .found
        .iter()
        .map(|source| {
            (
                source
                    .path
                    .strip_prefix(root.path())
                    .unwrap()
                    .to_str()
                    .unwrap(),
                source.origin,
            )
        })
        .collect();
    let expected = [
        ("var/log/audit/audit.log.1", Origin::AuditFile),
        ("var/log/audit/audit.log", Origin::AuditFile),
        ("var/log/kern.log", Origin::Text),
        ("var/log/messages", Origin::Text),
        ("var/log/syslog", Origin::Text),
    ];
    assert_eq!(found, expected);
    let channels: Vec<_> = sources
        .found
        .into_iter()
        .map(|source| source.read().unwrap().records[0].channel)
        .collect();
    use Channel::{Audit, Text};
    assert_eq!(channels, [Audit, Audit, Text, Text, Text]);
}

#[test]
fn links_and_what_is_no_file_are_refused() {
    let root = host();
    fs::write(root.path().join("secret"), RECORD).unwrap();
    symlink("../../secret", root.path().join("var/log/syslog")).unwrap();
    fs::remove_dir(root.path().join("var/log/audit")).unwrap();
    fs::create_dir(root.path().join("elsewhere")).unwrap();
    write(root.path(), "elsewhere/audit.log");
    symlink("../../elsewhere", root.path().join("var/log/audit")).unwrap();
    fs::create_dir(root.path().join("var/log/messages")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let path = root.path().join("var/log/kern.log");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // A file where the device belongs could say of itself that the kernel wrote it.
    fs::create_dir(root.path().join("dev")).unwrap();
    fs::write(
        root.path().join("dev/kmsg"),
        "5,1,1,-;audit: type=1326 audit(1.001:1): syscall=1\n",
    )
    .unwrap();
    let sources = sources_under(root.path());
    assert_eq!(sources.found.len(), 0);
    let errors: Vec<String> = sources.refused.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 6, "{errors:#?}");
    for error in &errors {
        let link = error.contains("syslog") || error.contains("audit.log");
        assert_eq!(error.contains("symbolic link"), link, "{error}");
    }
}

#[test]
fn of_a_very_large_file_the_end_is_read() {
    let root = host();
    let path = root.path().join("var/log/audit/audit.log");
    let mut file = fs::File::create(&path).unwrap();
    file.set_len(300 << 20).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(format!("\n{RECORD}").as_bytes()).unwrap();
    let mut sources = sources_under(root.path());
    let log = sources.found.remove(0).read().unwrap();
    assert_eq!(log.records.len(), 1);
    assert_eq!(log.skipped_bytes, (44 << 20) + 1 + RECORD.len() as u64);
}

/// Whoever may not read the kernel's log is told so; who may reads it to its end.
#[test]
fn the_kernels_log_is_read_to_its_end_or_refused() {
    let sources = sources();
    let kmsg = sources
        .found
        .into_iter()
        .find(|source| source.origin == Origin::Kmsg);
    match kmsg {
        Some(kmsg) => {
            let log = kmsg.read().unwrap();
            let is_kernels = |record: &Record| record.channel == Channel::KernelLog;
            assert!(log.records.iter().all(is_kernels));
        }
        None => {
            let refused = sources
                .refused
                .iter()
                .any(|error| error.to_string().contains("kmsg"));
            assert!(refused || !Path::new("/dev/kmsg").exists());
        }
    }
}
