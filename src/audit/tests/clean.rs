//! A jail that nothing is wrong with, to be spoilt.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::audit::facts::{Binary, Neighbour, Plant, Planted};
use crate::audit::live::{Live, Mount, Process};
use crate::build::elf::{ElfInfo, Inspected, Resolver};
use crate::build::{Entry, EntryKind};
use crate::host::process::Status;
use crate::host::users::User;
use crate::plan::step::Namespaces;
use crate::plan::{Phase, PlannedStep, Step};
use crate::spec::{BindRule, CallRule, Evidence, Exercise, FamilyRule, Limits, Service};
use crate::sys::{calls, families};

/// Everything that is audited, to be spoilt.
pub(super) struct Case {
    pub spec: Spec,
    pub manifest: Manifest,
    pub plan: Plan,
    pub drift: Vec<(String, String)>,
    pub facts: Facts,
    pub live: Live,
    pub failed: Vec<FailedExercise>,
    pub today: Date,
}

impl Case {
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            spec: &self.spec,
            manifest: &self.manifest,
            plan: &self.plan,
            drift: &self.drift,
            facts: &self.facts,
            live: Some(&self.live),
            failed: Some(&self.failed),
            today: self.today,
        }
    }

    pub fn audit(&self) -> Vec<Finding> {
        audit(&self.subject())
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.live.processes[1]
    }

    pub fn thread(&mut self) -> &mut Status {
        &mut self.process().threads[0]
    }

    pub fn entry(&mut self, path: &str, kind: EntryKind, mode: &str) -> &mut Entry {
        let at = self
            .manifest
            .entries
            .partition_point(|entry| entry.path < Path::new(path));
        self.manifest.entries.insert(at, entry(path, kind, mode));
        &mut self.manifest.entries[at]
    }

    pub fn program(&mut self, path: &str) {
        self.entry(path, EntryKind::File, "0555");
    }

    pub fn plant(&mut self, what: Plant) {
        self.facts.planted.push(Planted {
            path: "/var/lib/web/it".into(),
            what,
        });
    }

    pub fn neighbour(&mut self, change: impl FnOnce(&mut Neighbour)) {
        let mut jail = Neighbour {
            name: "other".to_owned(),
            users: vec!["other".to_owned()],
            uid: Some(901),
            ..Neighbour::default()
        };
        change(&mut jail);
        self.facts.jails.push(jail);
    }

    pub fn elf(&mut self) -> &mut ElfInfo {
        &mut self.facts.binaries[0].elf
    }
}

fn entry(path: &str, kind: EntryKind, mode: &str) -> Entry {
    Entry {
        path: path.into(),
        kind,
        source: None,
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.to_owned(),
        target: None,
        device: None,
        size: None,
        reason: "a test".to_owned(),
    }
}

pub(super) fn because() -> (String, Evidence) {
    ("a test".to_owned(), Evidence::Person)
}

pub(super) fn bind(path: &str, writable: bool) -> BindRule {
    let (because, evidence) = because();
    BindRule {
        path: path.into(),
        writable,
        because,
        evidence,
    }
}

pub(super) fn call(name: &str) -> CallRule {
    let (because, evidence) = because();
    CallRule {
        number: calls::number(name).unwrap(),
        start_only: false,
        because,
        evidence,
    }
}

pub(super) fn family(name: &str) -> FamilyRule {
    let (because, evidence) = because();
    FamilyRule {
        family: families::number(name).unwrap(),
        because,
        evidence,
    }
}

pub(super) fn planned(step: Step) -> PlannedStep {
    PlannedStep {
        phase: Phase::Host,
        step,
        reason: "a test".to_owned(),
    }
}

/// A program as Debian compiles them, with what it lacks added.
pub(super) fn hardened() -> ElfInfo {
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    let Inspected::Elf(mut elf) = resolver.inspect(Path::new("/bin/ls")).unwrap() else {
        panic!("/bin/ls is no program");
    };
    assert!(
        elf.position_independent && elf.relro && elf.stack_protector,
        "{elf:?}"
    );
    assert!(
        !elf.fortified.is_empty() && !elf.fortifiable.is_empty(),
        "{elf:?}"
    );
    elf.bind_now = true;
    elf.control_flow.branches = true;
    elf.control_flow.returns = true;
    elf
}

