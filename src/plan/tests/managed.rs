//! Sockets that are passed on, and plans that are carried out for a manager.

use super::*;
use crate::filter::evaluate::{Call, evaluate};
use crate::spec::{BACKLOG, Listen, SOCKET_MODE, SocketRule};

/// SECCOMP_RET_ALLOW (`linux/seccomp.h`).
const RUNS: u32 = 0x7fff_0000;

fn socket(name: &str, listen: &str) -> SocketRule {
    SocketRule {
        name: name.to_owned(),
        listen: Listen::read(listen).unwrap(),
        backlog: BACKLOG,
        only_ipv6: false,
        reuse_port: false,
        mode: SOCKET_MODE,
        user: None,
        group: None,
        because: "clients".to_owned(),
    }
}

fn environment(plan: &Plan) -> Vec<String> {
    let environments = plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Execute { environment, .. } => Some(environment.clone()),
        _ => None,
    });
    environments.flatten().collect()
}

#[test]
fn sockets_are_bound_on_the_host_and_passed_before_what_the_launch_needs() {
    let spec = Spec {
        sockets: vec![socket("web", "tcp:0.0.0.0:80"), socket("names", "manager")],
        ..spec()
    };
    for mode in [Mode::Supervised, Mode::Exec, Mode::Complaining] {
        let plan = planned(&spec, &host(), mode).unwrap();
        let open = place(&plan, |step| matches!(step, Step::OpenSocket { .. }));
        let pass = place(&plan, |step| matches!(step, Step::PassSockets { .. }));
        let program = place(&plan, |step| matches!(step, Step::OpenProgram { .. }));
        assert_eq!(plan.steps[open].phase, Phase::Host);
        assert!(pass < program);
        assert_eq!(plan.descriptors().program(), 5);
        assert_eq!(
            environment(&plan),
            ["LISTEN_FDS=2", "LISTEN_FDNAMES=web:names", "LISTEN_PID="]
        );
    }
    let without = planned(&super::spec(), &host(), Mode::Supervised).unwrap();
    assert_eq!(without.descriptors().program(), FIRST_PASSED);
    assert_eq!(environment(&without), [""; 0]);
}

/// The port is there as soon as the service has its socket, which is from its first instruction.
#[test]
fn a_port_that_is_bound_for_it_does_not_end_the_start() {
    let mut spec = Spec {
        sockets: vec![socket("web", "tcp:0.0.0.0:80")],
        ..spec()
    };
    spec.calls[0].start_only = true;
    let plan = |spec: &Spec| planned(spec, &host(), Mode::Supervised);
    for listen in ["tcp:0.0.0.0:80", "manager"] {
        spec.sockets[0].listen = Listen::read(listen).unwrap();
        spec.service.ready = vec![Ready::Tcp(80)];
        let refused = plan(&spec).unwrap_err().to_string();
        assert!(
            refused.contains("tcp:80 shows before it has begun"),
            "{refused}"
        );
        spec.service.ready.push(Ready::Notify);
        assert!(plan(&spec).is_ok());
    }
    spec.service.ready = vec![Ready::Udp(80)];
    spec.sockets[0].listen = Listen::read("tcp:0.0.0.0:80").unwrap();
    assert!(plan(&spec).is_ok());
    spec.calls[0].start_only = false;
    spec.service.ready = vec![Ready::Tcp(80)];
    assert!(plan(&spec).is_ok());
}

/// The filter lets execveat run the program, and neither a socket nor anything else.
#[test]
fn the_filter_knows_where_the_program_is() {
    let spec = Spec {
        sockets: vec![socket("web", "tcp:0.0.0.0:80"), socket("names", "manager")],
        ..spec()
    };
    let filter = policy::filter(&spec, Mode::Supervised).unwrap();
    let call = calls::number("execveat").unwrap();
    let architecture = policy::native_architecture().unwrap();
    for (descriptor, allowed) in [(3, false), (4, false), (5, true), (6, false)] {
        let call = Call {
            architecture,
            number: call,
            arguments: [descriptor, 0, 0, 0, 0, 0],
        };
        let answer = evaluate(&filter, &call).unwrap().answer;
        assert_eq!(answer == RUNS, allowed, "{descriptor}: {answer:x}");
    }
}

