//! The metrics, one entry each: how it is called, what it counts, and what sets it back. Base units, and
//! labels of few values (<https://prometheus.io/docs/practices/naming/>).

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{Jail, Usage};
use crate::spec::IncidentKind;
use crate::watch::standing::Condition;

/// Metrics of one name.
pub(super) struct Family {
    /// Without its unit, and without the ending that its type has.
    pub name: &'static str,
    pub unit: Option<Unit>,
    pub kind: MetricType,
    pub help: &'static str,
    /// What a jail has of it: nothing, if that cannot be seen.
    pub samples: fn(&Jail) -> Vec<Sample>,
}

/// A label beside the jail's name, if there is one, and the value.
pub(super) type Sample = (Option<(&'static str, &'static str)>, Number);

/// A value.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(u64),
    Fraction(f64),
}

pub(super) static FAMILIES: [Family; 27] = [
    Family {
        name: "gaoler_up",
        unit: None,
        kind: MetricType::Gauge,
        help: "Whether the service of the jail runs: 1, or 0, as for one that is frozen",
        samples: |jail| whole(up(jail.condition)),
    },
    Family {
        name: "gaoler_state",
        unit: None,
        kind: MetricType::Gauge,
        help: "How the jail stands: 1 for the state that it is in, 0 for each other",
        samples: states,
    },
    Family {
        name: "gaoler_start_time",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        help: "When the service was started, since 1970",
        samples: |jail| fraction(jail.started_s),
    },
    Family {
        name: "gaoler_generation",
        unit: None,
        kind: MetricType::Gauge,
        help: "The generation that runs, or that would be started",
        samples: |jail| whole(jail.generation),
    },
    Family {
        name: "gaoler_check_score",
        unit: None,
        kind: MetricType::Gauge,
        help: "What the last check of this generation found: 0 is best, 10 is worst",
        samples: |jail| fraction(jail.score),
    },
    Family {
        name: "gaoler_drift",
        unit: None,
        kind: MetricType::Gauge,
        help: "How many things differ in the running jail from what was started, when it was compared last",
        samples: |jail| whole(jail.drift),
    },
    Family {
        name: "gaoler_stale",
        unit: None,
        kind: MetricType::Gauge,
        help: "For how many reasons the jail is behind its host: files that are other ones there by now, \
               or that were removed, a generation that does not run",
        samples: |jail| whole(jail.stale),
    },
    Family {
        name: "gaoler_restarts",
        unit: None,
        kind: MetricType::Counter,
        help: "How often the service was started again, for whatever reason, since the jail was made",
        samples: |jail| whole(Some(jail.restarts)),
    },
    Family {
        name: "gaoler_cpu",
        unit: Some(Unit::Seconds),
        kind: MetricType::Counter,
        help: "Processor time of all processes of the jail; begins anew with each start of the service",
        samples: |jail| fraction(used(jail, |usage| Some(usage.cpu_s))),
    },
    Family {
        name: "gaoler_memory",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        help: "Memory that is in RAM: what the cgroup counts, with what of files is cached for it; \
               without a cgroup the sum over the processes",
        samples: |jail| whole(used(jail, |usage| Some(usage.memory_bytes))),
    },
    Family {
        name: "gaoler_memory_shared",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        help: "Memory of the processes that is of files or shared, what several share counted for each",
        samples: |jail| whole(used(jail, |usage| Some(usage.shared_bytes))),
    },
    Family {
        name: "gaoler_memory_limit",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        help: "How much memory the jail may use; not there without a limit",
        samples: |jail| whole(used(jail, |usage| usage.memory_limit_bytes)),
    },
    Family {
        name: "gaoler_processes",
        unit: None,
        kind: MetricType::Gauge,
        help: "Processes in the jail, its first one, which is of gaoler, included",
        samples: |jail| whole(used(jail, |usage| Some(usage.processes))),
    },
    Family {
        name: "gaoler_threads",
        unit: None,
        kind: MetricType::Gauge,
        help: "Threads of the processes in the jail",
        samples: |jail| whole(used(jail, |usage| Some(usage.threads))),
    },
    Family {
        name: "gaoler_open_descriptors",
        unit: None,
        kind: MetricType::Gauge,
        help: "Open descriptors of the processes in the jail",
        samples: |jail| whole(used(jail, |usage| usage.descriptors)),
    },
    Family {
        name: "gaoler_connections",
        unit: None,
        kind: MetricType::Gauge,
        help: "TCP connections and connected UDP sockets of the jail",
        samples: |jail| whole(used(jail, |usage| usage.connections)),
    },
    Family {
        name: "gaoler_network_receive",
        unit: Some(Unit::Bytes),
        kind: MetricType::Counter,
        help: "Bytes that came by TCP connections that were open when the jail was looked at: what came \
               after the last look at one is not in it; begins anew with gaoler metrics",
        samples: |jail| whole(used(jail, |usage| Some(usage.traffic?.received))),
    },
    Family {
        name: "gaoler_network_transmit",
        unit: Some(Unit::Bytes),
        kind: MetricType::Counter,
        help: "Bytes that went by them and were acknowledged; begins anew with gaoler metrics",
        samples: |jail| whole(used(jail, |usage| Some(usage.traffic?.sent))),
    },
    Family {
        name: "gaoler_denials",
        unit: None,
        kind: MetricType::Counter,
        help: "What the kernel has recorded that it denied processes of the jail; begins anew with gaoler metrics",
        samples: |jail| whole(used(jail, |usage| usage.denials)),
    },
    Family {
        name: "gaoler_incidents",
        unit: None,
        kind: MetricType::Counter,
        help: "How often something was seen in the jail that may be an attack, since the jails of this \
               machine are watched",
        samples: incidents,
    },
    Family {
        name: "gaoler_limits_reached",
        unit: None,
        kind: MetricType::Counter,
        help: "How often the jail came to a limit of its cgroup; begins anew with each start of the jail",
        samples: limits,
    },
    Family {
        name: "gaoler_out_of_memory_kills",
        unit: None,
        kind: MetricType::Counter,
        help: "Processes of the jail that were killed because there was no memory left; begins anew with \
               each start of the jail",
        samples: |jail| whole(used(jail, |usage| usage.memory_kills)),
    },
    Family {
        name: "gaoler_log_messages",
        unit: None,
        kind: MetricType::Counter,
        help: "Messages that the jail has logged or printed; begins anew with each start of the jail",
        samples: |jail| whole(jail.log.map(|log| log.received)),
    },
    Family {
        name: "gaoler_log_messages_forwarded",
        unit: None,
        kind: MetricType::Counter,
        help: "Those of them that the log has taken; begins anew with each start of the jail",
        samples: |jail| whole(jail.log.map(|log| log.forwarded)),
    },
    Family {
        name: "gaoler_log_messages_dropped",
        unit: None,
        kind: MetricType::Counter,
        help: "Those of them that the log has not taken; begins anew with each start of the jail",
        samples: |jail| whole(jail.log.map(|log| log.dropped)),
    },
    Family {
        name: "gaoler_log_messages_truncated",
        unit: None,
        kind: MetricType::Counter,
        help: "Those of them that were too long and were cut; begins anew with each start of the jail",
        samples: |jail| whole(jail.log.map(|log| log.truncated)),
    },
    Family {
        name: "gaoler_log_messages_waiting",
        unit: None,
        kind: MetricType::Gauge,
        help: "Those of them that are on their way",
        samples: |jail| whole(jail.log.map(|log| log.waiting())),
    },
];

