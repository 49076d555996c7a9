//! Init scripts that `export` writes, run by sh: each word, and its exit code as LSB has them. The one
//! for rc.subr is run over a small rc.subr of its own, and the system's chroot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Answer, DONE, FINDINGS, Place, UID, USAGE, answers, eventually, mode, port};

/// Exit codes of LSB.
const FAILED_AND_DEAD: i32 = 1;
const STOPPED: i32 = 3;
const UNKNOWN: i32 = 4;
const UNIMPLEMENTED: i32 = 3;
const NOT_PERMITTED: i32 = 4;
const NOT_INSTALLED: i32 = 5;
const NOT_CONFIGURED: i32 = 6;
const NOT_RUNNING: i32 = 7;

/// Writes the script of a jail that is built.
fn exported(place: &Place, to: &str) -> PathBuf {
    place.write();
    place.verb("build").is(DONE, &[]);
    let below = place.path("scripts");
    let directory = below.to_str().unwrap();
    place
        .gaoler(&["export", &place.name, "--to", to, "-o", directory])
        .is(DONE, &["wrote"]);
    let script = match to {
        "rc.d" => below.join(place.name.replace('-', "_")),
        _ => below.join(&place.name),
    };
    assert_eq!(
        fs::metadata(&script).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    script
}

fn word(script: &Path, word: &str) -> Answer {
    Answer::of(Command::new(script).arg(word).output().unwrap())
}

/// What it says on standard output, when it is done.
fn probed(script: &Path) -> String {
    let answer = word(script, "probe");
    answer.is(DONE, &[]);
    answer.out
}

fn reloadable() -> Place {
    let mut place = Place::new(&["signals"]);
    place.text.service += "reload_signal = \"HUP\"\nready = [\"quiet:20\"]\n";
    place
}

/// How often its service has been told to read its configuration again.
fn reloads(place: &Place) -> usize {
    let log = place.gaoler(&["logs", &place.name, "--json"]);
    log.out.matches("\"signal 1\"").count()
}

#[test]
fn a_script_of_lsb_has_its_words_and_its_codes() {
    let mut place = reloadable();
    let script = exported(&place, "sysv");
    let is = |say: &str, code: i32| word(&script, say).is(code, &[]);

    is("status", STOPPED);
    assert_eq!(probed(&script), "start\n");
    is("reload", NOT_RUNNING);
    is("force-reload", NOT_RUNNING);
    is("try-restart", DONE);
    is("stop", DONE);
    is("status", STOPPED);

    is("start", DONE);
    let first = place.pid();
    is("start", DONE);
    is("status", DONE);
    is("reload", DONE);
    is("force-reload", DONE);
    assert_eq!(probed(&script), "");
    assert_eq!(place.pid(), first, "it was left alone");
    eventually("each has reached it", || reloads(&place) == 3);

    is("restart", DONE);
    let second = place.pid();
    assert_ne!(second, first);
    is("try-restart", DONE);
    let third = place.pid();
    assert_ne!(third, second);

    place.bind("more", false);
    place.write();
    place.verb("build").is(DONE, &[]);
    assert_eq!(probed(&script), "restart\n");
    is("restart", DONE);
    assert_eq!(probed(&script), "");

    let killed = Command::new("kill")
        .args(["-9", &place.pid().to_string()])
        .status();
    assert!(killed.unwrap().success());
    eventually("it is dead", || place.status()["pid"].is_null());
    is("status", FAILED_AND_DEAD);
    is("start", DONE);
    is("stop", DONE);
    is("stop", DONE);
    is("status", STOPPED);
    place.nothing_runs();
}

#[test]
fn a_script_of_lsb_says_what_is_in_the_way() {
    let place = reloadable();
    let script = exported(&place, "sysv");
    for (say, code) in [
        ("start", NOT_PERMITTED),
        ("status", UNKNOWN),
        ("probe", NOT_PERMITTED),
    ] {
        let somebody = Command::new(&script).arg(say).uid(UID).output().unwrap();
        Answer::of(somebody).is(code, &["only root may do that"]);
    }
    for option in ["--host-files", "--open-ports", "--drop-in=a.service"] {
        let words = ["export", &place.name, "--to", "sysv", option];
        place
            .gaoler(&words)
            .is(USAGE, &["means nothing to that enforcer"]);
    }
    for words in [&["begin"][..], &[]] {
        let answer = Answer::of(Command::new(&script).args(words).output().unwrap());
        answer.is(USAGE, &["Usage", "try-restart"]);
    }
    let spec = fs::read_to_string(place.spec()).unwrap();
    fs::write(place.spec(), "format = 1\nnonsense = 1\n").unwrap();
    word(&script, "start").is(NOT_CONFIGURED, &["nonsense"]);
    word(&script, "status").is(UNKNOWN, &["nonsense"]);
    fs::remove_file(place.spec()).unwrap();
    word(&script, "stop").is(NOT_CONFIGURED, &["there is no spec"]);
    word(&script, "status").is(UNKNOWN, &[]);
    fs::write(place.spec(), spec).unwrap();
    word(&script, "status").is(STOPPED, &[]);
    let text = fs::read_to_string(&script).unwrap();
    let elsewhere = text.replacen("\nprogram=", "\nprogram=/nowhere", 1);
    assert_ne!(elsewhere, text);
    fs::write(&script, elsewhere).unwrap();
    word(&script, "start").is(NOT_INSTALLED, &["is not installed"]);
    word(&script, "status").is(UNKNOWN, &[]);
    place.nothing_runs();
}

#[test]
fn one_that_knows_no_way_to_reload_is_restarted_if_that_is_forced() {
    let mut place = Place::new(&["pause"]);
    place.text.service += "ready = [\"quiet:20\"]\n";
    let script = exported(&place, "sysv");
    word(&script, "start").is(DONE, &[]);
    let first = place.pid();
    word(&script, "reload").is(UNIMPLEMENTED, &["knows no way"]);
    assert_eq!(probed(&script), "");
    assert_eq!(place.pid(), first, "it was left alone");
    word(&script, "force-reload").is(DONE, &[]);
    assert_ne!(place.pid(), first);
    word(&script, "stop").is(DONE, &[]);
    place.nothing_runs();
}

/// Sources a script after the functions of openrc-run(8) and calls one of its own.
const OPENRC: &str = r#"
ebegin() { echo "$*"; }
eerror() { echo "$*" >&2; }
eend() { [ "$1" = 0 ] || eerror "$2"; return "$1"; }
service_started() { [ "$STARTED" = yes ]; }
. "$1"
"$2"
"#;

#[test]
fn a_script_of_openrc_restarts_in_one_go() {
    let place = reloadable();
    let script = exported(&place, "openrc");
    let call = |function: &str, command: &str, started: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-c", OPENRC, "sh"]).arg(&script).arg(function);
        sh.env("RC_CMD", command)
            .env("RC_SVCNAME", "it")
            .env("STARTED", started);
        Answer::of(sh.output().unwrap())
    };
    call("status", "status", "no").is(STOPPED, &[]);
    call("probe", "probe", "no").is(DONE, &["start"]);
    call("start", "start", "no").is(DONE, &["Starting it"]);
    let first = place.pid();
    call("status", "status", "yes").is(DONE, &[]);
    call("reload", "reload", "yes").is(DONE, &["Reloading it"]);
    let probed = call("probe", "probe", "yes");
    probed.is(DONE, &[]);
    assert_eq!(probed.out, "");
    eventually("both have reached it", || reloads(&place) == 2);
    call("stop", "restart", "yes").is(DONE, &[]);
    assert_eq!(place.pid(), first, "that is left to what comes next");
    call("start", "restart", "no").is(DONE, &[]);
    assert_ne!(place.pid(), first);
    call("stop", "stop", "yes").is(DONE, &["Stopping it"]);
    call("status", "status", "no").is(STOPPED, &[]);
    call("status", "status", "yes").is(32, &[]);
    place.verb("status").is(FINDINGS, &[]);
    place.nothing_runs();
}

