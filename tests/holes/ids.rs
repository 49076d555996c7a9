//! Who a service is: users, groups, capabilities, and how they are looked up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::common::{Answer, DONE, GID, NOT_SET_UP, Place, Text, UID, USER};
use crate::lab::{Room, WAYS, done, finish, hostile, jail, lines, odd, program, run, tells_apart};

/// Ids that are not the user's, groups, and what gets ids back.
fn foreign_ids(answer: &Answer) -> Vec<String> {
    let mut found = lines(answer, &["group "]);
    found.extend(done(answer));
    let own = [
        format!("uids {UID} {UID} {UID} {UID}"),
        format!("gids {GID} {GID} {GID} {GID}"),
    ];
    let all = lines(answer, &["uids ", "gids "]);
    found.extend(all.into_iter().filter(|line| !own.contains(line)));
    found
}

#[test]
fn setgroups_that_is_refused() {
    let place = jail(&["ids"]);
    place.write();
    let room = Room::new();
    for errno in [libc::EPERM, libc::ENOSYS, 0] {
        let host = [
            "group=1234".to_owned(),
            odd::answer(libc::SYS_setgroups, errno),
        ];
        let right = WAYS.map(|way| run(&place, way, &host));
        for answer in &right {
            answer.is(NOT_SET_UP, &["groups"]);
        }
        let [supervised, exec] = &right;
        let wrong = room.wrong("groups", &host, &["/payload", "ids"]);
        tells_apart(foreign_ids, &[supervised, exec], &wrong);
    }
    // Where it is not refused, no group is left, and both launchers get that right.
    let caller = ["group=1234".to_owned()];
    let own = run(&place, &["run"], &caller);
    own.is(DONE, &["uids 5 5 5 5"]);
    let other = room.wrong("none", &caller, &["/payload", "ids"]);
    assert_eq!(foreign_ids(&own), foreign_ids(&other));
    assert_eq!(foreign_ids(&own), Vec::<String>::new());
}

/// "Setuid Demystified", and the second and fourth of the documents that gaoler began with: a user
/// who was root and may be again, and root in a plain chroot.
#[test]
fn a_way_back_to_root_and_out_of_a_chroot() {
    let attempts = [
        "breakout=/srv/scratch",
        "climb",
        "setuid",
        "setresuid",
        "saved-uid",
        "setgid",
        "setgroups",
    ];
    let place = hostile(&attempts);
    place.write();
    let ids = jail(&["ids"]);
    ids.write();
    let right: Vec<Answer> = WAYS
        .iter()
        .flat_map(|way| [run(&place, way, &[]), run(&ids, way, &[])])
        .collect();
    let right: Vec<&Answer> = right.iter().collect();
    for answer in &right {
        answer.is(DONE, &[]);
    }
    let room = Room::new();
    for (mistake, program, words) in [
        ("saved", "/payload", &["ids"][..]),
        ("saved", "/hostile", &["setuid"]),
        ("root", "/payload", &["ids"]),
        ("chroot,root", "/hostile", &["breakout=/srv/scratch"]),
        ("chroot,root,directory", "/hostile", &["climb"]),
    ] {
        let words: Vec<&str> = [program].iter().chain(words).copied().collect();
        let other = room.wrong("none", &[], &words);
        let wrong = room.wrong(mistake, &[], &words);
        tells_apart(foreign_ids, &[right.as_slice(), &[&other]].concat(), &wrong);
    }
}

/// Capabilities that the spec does not give.
fn capabilities(answer: &Answer, given: u64) -> Vec<String> {
    let all = lines(answer, &["effective ", "inheritable "]);
    assert_eq!(all.len(), 2, "{answer:#?}");
    let set = |line: &String| u64::from_str_radix(line.split(' ').nth(1).unwrap(), 16).unwrap();
    all.into_iter()
        .filter(|line| set(line) & !given != 0)
        .collect()
}

#[test]
fn inheritable_capabilities_of_the_caller() {
    const NET_BIND_SERVICE: u64 = 1 << 10;
    let caller = ["inheritable".to_owned()];
    let room = Room::new();
    let wrong = room.wrong("inheritable", &caller, &["/payload", "ids"]);
    let other = room.wrong("none", &caller, &["/payload", "ids"]);
    for given in [0, NET_BIND_SERVICE] {
        let mut place = jail(&["ids"]);
        if given != 0 {
            place.text.tables += "[[allow.capabilities]]\ncapability = \"NET_BIND_SERVICE\"\n\
                                  because = \"a test\"\n";
        }
        place.write();
        let right = WAYS.map(|way| run(&place, way, &caller));
        let [supervised, exec] = &right;
        let check = |answer: &Answer| capabilities(answer, given);
        tells_apart(check, &[supervised, exec, &other], &wrong);
        // It needs no ambient capability that is not in the inheritable set (capabilities(7)).
        assert_eq!(
            capabilities(supervised, 0).is_empty(),
            given == 0,
            "{supervised:#?}"
        );
    }
}

