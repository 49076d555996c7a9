//! What `attack` prints.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::screen::line;
use super::specs::shown;
use super::traces::wrapped;
use crate::attack::{Layer, Outcome, Probe};
use crate::verbs::{Attacked, Phase, Tried};

/// One screen: what got through first, what cannot be told, and how many each layer stopped.
pub(super) fn attacked(found: &Attacked, all: bool) -> String {
    let mut text = String::new();
    line(&mut text, "", &headline(found));
    for (outcome, label) in [
        (Outcome::Escaped, "ESCAPED"),
        (Outcome::AllowedBySpec, "allowed"),
        (Outcome::NotProven, "not proven"),
    ] {
        for (tried, phases) in merged(found, outcome) {
            let words = format!("{}, {phases}: {}", tried.id, shown(&tried.verdict.evidence));
            wrapped(&mut text, label, &words);
        }
    }
    if all {
        for (tried, phases) in merged(found, Outcome::Blocked) {
            let layer = tried
                .verdict
                .layer
                .map_or_else(String::new, |layer| layer.to_string());
            let words = format!("{}, {phases}: {}", tried.id, shown(&tried.verdict.evidence));
            wrapped(&mut text, &layer, &words);
        }
    } else {
        line(&mut text, "stopped by", &by_layer(found));
    }
    text
}

fn headline(found: &Attacked) -> String {
    let probes: std::collections::BTreeSet<&str> =
        found.probes.iter().map(|tried| tried.id.as_str()).collect();
    let without = match found.without.as_slice() {
        [] => String::new(),
        layers => {
            let layers: Vec<String> = layers.iter().map(Layer::to_string).collect();
            format!(" without {}", layers.join(", "))
        }
    };
    format!(
        "{}{without}: {} of {} attempts escaped; {} stopped, {} allowed by the spec, {} not \
         proven; {} probes, {:.1} s",
        shown(&found.name),
        found.escaped,
        found.probes.len(),
        found.blocked,
        found.allowed_by_spec,
        found.not_proven,
        probes.len(),
        std::time::Duration::from_millis(found.milliseconds).as_secs_f64(),
    )
}

/// Those of one outcome; one that ended the same in both phases is shown once.
fn merged(found: &Attacked, outcome: Outcome) -> Vec<(&Tried, &'static str)> {
    let mut list: Vec<(&Tried, &'static str)> = Vec::new();
    for tried in &found.probes {
        if tried.verdict.outcome != outcome {
            continue;
        }
        match list.last_mut() {
            Some((last, phases)) if last.id == tried.id && last.verdict == tried.verdict => {
                *phases = "in both phases";
            }
            _ => list.push((tried, phase(tried.phase))),
        }
    }
    list
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Start => "in start",
        Phase::Serve => "in serve",
    }
}

fn by_layer(found: &Attacked) -> String {
    let mut counts: BTreeMap<Option<Layer>, usize> = BTreeMap::new();
    for tried in &found.probes {
        if tried.verdict.outcome == Outcome::Blocked {
            *counts.entry(tried.verdict.layer).or_default() += 1;
        }
    }
    let mut counts: Vec<(Option<Layer>, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words = counts.iter().map(|(layer, count)| match layer {
        Some(layer) => format!("{layer} {count}"),
        None => format!("something else {count}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The table of probes.
pub(super) fn listed(probes: &[Probe]) -> String {
    let mut text = String::new();
    for probe in probes {
        let layers: Vec<String> = probe.layers.iter().map(Layer::to_string).collect();
        let written = writeln!(
            text,
            "{}\n    {} ({})\n    stopped by {}",
            probe.id,
            probe.tries,
            probe.source,
            layers.join(", ")
        );
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    text
}