/// What there is of rc.subr(8) for a script that does most of it by itself.
const SUBR: &str = r#"
load_rc_config() { eval "${1}_enable=YES ${1}_chrootdir=\$TREE"; }
warn() { echo "$*" >&2; }
check_pidfile() {
	if ps -o args= -p "$(cat "$1")" | grep -q "^$2 "; then cat "$1"; fi 2>/dev/null
}
run_rc_command() {
	eval "rc_flags=\$${name}_flags"
	rc_pid=$(check_pidfile "$pidfile" "$command" 2>/dev/null)
	eval "precmd=\$${1}_precmd cmd=\$${1}_cmd"
	if [ -n "$precmd" ]; then "$precmd" || exit 1; fi
	"$cmd"
}
"#;

/// That of the BSDs, in the words of GNU's, which looks names up in the tree.
const CHROOT: &str = r#"#!/bin/sh
[ "$1 $3 $4 $5 $6" = "-u -g games -G games" ] || exit 9
ids=$(/usr/bin/id -u "$2"):$(/usr/bin/id -g "$2")
shift 6
unset PWD
exec /usr/sbin/chroot --userspec="$ids" --groups="${ids#*:}" "$@"
"#;

#[test]
fn a_script_of_rc_subr_makes_a_chroot_with_a_user() {
    let port = port();
    let mut place = Place::new(&["serve", &port.to_string()]);
    place.text.service +=
        "umask = \"0027\"\nstop_timeout_s = 3\nenvironment = { WORDS = \"a  'b'\" }\n";
    place.text.tables += "[limits]\ndescriptors = 77\n";
    let script = exported(&place, "rc.d");
    let at = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let tree = place.path("tree");
    let program = tree.join(place.program().strip_prefix("/").unwrap());
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    mode(&tree, 0o755);
    let text = fs::read_to_string(&script).unwrap();
    let moved = text
        .replacen("\n. /etc/rc.subr\n", &format!("\n. {}\n", at("rc.subr")), 1)
        .replacen("/usr/sbin/chroot", &at("chroot"), 1)
        .replacen("=/var/run/", &format!("={}/", at("scripts")), 1);
    fs::write(&script, moved).unwrap();
    fs::write(place.path("rc.subr"), SUBR).unwrap();
    fs::write(place.path("chroot"), CHROOT).unwrap();
    mode(&place.path("chroot"), 0o755);
    let say = |word: &str| {
        let mut command = Command::new(&script);
        command.arg(word).env("TREE", &tree).env("SHELL", "/bin/sh");
        Answer::of(command.output().unwrap())
    };

    say("start").is(1, &["there is no program"]);
    fs::copy(place.program(), &program).unwrap();
    mode(&program, 0o4755);
    say("start").is(1, &["set-user-ID"]);
    mode(&program, 0o755);
    mode(&tree, 0o775);
    say("start").is(1, &["nobody else can write"]);
    mode(&tree, 0o755);
    say("stop").is(1, &["is not running"]);
    fs::write(&program, "no program").unwrap();
    say("start").is(1, &["has ended at once"]);
    fs::copy(place.program(), &program).unwrap();
    mode(&program, 0o755);

    say("start").is(DONE, &["Starting"]);
    eventually("it answers", || answers(port));
    say("start").is(1, &["is running already"]);
    let pid = fs::read_to_string(script.with_extension("pid")).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    let shown = ["environ", "status", "limits"].map(|name| fs::read(process.join(name)).unwrap());
    let [environment, status, limits] = shown.map(|text| String::from_utf8(text).unwrap());
    let root = fs::read_link(process.join("root")).unwrap();
    say("stop").is(DONE, &["Stopping"]);
    say("stop").is(1, &["is not running"]);
    assert_eq!((root, environment.as_str()), (tree, "WORDS=a  'b'\0"));
    for line in [
        "Umask:\t0027",
        "Uid:\t5\t5\t5\t5",
        "Gid:\t60\t60\t60\t60",
        "Groups:\t60 \n",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files: Vec<&str> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(files, ["77", "77"]);
    place.nothing_runs();
}