/// A library of the jail that spoke, on one output or the other.
fn loaded(answer: &Answer) -> Vec<String> {
    let lines = answer.out.lines().chain(answer.error.lines());
    let spoke = lines.filter(|line| line.contains("the jail's library runs as"));
    spoke.map(str::to_owned).collect()
}

/// Puts the library where a process whose root this is looks for names.
fn plant(root: &Path) {
    let library = root.join("lib/x86_64-linux-gnu/libnss_evil.so.2");
    for directory in [library.parent().unwrap(), &root.join("etc")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::copy(program("evil.so"), &library).unwrap();
    let text = "passwd: evil\ngroup: evil\nshadow: evil\nhosts: evil\n";
    fs::write(root.join("etc/nsswitch.conf"), text).unwrap();
}

#[test]
fn the_jails_name_services_are_not_loaded_by_root() {
    let place = Place::with("dynamic", &["ids", "pause"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    plant(&place.tree(1));
    let mut right = Vec::new();
    for verb in ["start", "status", "check", "stop", "plan"] {
        right.push(place.verb(verb));
        right.last().unwrap().is(DONE, &[]);
        if verb == "start" {
            let live = place.gaoler(&["check", &place.name, "--live"]);
            right.push(live);
        }
    }
    place.nothing_runs();
    let room = Room::new();
    plant(&room.root());
    right.push(room.wrong("none", &[], &["/payload", "ids"]));
    let wrong = room.wrong("names", &[], &["/payload", "ids"]);
    assert!(wrong.error.contains("runs as 0"), "{wrong:#?}");
    let right: Vec<&Answer> = right.iter().collect();
    tells_apart(loaded, &right, &wrong);
}

/// The uid of each name, as `/etc/passwd` has it.
fn passwd() -> BTreeMap<String, u32> {
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields[0].to_owned(), fields[2].parse().unwrap())
    };
    text.lines().map(line).collect()
}

/// Texts that were taken for another user than the one of exactly that name.
fn misread(texts: &[String], read: impl Fn(&str) -> Option<u32>) -> Vec<String> {
    let known = passwd();
    let wrong = texts.iter().filter(|text| {
        let found = read(text);
        found.is_some() && found != known.get(text.as_str()).copied()
    });
    wrong.cloned().collect()
}

/// As gaoler does: the spec first, then the host's users.
fn read_as_gaoler(text: &str) -> Option<u32> {
    static SPEC: LazyLock<Text> = LazyLock::new(|| jail(&[]).text.clone());
    let quoted = serde_json::to_string(text).unwrap();
    let mut spec = SPEC.clone();
    spec.user = quoted[1..quoted.len() - 1].to_owned();
    let spec = gaoler::spec::parse(&spec.render("read"), "a test").ok()?;
    let user = gaoler::host::users::user(&spec.service.user).unwrap()?;
    Some(user.uid)
}

/// As crun did: a number if it begins like one (CVE-2026-30892).
fn read_as_number(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number = digits.parse::<u64>().ok()?;
    Some(number as u32)
}

const ODD_USERS: [&str; 18] = [
    "0",
    "00",
    "+0",
    "-1",
    "0x0",
    "4294967296",
    "4294967295",
    "5games",
    "0games",
    "5:60",
    "games ",
    " games",
    "games:60",
    "games\n",
    "Games",
    "",
    ".",
    "root\0",
];

#[test]
fn a_user_is_read_as_exactly_one_name() {
    let odd: Vec<String> = ODD_USERS.map(str::to_owned).to_vec();
    assert_eq!(misread(&odd, read_as_gaoler), Vec::<String>::new());
    assert_ne!(misread(&odd, read_as_number), Vec::<String>::new());
    assert_eq!(read_as_gaoler(USER), Some(UID));
    for text in ["0", "5games", "4294967296"] {
        let mut place = jail(&["ids"]);
        place.text.user = text.into();
        place.write();
        let answer = place.verb("run");
        answer.is(2, &["cannot be the name of a user"]);
        place.nothing_was_done();
    }
    let names: Vec<String> = passwd().into_keys().collect();
    let text = prop_oneof![
        "[0-9+ -]{0,4}[a-z0-9_$.:-]{0,12}",
        any::<String>(),
        (proptest::sample::select(names), "[0-9: ]{0,2}").prop_map(|(name, end)| name + &end),
    ];
    let mut runner = proptest::test_runner::TestRunner::default();
    let outcome = runner.run(&text, |text| {
        let texts = [text];
        prop_assert_eq!(misread(&texts, read_as_gaoler), Vec::<String>::new());
        Ok(())
    });
    outcome.unwrap();
}

/// The same words, run by the payload without any launcher: the checks see what is there.
#[test]
fn without_a_launcher_every_id_is_foreign() {
    let mut command = std::process::Command::new(program("payload"));
    command.arg("ids");
    let answer = finish(command);
    assert_ne!(foreign_ids(&answer), Vec::<String>::new());
    assert_ne!(capabilities(&answer, 0), Vec::<String>::new());
}
