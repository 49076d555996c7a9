//! For each rule what makes it fire, and that it does not without.

use super::clean::{Case, because, bind, call, clean, family, hardened, planned};
use super::*;
use crate::audit::facts::{Binary, OddFile, Outside, Plant, Stale, Unit, Unseen};
use crate::build::EntryKind;
use crate::plan::Step;
use crate::spec::{Accepted, CapabilityRule, Demand, Direction, PortRule, Protocol};
use crate::sys::caps;

/// What makes a rule fire.
type Spoil = fn(&mut Case);

/// For each rule one way to make it fire.
const SPOILT: &[(&str, Spoil)] = &[
    ("accepted.expired", |case| {
        accept(case, "spec.root", "2026-05-31")
    }),
    ("accepted.idle", |case| {
        accept(case, "spec.root", "2026-06-01")
    }),
    ("elf.cet", |case| case.elf().control_flow.returns = false),
    ("elf.fortify", |case| case.elf().fortified.clear()),
    ("elf.pie", |case| case.elf().position_independent = false),
    ("elf.relro", |case| case.elf().relro = false),
    ("elf.stack", |case| case.elf().stack_not_executable = false),
    ("elf.stack-protector", |case| {
        case.elf().stack_protector = false
    }),
    ("elf.writable-code", |case| {
        case.elf().text_relocations = true
    }),
    ("host.guard", |case| {
        case.facts
            .unguarded
            .push("it has mode 0755 again".to_owned())
    }),
    ("host.login-shell", |case| {
        case.facts.user.as_mut().unwrap().shell = "/bin/bash".to_owned();
    }),
    ("host.outside", |case| outside(case, true, false)),
    ("host.same-number", |case| {
        case.facts.same_number.push("bind".to_owned())
    }),
    ("live.capabilities", |case| case.thread().permitted = 1),
    ("live.complain", |case| case.live.complaining = true),
    ("live.descriptor", |case| {
        case.process()
            .foreign_descriptors
            .push((3, "/etc".to_owned()));
    }),
    ("live.directory", |case| {
        case.process().directory_inside = false
    }),
    ("live.executable", |case| {
        case.process().executable.1 = Some("is not in the manifest".to_owned());
    }),
    ("live.exercise", |case| {
        case.failed.push(FailedExercise {
            name: "page".to_owned(),
            why: "exit code 1".to_owned(),
            last_words: "no".to_owned(),
        });
    }),
    ("live.gid", |case| case.thread().gids[2] = 0),
    ("live.groups", |case| case.thread().groups.push(6)),
    ("live.init", |case| {
        case.live.processes[0].threads[0].permitted = 1
    }),
    ("live.mapping", |case| case.process().writable_code = 1),
    ("live.mount", |case| case.live.mounts[0].options.clear()),
    ("live.mount-change", |case| {
        case.live.started_mounts = Some(Vec::new());
    }),
    ("live.namespace", |case| case.process().namespaces[1] = 2),
    ("live.no-new-privs", |case| {
        case.thread().no_new_privs = false
    }),
    ("live.root", |case| case.process().root = (1, 3)),
    ("live.seccomp", |case| case.thread().seccomp = 0),
    ("live.stale", |case| {
        case.process()
            .removed_code
            .push("/usr/lib/libc.so.6".to_owned())
    }),
    ("live.start", |case| {
        case.live.serving = false;
        let end = Step::EndStart {
            calls: vec![1],
            signs: Vec::new(),
            exercises: Vec::new(),
        };
        case.plan.steps.push(planned(end));
    }),
    ("live.supervisor", |case| case.live.abandoned = true),
    ("live.tracer", |case| case.thread().tracer = 1),
    ("live.uid", |case| case.thread().uids[2] = 0),
    ("live.writable-descriptor", |case| {
        case.process()
            .writable_descriptors
            .push((4, "/etc/passwd".to_owned()));
    }),
    ("place.device", |case| case.plant(Plant::Device)),
    ("place.executable", |case| case.plant(Plant::Executable)),
    ("place.link", |case| {
        case.plant(Plant::Link("/etc/shadow".into()))
    }),
    ("place.setuid", |case| case.plant(Plant::Setuid)),
    ("place.volume", |case| {
        case.facts.on_root_volume.push("/var/lib/web".into())
    }),
    ("rootless.groups", |case| {
        lacks(case, "rootless.groups: 27 stays")
    }),
    ("rootless.neighbours", |case| {
        lacks(case, "rootless.neighbours: without pid_namespace")
    }),
    ("rootless.owner", |case| {
        lacks(case, "rootless.owner: uid 900")
    }),
    ("run.killed", |case| case.facts.killed_by = Some(31)),
    ("shared.generic-user", |case| {
        case.spec.service.user = "www-data".to_owned()
    }),
    ("shared.place", |case| {
        case.neighbour(|jail| jail.places.push("/var/lib/web/cache".into()));
    }),
    ("shared.processes", |case| outside(case, false, true)),
    ("shared.socket", |case| {
        case.plant(Plant::Socket);
        case.neighbour(|jail| jail.places.push("/var/lib/web".into()));
    }),
    ("shared.uid", |case| {
        case.neighbour(|jail| jail.uid = Some(900))
    }),
    ("spec.call", |case| case.spec.calls.push(call("ptrace"))),
    ("spec.capability", |case| {
        let (because, evidence) = because();
        case.spec.capabilities.push(CapabilityRule {
            capability: caps::number("SYS_ADMIN").unwrap(),
            because,
            evidence,
        });
    }),
    ("spec.config-writable", |case| {
        case.spec.binds.push(bind("/etc/web", true))
    }),
    ("spec.connect", |case| {
        let (because, evidence) = because();
        case.spec.ports.push(PortRule {
            direction: Direction::Connect,
            protocol: Protocol::Tcp,
            port: 0,
            because,
            evidence,
        });
    }),
    ("spec.environment", |case| {
        let variables = &mut case.spec.service.environment;
        variables.insert("LD_PRELOAD".to_owned(), "/tmp/x.so".to_owned());
    }),
    ("spec.execute", |case| case.spec.calls.push(call("execve"))),
    ("spec.family", |case| {
        case.spec.families.push(family("packet"))
    }),
    ("spec.group", |case| {
        case.spec.service.groups.push("disk".to_owned())
    }),
    ("spec.host-place", |case| {
        case.spec.binds.push(bind("/proc", false))
    }),
    ("spec.incomplete", |case| {
        case.spec.incomplete = Some("2 stops were lost".to_owned())
    }),
    ("spec.limit", |case| case.spec.limits.memory = None),
    ("spec.looser", |case| {
        case.facts.unseen.push(Unseen {
            item: "call ptrace".to_owned(),
            evidence: "person".to_owned(),
            weighty: true,
        });
    }),
    ("spec.network", |case| {
        case.spec.families.push(family("inet6"))
    }),
    ("spec.protection", |case| {
        case.spec.protections.seccomp = Demand::Off
    }),
    ("spec.root", |case| case.spec.service.start_as_root = true),
    ("spec.umask", |case| case.spec.service.umask = 0),
    ("spec.untested", |case| case.spec.exercises.clear()),
    ("spec.writable-executable", |case| {
        case.spec.service.writable_executable = true
    }),
    ("stack.filter", |case| case.live.outer_filters = 1),
    ("stack.launcher", |case| {
        case.spec
            .service
            .command
            .insert(0, "/usr/bin/firejail".to_owned());
    }),
    ("stack.lsm", |case| {
        case.process().label = Some("AppArmor: named (enforce)".to_owned())
    }),
    ("stack.sandbox", |case| {
        case.live.ancestors.push("/usr/bin/firejail".into())
    }),
    ("stack.unit", |case| {
        case.facts.units.push(Unit {
            path: "/etc/systemd/system/web.service".into(),
            settings: vec!["ProtectSystem=strict".to_owned()],
        });
    }),
    ("tree.accounts", |case| {
        case.entry("/etc/passwd", EntryKind::File, "0444").source = Some("/etc/passwd".into());
    }),
    ("tree.compiler", |case| case.program("/usr/bin/gcc-12")),
    ("tree.dangling", |case| {
        case.entry("/etc/web", EntryKind::Symlink, "0777").target = Some("../srv/web".into());
    }),
    ("tree.device", |case| {
        case.entry("/dev/sda", EntryKind::Device, "0600").device = Some("8:0".to_owned());
    }),
    ("tree.drift", |case| {
        case.drift.push(("/x".to_owned(), "extra".to_owned()))
    }),
    ("tree.hard-link", |case| {
        case.facts.files.push(OddFile {
            path: "/usr/sbin/web".into(),
            names_outside: 1,
            capabilities: false,
        });
    }),
    ("tree.launcher", |case| case.program("/usr/sbin/chroot")),
    ("tree.mode", |case| {
        case.entry("/tmp", EntryKind::Directory, "0777").uid = 0
    }),
    ("tree.secret", |case| {
        case.entry("/etc/shadow", EntryKind::File, "0400").uid = 0
    }),
    ("tree.setuid", |case| {
        case.entry("/bin/x", EntryKind::File, "4555").uid = 0
    }),
    ("tree.shell", |case| case.program("/usr/bin/python3.11")),
    ("tree.stale", |case| {
        case.facts.stale.push(Stale {
            path: "/usr/sbin/web".into(),
            what: "has another content now".to_owned(),
            code: true,
        });
    }),
    ("tree.tool", |case| case.program("/usr/bin/curl")),
];

