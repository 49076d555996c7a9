//! The page on jails without root, from root's plan and an ordinary user's.

use std::fmt::Write;

use gaoler::host::Host;
use gaoler::host::user_namespaces::{OrdinaryUser, explain};
use gaoler::plan::{Mode, Plan, PlannedStep};
use gaoler::spec::{self, Demand, Spec};
use gaoler::sys::user_namespace::{Part, Refused};
use rustix::io::Errno;

use crate::pages::{example_host, plan_of};
use crate::same;

/// A change to the spec that takes root.
type Change = fn(&mut Spec);

/// The example, for a high port and without limits.
fn spec() -> Spec {
    let text = include_str!("example.toml").replace("port = 53", "port = 5353");
    let mut spec = spec::parse(&text, "example.toml").unwrap();
    spec.capabilities.clear();
    spec.limits.memory = None;
    spec.limits.processes = None;
    spec
}

fn user(groups: &[u32]) -> Host {
    Host {
        user: Some(OrdinaryUser {
            uid: 995,
            gid: 995,
            groups: groups.to_vec(),
            refused: None,
        }),
        ..example_host()
    }
}

fn planned(spec: &Spec, host: &Host) -> Plan {
    plan_of(spec, host, Mode::Supervised).unwrap()
}

/// The steps of one that the other has not, in words.
fn only_in(one: &Plan, other: &Plan) -> String {
    let there = |planned: &&PlannedStep| other.steps.iter().all(|its| its.step != planned.step);
    let steps = one.steps.iter().filter(there);
    steps
        .map(|planned| format!("- **{}** — {}\n", planned.step, planned.reason))
        .collect()
}

fn lines(lacking: &[String]) -> String {
    let words = lacking.iter().map(|line| match line.split_once(": ") {
        Some((id, words)) => format!("- `{id}`: {words}\n"),
        None => format!("- {line}\n"),
    });
    words.collect()
}

fn weaker() -> String {
    let mut open = spec();
    open.protections.pid_namespace = Demand::Off;
    open.protections.landlock = Demand::Off;
    lines(&planned(&open, &user(&[100])).lacking)
}

fn cgroup() -> String {
    let mut limited = spec();
    limited.limits.memory = Some(1 << 28);
    limited.protections.cgroup = Demand::Prefer;
    let lacking = planned(&limited, &user(&[])).lacking;
    let of_it: Vec<String> = lacking
        .into_iter()
        .filter(|line| line.starts_with("cgroup"))
        .collect();
    lines(&of_it)
}

fn refused() -> String {
    let changes: [(&str, Change); 5] = [
        ("a low port", |spec| spec.ports[0].port = 80),
        ("a service that starts as root", |spec| {
            spec.service.start_as_root = true
        }),
        ("a capability", |spec| {
            let text = include_str!("example.toml");
            spec.capabilities = spec::parse(text, "example.toml").unwrap().capabilities;
        }),
        ("plain `chroot`", |spec| {
            spec.protections.mount_namespace = Demand::Off;
            spec.binds.clear();
            spec.scratch.clear();
        }),
        ("a place that holds gaoler's own", |spec| {
            spec.binds[0].path = "/var/lib".into()
        }),
    ];
    let mut text = String::new();
    for (what, change) in changes {
        let mut wanting = spec();
        change(&mut wanting);
        let error = plan_of(&wanting, &user(&[]), Mode::Supervised).unwrap_err();
        let (_, why, hint) = error.parts();
        let hint = hint.unwrap_or_default();
        writeln!(text, "- {what}: {why}\n  (*{hint}*)").unwrap();
    }
    text
}

fn hosts() -> String {
    let cases = [
        (
            "Debian",
            Part::Namespace,
            Errno::PERM,
            "kernel.unprivileged_userns_clone",
            0,
        ),
        (
            "Ubuntu from 23.10 on",
            Part::Capabilities,
            Errno::PERM,
            "kernel.apparmor_restrict_unprivileged_userns",
            1,
        ),
        (
            "any",
            Part::Namespace,
            Errno::NOSPC,
            "user.max_user_namespaces",
            0,
        ),
        ("a container", Part::Namespace, Errno::PERM, "", 0),
        ("another container", Part::Capabilities, Errno::PERM, "", 0),
    ];
    let mut text = String::from("| Host | What gaoler says | What helps |\n|---|---|---|\n");
    for (host, part, errno, name, value) in cases {
        let setting = |asked: &str| (asked == name).then_some(value);
        let (why, hint) = explain(Refused { part, errno }, &setting);
        writeln!(text, "| {host} | {why} | {hint} |").unwrap();
    }
    text
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_page_on_rootless_jails_is_what_is_planned() {
    let (roots, users) = (
        planned(&spec(), &example_host()),
        planned(&spec(), &user(&[])),
    );
    let page = include_str!("rootless_page.md")
        .replace("{{ADDED}}", &only_in(&users, &roots))
        .replace("{{REMOVED}}", &only_in(&roots, &users))
        .replace("{{WEAKER}}", &weaker())
        .replace("{{CGROUP}}", &cgroup())
        .replace("{{REFUSED}}", &refused())
        .replace("{{HOSTS}}", &hosts());
    assert!(!page.contains("{{"), "{page}");
    same("docs/rootless.md", &page);
}
