//! "Jailed Internet Services" has a mail relay in two parts: a receiver in the jail stores what it
//! gets into a spool there, and a forwarder outside picks it up and hands it to a local mailer. The
//! receiver is jailed as any other service; who takes it over has the spool and nothing more.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use gaoler::spec;

use crate::machine::{Machine, Running, eventually, machine};
use crate::rows::{DIRECTORY, compile};

const SPOOL: &str = "/srv/row/spool";
/// Debian's opensmtpd comes with it.
const MAILER: &str = "/usr/libexec/opensmtpd/mail.maildir";
const MAILDIR: &str = "/srv/row/home/Maildir";
const RECEIVER: &str = "/opt/relay/receiver";
/// www-data, and the reader.
const RECEIVES: u32 = 33;
const READS: u32 = 4242;

fn prepare(machine: &Machine) {
    for directory in [DIRECTORY, SPOOL, "/srv/row/home", "/opt/relay"] {
        fs::create_dir(directory).unwrap();
    }
    chown(SPOOL, Some(RECEIVES), Some(RECEIVES)).unwrap();
    chown("/srv/row/home", Some(READS), Some(READS)).unwrap();
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/services/relay/receiver.c"
    );
    compile(source, Path::new(RECEIVER));
    let script = include_str!("forwarder.sh");
    machine.write("/opt/relay/forwarder", script);
    let message = "Subject: a message\r\n\r\n.. to be kept\r\n";
    machine.write("/srv/row/message", message);
}

/// Sends the message, which the receiver must take.
const SEND: &str = "curl -sfS smtp://127.0.0.1/host --mail-from sender@example.test \
                    --mail-rcpt reader@example.test -T /srv/row/message";

fn forwarder(machine: &Machine) -> Running {
    let uid = RECEIVES.to_string();
    let mailer = format!("--reuid={READS} --regid={READS} --clear-groups {MAILER} {MAILDIR}");
    let mut words = vec![
        "/bin/bash",
        "/opt/relay/forwarder",
        SPOOL,
        &uid,
        "/usr/bin/setpriv",
    ];
    words.extend(mailer.split(' '));
    machine.background(&words)
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn mail() -> Vec<String> {
    let new = files(&format!("{MAILDIR}/new"));
    new.iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn a_relay_in_two_parts() {
    machine(|machine| {
        assert!(
            Path::new(MAILER).exists(),
            "{MAILER} is missing: install opensmtpd"
        );
        prepare(machine);
        let learn = [
            "learn",
            "relay",
            "--ready",
            "tcp:25",
            "--exercise",
            SEND,
            "--",
        ];
        let command = [RECEIVER, "25", SPOOL, "www-data"];
        machine.gaoler(&[&learn[..], &command].concat()).ok();
        for left in files(SPOOL) {
            fs::remove_file(left).unwrap();
        }
        machine.gaoler(&["up", "relay"]).ok();
        let report = machine.json(&["check", "relay", "--live", "--exercise"]);
        assert_eq!(report["score"], 0.0, "{report:#}");
        only_the_spool_is_writable();

        // Stored, and nobody has delivered it.
        assert_eq!((files(SPOOL).len(), mail().len()), (1, 0));
        let forwarder = forwarder(machine);
        eventually(mail, |mail| mail.len() == 1);
        eventually(|| files(SPOOL).len(), |left| *left == 0);
        let text = mail().remove(0);
        assert!(
            text.contains("Subject: a message") && text.contains("\n.. to be kept"),
            "{text}"
        );
        machine.run(&["sh", "-c", SEND]).ok();
        eventually(mail, |mail| mail.len() == 2);

        // What an intruder in the jail could leave there.
        machine.write("/srv/row/secret", "a\nb\nsecret\n");
        symlink("/srv/row/secret", format!("{SPOOL}/message.0.1")).unwrap();
        fs::hard_link("/srv/row/secret", format!("{SPOOL}/message.0.2")).unwrap();
        machine
            .run(&["mkfifo", &format!("{SPOOL}/message.0.3")])
            .ok();
        machine.run(&["sh", "-c", SEND]).ok();
        eventually(mail, |mail| mail.len() == 3);
        sleep(Duration::from_millis(300));
        assert!(mail().iter().all(|text| !text.contains("secret")));
        assert_eq!(files(SPOOL).len(), 3);

        machine.gaoler(&["stop", "relay"]).ok();
        drop(forwarder);
        // It may have been asleep.
        eventually(|| machine.processes(&[]), Vec::is_empty);
        machine.nothing_left("relay", &[]);
    });
}

/// Neither mailer, nor shell, nor the reader's home is in the jail.
fn only_the_spool_is_writable() {
    let text = fs::read_to_string("/etc/gaoler/relay.toml").unwrap();
    let spec = spec::parse(&text, "relay").unwrap();
    let binds: Vec<&Path> = spec.binds.iter().map(|bind| bind.path.as_path()).collect();
    assert_eq!(binds, [Path::new(SPOOL)]);
    assert_eq!((spec.scratch.len(), spec.service.start_as_root), (0, false));
    let tree = Path::new("/var/lib/gaoler/relay/current/root");
    assert!(tree.join("opt/relay/receiver").exists());
    for missing in [
        "bin/sh",
        "usr/bin",
        "usr/sbin",
        "usr/libexec",
        "srv/row/home",
    ] {
        assert!(!tree.join(missing).exists(), "{missing} is in the jail");
    }
}
