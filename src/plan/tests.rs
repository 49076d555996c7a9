//! The launch order is data: these tests hold it.

mod managed;
mod rootless;

use super::*;
use crate::build::{Entry, EntryKind, Manifest};
use crate::filter::explain;
use crate::host::Host;
use crate::host::cgroup::{Cgroups, Hierarchy, Version};
use crate::spec::{
    BindRule, CallRule, CapabilityRule, Demand, Evidence, Ready, ScratchRule, Service, Spec,
};
use crate::sys::calls;

fn entry(path: &str, kind: EntryKind, mode: &str, target: Option<&str>) -> Entry {
    Entry {
        path: path.into(),
        kind,
        source: None,
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.to_owned(),
        target: target.map(Into::into),
        device: None,
        size: None,
        reason: String::new(),
    }
}

fn manifest() -> Manifest {
    Manifest {
        entries: vec![
            entry("/", EntryKind::Directory, "0755", None),
            entry("/sbin", EntryKind::Symlink, "0777", Some("usr/sbin")),
            entry("/usr", EntryKind::Directory, "0755", None),
            entry("/usr/sbin", EntryKind::Directory, "0755", None),
            entry("/usr/sbin/service", EntryKind::File, "0555", None),
        ],
    }
}

fn spec() -> Spec {
    Spec {
        name: "service".to_owned(),
        service: Service {
            command: vec!["/sbin/service".to_owned()],
            user: "service".to_owned(),
            workdir: "/".into(),
            ..Service::default()
        },
        binds: vec![BindRule {
            path: "/var/lib/service".into(),
            writable: true,
            because: "its data".to_owned(),
            evidence: crate::spec::Evidence::Person,
        }],
        scratch: vec![ScratchRule {
            path: "/tmp".into(),
            size_kib: 64,
            because: "temporary files".to_owned(),
            evidence: crate::spec::Evidence::Person,
        }],
        capabilities: vec![CapabilityRule {
            capability: 10,
            because: "port 53".to_owned(),
            evidence: crate::spec::Evidence::Person,
        }],
        calls: vec![CallRule {
            number: 0,
            start_only: false,
            because: "read".to_owned(),
            evidence: crate::spec::Evidence::Person,
        }],
        ..Spec::default()
    }
}

fn host() -> Host {
    Host {
        landlock_abi: 7,
        last_capability: 40,
        ..Host::default()
    }
}

fn planned(spec: &Spec, host: &Host, mode: Mode) -> crate::Result<Plan> {
    tried(spec, host, mode, false)
}

fn tried(spec: &Spec, host: &Host, mode: Mode, tried: bool) -> crate::Result<Plan> {
    assemble(Inputs {
        spec,
        manifest: &manifest(),
        generation: 1,
        tree: "/state/service/generations/1/root".as_ref(),
        runtime: "/run/gaoler/service".as_ref(),
        cgroup: "service",
        host,
        uid: 900,
        gid: 900,
        groups: &[],
        socket_owners: &[],
        interpreter: &[],
        mode,
        tried,
    })
}

fn place(plan: &Plan, what: impl Fn(&Step) -> bool) -> usize {
    plan.steps
        .iter()
        .position(|planned| what(&planned.step))
        .expect("the plan has that step")
}

#[test]
fn steps_are_sorted_by_phase_and_each_has_a_reason() {
    for mode in [Mode::Supervised, Mode::Exec] {
        let plan = planned(&spec(), &host(), mode).expect("it can be planned");
        assert!(
            plan.steps.is_sorted_by_key(|planned| planned.phase),
            "{mode:?}"
        );
        for planned in &plan.steps {
            assert!(!planned.reason.is_empty(), "{}", planned.step);
        }
    }
}

