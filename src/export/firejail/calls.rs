//! What the service may ask of the kernel.

use std::collections::BTreeSet;

use super::Profile;
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject, launched};
use crate::spec::{Demand, Spec};
use crate::sys::{calls, families};

/// The last call whose name firejail 0.9.72 knows; it takes numbers, too.
const LAST_NAMED: u32 = 440;

/// What ends every run.
const ALWAYS: [&str; 4] = ["exit", "exit_group", "restart_syscall", "rt_sigreturn"];

/// What firejail allows whatever a profile says (`@default-keep`), and what env needs to start in a
/// directory.
const OF_FIREJAIL: [&str; 4] = ["chdir", "execve", "execveat", "prctl"];

/// The families that `protocol` knows, as it calls them.
const PROTOCOLS: [&str; 6] = ["bluetooth", "inet", "inet6", "netlink", "packet", "unix"];

/// The calls that are made before the service is there, and that the profile allows for that.
pub fn besides(subject: &Subject<'_>) -> Vec<&'static str> {
    let mut all: Vec<&str> = OF_FIREJAIL.to_vec();
    all.extend(launched::OF_LOADER);
    if !subject.spec.service.start_as_root {
        all.extend(launched::OF_SETPRIV);
        all.extend(["setgroups", "setresgid", "setresuid"]);
    }
    all.retain(|name| calls::number(name).is_some());
    all
}

fn allows(subject: &Subject<'_>, name: &str) -> bool {
    let mut rules = subject.spec.calls.iter();
    rules.any(|rule| calls::number(name) == Some(rule.number) && !subject.is_for_the_option(rule))
}

/// Says it all.
pub fn say(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    capabilities(profile, ledger, subject);
    if spec.protections.seccomp == Demand::Off {
        return;
    }
    filter(profile, ledger, subject);
    memory(profile, ledger, subject);
    protocols(profile, ledger, subject);
    launched::phases(ledger, subject);
    ledger.gap(
        [Item::Arguments("ioctl")],
        Loss::Loosened,
        Severity::Low,
        "TIOCSTI and TIOCLINUX are not refused: where its output is a terminal, it can type into that",
    );
    match launched::sets_groups(subject) {
        true => ledger.said(&Item::Arguments("setgroups")),
        false => ledger.gap(
            [Item::Arguments("setgroups")],
            Loss::Loosened,
            Severity::Info,
            "without CAP_SETGID it fails, where gaoler's filter lets whoever insists on it go on",
        ),
    }
}

fn capabilities(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    let mut names = launched::capability_names(subject);
    profile.because(
        "no capability but these; setpriv, which becomes the user, gives away what only it needs",
    );
    if !spec.service.start_as_root {
        for name in launched::to_change(subject).iter().chain(&["SETGID"]) {
            if !launched::keeps(subject, name) {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    match names.is_empty() {
        true => profile.line("caps.drop all"),
        false => profile.line(&format!("caps.keep {}", names.join(","))),
    }
    profile.because("no program gains what its file gives: set-user-ID, file capabilities");
    profile.line("nonewprivs");
    for rule in &spec.capabilities {
        ledger.said(&Item::Capability(rule.capability));
    }
    ledger.said(&Item::NoOtherCapability);
    ledger.said(&Item::NoNewPrivileges);
}

fn filter(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    let besides = besides(subject);
    let rules = spec
        .calls
        .iter()
        .filter(|rule| !subject.is_for_the_option(rule));
    let mut kept: BTreeSet<u32> = rules.map(|rule| rule.number).collect();
    let names = ALWAYS.iter().chain(&besides);
    kept.extend(names.filter_map(|name| calls::number(name)));
    if allows(subject, "clone3") {
        // It is answered with ENOSYS, and clone comes instead.
        kept.extend(calls::number("clone"));
    }
    let written = |number: &u32| match calls::name(*number).filter(|_| *number <= LAST_NAMED) {
        Some(name) => name.to_owned(),
        None => format!("${number}"),
    };
    let mut written: Vec<String> = kept.iter().map(written).collect();
    written.sort();
    profile
        .because("each call that the spec allows, and what is needed until the service is there");
    profile.line(&format!("seccomp.keep {}", written.join(",")));
    profile.because("what is not listed fails, as where it is not permitted");
    profile.line("seccomp-error-action EPERM");
    profile.because("a call's number means another one elsewhere");
    profile.line("seccomp.block-secondary");
    profile.because("it makes no namespaces, in which it would have capabilities");
    profile.line("restrict-namespaces");
    for rule in &spec.calls {
        ledger.said(&Item::Call(rule.number));
    }
    ledger.said(&Item::NoOtherArchitecture);
    ledger.said(&Item::Arguments("clone"));
    let more: Vec<&str> = besides
        .into_iter()
        .filter(|name| !allows(subject, name))
        .collect();
    match more.is_empty() {
        true => ledger.said(&Item::NoOtherCall),
        false => ledger.gap(
            [Item::NoOtherCall],
            Loss::Loosened,
            Severity::Low,
            format!(
                "the filter is there before the service is, so it also allows what firejail, setpriv and env \
                 do until then: {}",
                more.join(", ")
            ),
        ),
    }
}

fn memory(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    if subject.spec.service.writable_executable {
        return;
    }
    if allows(subject, "memfd_create") {
        ledger.gap(
            [Item::NoWritableExecutable],
            Loss::Lost,
            Severity::Medium,
            "firejail's word for it also refuses memfd_create, which the service calls",
        );
        return;
    }
    profile.because("no memory that is written is executed");
    profile.line("memory-deny-write-execute");
    ledger.said(&Item::NoWritableExecutable);
}

fn protocols(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    for rule in &spec.families {
        ledger.said(&Item::Family(rule.family));
    }
    let names: Vec<Option<&str>> = spec
        .families
        .iter()
        .map(|rule| families::name(rule.family))
        .collect();
    let known: Option<Vec<&str>> = names
        .into_iter()
        .map(|name| name.filter(|name| PROTOCOLS.contains(name)))
        .collect();
    let made = allows(subject, "socket");
    match known.filter(|names| !names.is_empty()) {
        Some(names) => {
            profile.because("sockets of these families alone");
            profile.line(&format!("protocol {}", names.join(",")));
            match allows(subject, "socketpair") && !has_unix(spec) {
                false => ledger.said(&Item::NoOtherFamily),
                true => ledger.gap(
                    [Item::NoOtherFamily],
                    Loss::Loosened,
                    Severity::Info,
                    "it can make pairs of Unix sockets, which are connected with each other alone",
                ),
            }
        }
        None if !made && !allows(subject, "socketpair") => ledger.said(&Item::NoOtherFamily),
        None => ledger.gap(
            [Item::NoOtherFamily],
            Loss::Loosened,
            Severity::Medium,
            format!(
                "sockets of any family: firejail can name {} alone, and one at least",
                PROTOCOLS.join(", ")
            ),
        ),
    }
}

fn has_unix(spec: &Spec) -> bool {
    let unix = families::number("unix");
    spec.families.iter().any(|rule| Some(rule.family) == unix)
}
