//! `docs/equivalence.md`: what exported services do under other launchers, and what their jails stop.
//! `GAOLER_BLESS=1 cargo test equivalence` writes it anew, as root, in about an hour: what this host can do itself, and
//! what systemd and AppArmor do in the machine of `tests/debian`. Without that the page is held against the
//! exports, and one of them is attacked.

mod announced;
mod exercised;
mod launchers;
mod prober;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaoler::spec::{self, Spec};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::{DONE, GAOLER, Place, USER};
use crate::machine::{INSIDE, Machine, machine};
use crate::started::{curious, export};
use announced::{ANNOUNCED, are_announced};
use launchers::{Exported, Launcher, launcher};
use prober::Outcomes;
use table::{GAOLER as ITSELF, Row, SERVICES};

/// A network of its own, and none of the host's log in it.
const ALONE: &str =
    "ip link set lo up; [ ! -e /dev/log ] || mount --bind /dev/null /dev/log; exec \"$0\" \"$@\"";

/// Where a machine's own things are.
const OWN: &str = "/srv/exported";

/// Attacks an exported place under a launcher with these probes, or all; answers what came of them.
#[track_caller]
pub fn attack(place: &Place, launcher_name: &str, probes: &[String]) -> Outcomes {
    let launcher = launcher(launcher_name);
    let directory = export(place, launcher.to);
    let spec = fs::read_to_string(place.spec()).unwrap();
    let spec = spec::parse(&spec, &place.name).unwrap();
    let own = place.path("own");
    fs::create_dir(&own).unwrap();
    let exported = Exported {
        spec: &spec,
        directory,
        own: own.clone(),
    };
    let launch = (launcher.probe)(&exported);
    let under = prober::under(&own, &spec, &place.spec(), &launch);
    let words = place.arguments(&["attack", "--json", "--user", USER, "--under", &under]);
    let chosen = probes.iter().flat_map(|id| ["--probe", id]);
    let told = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", ALONE, GAOLER])
        .args(words)
        .args(chosen)
        .output()
        .unwrap();
    assert!(
        [Some(DONE), Some(3)].contains(&told.status.code()),
        "{told:?}"
    );
    let report = String::from_utf8(told.stdout).unwrap();
    println!("{}", prober::seen(&report));
    let outcomes = Outcomes::of(&report, &spec);
    are_announced(launcher.name, &outcomes.through, &gaps(place));
    outcomes
}