#[test]
fn what_has_bitten_others_is_in_order() {
    let plan = planned(&spec(), &host(), Mode::Supervised).expect("it can be planned");
    let order = [
        place(&plan, |step| *step == Step::CloseInherited),
        place(&plan, |step| matches!(step, Step::ResolveIds { .. })),
        place(&plan, |step| *step == Step::StopPropagation),
        place(&plan, |step| matches!(step, Step::MountRoot { .. })),
        place(&plan, |step| *step == Step::PivotRoot),
        place(&plan, |step| *step == Step::DetachOldRoot),
        place(&plan, |step| matches!(step, Step::OpenProgram { .. })),
        place(&plan, |step| matches!(step, Step::ChangeDirectory { .. })),
        place(&plan, |step| *step == Step::CloseRest),
        place(&plan, |step| matches!(step, Step::DropBoundingSet { .. })),
        place(&plan, |step| matches!(step, Step::SetGroups { .. })),
        place(&plan, |step| matches!(step, Step::SetGids { .. })),
        place(&plan, |step| matches!(step, Step::SetUids { .. })),
        place(&plan, |step| matches!(step, Step::SetCapabilities { .. })),
        place(&plan, |step| matches!(step, Step::SetAmbient { .. })),
        place(&plan, |step| matches!(step, Step::VerifyIds { .. })),
        place(&plan, |step| *step == Step::NoNewPrivs),
        place(&plan, |step| matches!(step, Step::Landlock(_))),
        place(&plan, |step| matches!(step, Step::Seccomp { .. })),
        place(&plan, |step| matches!(step, Step::Execute { .. })),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(
        order.last(),
        Some(&(plan.steps.len() - 1)),
        "nothing follows execve"
    );
}

#[test]
fn what_a_trial_refuses_is_not_logged() {
    let logs = |plan: Plan| {
        let logs = plan.steps.iter().filter(|entry| match &entry.step {
            Step::Seccomp { logs, .. } => *logs,
            _ => false,
        });
        logs.count()
    };
    let plan = |is_tried| tried(&spec(), &host(), Mode::Supervised, is_tried).unwrap();
    assert_eq!((logs(plan(false)), logs(plan(true))), (1, 0));
}

#[test]
fn in_a_cgroup_that_is_left_to_it_a_jail_is_below_that() {
    let mut spec = spec();
    spec.limits.processes = Some(7);
    let unified = Hierarchy {
        mount: "/cgroup".into(),
        version: Version::Two,
        controllers: vec!["pids".to_owned()],
    };
    let host = Host {
        cgroups: Cgroups {
            hierarchies: vec![unified],
        },
        ..host()
    };
    let plan = planned(&spec, &host, Mode::Supervised).unwrap();
    assert_eq!(plan.cgroups(), [Path::new("/cgroup/gaoler/service")]);
    let own = "/cgroup/system.slice/jail.service";
    let plan = plan.within("/cgroup".as_ref(), own.as_ref());
    let below = format!("{own}/gaoler/service");
    assert_eq!(plan.cgroups(), [Path::new(&below)]);
    let limits = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::JoinCgroup { limits, .. } => Some(limits.clone()),
        _ => None,
    });
    let file = Path::new(&below).join("pids.max");
    assert_eq!(limits, Some(vec![(file, "7".to_owned())]));
}

#[test]
fn an_empty_group_list_is_set_too() {
    let plan = planned(&spec(), &host(), Mode::Supervised).expect("it can be planned");
    place(&plan, |step| {
        *step == Step::SetGroups { groups: Vec::new() }
    });
}

#[test]
fn groups_are_set_only_by_who_may() {
    let setgroups = calls::number("setgroups").expect("it has a number");
    let answers_success = |spec: &Spec| {
        let filter = super::policy::filter(spec, Mode::Supervised).expect("it compiles");
        explain(&filter).contains("return errno 0")
    };
    let mut listed = spec();
    assert!(!answers_success(&listed));
    listed.calls.push(CallRule {
        number: setgroups,
        start_only: true,
        because: String::new(),
        evidence: Evidence::Person,
    });
    assert!(answers_success(&listed));
    let mut root = listed.clone();
    root.service.start_as_root = true;
    assert!(!answers_success(&root));
    listed.capabilities.push(CapabilityRule {
        capability: 6,
        because: String::new(),
        evidence: Evidence::Person,
    });
    assert!(!answers_success(&listed));
}

