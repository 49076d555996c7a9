//! What a runtime has no word for.

use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::{Direction, Protocol};

/// Puts all of it into the ledger.
pub fn tell(subject: &Subject<'_>, ledger: &mut Ledger) {
    life(subject, ledger);
    calls(subject, ledger);
    files(subject, ledger);
    network(subject, ledger);
}

fn life(subject: &Subject<'_>, ledger: &mut Ledger) {
    let spec = subject.spec;
    let lost = Loss::Lost;
    ledger.gap(
        [Item::Environment],
        Loss::Loosened,
        Severity::Info,
        "runtimes add HOME, and podman PATH, TERM, container and HOSTNAME",
    );
    ledger.gap(
        [Item::Forks],
        lost,
        Severity::High,
        "a runtime takes the end of its first process for the end of the service: it needs an option \
         that keeps it in the foreground",
    );
    let signs = spec.service.ready.iter().cloned();
    ledger.gap(
        signs.map(Item::Ready),
        lost,
        Severity::Info,
        "a runtime takes it for started when it has been executed",
    );
    ledger.gap(
        [Item::Reload],
        lost,
        Severity::Info,
        "a runtime sends signals, and knows none that reloads: runc kill NAME HUP, or its own program",
    );
    ledger.gap(
        [Item::Stop],
        Loss::Loosened,
        Severity::Info,
        "it is the first process of its namespace: a signal for which it has no handler does nothing, \
         and whoever stops it waits as long as the runtime is told to",
    );
    let sockets = spec.sockets.iter();
    ledger.gap(
        sockets.map(|socket| Item::Socket(socket.name.clone())),
        lost,
        Severity::Medium,
        "a runtime passes on what it has been given itself: runc run --preserve-fds",
    );
    ledger.without_gaoler();
    ledger.gap(
        [Item::Restart, Item::Liveness],
        lost,
        Severity::Info,
        "a runtime starts it once and does not look at it again: that is for podman or a cluster",
    );
    ledger.gap(
        [Item::Check],
        lost,
        Severity::Info,
        "nobody compares the running service with what was started",
    );
    ledger.gap(
        [Item::Incidents],
        lost,
        Severity::Info,
        "nobody notices what may be an attack and keeps what went before it",
    );
    ledger.gap(
        [Item::Log],
        lost,
        Severity::Low,
        "there is no /dev/log: what it sends there is lost, and what it prints is the runtime's to keep",
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
        "it can execute another program of the tree; nothing else is one, for what is mounted is noexec",
    );
    ledger.gap(
        [Item::Logged],
        Loss::Lost,
        Severity::Info,
        "what the filter refuses is not logged, so \"gaoler why\" does not learn of it",
    );
}

fn files(subject: &Subject<'_>, ledger: &mut Ledger) {
    ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Info,
        "a runtime mounts /proc, with the processes of the container alone, and a /dev of its own; podman \
         a /proc that has the kernel's tables too, a /dev with terminals, /sys, and files of its own in \
         /etc and /run",
    );
    let devices = subject.spec.devices.iter();
    ledger.gap(
        devices.map(|rule| Item::Device(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "/dev has null, zero, full, random, urandom, tty and ptmx, whichever it needs",
    );
}

fn network(subject: &Subject<'_>, ledger: &mut Ledger) {
    for rule in &subject.spec.ports {
        ledger.said(&Item::Port(rule.direction, rule.protocol, rule.port));
    }
    ledger.gap(
        [
            Item::NoOtherPort(Direction::Bind, Protocol::Tcp),
            Item::NoOtherPort(Direction::Connect, Protocol::Tcp),
        ],
        Loss::Loosened,
        Severity::Low,
        "it binds and connects to any port: Landlock, which knows ports, is in no runtime",
    );
    ledger.gap(
        [Item::NoAbstractSocket],
        Loss::Loosened,
        Severity::Low,
        "it connects to abstract Unix sockets of other services, with the host's network: Landlock \
         forbids that in a jail",
    );
}