/// The gaps of the last export of a place.
fn gaps(place: &Place) -> Value {
    let file = format!("{}.gaps.json", place.name);
    let text = fs::read(place.path("exported").join(file)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A place whose spec has something of everything that a gap can be about.
pub fn rich() -> Place {
    let mut place = curious();
    place.text.calls.push("setgroups");
    place.text.tables += "processes = 16\nmemory_bytes = 67108864\n\
        [[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"a test\"\n";
    place
}

#[test]
fn no_probe_gets_through_bubblewrap_that_no_gap_announces() {
    let place = rich();
    // The filter is gaoler's own, and the tree is mounted as in its jail: these are about the rest.
    let rest = [
        "capability-",
        "id-",
        "ipc-",
        "limit-",
        "pid-",
        "proc-",
        "process-",
        "root-",
        "socket-host-",
    ];
    let is_of_it = |id: &String| rest.iter().any(|start| id.starts_with(start));
    let probes = gaoler::attack::probes().unwrap().into_iter();
    let chosen: Vec<String> = probes.map(|probe| probe.id).filter(is_of_it).collect();
    let outcomes = attack(&place, "bubblewrap", &chosen);
    assert!(outcomes.stopped.len() > 45, "{outcomes:#?}");
    place.nothing_runs();
}

#[test]
fn the_page_is_whole_and_names_probes_that_there_are() {
    if blessing() {
        return table::write();
    }
    let rows = table::rows();
    let text = fs::read_to_string(table::path()).unwrap();
    assert!(text == table::page(&rows), "it is stale");
    for launcher in table::LAUNCHERS {
        for service in SERVICES {
            let mut own = rows.iter();
            let there = own.any(|row| row.launcher == launcher && row.service == service);
            let not_run = table::NOT_RUN
                .iter()
                .any(|it| (it.0, it.1) == (launcher, service));
            assert!(there != not_run, "{service} under {launcher}");
        }
    }
    let known = gaoler::attack::probes().unwrap();
    let known: BTreeSet<&str> = known.iter().map(|probe| probe.id.as_str()).collect();
    for row in &rows {
        assert_eq!(row.passed, row.exercises, "{row:?}");
        for id in &row.through {
            let announced = announced::announces(&row.launcher, id);
            assert!(announced.is_some(), "no gap announces {id}: {row:?}");
        }
        for id in [&row.allowed, &row.through, &row.unproven]
            .into_iter()
            .flatten()
        {
            assert!(known.contains(id.as_str()), "{id}");
        }
        let others = row.allowed.len() + row.through.len() + row.unproven.len();
        assert_eq!(row.stopped + others, known.len(), "{row:?}");
    }
    for gap in ANNOUNCED {
        let is_under = |row: &&table::Row| gap.under.contains(&row.launcher.as_str());
        let own: Vec<&table::Row> = rows.iter().filter(is_under).collect();
        for id in gap.probes {
            // What the spec allows as well gets through all the same.
            let mut through = own
                .iter()
                .flat_map(|row| row.through.iter().chain(&row.allowed));
            let seen = own.is_empty() || through.any(|it| it == id);
            assert!(seen, "{id} is announced and does not get through");
        }
    }
}

#[test]
fn the_gaps_of_the_page_are_those_of_the_exports() {
    let mut place = rich();
    // A name of a variable that systemd does not take.
    place.text.service = "umask = \"0077\"\n".into();
    place.write();
    place.verb("build").is(DONE, &[]);
    let out = place.path("exported");
    for (to, launchers, options) in [
        ("oci", &["runc", "podman"][..], &[][..]),
        ("bubblewrap", &["bubblewrap"], &[]),
        ("firejail", &["firejail"], &[]),
        ("systemd", &["systemd"], &["--systemd-version", "252"]),
        (
            "apparmor",
            &["AppArmor"],
            &["--host-files", "--apparmor-version", "3.0"],
        ),
    ] {
        let words = [
            &[
                "export",
                &place.name,
                "--to",
                to,
                "-o",
                out.to_str().unwrap(),
            ],
            options,
        ];
        place.gaoler(&words.concat()).is(DONE, &["gaps"]);
        let made = gaps(&place);
        for gap in ANNOUNCED {
            if gap.under.iter().any(|under| launchers.contains(under)) {
                assert!(
                    gap.is_in(&made),
                    "{to}: {}: {}\n{made:#}",
                    gap.item,
                    gap.says
                );
            }
        }
    }
}

fn blessing() -> bool {
    std::env::var_os("GAOLER_BLESS").is_some()
}

/// One service under one launcher, from learning to its row.
fn row(machine: &Machine, launcher: &str, service: &str) {
    machine.gaoler(&["up", service]).ok();
    machine.gaoler(&["stop", service]).ok();
    let policy = PathBuf::from(format!("/etc/gaoler/{service}.toml"));
    let spec = spec::parse(&fs::read_to_string(&policy).unwrap(), service).unwrap();
    let (passed, outcomes) = match launcher {
        ITSELF => by_gaoler(machine, &spec),
        name => by_another(machine, &spec, &policy, launchers::launcher(name)),
    };
    let row = Row {
        launcher: launcher.to_owned(),
        service: service.to_owned(),
        passed,
        exercises: spec.exercises.len(),
        stopped: outcomes.stopped.len(),
        allowed: outcomes.allowed,
        through: outcomes.through,
        unproven: outcomes.unproven,
    };
    fs::write(made(launcher, service), row.line()).unwrap();
    if launcher == ITSELF {
        assert!(row.through.is_empty(), "{row:?}");
    } else {
        let gaps = Path::new(OWN)
            .join("files")
            .join(format!("{service}.gaps.json"));
        let gaps = serde_json::from_slice(&fs::read(gaps).unwrap()).unwrap();
        are_announced(launcher, &row.through, &gaps);
    }
}

fn by_gaoler(machine: &Machine, spec: &Spec) -> (usize, Outcomes) {
    machine.gaoler(&["start", &spec.name]).ok();
    let passed = exercised::exercise(spec);
    machine.gaoler(&["stop", &spec.name]).ok();
    let told = ended(Command::new(GAOLER).args(["attack", &spec.name, "--json"]));
    (passed, Outcomes::of(&told, spec))
}

fn by_another(
    machine: &Machine,
    spec: &Spec,
    policy: &Path,
    launcher: &Launcher,
) -> (usize, Outcomes) {
    let exported = Exported {
        spec,
        directory: PathBuf::from(OWN).join("files"),
        own: PathBuf::from(OWN),
    };
    fs::create_dir_all(OWN).unwrap();
    machine.write("/srv/within.sh", include_str!("within.sh"));
    let directory = exported.directory.to_str().unwrap();
    let words = ["export", &spec.name, "--to", launcher.to, "-o", directory];
    machine.gaoler(&words).ok();
    let passed = used(spec, &(launcher.start)(&exported));
    // What is said to syslog(3) is for the attack to hear.
    symlink("/var/lib/gaoler/.attack--under/syslog/log", "/dev/log").unwrap();
    let launch = (launcher.probe)(&exported);
    let under = prober::under(&exported.own, spec, policy, &launch);
    let user = &spec.service.user;
    let attack = ["attack", "--json", "--user", user, "--under", &under];
    let told = ended(within().arg(GAOLER).args(attack));
    println!("{}", prober::seen(&told));
    let outcomes = Outcomes::of(&told, spec);
    (passed, outcomes)
}

/// In a namespace of pids.
fn within() -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
        .arg("/srv/within.sh")
        .stdin(Stdio::null());
    command
}

/// What a command prints that ends with 0 or with findings.
fn ended(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(
        [Some(DONE), Some(3)].contains(&done.status.code()),
        "{done:?}"
    );
    String::from_utf8(done.stdout).unwrap()
}

/// Starts the service, has it do its exercises, and ends it.
fn used(spec: &Spec, command: &[String]) -> usize {
    let mut started = within().args(command).spawn().unwrap();
    let passed = exercised::exercise(spec);
    let pid = exercised::pid(spec).and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let begun = Instant::now();
    while started.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} goes on",
            spec.name
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    passed
}