#[test]
fn a_required_protection_that_the_host_lacks_stops_the_plan() {
    let without = Host {
        landlock_abi: 0,
        ..host()
    };
    let error = planned(&spec(), &without, Mode::Supervised).expect_err("Landlock is required");
    assert!(error.to_string().contains("landlock"), "{error}");
    assert_eq!(error.exit_code(), 125);

    let mut prefers = spec();
    prefers.protections.landlock = Demand::Prefer;
    let plan = planned(&prefers, &without, Mode::Supervised).expect("it is only preferred");
    assert_eq!(plan.lacking, ["landlock: this kernel has no Landlock"]);
    assert!(
        !plan
            .steps
            .iter()
            .any(|planned| matches!(planned.step, Step::Landlock(_)))
    );
}

#[test]
fn exec_has_no_process_in_between_and_says_what_that_costs() {
    let plan = planned(&spec(), &host(), Mode::Exec).expect("it can be planned");
    assert!(!plan.has_init());
    assert!(
        plan.lacking
            .iter()
            .any(|text| text.contains("pid_namespace")),
        "{:?}",
        plan.lacking
    );
}

#[test]
fn calls_of_the_start_have_an_end() {
    let mut phased = spec();
    let end = |plan: &Plan| {
        let mut steps = plan.steps.iter();
        steps.any(|planned| matches!(planned.step, Step::EndStart { .. }))
    };
    let plan = planned(&phased, &host(), Mode::Supervised).expect("it can be planned");
    assert!(!end(&plan) && plan.start_ends_with().is_none());
    phased.calls[0].start_only = true;
    phased.service.ready = vec![Ready::Log("up".to_owned())];
    let plan = planned(&phased, &host(), Mode::Supervised).expect("it can be planned");
    assert!(end(&plan));
    assert_eq!(
        plan.start_ends_with(),
        Some(phased.service.ready.as_slice())
    );
    let last = plan.steps.last().expect("it has steps");
    assert_eq!(last.phase, Phase::Ready);
    phased.protections.seccomp = Demand::Off;
    let plan = planned(&phased, &host(), Mode::Supervised).expect("it can be planned");
    assert!(!end(&plan), "without a filter there is nothing to end");
}

#[test]
fn a_start_that_nobody_could_end_is_refused() {
    let mut phased = spec();
    for sign in [Ready::Log("up".to_owned()), Ready::Notify] {
        phased.service.ready = vec![Ready::Tcp(80), sign.clone()];
        phased.calls[0].start_only = false;
        planned(&phased, &host(), Mode::Exec).expect("nothing ends with its start");
        phased.calls[0].start_only = true;
        planned(&phased, &host(), Mode::Supervised).expect("a supervisor hears it");
        let error = planned(&phased, &host(), Mode::Exec).expect_err("nobody hears it");
        let said = format!("nobody hears {sign}");
        assert!(error.to_string().contains(&said), "{error}");
        assert!(
            error
                .next()
                .is_some_and(|hint| hint.contains("gaoler start"))
        );
    }
    phased.protections.seccomp = Demand::Off;
    planned(&phased, &host(), Mode::Exec).expect("without a filter there is nothing to end");
}