fn lacks(case: &mut Case, line: &str) {
    case.plan.lacking.push(line.to_owned());
}

fn accept(case: &mut Case, check: &str, until: &str) {
    case.spec.accepted.push(Accepted {
        check: check.to_owned(),
        subject: "service.start_as_root".to_owned(),
        because: "a test".to_owned(),
        until: Date::read(until).unwrap(),
    });
}

fn outside(case: &mut Case, is_copy: bool, same_uid: bool) {
    case.facts.outside.push(Outside {
        pid: 99,
        executable: "/usr/sbin/web".to_owned(),
        is_copy,
        same_uid,
    });
}

#[test]
fn a_clean_jail_has_no_finding_at_all() {
    let found = clean().audit();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_rule_fires_on_what_it_is_for() {
    let ids: Vec<&str> = SPOILT.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, crate::spec::CHECKS, "each rule has one case");
    for (id, spoil) in SPOILT {
        let mut case = clean();
        spoil(&mut case);
        let findings = case.audit();
        let found: Vec<&Finding> = findings.iter().filter(|found| found.id == *id).collect();
        assert!(!found.is_empty(), "{id} does not fire: {findings:#?}");
        let check = checks().find(|check| check.id == *id).unwrap();
        for finding in found {
            assert!(finding.severity <= check.worst, "{finding:#?}");
            assert!(!finding.remedy.is_empty() && !finding.evidence.is_empty());
        }
    }
}

