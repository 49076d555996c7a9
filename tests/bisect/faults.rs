//! A table of planted faults.

use serde_json::Value;

use crate::common::{Answer, DONE, FINDINGS, Place};
use crate::subject::{client, subject};

/// The group of that name on every Debian.
const VIDEO: u32 = 44;

/// Bisects with a request as the test.
fn bisect(place: &Place, port: u16, request: &str, options: &[&str]) -> (Option<i32>, Value) {
    let mut words = vec!["bisect", place.name.as_str(), "--json"];
    words.extend(options);
    words.push("--");
    let client = client(port, request);
    words.extend(client.iter().map(String::as_str));
    let mut command = place.command(&words);
    // The only variable of the caller that the service could lack.
    command.env_clear().env("WANTED", "here");
    let answer = Answer::of(command.output().unwrap());
    let value = serde_json::from_str(&answer.out);
    (answer.code, value.unwrap_or_else(|_| panic!("{answer:#?}")))
}

/// Holds that this request fails because of that rule, and that nothing is left.
#[track_caller]
fn blames(place: &Place, port: u16, request: &str, layer: &str, rule: &str) {
    place.write();
    let (code, found) = bisect(place, port, request, &[]);
    let told = (found["layer"].as_str(), found["rule"].as_str());
    assert_eq!(told, (Some(layer), Some(rule)), "{request}: {found:#}");
    assert_eq!(found["with"].as_array().map(Vec::len), Some(0), "{found:#}");
    assert_eq!(found["way"], "isolated", "{found:#}");
    assert_eq!(
        found["changes"].as_array().map(Vec::len),
        Some(1),
        "{found:#}"
    );
    assert_eq!(code, Some(DONE));
    place.nothing_runs();
    let left: Vec<String> = std::fs::read_dir(place.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_call_that_is_missing() {
    let (place, port) = subject(&[]);
    blames(&place, port, "sysinfo", "seccomp", "call sysinfo");
}

#[test]
fn a_family_that_is_missing() {
    let (place, port) = subject(&[]);
    blames(&place, port, "family 10", "families", "family inet6");
}

#[test]
fn a_call_that_ends_with_the_start() {
    let (mut place, port) = subject(&[]);
    place.text.start_calls = vec!["sysinfo"];
    blames(&place, port, "sysinfo", "phase", "call sysinfo");
}

#[test]
fn memory_that_may_not_be_executable() {
    let (mut place, port) = subject(&[]);
    place.text.calls.extend(["mmap", "munmap"]);
    let rule = "service.writable_executable";
    blames(&place, port, "executable", "write-xor-execute", rule);
}

#[test]
fn a_capability_that_is_missing() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("setpriority");
    blames(
        &place,
        port,
        "nice -5",
        "capabilities",
        "capability SYS_NICE",
    );
}

#[test]
fn a_port_that_is_missing() {
    let other = crate::common::port();
    let (place, port) = subject(&[other.to_string()]);
    let rule = format!("port tcp bind {other}");
    blames(&place, port, &format!("port {other}"), "ports", &rule);
}

#[test]
fn limits_that_are_too_low() {
    for (limit, request, calls) in [
        ("descriptors = 20", "descriptors 40", &["dup"][..]),
        (
            "processes = 3",
            "children 6",
            &["clone", "wait4", "clock_nanosleep"],
        ),
        (
            "memory_bytes = 16777216",
            "children 1 64",
            &["clone", "wait4", "clock_nanosleep", "mmap"],
        ),
    ] {
        let (mut place, port) = subject(&[]);
        place.text.calls.extend(calls);
        place.text.tables += &format!("[limits]\n{limit}\n");
        let rule = format!("limits.{}", limit.split(' ').next().unwrap());
        blames(&place, port, request, "limits", &rule);
    }
}

#[test]
fn a_place_in_memory_that_is_full() {
    let (mut place, port) = subject(&[]);
    place.text.calls.extend(["openat"]);
    place.text.tables +=
        "[[tree.scratch]]\npath = \"/scratch\"\nsize_kib = 64\nbecause = \"a test\"\n";
    let request = "file /scratch/large 262144";
    blames(&place, port, request, "limits", "scratch /scratch");
}

#[test]
fn files_that_may_not_be_as_large() {
    let (mut place, port) = subject(&[]);
    place.text.calls.extend(["openat"]);
    place.text.tables += "[limits]\nfile_size_bytes = 65536\n";
    let data = place.bind("data", true);
    let request = format!("file {}/large 262144", data.display());
    blames(&place, port, &request, "limits", "limits.file_size_bytes");
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "only a copy was written to"
    );
}

