//! The launcher itself as what is attacked: its program, its process, its policy, its words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};

use crate::common::{Answer, DONE, FAILED, GAOLER, NOT_SET_UP};
use crate::lab::{
    NULL, Room, WAYS, bind, done, finish, jail, lines, mark, odd, program, rig, run, scratch,
    tells_apart,
};

/// What the copy of a launcher is called, wherever it is seen from. The payload touches no other.
const COPY: &str = "launcher-under-test";

/// Launchers that the payload could open, and what became of the copy.
fn attacked(answer: &Answer, copy: &Path, before: &[u8]) -> Vec<String> {
    let opened = lines(answer, &["opened ", "could write "]).into_iter();
    let mut found: Vec<String> = opened.filter(|line| line.contains(COPY)).collect();
    if fs::read(copy).unwrap() != before {
        found.push("it was overwritten".into());
    }
    found
}

/// Seconds that are enough for what the payload leaves behind to write, where it can.
const OVERWRITING_S: u32 = 3;

#[test]
fn the_launchers_program_is_out_of_reach() {
    let mut right = Vec::new();
    for as_root in [false, true] {
        for way in WAYS {
            let mut place = jail(&["executables"]);
            place.text.tables += &bind(Path::new("/proc"), true);
            if as_root {
                place.text.service = "start_as_root = true".into();
            }
            place.write();
            let copy = place.path(COPY);
            fs::copy(GAOLER, &copy).unwrap();
            let mut command = Command::new(&copy);
            let words: Vec<&str> = way.iter().copied().chain([place.name.as_str()]).collect();
            command.args(place.arguments(&words));
            let answer = finish(command);
            answer.is(DONE, &[]);
            place.nothing_runs_after(way);
            right.push((answer, place));
        }
    }
    let room = Room::new();
    let copy = room.path(COPY);
    fs::copy(program("wrong"), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    // Where no other process of this machine can be seen: this one is overwritten as root.
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "sh", "-c"])
        .args([&format!("\"$@\"; sleep {OVERWRITING_S}"), "sh"])
        .args([&copy, Path::new("proc,root,waits"), &room.root()])
        .args(["/payload", "executables"]);
    let wrong = finish(command);
    let found = attacked(&wrong, &copy, &before);
    assert!(
        found.contains(&"it was overwritten".into()),
        "{found:?} {wrong:#?}"
    );
    let gaoler = fs::read(GAOLER).unwrap();
    for (answer, place) in right {
        let found = attacked(&answer, &place.path(COPY), &gaoler);
        assert_eq!(found, Vec::<String>::new(), "{answer:#?}");
    }
}

/// The other half of CVE-2019-5736: a program that has the launcher execute itself.
#[test]
fn a_script_that_the_launcher_would_interpret() {
    for interpreter in ["/proc/self/exe", "/proc/self/../self/exe", "/dev/fd/3"] {
        let place = jail(&[]);
        fs::remove_file(place.program()).unwrap();
        fs::write(place.program(), format!("#!{interpreter}\n")).unwrap();
        fs::set_permissions(place.program(), fs::Permissions::from_mode(0o755)).unwrap();
        place.write();
        for (verb, code) in [
            ("build", FAILED),
            ("start", NOT_SET_UP),
            ("run", NOT_SET_UP),
        ] {
            let answer = place.verb(verb);
            assert!([Some(code), Some(2)].contains(&answer.code), "{answer:#?}");
            assert!(answer.error.contains("cannot "), "{answer:#?}");
        }
        place.nothing_was_done();
    }
}

