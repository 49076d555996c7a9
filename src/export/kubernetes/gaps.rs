//! What Kubernetes has no word for, and which of its levels of Pod Security a pod meets.

use crate::audit::Severity;
use crate::export::item::capability;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::{Demand, Reload};

/// The capabilities that `baseline` lets a pod add (Pod Security Standards).
const OF_BASELINE: [&str; 13] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The one that `restricted` lets a pod add.
const OF_RESTRICTED: &str = "CAP_NET_BIND_SERVICE";

/// The level of Pod Security that a namespace can enforce, with what forbids a stricter one as a gap.
pub fn level(subject: &Subject<'_>, ledger: &mut Ledger) -> &'static str {
    let spec = subject.spec;
    let root = spec.service.start_as_root;
    let kept = spec.capabilities.iter().filter(|_| root);
    let outside = |allowed: &[&str]| -> Vec<Item> {
        let rules = kept
            .clone()
            .filter(|rule| !allowed.contains(&capability(rule.capability).as_str()));
        rules
            .map(|rule| Item::Capability(rule.capability))
            .collect()
    };
    let unfiltered = (spec.protections.seccomp == Demand::Off).then_some(Item::Command);
    let mut privileged = outside(&OF_BASELINE);
    privileged.extend(unfiltered);
    let mut baseline = outside(&[OF_RESTRICTED]);
    baseline.retain(|item| !privileged.contains(item));
    baseline.extend(root.then_some(Item::User));
    let level = match (privileged.is_empty(), baseline.is_empty()) {
        (true, true) => "restricted",
        (true, false) => "baseline",
        (false, _) => "privileged",
    };
    ledger.gap(
        privileged,
        Loss::Loosened,
        Severity::Medium,
        "Pod Security \"baseline\" and \"restricted\" forbid it (a capability beyond the usual, or no filter): \
         its namespace has to be \"privileged\"",
    );
    ledger.gap(
        baseline,
        Loss::Loosened,
        Severity::Low,
        "Pod Security \"restricted\" forbids it: the service begins as root (start_as_root), with the \
         capabilities for that",
    );
    level
}

/// Puts all that has no word into the ledger.
pub fn tell(subject: &Subject<'_>, image: &str, ledger: &mut Ledger) {
    start(subject, ledger);
    life(subject, ledger);
    calls(subject, ledger);
    files(subject, image, ledger);
    let rest = [
        "core",
        "descriptors",
        "file_size",
        "memory_bytes",
        "processes",
    ]
    .map(Item::Limit);
    let open: Vec<Item> = rest.into_iter().filter(|it| ledger.is_open(it)).collect();
    ledger.gap(
        open,
        Loss::Lost,
        Severity::Low,
        "Kubernetes limits memory, up to what a quantity holds; processes are limited by the kubelet \
         (podPidsLimit), and everything else as the runtime of the node does",
    );
}

fn start(subject: &Subject<'_>, ledger: &mut Ledger) {
    ledger.gap(
        [Item::Environment],
        Loss::Loosened,
        Severity::Info,
        "runtimes add PATH, HOME and HOSTNAME, and the kubelet KUBERNETES_SERVICE_HOST and its like",
    );
    ledger.gap(
        [Item::Umask],
        Loss::Loosened,
        Severity::Low,
        "Kubernetes has no word for it: runtimes begin with 0022",
    );
    ledger.gap(
        [Item::Forks],
        Loss::Lost,
        Severity::High,
        "the end of the first process is that of its container: it needs an option that keeps it in the \
         foreground",
    );
    let sockets = subject.spec.sockets.iter();
    ledger.gap(
        sockets.map(|socket| Item::Socket(socket.name.clone())),
        Loss::Lost,
        Severity::Medium,
        "the kubelet hands no sockets in: the service has to make them itself",
    );
}

fn life(subject: &Subject<'_>, ledger: &mut Ledger) {
    let service = &subject.spec.service;
    let (lost, info) = (Loss::Lost, Severity::Info);
    let reload = match &service.reload {
        Some(Reload::Command(words)) => words.join(" "),
        Some(Reload::Signal(number)) => format!("kill -{number}"),
        None => String::new(),
    };
    ledger.gap(
        [Item::Reload],
        lost,
        info,
        format!(
            "Kubernetes starts a service anew (kubectl rollout restart) and knows no other way; the host's \
             {reload} is not in the image"
        ),
    );
    ledger.gap(
        [Item::Stop],
        Loss::Loosened,
        info,
        "it is the first process of its namespace: TERM does nothing without a handler, and KILL follows \
         after as long as the spec says; a command of the host's is not in the image",
    );
    ledger.without_gaoler();
    ledger.gap(
        [Item::Restart],
        Loss::Loosened,
        info,
        "it is started again after each end and without limit, with waits of the kubelet's own: from ten \
         seconds to five minutes",
    );
    ledger.gap(
        [Item::Check],
        lost,
        info,
        "nobody compares the running service with what was started",
    );
    ledger.gap(
        [Item::Incidents],
        lost,
        info,
        "nobody notices what may be an attack and keeps what went before it",
    );
    ledger.gap(
        [Item::Log],
        lost,
        Severity::Low,
        "there is no /dev/log: what it sends there is lost, and what it prints is for kubectl logs",
    );
}

fn calls(subject: &Subject<'_>, ledger: &mut Ledger) {
    let rules = subject.spec.calls.iter();
    let start = rules.filter(|rule| rule.start_only && !subject.is_for_the_option(rule));
    ledger.gap(
        start.map(|rule| Item::StartOnly(rule.number)),
        Loss::Loosened,
        Severity::Low,
        "a runtime knows no phases: what the start alone needs is allowed for good",
    );
    ledger.gap(
        [Item::Arguments("execve")],
        Loss::Loosened,
        Severity::Low,
        "it can execute another program of the image",
    );
    ledger.gap(
        [Item::Logged],
        Loss::Lost,
        Severity::Info,
        "what the filter refuses is not logged, so \"gaoler why\" does not learn of it",
    );
}

fn files(subject: &Subject<'_>, image: &str, ledger: &mut Ledger) {
    let spec = subject.spec;
    ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Low,
        "a container has /proc with the kernel's tables, but for some that runtimes mask, /sys, /dev, and the \
         kubelet's /etc/hosts, /etc/hostname, /etc/resolv.conf and /dev/termination-log",
    );
    let devices = spec.devices.iter();
    ledger.gap(
        devices.map(|rule| Item::Device(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "/dev has null, zero, full, random, urandom, tty and ptmx, whichever it needs",
    );
    if !image.contains("@sha256:") {
        let rules = spec.files.iter();
        ledger.gap(
            rules.map(|rule| Item::File(rule.path.clone())),
            Loss::Loosened,
            Severity::Info,
            format!(
                "{image} can become another image: name it by the digest that \"--to oci\" prints, as in \
                 --image registry.example/{}@sha256:...",
                spec.name
            ),
        );
    }
}
