//! How the kubelet finds out that it is ready, and that it lives: from outside, by its ports. A command
//! would run in the container, where neither the host's programs are nor a filter that knows their calls.

use super::types::{Look, Pair, Probe};
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::{Direction, Exercise, Liveness, Protocol, Ready, Spec};

/// How long a service may take to become ready, seconds: as long as `start` waits for it.
const PATIENCE: u32 = 60;

/// How often it is asked whether it is ready, seconds (the usual one of Kubernetes).
const EVERY: u32 = 10;

/// How long an answer may take, seconds (the usual one).
const TIMEOUT: u32 = 1;

/// How often it may fail (the usual one).
const FAILURES: u32 = 3;

/// All that a container is asked.
#[derive(Debug, Default)]
pub struct Probes {
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    /// It counts as there after so many seconds.
    pub min_ready_seconds: Option<u32>,
}

/// What the spec's signs, exercises and liveness become.
pub fn of(subject: &Subject<'_>, ledger: &mut Ledger) -> Probes {
    let spec = subject.spec;
    let look = ready(spec, ledger);
    let probe = |period_seconds, failure_threshold| {
        let look = look.clone()?;
        Some(Probe {
            look,
            period_seconds,
            timeout_seconds: TIMEOUT,
            failure_threshold,
        })
    };
    Probes {
        startup: probe(1, PATIENCE),
        readiness: probe(EVERY, FAILURES),
        liveness: spec
            .liveness
            .as_ref()
            .and_then(|it| liveness(spec, it, ledger)),
        min_ready_seconds: quiet(spec, ledger),
    }
}

/// One sign, for a container has one probe of a kind.
fn ready(spec: &Spec, ledger: &mut Ledger) -> Option<Look> {
    let asked = spec.exercises.iter().find_map(|it| request(spec, it));
    let ports = spec.service.ready.iter().filter_map(|sign| match sign {
        Ready::Tcp(port) => Some(*port),
        _ => None,
    });
    let port = ports.clone().next();
    let look = asked.or_else(|| port.map(|port| Look::TcpSocket { port }));
    let looked_at = look.as_ref().map(Look::port);
    if let Some(port) = looked_at {
        ledger.said(&Item::Ready(Ready::Tcp(port)));
    }
    let others = ports.filter(|port| Some(*port) != looked_at);
    ledger.gap(
        others.map(|port| Item::Ready(Ready::Tcp(port))),
        Loss::Lost,
        Severity::Info,
        "a container is asked at one port alone whether it is ready",
    );
    let unheard = spec.service.ready.iter().filter(|sign| {
        matches!(
            sign,
            Ready::File(_) | Ready::Log(_) | Ready::Notify | Ready::Udp(_)
        )
    });
    ledger.gap(
        unheard.cloned().map(Item::Ready),
        Loss::Lost,
        Severity::Info,
        "the kubelet asks at TCP ports, and neither reads what it prints nor hears sd_notify(3): who comes \
         after it may ask a service that does not answer yet",
    );
    look
}

/// The longest time that it must have run, in whole seconds.
fn quiet(spec: &Spec, ledger: &mut Ledger) -> Option<u32> {
    let times = spec.service.ready.iter().filter_map(|sign| match sign {
        Ready::Quiet(milliseconds) => Some(*milliseconds),
        _ => None,
    });
    let longest = times.clone().max();
    for time in times {
        ledger.said(&Item::Ready(Ready::Quiet(time)));
    }
    longest.map(|time| time.div_ceil(1000)).filter(|it| *it > 0)
}

fn liveness(spec: &Spec, wanted: &Liveness, ledger: &mut Ledger) -> Option<Probe> {
    let look = match &wanted.port {
        Some(Ready::Tcp(port)) => Some(Look::TcpSocket { port: *port }),
        _ => requested(spec, &wanted.command),
    };
    let whole = |milliseconds: u32| milliseconds.is_multiple_of(1000);
    let one = wanted.watchdog_ms.is_none()
        && usize::from(wanted.port.is_some()) + usize::from(!wanted.command.is_empty()) == 1;
    match look {
        Some(_) if one && whole(wanted.every_ms) && whole(wanted.timeout_ms) => {
            ledger.said(&Item::Liveness);
        }
        Some(_) => ledger.gap(
            [Item::Liveness],
            Loss::Loosened,
            Severity::Info,
            "the kubelet asks at one TCP port, in whole seconds; it knows no watchdog, and runs none of the \
             host's commands",
        ),
        None => ledger.gap(
            [Item::Liveness],
            Loss::Lost,
            Severity::Low,
            "the kubelet asks at TCP ports: it knows no watchdog, and runs none of the host's commands",
        ),
    }
    Some(Probe {
        look: look?,
        period_seconds: wanted.every_ms.div_ceil(1000),
        timeout_seconds: wanted.timeout_ms.div_ceil(1000),
        failure_threshold: wanted.failures,
    })
}

impl Look {
    fn port(&self) -> u16 {
        match self {
            Look::HttpGet { port, .. } | Look::TcpSocket { port } => *port,
        }
    }
}

fn request(spec: &Spec, exercise: &Exercise) -> Option<Look> {
    (exercise.expect == 0)
        .then(|| requested(spec, &exercise.command))
        .flatten()
}

/// The request of `curl -f URL`, which succeeds as the kubelet's own does: with an answer below 400
/// (`curl(1)`, `--fail`).
fn requested(spec: &Spec, command: &[String]) -> Option<Look> {
    let (program, rest) = command.split_first()?;
    let (options, urls): (Vec<&String>, Vec<&String>) =
        rest.iter().partition(|word| word.starts_with('-'));
    let is_short = |word: &str| {
        let letters = word.strip_prefix('-').unwrap_or_default();
        !letters.is_empty() && letters.chars().all(|c| "fsS".contains(c))
    };
    let known = |word: &&String| {
        is_short(word) || ["--fail", "--silent", "--show-error"].contains(&word.as_str())
    };
    let fails = |word: &&String| *word == "--fail" || (is_short(word) && word.contains('f'));
    let [url] = urls.as_slice() else { return None };
    if program != "curl" || !options.iter().all(known) || !options.iter().any(fails) {
        return None;
    }
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (host, 80),
    };
    let is_here = ["127.0.0.1", "localhost"].contains(&name);
    let mut bound = spec.ports.iter();
    let waits = bound.any(|rule| {
        (rule.direction, rule.protocol, rule.port) == (Direction::Bind, Protocol::Tcp, port)
    });
    (is_here && waits).then(|| Look::HttpGet {
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        port,
        // As the exercise has it: which site answers may depend on it.
        http_headers: vec![Pair {
            name: "Host".to_owned(),
            value: host.to_owned(),
        }],
    })
}
