//! Which log is chosen, and what each gets.

use super::*;

#[test]
fn the_first_log_that_exists_is_chosen() {
    let scene = Scene::new();
    assert_eq!(
        scene.sink().to_string(),
        scene.path("file").display().to_string()
    );
    let _journal = UnixDatagram::bind(scene.path("journal")).unwrap();
    assert_eq!(scene.sink().format(), Format::Journal);
    // A file is no syslogd.
    std::fs::write(scene.path("host-log"), "").unwrap();
    assert_eq!(scene.sink().format(), Format::Journal);
    std::fs::remove_file(scene.path("host-log")).unwrap();
    // A link to its socket is one.
    let _host = UnixDatagram::bind(scene.path("elsewhere")).unwrap();
    symlink("elsewhere", scene.path("host-log")).unwrap();
    assert_eq!(scene.sink().format(), Format::Syslog);
    // But if journald listens there, its own takes more.
    let _behind = UnixDatagram::bind(scene.path("dev-log")).unwrap();
    std::fs::remove_file(scene.path("host-log")).unwrap();
    symlink("dev-log", scene.path("host-log")).unwrap();
    assert_eq!(scene.sink().format(), Format::Journal);
}

#[test]
fn what_may_be_somebody_elses_file_is_no_log() {
    let scene = Scene::new();
    std::fs::write(scene.path("elsewhere"), "untouched").unwrap();
    let plant: [fn(PathBuf, PathBuf) -> std::io::Result<()>; 2] =
        [symlink::<PathBuf, PathBuf>, std::fs::hard_link];
    for plant in plant {
        plant(scene.path("elsewhere"), scene.path("file")).unwrap();
        assert_eq!(scene.sink().to_string(), "standard error");
        std::fs::remove_file(scene.path("file")).unwrap();
    }
}

#[test]
fn journald_gets_fields() {
    let scene = Scene::new();
    let journal = UnixDatagram::bind(scene.path("journal")).unwrap();
    let mut relay = scene.relay();
    scene.client().send(b"<30>named[1]: a\nMESSAGE=b").unwrap();
    relay.pump().unwrap();
    let pid = me();
    let expected = format!(
        "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=dns/named\nSYSLOG_PID={pid}\n\
         GAOLER_JAIL=dns\nGAOLER_GENERATION=3\nMESSAGE\n\x0E\0\0\0\0\0\0\0a#012MESSAGE=b\n"
    );
    assert_eq!(text(&journal), expected);
}

#[test]
fn a_file_gets_lines_and_survives_rotation() {
    let scene = Scene::new();
    let mut relay = scene.relay();
    let client = scene.client();
    client.send(b"<30>Jan  1 00:00:00 named: one\ntwo").unwrap();
    relay.pump().unwrap();
    let line = std::fs::read_to_string(scene.path("file")).unwrap();
    assert!(
        line.ends_with(&format!(
            "Z daemon.info dns/3/named[{}]: one#012two\n",
            me()
        )),
        "{line}"
    );
    let mode = std::fs::metadata(scene.path("file"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777 & !0o640, 0);
    std::fs::rename(scene.path("file"), scene.path("file.1")).unwrap();
    relay.pump().unwrap();
    client.send(b"three").unwrap();
    relay.pump().unwrap();
    let line = std::fs::read_to_string(scene.path("file")).unwrap();
    assert!(
        line.ends_with(&format!("Z user.notice dns/3/-[{}]: three\n", me())),
        "{line}"
    );
    assert_eq!(relay.counts().forwarded, 2);
}

#[test]
fn what_stands_in_for_the_file_is_not_written_to() {
    for plant in ["link", "fifo", "second name"] {
        let scene = Scene::new();
        std::fs::write(scene.path("target"), "").unwrap();
        match plant {
            "link" => symlink("target", scene.path("file")).unwrap(),
            "second name" => std::fs::hard_link(scene.path("target"), scene.path("file")).unwrap(),
            _ => {
                let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600));
                rustix::fs::mknodat(rustix::fs::CWD, scene.path("file"), kind, mode, 0).unwrap();
            }
        }
        let mut sink = scene.sink();
        assert_eq!(sink.to_string(), "standard error");
        assert_eq!(sink.send(&mut Vec::new(), true), Fate::Taken);
        assert_eq!(std::fs::read(scene.path("target")).unwrap(), b"");
    }
}