#[test]
fn a_device_that_is_missing() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("openat");
    blames(
        &place,
        port,
        "file /dev/urandom",
        "devices",
        "device /dev/urandom",
    );
}

#[test]
fn a_file_that_is_missing() {
    let (mut place, port) = subject(&[]);
    let file = place.path("needed.conf");
    std::fs::write(&file, "text").unwrap();
    let path = file.to_str().unwrap();
    place.text.calls.push("openat");
    place.text.command.push(path.to_owned());
    blames(
        &place,
        port,
        &format!("file {path}"),
        "tree",
        &format!("file {path}"),
    );
}

#[test]
fn a_place_that_may_only_be_read() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("openat");
    let data = place.bind("data", false);
    let rule = format!("bind {}", data.display());
    let request = format!("file {}/new 1", data.display());
    blames(&place, port, &request, "binds", &rule);
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "only a copy was written to"
    );
}

#[test]
fn a_writable_place_that_is_missing() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("openat");
    let tables = place.text.tables.clone();
    let data = place.bind("data", true);
    place.text.tables = tables;
    place.text.command.push(data.to_str().unwrap().to_owned());
    let rule = format!("bind {}", data.display());
    let request = format!("file {}/new 1", data.display());
    blames(&place, port, &request, "writable", &rule);
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "only a copy was written to"
    );
}

#[test]
fn a_variable_that_is_missing() {
    let (place, port) = subject(&[]);
    let rule = "service.environment.WANTED";
    blames(&place, port, "variable WANTED", "environment", rule);
}

#[test]
fn a_group_that_is_missing() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("openat");
    let data = place.bind("data", false);
    let secret = data.join("secret");
    std::fs::write(&secret, "text").unwrap();
    std::os::unix::fs::chown(&secret, Some(0), Some(VIDEO)).unwrap();
    crate::common::mode(&secret, 0o640);
    let request = format!("file {}", secret.display());
    blames(&place, port, &request, "groups", "group video");
}

#[test]
fn two_rules_that_are_missing_at_once() {
    let (place, port) = subject(&[]);
    place.write();
    let (code, found) = bisect(&place, port, "both WANTED", &[]);
    assert_eq!(code, Some(DONE));
    let mut told = vec![(found["layer"].clone(), found["rule"].clone())];
    for other in found["with"].as_array().unwrap() {
        told.push((other["layer"].clone(), other["rule"].clone()));
    }
    let expected = [
        ("environment", "service.environment.WANTED"),
        ("seccomp", "call sysinfo"),
    ];
    let expected = expected.map(|(layer, rule)| (Value::from(layer), Value::from(rule)));
    assert_eq!(told, expected);
    place.nothing_runs();
}

#[test]
fn a_test_that_passes_and_one_that_cannot() {
    let (place, port) = subject(&[]);
    place.write();
    let (code, found) = bisect(&place, port, "hello", &[]);
    assert_eq!(
        (code, &found["verdict"]),
        (Some(DONE), &"nothing-to-find".into())
    );
    let (code, found) = bisect(&place, port, "nonsense", &[]);
    assert_eq!(
        (code, &found["verdict"]),
        (Some(FINDINGS), &"not-the-jail".into())
    );
    assert_eq!(found["way"], "in-place", "it was tried there too");
    place.nothing_runs();
}

#[test]
fn the_running_jail_goes_on_beside_and_runs_again_after_in_place() {
    let (place, port) = subject(&[]);
    place.start();
    let pid = place.pid();
    let (_, found) = bisect(&place, port, "sysinfo", &[]);
    assert_eq!(found["rule"], "call sysinfo");
    assert_eq!(place.pid(), pid, "it went on");
    let (_, found) = bisect(&place, port, "sysinfo", &["--in-place"]);
    assert_eq!(
        (&found["rule"], &found["way"]),
        (&"call sysinfo".into(), &"in-place".into())
    );
    assert_ne!(place.pid(), pid, "it was started again");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}
