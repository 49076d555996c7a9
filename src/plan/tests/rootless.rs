//! An ordinary user's plan beside root's.

use super::*;
use crate::host::user_namespaces::OrdinaryUser;
use crate::plan::{GROUPS, NEIGHBOURS, OWNER};
use crate::spec::{Device, DeviceRule, Direction, PortRule, Protocol};

fn users(groups: &[u32]) -> Host {
    Host {
        unprivileged_port_start: 1024,
        user: Some(OrdinaryUser {
            uid: 900,
            gid: 900,
            groups: groups.to_vec(),
            refused: None,
        }),
        ..host()
    }
}

fn web() -> Spec {
    Spec {
        capabilities: Vec::new(),
        devices: vec![DeviceRule {
            path: "/dev/null".into(),
            device: Device::Null,
            because: "its output".to_owned(),
            evidence: Evidence::Person,
        }],
        ports: vec![port(8080)],
        ..spec()
    }
}

fn port(port: u16) -> PortRule {
    PortRule {
        direction: Direction::Bind,
        protocol: Protocol::Tcp,
        port,
        because: "it serves".to_owned(),
        evidence: Evidence::Person,
    }
}

fn why(spec: &Spec, host: &Host) -> String {
    let error = planned(spec, host, Mode::Supervised).unwrap_err();
    format!("{error}; {}", error.next().unwrap_or_default())
}

#[test]
fn the_user_namespace_comes_before_all_that_needs_it() {
    for mode in [Mode::Supervised, Mode::Exec] {
        let plan = planned(&web(), &users(&[]), mode).unwrap();
        assert!(plan.steps.is_sorted_by_key(|planned| planned.phase));
        let enter = Step::EnterUserNamespace { uid: 900, gid: 900 };
        let order = [
            place(&plan, |step| matches!(step, Step::ResolveIds { .. })),
            place(&plan, |step| *step == enter),
            place(&plan, |step| matches!(step, Step::MakeScratch { .. })),
            place(&plan, |step| matches!(step, Step::NewNamespaces(_))),
            place(&plan, |step| matches!(step, Step::BindDevice { .. })),
            place(&plan, |step| *step == Step::PivotRoot),
            place(&plan, |step| {
                matches!(step, Step::DropBoundingSet { keep: 0, .. })
            }),
            place(&plan, |step| *step == Step::SetCapabilities { keep: 0 }),
            place(&plan, |step| *step == Step::SetAmbient { keep: 0 }),
            place(&plan, |step| matches!(step, Step::VerifyOwnIds { .. })),
            place(&plan, |step| *step == Step::NoNewPrivs),
            place(&plan, |step| matches!(step, Step::Landlock(_))),
            place(&plan, |step| matches!(step, Step::Seccomp { .. })),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(plan.ordinary_user(), Some(900));
    }
}

#[test]
fn nothing_of_it_is_in_a_plan_of_roots() {
    let plan = planned(&web(), &host(), Mode::Supervised).unwrap();
    let own = |step: &Step| {
        matches!(
            step,
            Step::EnterUserNamespace { .. } | Step::BindDevice { .. } | Step::VerifyOwnIds { .. }
        )
    };
    assert!(!plan.steps.iter().any(|planned| own(&planned.step)));
    assert_eq!(plan.ordinary_user(), None);
    assert_eq!(plan.lacking, Vec::<String>::new());
}

#[test]
fn the_layers_are_the_same_but_for_the_ids() {
    let steps = |host: &Host| -> Vec<std::mem::Discriminant<Step>> {
        let plan = planned(&web(), host, Mode::Supervised).unwrap();
        let steps = plan.steps.iter().map(|planned| &planned.step);
        let same = steps.filter(|step| {
            !matches!(
                step,
                Step::EnterUserNamespace { .. }
                    | Step::BindDevice { .. }
                    | Step::VerifyOwnIds { .. }
                    | Step::VerifyIds { .. }
                    | Step::SetGroups { .. }
                    | Step::SetGids { .. }
                    | Step::SetUids { .. }
            )
        });
        same.map(std::mem::discriminant).collect()
    };
    assert_eq!(steps(&users(&[])), steps(&host()));
}

#[test]
fn what_is_weaker_is_said() {
    let lacking = |spec: &Spec, host: &Host| planned(spec, host, Mode::Supervised).unwrap().lacking;
    let ids = |lines: Vec<String>| -> Vec<String> {
        let before = lines.iter().filter_map(|line| line.split(':').next());
        before.map(str::to_owned).collect()
    };
    assert_eq!(ids(lacking(&web(), &users(&[]))), [OWNER]);
    // In its user namespace the supervisor cannot tell what is root's.
    let every = |host: &Host| {
        planned(&web(), host, Mode::Supervised)
            .unwrap()
            .check_every_s
    };
    assert_eq!((every(&users(&[])), every(&host())), (0, 60));
    let kept = lacking(&web(), &users(&[27, 100]));
    assert!(kept[1].contains("27, 100"), "{kept:?}");
    assert_eq!(ids(kept), [OWNER, GROUPS]);
    let mut open = web();
    open.protections.landlock = Demand::Off;
    assert_eq!(ids(lacking(&open, &users(&[]))), [OWNER, NEIGHBOURS]);
}

#[test]
fn limits_of_a_cgroup_are_refused_unless_the_spec_does_without() {
    let mut limited = web();
    limited.limits.memory = Some(1 << 20);
    assert!(why(&limited, &users(&[])).contains("cgroup = \"prefer\""));
    limited.protections.cgroup = Demand::Prefer;
    let plan = planned(&limited, &users(&[]), Mode::Supervised).unwrap();
    assert!(plan.lacking.iter().any(|line| line.starts_with("cgroup: ")));
    assert_eq!(plan.cgroups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_takes_root_is_refused_with_the_setting() {
    let mut low = web();
    low.ports.push(port(80));
    let said = why(&low, &users(&[]));
    assert!(
        said.contains("net.ipv4.ip_unprivileged_port_start=80"),
        "{said}"
    );
    let mut open = users(&[]);
    open.unprivileged_port_start = 80;
    assert!(planned(&low, &open, Mode::Supervised).is_ok());

    let mut home = web();
    home.binds[0].path = "/state".into();
    assert!(why(&home, &users(&[])).contains("keeps this very jail there"));
    home.binds[0].path = "/state/other".into();
    assert!(planned(&home, &users(&[]), Mode::Supervised).is_ok());

    assert!(why(&spec(), &users(&[])).contains("capabilities"));
    let mut root = web();
    root.service.start_as_root = true;
    assert!(why(&root, &users(&[])).contains("starts as root"));
    let mut other = users(&[]);
    if let Some(user) = &mut other.user {
        user.uid = 901;
    }
    assert!(why(&web(), &other).contains("service.user"));
    let mut refused = users(&[]);
    if let Some(user) = &mut refused.user {
        user.refused = Some(("x.y is 0".to_owned(), "sysctl x.y=1".to_owned()));
    }
    let said = why(&web(), &refused);
    assert!(
        said.contains("x.y is 0") && said.contains("sysctl x.y=1"),
        "{said}"
    );
}