#[test]
fn a_service_that_says_that_it_is_ready_has_somebody_to_say_it_to() {
    let variable = |plan: &Plan| {
        let mut steps = plan.steps.iter();
        steps.any(|planned| match &planned.step {
            Step::Execute { environment, .. } => {
                environment.contains(&"NOTIFY_SOCKET=/dev/gaoler/notify".to_owned())
            }
            _ => false,
        })
    };
    let open = |step: &Step| matches!(step, Step::OpenNotifySocket { .. });
    let opens = |plan: &Plan| plan.steps.iter().any(|planned| open(&planned.step));
    let mut notified = spec();
    let plan = planned(&notified, &host(), Mode::Supervised).expect("it can be planned");
    assert!(!variable(&plan) && !opens(&plan));
    notified.service.ready = vec![Ready::Notify];
    let plan = planned(&notified, &host(), Mode::Supervised).expect("it can be planned");
    assert!(variable(&plan));
    let bound = place(
        &plan,
        |step| matches!(step, Step::Bind { path, .. } if path.ends_with("gaoler")),
    );
    assert!(place(&plan, open) < bound);
    let plan = planned(&notified, &host(), Mode::Exec).expect("nothing waits for it");
    assert!(!variable(&plan) && !opens(&plan));
    notified.protections.mount_namespace = Demand::Off;
    notified.binds.clear();
    notified.scratch.clear();
    let error = planned(&notified, &host(), Mode::Supervised).expect_err("nothing is mounted");
    assert!(error.to_string().contains("notify"), "{error}");
}

#[test]
fn a_service_that_speaks_journald_s_protocol_has_its_socket_where_it_looks() {
    let open = |step: &Step| matches!(step, Step::OpenJournalSocket { .. });
    let mounted =
        |step: &Step| matches!(step, Step::Bind { path, .. } if path.ends_with("journal"));
    let has = |plan: &Plan, wanted: &dyn Fn(&Step) -> bool| {
        plan.steps.iter().any(|planned| wanted(&planned.step))
    };
    let mut speaks = spec();
    let plan = planned(&speaks, &host(), Mode::Supervised).expect("it can be planned");
    assert!(!has(&plan, &open) && !has(&plan, &mounted) && !plan.has_journal_socket());
    speaks.log.journal = true;
    let plan = planned(&speaks, &host(), Mode::Supervised).expect("it can be planned");
    assert!(plan.has_journal_socket() && place(&plan, open) < place(&plan, mounted));
    let plan = planned(&speaks, &host(), Mode::Exec).expect("nobody would read it");
    assert!(!has(&plan, &open) && !has(&plan, &mounted));
}

#[test]
fn without_a_mount_namespace_it_is_chdir_then_chroot() {
    let mut plain = spec();
    plain.protections.mount_namespace = Demand::Off;
    plain.binds.clear();
    plain.scratch.clear();
    let plan = planned(&plain, &host(), Mode::Supervised).expect("it can be planned");
    let chroot = place(&plan, |step| matches!(step, Step::Chroot { .. }));
    let enter = place(&plan, |step| *step == Step::EnterRoot);
    assert_eq!(enter, chroot + 1);
    assert!(
        plan.lacking.iter().any(|text| text.contains("chroot")),
        "{:?}",
        plan.lacking
    );
}

#[test]
fn without_a_mount_namespace_nothing_can_be_mounted() {
    let mut plain = spec();
    plain.protections.mount_namespace = Demand::Off;
    let error = planned(&plain, &host(), Mode::Supervised).expect_err("it has binds");
    assert!(error.to_string().contains("mount_namespace"), "{error}");
}

#[test]
fn a_program_that_is_not_in_the_tree_is_refused() {
    let mut other = spec();
    other.service.command = vec!["/usr/sbin/other".to_owned()];
    let error = planned(&other, &host(), Mode::Supervised).expect_err("it is not there");
    assert!(error.to_string().contains("/usr/sbin/other"), "{error}");
}

#[test]
fn a_compiled_plan_reads_back_as_it_was() {
    let plan = planned(&spec(), &host(), Mode::Supervised).expect("it can be planned");
    let text = plan.to_json().expect("it can be written");
    assert_eq!(
        Plan::from_json(&text, "plan.json".as_ref()).expect("it can be read"),
        plan
    );
}
