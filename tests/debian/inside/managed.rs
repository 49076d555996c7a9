//! What a service that speaks systemd's own protocols says and is given, through the jail.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;

use super::{done, eventually, property, run};
use crate::common::{DONE, FINDINGS, Place};

/// A jail of the service that does these words (tests/refusals/managed.c).
fn jailed(words: &[&str], service: &str, tables: &str) -> Place {
    let mut place = Place::of(Path::new("/mnt/managed"), words);
    place.text.service = service.to_owned();
    place.text.tables += tables;
    place.allow_managed();
    place.write();
    place.verb("build").is(DONE, &[]);
    place
}

/// A unit of this name that runs it.
fn unit(place: &Place, name: &str, exec: bool, more: &str) {
    let mut words = vec!["run", place.name.as_str()];
    if exec {
        words.push("--exec");
    }
    let words = place.arguments(&words).join(" ");
    let text = format!(
        "[Service]\nExecStart=/usr/local/bin/gaoler {words}\nDelegate=yes\n\
         SuccessExitStatus=143\n{more}"
    );
    fs::write(format!("/etc/systemd/system/{name}.service"), text).unwrap();
    done("systemctl daemon-reload");
}

#[test]
#[ignore = "in the machine"]
fn systemd_hears_what_the_service_says() {
    let words = ["say:STATUS=in its jail", "say:READY=1", "ping", "wait"];
    let place = jailed(&words, "ready = [\"notify\"]", "");
    for exec in [false, true] {
        unit(&place, "speaks", exec, "Type=notify\nWatchdogSec=60\n");
        done("systemctl start speaks");
        assert_eq!(property("speaks", "StatusText"), "in its jail");
        assert_eq!(property("speaks", "ActiveState"), "active");
        eventually("the watchdog is fed", || {
            property("speaks", "WatchdogTimestampMonotonic") != "0"
        });
        done("systemctl stop speaks");
        assert_eq!(property("speaks", "Result"), "success");
        place.nothing_runs_after(if exec { &["--exec"] } else { &[] });
    }
}

#[test]
#[ignore = "in the machine"]
fn one_that_does_not_say_it_lives_is_ended_by_systemd() {
    let place = jailed(&["say:READY=1", "wait"], "ready = [\"notify\"]", "");
    unit(&place, "silent", false, "Type=notify\nWatchdogSec=3\n");
    done("systemctl start silent");
    eventually("systemd has enough of it", || {
        property("silent", "Result") == "watchdog" && property("silent", "ActiveState") == "failed"
    });
    // Its supervisor was killed with it, and nothing of them is left when somebody looks.
    place.verb("status").is(FINDINGS, &[]);
    place.nothing_runs();
}

#[test]
#[ignore = "in the machine"]
fn a_socket_of_systemd_s_starts_the_jail_and_is_handed_to_it() {
    let table = "[[socket]]\nname = \"web\"\nlisten = \"manager\"\nbecause = \"a test\"\n";
    let place = jailed(&["serve"], "", table);
    fs::write(
        "/etc/systemd/system/held.socket",
        "[Socket]\nListenStream=127.0.0.1:807\nFileDescriptorName=web\n",
    )
    .unwrap();
    for exec in [false, true] {
        unit(&place, "held", exec, "");
        done("systemctl start held.socket");
        assert_eq!(property("held", "ActiveState"), "inactive");
        let mut text = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", 807)).unwrap();
        stream.read_to_string(&mut text).unwrap();
        // Its own number, and the name.
        assert_eq!(text, "mine 1 web\n");
        // A restart loses nobody: the socket is systemd's.
        done("systemctl restart held");
        let mut again = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", 807)).unwrap();
        stream.read_to_string(&mut again).unwrap();
        assert_eq!(again, text);
        done("systemctl stop held.socket held.service");
        drop(run("systemctl reset-failed held.service"));
        place.nothing_runs_after(if exec { &["--exec"] } else { &[] });
    }
}