#[test]
fn a_process_of_the_same_user_cannot_attach_while_it_is_set_up() {
    let attacker = program("attacker");
    let hold = [format!(
        "hold={}:{}",
        libc::SYS_execveat,
        attacker.display()
    )];
    let place = jail(&["ids"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let right = WAYS.map(|way| run(&place, way, &hold));
    let room = Room::new();
    let other = room.wrong("none", &hold, &["/payload", "ids"]);
    let wrong = room.wrong("dumpable", &hold, &["/payload", "ids"]);
    for answer in right.iter().chain([&other, &wrong]) {
        answer.is(DONE, &["attach: ", "memory: ", "uids 5 5 5 5"]);
    }
    let [supervised, exec] = &right;
    tells_apart(done, &[supervised, exec, &other], &wrong);
}

#[test]
fn it_does_not_run_set_user_id() {
    let place = jail(&["ids"]);
    let copy = place.path("gaoler");
    fs::copy(GAOLER, &copy).unwrap();
    for (mode, word) in [(0o4755, "set-user-ID"), (0o2755, "set-group-ID")] {
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        for words in [
            &["--version"][..],
            &["run", "x"],
            &["learn", "x", "--", "/bin/id"],
        ] {
            let mut command = Command::new(&copy);
            command.args(words).uid(47_011).gid(47_011);
            finish(command).is(NOT_SET_UP, &[word, "chmod ug-s"]);
        }
    }
}

/// Files of policy or state that can be reached, anything writable, and a filter that is gone
/// after another execve.
fn exposed(answer: &Answer) -> Vec<String> {
    let policy = [
        "plan",
        "manifest",
        "state.json",
        "last.json",
        ".toml",
        "lock",
    ];
    let is_policy = |line: &String| policy.iter().any(|name| line.contains(name));
    let mut found = lines(answer, &["writable "]);
    found.extend(lines(answer, &["reached "]).into_iter().filter(is_policy));
    found.extend(
        lines(answer, &["seccomp "])
            .into_iter()
            .filter(|line| line != "seccomp 2"),
    );
    let refused = lines(answer, &["refused: "]);
    found.extend(refused.into_iter().filter(|line| line != "refused: EPERM"));
    found
}

#[test]
fn no_policy_is_in_the_jail_and_a_second_program_is_filtered_too() {
    // A call that its spec does not have.
    let refused = format!("refused={}", libc::SYS_mount);
    let words = ["walk", "again", "ids", &refused];
    let mut place = jail(&words);
    place.text.tables += &(scratch("/srv/scratch") + NULL);
    place.write();
    let right = WAYS.map(|way| run(&place, way, &[]));
    for answer in &right {
        answer.is(DONE, &["reached /srv/scratch", "seccomp 2"]);
    }
    let room = Room::new();
    let words: Vec<&str> = ["/payload"].into_iter().chain(words).collect();
    let other = room.wrong("none", &[], &words);
    let [supervised, exec] = &right;
    let unfiltered = room.wrong("filter", &[], &words);
    tells_apart(exposed, &[supervised, exec, &other], &unfiltered);
    // firejail kept the filter where the jail could write to it, and used it for the next one.
    let file = room.root().join("srv/scratch/plan.json");
    fs::write(&file, "{}").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let exposing = room.wrong("none", &[], &words);
    tells_apart(exposed, &[supervised, exec, &other], &exposing);
}

/// Words that a shell would not leave as they are. `MARK` is a file that must not appear.
const WORDS: [&str; 10] = [
    "; touch MARK ;",
    "$(touch MARK)",
    "`touch MARK`",
    "| touch MARK",
    "&& touch MARK",
    "\ntouch MARK\n",
    "' ; touch MARK ; '",
    "\" ; touch MARK ; \"",
    "${IFS}&touch${IFS}MARK&",
    "> MARK",
];

/// The same, and others of the same letters.
fn words(mark: &Path) -> Vec<String> {
    let mark = mark.to_str().unwrap();
    let mut words: Vec<String> = WORDS
        .iter()
        .map(|word| word.replace("MARK", mark))
        .collect();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let letters = "[;|&$`'\"\\\\(){}<>*?~#! \n\ta-z/-]{1,24}";
    for _ in 0..100 {
        words.push(letters.new_tree(&mut runner).unwrap().current());
    }
    words
}

/// Words that the payload did not get as they were given, and what a shell left.
fn changed(answer: &Answer, words: &[String], marks: &[&Path]) -> Vec<String> {
    let hex = |word: &String| {
        word.bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let got = lines(answer, &["argument "]);
    let given = words.iter().map(|word| format!("argument {}", hex(word)));
    let missing = given.filter(|line| !got.contains(line));
    let left = marks.iter().filter(|mark| fs::remove_file(mark).is_ok());
    let left = left.map(|mark| format!("{} is there", mark.display()));
    missing.chain(left).collect()
}

#[test]
fn words_of_a_spec_reach_no_shell() {
    let mut place = jail(&[]);
    let ran = place.path("ran");
    let all = words(&ran);
    place.text.command.push("arguments".into());
    place.text.command.extend(all.clone());
    place.write();
    // The words that gaoler runs itself, on the host.
    let mut serving = jail(&["pause"]);
    let own: Vec<&str> = ["/bin/true"]
        .into_iter()
        .chain(all.iter().map(String::as_str))
        .collect();
    let own = serde_json::to_string(&own).unwrap();
    serving.text.service = format!("config_test = {own}\nstop = {own}\nreload_command = {own}");
    serving.write();
    // Whoever runs a shell here runs this instead.
    let shell = program("shell");
    let host =
        ["/bin/dash", "/bin/bash"].map(|path| odd::over(&shell, &fs::canonicalize(path).unwrap()));
    let marks = [ran.as_path(), &mark()];
    let right = WAYS.map(|way| run(&place, way, &host));
    for answer in &right {
        answer.is(DONE, &[]);
        assert_eq!(changed(answer, &all, &marks), Vec::<String>::new());
    }
    for verb in ["start", "reload", "stop"] {
        let answer = finish(rig(&host, &serving.command(&[verb, &serving.name])));
        answer.is(DONE, &[]);
        assert_eq!(changed(&answer, &[], &marks), Vec::<String>::new());
    }
    let room = Room::new();
    let payload = program("payload");
    let words: Vec<&str> = [payload.to_str().unwrap(), "arguments"]
        .into_iter()
        .chain(all.iter().map(String::as_str))
        .collect();
    let other = ["/payload"].into_iter().chain(words[1..].iter().copied());
    let other = room.wrong("none", &host, &other.collect::<Vec<_>>());
    assert_eq!(changed(&other, &all, &marks), Vec::<String>::new());
    // Its own shell, and the one in the place of all.
    for host in [&[][..], &host] {
        let wrong = room.wrong("shell", host, &words);
        assert_ne!(changed(&wrong, &all, &marks), Vec::<String>::new());
    }
}