/// Nothing is wrong with it.
pub(super) fn clean() -> Case {
    let thread = Status {
        name: "web".to_owned(),
        uids: [900; 4],
        gids: [900; 4],
        no_new_privs: true,
        seccomp: 2,
        filters: 1,
        ..Status::default()
    };
    let process = Process {
        pid: 7,
        threads: vec![thread.clone()],
        root: (1, 2),
        namespaces: vec![11, 12, 13, 14],
        directory_inside: true,
        executable: ("/usr/sbin/web".to_owned(), None),
        ..Process::default()
    };
    let init = Process {
        pid: 6,
        is_init: true,
        ..process.clone()
    };
    let root = Mount {
        id: 1,
        path: "/".into(),
        options: ["ro", "nosuid"].map(str::to_owned).to_vec(),
    };
    let namespaces = Namespaces {
        mount: true,
        pid: true,
        ipc: true,
        uts: true,
    };
    let verify = Step::VerifyIds {
        uid: 900,
        gid: 900,
        groups: Vec::new(),
        capabilities: 0,
        ambient: 0,
    };
    let filter = Step::Seccomp {
        program: Vec::new(),
        listener: false,
        refuses: true,
        logs: true,
    };
    let tree = "/state/web/generations/1/root".into();
    let steps = [
        Step::NewNamespaces(namespaces),
        Step::MountRoot { tree },
        verify,
        Step::NoNewPrivs,
        filter,
    ];
    Case {
        spec: Spec {
            name: "web".to_owned(),
            service: Service {
                command: vec!["/usr/sbin/web".to_owned()],
                user: "web".to_owned(),
                group: "web".to_owned(),
                workdir: "/".into(),
                umask: 0o022,
                environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]),
                ..Service::default()
            },
            exercises: vec![Exercise {
                name: "page".to_owned(),
                command: vec!["true".to_owned()],
                expect: 0,
                output: String::new(),
                phase: crate::learn::trace::Phase::Serve,
                because: "a test".to_owned(),
            }],
            binds: vec![bind("/var/lib/web", true)],
            calls: vec![call("read")],
            families: vec![family("unix")],
            limits: Limits {
                descriptors: Some(64),
                memory: Some(1 << 30),
                processes: Some(8),
                ..Limits::default()
            },
            ..Spec::default()
        },
        manifest: Manifest {
            entries: vec![
                entry("/", EntryKind::Directory, "0755"),
                entry("/usr", EntryKind::Directory, "0755"),
                entry("/usr/sbin", EntryKind::Directory, "0755"),
                entry("/usr/sbin/web", EntryKind::File, "0555"),
            ],
        },
        plan: Plan {
            name: "web".to_owned(),
            generation: 1,
            forks: false,
            steps: steps.into_iter().map(planned).collect(),
            ready: Vec::new(),
            lacking: Vec::new(),
            check_every_s: 0,
            living: crate::plan::Living::default(),
            log: Default::default(),
        },
        drift: Vec::new(),
        facts: Facts {
            binaries: vec![Binary {
                path: "/usr/sbin/web".into(),
                elf: hardened(),
            }],
            user: Some(User {
                name: "web".to_owned(),
                uid: 900,
                gid: 900,
                gecos: String::new(),
                home: "/".to_owned(),
                shell: "/usr/sbin/nologin".to_owned(),
            }),
            uid: 900,
            ..Facts::default()
        },
        live: Live {
            tree: (1, 2),
            host_namespaces: vec![1, 2, 3, 4],
            processes: vec![init, process],
            started_mounts: Some(vec![root.clone()]),
            mounts: vec![root],
            serving: true,
            ..Live::default()
        },
        failed: Vec::new(),
        today: Date::read("2026-06-01").unwrap(),
    }
}