fn speaking(mode: Mode) -> Plan {
    let mut spec = spec();
    spec.service.ready = vec![Ready::Notify];
    planned(&spec, &host(), mode).unwrap()
}

fn manager(notify: &str) -> Managed {
    Managed {
        notify: Some(notify.to_owned()),
        watchdog_us: Some(7),
    }
}

#[test]
fn a_manager_reaches_only_a_service_that_speaks() {
    for mode in [Mode::Supervised, Mode::Exec] {
        let plan = planned(&spec(), &host(), mode).unwrap();
        assert_eq!(plan.clone().managed(&manager("/run/notify")).unwrap(), plan);
        let plan = speaking(mode);
        assert_eq!(plan.clone().managed(&Managed::default()).unwrap(), plan);
    }
}

#[test]
fn with_a_supervisor_the_manager_s_socket_stays_outside() {
    let plan = speaking(Mode::Supervised);
    let managed = plan.clone().managed(&manager("/run/notify")).unwrap();
    assert_eq!(managed.steps.len(), plan.steps.len());
    let wanted = [
        "NOTIFY_SOCKET=/dev/gaoler/notify",
        "WATCHDOG_USEC=7",
        "WATCHDOG_PID=",
    ];
    assert_eq!(environment(&managed), wanted);
}

#[test]
fn with_exec_the_manager_s_socket_is_mounted_and_the_order_holds() {
    let managed = speaking(Mode::Exec)
        .managed(&manager("/run/notify"))
        .unwrap();
    let phases: Vec<Phase> = managed.steps.iter().map(|planned| planned.phase).collect();
    assert!(phases.is_sorted(), "{phases:?}");
    let scratch = place(
        &managed,
        |step| matches!(step, Step::MountScratch { path } if path.as_os_str() == "/dev/gaoler"),
    );
    let bind = place(
        &managed,
        |step| matches!(step, Step::Bind { source, .. } if source.as_os_str() == "/run/notify"),
    );
    assert!(scratch < bind);
    let wanted = [
        "WATCHDOG_USEC=7",
        "WATCHDOG_PID=",
        "NOTIFY_SOCKET=/dev/gaoler/notify",
    ];
    assert_eq!(environment(&managed), wanted);
}

#[test]
fn a_manager_s_socket_without_a_path_is_out_of_landlock_s_scope() {
    let refused = speaking(Mode::Exec).managed(&manager("@name")).unwrap_err();
    assert!(
        refused.to_string().contains("Landlock keeps it"),
        "{refused}"
    );
    let mut spec = spec();
    spec.service.ready = vec![Ready::Notify];
    let old = Host {
        landlock_abi: 5,
        ..host()
    };
    let plan = planned(&spec, &old, Mode::Exec).unwrap();
    let named = plan.clone().managed(&manager("@name")).unwrap();
    assert_eq!(environment(&named)[2], "NOTIFY_SOCKET=@name");
    assert_eq!(named.steps.len(), plan.steps.len());
    // A supervisor is outside.
    let supervised = speaking(Mode::Supervised)
        .managed(&manager("@name"))
        .unwrap();
    assert_eq!(
        environment(&supervised)[0],
        "NOTIFY_SOCKET=/dev/gaoler/notify"
    );
}

#[test]
fn without_mounts_of_its_own_the_manager_s_socket_cannot_be_mounted() {
    let mut spec = Spec {
        binds: Vec::new(),
        scratch: Vec::new(),
        ..spec()
    };
    spec.service.ready = vec![Ready::Notify];
    spec.protections.mount_namespace = Demand::Off;
    let plan = planned(&spec, &host(), Mode::Exec).unwrap();
    let refused = plan
        .managed(&manager("/run/notify"))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("mount_namespace is off"), "{refused}");
}