#[test]
fn what_is_accepted_is_shown_and_does_not_count_until_it_expires() {
    let mut case = clean();
    case.spec.service.start_as_root = true;
    let before = score(&case.audit());
    assert_eq!(before, 3.0);
    accept(&mut case, "spec.root", "2026-06-01");
    let accepted = case.audit();
    assert_eq!(score(&accepted), 0.0);
    let risk = accepted[0].accepted.as_ref().unwrap();
    assert_eq!(
        (risk.because.as_str(), accepted[0].id.as_str()),
        ("a test", "spec.root")
    );
    // The day after.
    case.today = Date::read("2026-06-02").unwrap();
    let expired = case.audit();
    assert_eq!(score(&expired), 3.2);
    assert!(expired.iter().any(|found| found.id == "accepted.expired"));
    assert!(expired.iter().all(|found| found.accepted.is_none()));
}

#[test]
fn what_was_not_looked_at_is_not_idle() {
    let mut case = clean();
    accept(&mut case, "live.uid", "2026-06-01");
    let with_live = |case: &Case, live| {
        let subject = Subject {
            live,
            ..case.subject()
        };
        audit(&subject).len()
    };
    assert_eq!(with_live(&case, Some(&case.live)), 1);
    assert_eq!(with_live(&case, None), 0);
}

#[test]
fn libraries_are_one_finding_and_weigh_less() {
    let mut case = clean();
    for name in ["a", "b", "d"] {
        let mut elf = hardened();
        elf.interpreter = None;
        elf.soname = Some(format!("lib{name}.so.1"));
        elf.stack_protector = false;
        elf.bind_now = false;
        case.facts.binaries.push(Binary {
            path: format!("/usr/lib/lib{name}.so.1").into(),
            elf,
        });
    }
    let found = case.audit();
    let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["elf.relro", "elf.stack-protector"], "{found:#?}");
    assert!(found.iter().all(|found| found.subject == "libraries"));
    assert_eq!(score(&found), 0.0);
}