/// Where a machine leaves its row: the repository may be in a directory of which it has a private copy.
fn made(launcher: &str, service: &str) -> PathBuf {
    std::env::temp_dir().join(format!("gaoler-row-{service}-{launcher}"))
}

/// Runs what makes a row in a machine, and takes the row, also one that the tests do not like.
fn generate<F: FnOnce(&Machine)>(launcher: &str, service: &str, scenario: F) {
    if std::env::var_os(INSIDE).is_some() {
        return machine(scenario);
    }
    let file = made(launcher, service);
    drop(fs::remove_file(&file));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine(scenario)));
    if let Ok(line) = fs::read_to_string(&file) {
        fs::remove_file(&file).unwrap();
        table::add(Row::parse(&line));
    }
    if let Err(why) = ended {
        std::panic::resume_unwind(why);
    }
}

macro_rules! rows {
    ($($test:ident: $service:literal under $launcher:literal,)*) => {
        $(
            #[test]
            fn $test() {
                if blessing() {
                    generate($launcher, $service, |machine| row(machine, $launcher, $service));
                }
            }
        )*
    };
}

rows! {
    named_in_its_jail: "named" under "gaoler",
    nginx_in_its_jail: "nginx" under "gaoler",
    apache2_in_its_jail: "apache2" under "gaoler",
    named_under_runc: "named" under "runc",
    nginx_under_runc: "nginx" under "runc",
    apache2_under_runc: "apache2" under "runc",
    named_under_podman: "named" under "podman",
    nginx_under_podman: "nginx" under "podman",
    apache2_under_podman: "apache2" under "podman",
    named_under_bubblewrap: "named" under "bubblewrap",
    nginx_under_bubblewrap: "nginx" under "bubblewrap",
    apache2_under_bubblewrap: "apache2" under "bubblewrap",
    named_under_firejail: "named" under "firejail",
    nginx_under_firejail: "nginx" under "firejail",
    apache2_under_firejail: "apache2" under "firejail",
}