fn whole(value: Option<u64>) -> Vec<Sample> {
    let sample = |value| (None, Number::Whole(value));
    value.map(sample).into_iter().collect()
}

fn fraction(value: Option<f64>) -> Vec<Sample> {
    let sample = |value| (None, Number::Fraction(value));
    value.map(sample).into_iter().collect()
}

fn used<T>(jail: &Jail, value: fn(&Usage) -> Option<T>) -> Option<T> {
    jail.usage.as_ref().and_then(value)
}

fn up(condition: Condition) -> Option<u64> {
    match condition {
        Condition::Running | Condition::Starting => Some(1),
        Condition::Frozen | Condition::Restarting | Condition::Stopped | Condition::Failed => {
            Some(0)
        }
        Condition::Unknown => None,
    }
}

fn states(jail: &Jail) -> Vec<Sample> {
    let sample = |state: Condition| {
        let is_it = u64::from(state == jail.condition);
        (Some(("state", state.word())), Number::Whole(is_it))
    };
    Condition::ALL.map(sample).to_vec()
}

fn incidents(jail: &Jail) -> Vec<Sample> {
    let Some(seen) = &jail.incidents else {
        return Vec::new();
    };
    let sample = |kind: IncidentKind| {
        let count = seen.get(&kind).copied().unwrap_or(0);
        (Some(("kind", kind.name())), Number::Whole(count))
    };
    IncidentKind::ALL.map(sample).to_vec()
}

fn limits(jail: &Jail) -> Vec<Sample> {
    let reached = [
        ("memory", used(jail, |usage| usage.memory_reached)),
        ("processes", used(jail, |usage| usage.processes_reached)),
    ];
    let sample = |(limit, count): (&'static str, Option<u64>)| {
        Some((Some(("limit", limit)), Number::Whole(count?)))
    };
    reached.into_iter().filter_map(sample).collect()
}
