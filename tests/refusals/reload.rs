//! The configuration is tested where the service sees it before the service is told to read it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{DONE, FAILED, Place, USER, eventually, port};

/// A jail whose service is reloaded by a signal that ends it, with this test of its configuration;
/// the first word stands for the service's own program.
fn tested(test: &[&str]) -> Place {
    let mut place = Place::with("managed", &["serve"]);
    let own = place.text.command[0].clone();
    let words: Vec<&str> = test
        .iter()
        .map(|word| if *word == "OWN" { own.as_str() } else { word })
        .collect();
    place.text.service = format!("config_test = {words:?}\nreload_signal = \"TERM\"");
    place.text.tables += &format!(
        "[[socket]]\nname = \"web\"\nlisten = \"tcp:127.0.0.1:{}\"\nbecause = \"a test\"\n",
        port()
    );
    place.allow_managed();
    place
}

#[test]
fn what_the_jail_does_not_have_is_found_missing() {
    let mut place = tested(&["OWN", "ids", "need:PLACE"]);
    let file = place.bind("configuration", false).join("main.conf");
    fs::write(&file, "").unwrap();
    let refused = |place: &Place, words: &[&str]| {
        let pid = place.pid();
        place.verb("reload").is(FAILED, words);
        assert_eq!(place.pid(), pid, "it was left alone");
        assert!(!place.run().join(&place.name).join("config-test").exists());
    };
    // Of the host's own: every user can read it, and the jail does not have it.
    place.text.service = place.text.service.replace("PLACE", "/etc/hostname");
    place.start();
    refused(
        &place,
        &[
            "in the jail's view answered with exit code 1",
            "cannot /etc/hostname",
            "user 5, listening at none",
        ],
    );
    place.verb("stop").is(DONE, &[]);
    // The jail has it, and its user cannot read it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = file.to_str().unwrap();
    place.text.service = place.text.service.replace("/etc/hostname", shown);
    place.start();
    refused(&place, &["Permission denied", "main.conf"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    place
        .verb("reload")
        .is(DONE, &["has read its configuration again"]);
    eventually("the signal came", || {
        place.status()["pid"].as_i64().is_none()
    });
    place.nothing_runs();
}

/// What prepares the host for the service's own program is not needed inside.
#[test]
fn the_service_s_own_program_is_run_without_what_comes_before_it() {
    let place = tested(&["/usr/bin/env", "A=b", "OWN", "ids", "exit:9"]);
    place.start();
    let refused = place.verb("reload");
    refused.is(FAILED, &["exit code 9", "user 5"]);
    assert!(!refused.error.contains("/usr/bin/env"), "{refused:?}");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn what_cannot_be_run_in_the_jail_is_run_on_the_host_and_told() {
    let place = tested(&["/bin/sh", "-c", "id -un; exit 3"]);
    place.start();
    let refused = place.verb("reload");
    refused.is(
        FAILED,
        &[
            "tested outside of the jail",
            "/bin/sh is not in it",
            "exit code 3",
            "root",
        ],
    );
    assert!(!refused.error.contains(USER), "{refused:?}");
    place.verb("stop").is(DONE, &[]);
    let place = tested(&["OTHER"]);
    place.start();
    place.verb("reload").is(
        FAILED,
        &["tested outside of the jail", "OTHER is not there"],
    );
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}
