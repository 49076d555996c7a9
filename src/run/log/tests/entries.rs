//! What comes in journald's own protocol.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;

/// A relay with a socket for the journal's protocol, whose messages go to `to`.
fn relay(scene: &Scene, to: LogTo) -> Relay {
    let socket = LogSocket::bind(scene.directory(), "socket").unwrap();
    scene.relay_to(scene.sink_to(to)).with_journal(socket)
}

fn client(scene: &Scene) -> UnixDatagram {
    let client = UnixDatagram::unbound().unwrap();
    client.connect(scene.path("socket")).unwrap();
    client
}

fn send_file(client: &UnixDatagram, file: impl AsFd) {
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let nothing = [IoSlice::new(b"")];
    sendmsg(client, &nothing, &mut control, SendFlags::empty()).unwrap();
}

/// A file in memory with this content.
fn memory(content: &[u8]) -> std::fs::File {
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("entry", flags).unwrap());
    file.write_all(content).unwrap();
    file
}

fn seal(file: &std::fs::File, seals: SealFlags) {
    rustix::fs::fcntl_add_seals(file, seals).unwrap();
}

/// A field in the form with a length.
fn long(name: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u64).to_le_bytes();
    [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
}

#[test]
fn an_entry_arrives_in_the_journal_with_its_fields() {
    let scene = Scene::new();
    let journal = UnixDatagram::bind(scene.path("journal")).unwrap();
    let mut relay = relay(&scene, LogTo::Journal);
    let entry = [
        b"MESSAGE=up\nPRIORITY=4\nSYSLOG_IDENTIFIER=web\nCODE_LINE=7\n".to_vec(),
        long("QUERY", b"a\nb"),
    ];
    client(&scene).send(&entry.concat()).unwrap();
    relay.pump().unwrap();
    let expected = format!(
        "PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=dns/web\nSYSLOG_PID={}\nGAOLER_JAIL=dns\n\
         GAOLER_GENERATION=3\nMESSAGE\n\x02\0\0\0\0\0\0\0up\nCODE_LINE\n\x01\0\0\0\0\0\0\x007\n\
         QUERY\n\x03\0\0\0\0\0\0\0a\nb\n",
        me()
    );
    assert_eq!(text(&journal), expected);
    assert_eq!((relay.counts().forwarded, relay.counts().truncated), (1, 0));
}

#[test]
fn no_entry_says_whose_it_is() {
    let scene = Scene::new();
    let journal = UnixDatagram::bind(scene.path("journal")).unwrap();
    let mut relay = relay(&scene, LogTo::Journal);
    let names = [
        "_PID",
        "_SYSTEMD_UNIT",
        "__REALTIME_TIMESTAMP",
        "GAOLER_JAIL",
        "GAOLER_X",
        "SYSLOG_PID",
        "SYSLOG_RAW",
        "OBJECT_PID",
        "OBJECT_SYSTEMD_UNIT",
        "COREDUMP_UNIT",
        "UNIT",
        "USER_UNIT",
        "MESSAGE_ID",
        "lower",
        "1ST",
        "",
        "A B",
    ];
    let mut entry = b"MESSAGE=x\nSYSLOG_FACILITY=0\nPRIORITY=9\n".to_vec();
    for name in names {
        entry.extend(format!("{name}=forged\n").bytes());
        entry.extend(long(name, b"forged"));
    }
    client(&scene).send(&entry).unwrap();
    relay.pump().unwrap();
    let text = text(&journal);
    assert!(
        text.starts_with("PRIORITY=6\nSYSLOG_FACILITY=3\n"),
        "{text}"
    );
    assert!(!text.contains("forged"), "{text}");
    assert_eq!(text.matches("GAOLER_JAIL").count(), 1);
}

#[test]
fn other_logs_get_its_message() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = relay(&scene, LogTo::Syslog);
    let client = client(&scene);
    client
        .send(b"PRIORITY=3\nMESSAGE=no\nSYSLOG_FACILITY=16\n")
        .unwrap();
    client.send(&long("MESSAGE", b"two\nlines \x1b")).unwrap();
    relay.pump().unwrap();
    assert_eq!(text(&host), format!("<131>dns/3/-[{}]: no", me()));
    assert_eq!(
        text(&host),
        format!("<30>dns/3/-[{}]: two#012lines #033", me())
    );
    assert_eq!(relay.words().text(), ": no\n: two lines \u{1b}");
}

#[test]
fn a_sealed_file_is_read_and_no_other() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = relay(&scene, LogTo::Syslog);
    let client = client(&scene);
    let sealed = memory(b"MESSAGE=sealed\n");
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    seal(&sealed, all);
    send_file(&client, &sealed);
    let can_shrink = memory(b"MESSAGE=forged\n");
    seal(&can_shrink, SealFlags::GROW | SealFlags::WRITE);
    send_file(&client, &can_shrink);
    send_file(&client, memory(b"MESSAGE=forged\n"));
    std::fs::write(scene.path("plain"), "MESSAGE=forged\n").unwrap();
    send_file(&client, std::fs::File::open(scene.path("plain")).unwrap());
    // Reading this would wait for ever.
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    send_file(&client, reader);
    relay.pump().unwrap();
    assert_eq!(text(&host), format!("<30>dns/3/-[{}]: sealed", me()));
    let Counts {
        received,
        forwarded,
        dropped,
        ..
    } = relay.counts();
    assert_eq!((received, forwarded, dropped), (5, 1, 4));
}

#[test]
fn an_entry_that_is_too_long_is_cut() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = relay(&scene, LogTo::Syslog);
    let client = client(&scene);
    let filler = long("FILLER", &[b'x'; 2 * NATIVE_LIMIT]);
    client
        .send(&[b"MESSAGE=one\n", &filler[..]].concat())
        .unwrap();
    let sealed = memory(&[b"MESSAGE=two\n", &filler[..]].concat());
    seal(
        &sealed,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    );
    send_file(&client, &sealed);
    client.send(&long("MESSAGE", &[b'x'; 2 * LIMIT])).unwrap();
    client.send(b"MESSAGE=first\n\nMESSAGE=second\n").unwrap();
    client
        .send(b"MESSAGE\n\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFto the end")
        .unwrap();
    client.send(b"MESSAGE\nshort").unwrap();
    relay.pump().unwrap();
    let next = || text(&host);
    assert!(next().ends_with(": one [truncated]"));
    assert!(next().ends_with(": two [truncated]"));
    assert!(next().ends_with("x [truncated]"));
    assert!(next().ends_with(": first [truncated]"));
    assert!(next().ends_with(": to the end [truncated]"));
    assert!(next().ends_with(":  [truncated]"));
}

#[test]
fn descriptors_are_closed_as_they_come() {
    let scene = Scene::new();
    let mut relay = relay(&scene, LogTo::File);
    let client = client(&scene);
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    for _ in 0..50 {
        send_file(&client, &writer);
        relay.pump().unwrap();
    }
    drop(writer);
    assert_eq!(rustix::io::read(&reader, &mut [0; 1]), Ok(0), "{}", count());
    assert_eq!(relay.counts().dropped, 50);
}
