//! `top`: the page on a terminal, or one look as text.

mod page;
mod terminal;

use super::specs::shown;
use super::table::table;
use super::units::{bytes, duration, or_none};
use crate::watch::top::{JailUsage, Usage};

pub(super) use terminal::show;

/// What the columns are called, on the page and in the text.
const HEADING: [&str; 14] = [
    "JAIL/PID", "USER", "CPU%", "MEMORY", "SHARED", "THREADS", "FILES", "PEERS", "IN/s", "OUT/s",
    "RESTARTS", "DENIED", "FOR", "COMMAND",
];

/// A line of the page or the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// It is a jail, and not a process of one.
    is_jail: bool,
    cells: [String; 14],
}

/// `top --once`: the jails, each with its processes below.
pub(super) fn once(jails: &[JailUsage]) -> String {
    if jails.is_empty() {
        return "no jail runs\n".to_owned();
    }
    let rows = jails.iter().flat_map(rows);
    table(&HEADING.map(str::to_owned), rows.map(|row| row.cells))
}

/// The row of a jail, and those of its processes.
fn rows(jail: &JailUsage) -> Vec<Row> {
    let mut of_jail = Row {
        is_jail: true,
        cells: cells(
            jail.name.clone(),
            String::new(),
            &jail.usage,
            [
                jail.restarts.to_string(),
                or_none(jail.denials.map(|count| count.to_string())),
            ],
            format!("generation {}", jail.generation),
        ),
    };
    // What processes share with each other would be counted for each of them.
    if let Some(shared) = of_jail.cells.get_mut(4) {
        shared.clear();
    }
    let processes = jail.processes.iter();
    let of_processes = processes.map(|process| Row {
        is_jail: false,
        cells: cells(
            format!("  {}", process.pid),
            shown(&process.user),
            &process.usage,
            [String::new(), String::new()],
            shown(&process.command),
        ),
    });
    std::iter::once(of_jail).chain(of_processes).collect()
}

fn cells(
    name: String,
    user: String,
    usage: &Usage,
    [restarts, denials]: [String; 2],
    command: String,
) -> [String; 14] {
    let rate = |rate: Option<f64>| or_none(rate.map(|rate| bytes(whole(rate))));
    let kib = |kib: u64| bytes(kib.saturating_mul(1024));
    [
        name,
        user,
        or_none(usage.cpu_percent.map(|percent| format!("{percent:.1}"))),
        kib(usage.memory_kib),
        kib(usage.shared_kib),
        usage.threads.to_string(),
        or_none(usage.descriptors.map(|count| count.to_string())),
        usage.connections.to_string(),
        rate(usage.received_per_s),
        rate(usage.sent_per_s),
        restarts,
        denials,
        duration(usage.uptime_s),
        command,
    ]
}

/// A rate, which is never negative, as bytes.
fn whole(rate: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates"
    )]
    let whole = rate as u64;
    whole
}
