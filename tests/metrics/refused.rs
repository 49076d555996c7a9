//! What is refused, and who asks in a way that nobody should.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::busy::busy;
use crate::common::{DONE, FAILED, USAGE};
use crate::exporter::Exporter;

#[test]
fn what_others_could_reach_or_change_is_refused() {
    let place = busy(&[]);
    place.write();
    let refused = |words: &[&str], code, has: &[&str]| {
        place.gaoler(&[&["metrics"], words].concat()).is(code, has);
    };
    for address in ["0.0.0.0:9877", "[::]:9877", "192.0.2.1:9877"] {
        refused(
            &["--listen", address],
            USAGE,
            &["reverse proxy", "authentication"],
        );
    }
    refused(&["--listen", "localhost:9877"], USAGE, &["127.0.0.1:PORT"]);
    refused(&["nobody"], USAGE, &["there is none"]);
    refused(&["--every", "5"], USAGE, &["--textfile"]);
    refused(
        &["--listen", "unix:/x", "--textfile", "/x"],
        USAGE,
        &["cannot be used"],
    );

    let at = |name: &str| format!("unix:{}", place.path(name).display());
    fs::write(place.path("file"), "precious").unwrap();
    refused(
        &["--listen", &at("file")],
        FAILED,
        &["something else is there"],
    );
    symlink("/run", place.path("link")).unwrap();
    refused(
        &["--listen", &at("link/socket")],
        FAILED,
        &["symbolic link"],
    );
    fs::create_dir(place.path("open")).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(
        &["--listen", &at("open/socket")],
        FAILED,
        &["others can write"],
    );
    let exporter = Exporter::at(&place, &at("socket"));
    refused(&["--listen", &at("socket")], FAILED, &["in use"]);
    exporter.get();
    drop(exporter);
    // Killed, it has left its socket.
    assert!(place.path("socket").exists());
    Exporter::at(&place, &at("socket")).get();

    let precious = place.path("file");
    symlink(&precious, place.path("gaoler.prom")).unwrap();
    let file = place.path("gaoler.prom");
    place
        .gaoler(&["metrics", "--textfile", file.to_str().unwrap()])
        .is(DONE, &[]);
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
}

#[test]
fn who_hangs_on_keeps_nobody_else_from_it() {
    let place = busy(&[]);
    place.write();
    let exporter = Exporter::at(&place, "127.0.0.1:0");
    let hanging: Vec<_> = (0..300)
        .map(|number: usize| {
            let mut stream = exporter.connect();
            let said: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /metrics HTTP/1.1\r\nHost: ",
                _ => b"\x16\x03\x01\x02\x00",
            };
            stream.write_all(said).unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        exporter.get();
    }
    let mut garbage = exporter.connect();
    garbage.write_all(&[0xff; 9000]).unwrap();
    let mut answer = [0; 12];
    garbage.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    drop(hanging);
    exporter.get();
}
