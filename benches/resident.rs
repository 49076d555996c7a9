//! What stays in memory beside a jailed service. Run it as root:
//!
//! ```text
//! cargo bench --bench resident
//! ```
//!
//! **Compared:** gaoler's supervisor and the first process of its jail; the two processes of
//! bubblewrap and of firejail. The service is a static program that only waits.
//!
//! **Why it is fair:** all are looked at in the same way, half a second after the start.
//!
//! **How to read it:** `VmRSS` is what `ps` shows, and counts pages of files that other processes
//! share. `RssAnon` is the process's own. `Pss` divides what is shared among those who share it,
//! so that it can be added up; gaoler's first process is a fork of the supervisor and shares
//! most of its pages with it.

mod shared;

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shared::{Account, Place, Result, quiet, say};

/// What the supervisor may take, KiB.
const LIMIT_KIB: u64 = 1536;

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount"])? {
        return Ok(());
    }
    shared::facts(&[&["bwrap", "--version"], &["firejail", "--version"]])?;
    let place = Place::new()?;
    let source = place.path().join("wait.c");
    let program = place.path().join("wait");
    fs::write(
        &source,
        "#include <unistd.h>\nint main(void) { return pause(); }\n",
    )?;
    shared::compile(&source, &program)?;
    let command = [program.to_string_lossy().into_owned()];
    let spec = shared::spec_of("bench", &command, &Account::find()?, "\"/\"");
    place.build("bench", &spec.replace("calls = [\n", PAUSE))?;
    say(&format!(
        "{:34} {:>9} {:>9} {:>9} {:>9}\n",
        "KiB", "VmRSS", "RssAnon", "RssFile", "Pss"
    ))?;
    let supervisor = look("gaoler", place.gaoler().args(["run", "bench"]))?;
    if shared::installed("bwrap").is_some() {
        let mut bubblewrap = quiet("bwrap");
        bubblewrap.args("--unshare-pid --unshare-ipc --unshare-uts --die-with-parent".split(' '));
        bubblewrap
            .args("--ro-bind / / --cap-drop ALL".split(' '))
            .arg(&program);
        look("bubblewrap", &mut bubblewrap)?;
    } else {
        say("bubblewrap: not installed\n")?;
    }
    if shared::installed("firejail").is_some() {
        let mut firejail = quiet("firejail");
        firejail.args("--quiet --noprofile --caps.drop=all --nonewprivs --seccomp".split(' '));
        look("firejail", firejail.arg(&program))?;
    } else {
        say("firejail: not installed\n")?;
    }
    shared::requirement(
        &format!("the supervisor's VmRSS <= {LIMIT_KIB} KiB"),
        supervisor.map(|kib| kib as f64),
        |kib| kib <= LIMIT_KIB as f64,
    )?;
    place.remove()
}

/// The service waits by a call that the others have no use for.
const PAUSE: &str = "calls = [\n  { call = \"pause\", because = \"a benchmark\" },\n";

/// Starts a launcher, lists its processes, ends them. Answers with the first one's VmRSS.
fn look(name: &str, command: &mut Command) -> Result<Option<u64>> {
    let mut launcher = command.spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let listed = list(name, &launcher);
    end(&mut launcher)?;
    listed
}

fn list(name: &str, launcher: &Child) -> Result<Option<u64>> {
    let mut first = None;
    let family = family(launcher.id())?;
    for (position, pid) in family.iter().enumerate() {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let command = text(&status, "Name:").unwrap_or_default();
        let of = |text: &str, field: &str| kib(text, field).map_or("-".into(), |k| k.to_string());
        let title = format!("{name}, process {} ({command})", position + 1);
        say(&format!(
            "{title:34} {:>9} {:>9} {:>9} {:>9}\n",
            of(&status, "VmRSS:"),
            of(&status, "RssAnon:"),
            of(&status, "RssFile:"),
            of(&rollup, "Pss:"),
        ))?;
        if position == 0 {
            first = kib(&status, "VmRSS:");
        }
    }
    Ok(first)
}

/// A process and its descendants, oldest first.
fn family(first: u32) -> Result<Vec<u32>> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = Path::new("/proc").join(name).join("status");
        // One that has ended meanwhile is none of ours.
        let status = fs::read_to_string(path).unwrap_or_default();
        if let Some(parent) = text(&status, "PPid:").and_then(|parent| parent.parse().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut family = vec![first];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(family)
}

/// Ends the service, which is the youngest; its launchers end by themselves then.
fn end(launcher: &mut Child) -> Result<()> {
    let youngest = family(launcher.id())?.pop();
    let pid = youngest.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    launcher.wait()?;
    Ok(())
}

fn text<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()
}

fn kib(status: &str, field: &str) -> Option<u64> {
    text(status, field)?.parse().ok()
}
