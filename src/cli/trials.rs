//! What `bisect` and `minimize` print.

use super::screen::line;
use super::specs::{self, shown};
use super::traces::wrapped;
use std::collections::BTreeMap;

use crate::verbs::{Bisected, Minimized, Verdict, Way};

/// One screen.
pub(super) fn bisected(found: &Bisected) -> String {
    let mut text = String::new();
    let name = &found.name;
    let result = match found.verdict {
        Verdict::NothingToFind => "the test passes in the full jail: there is nothing to find",
        Verdict::NotTheJail => "the test fails with everything off too: it is not the jail",
        Verdict::Found if found.with.is_empty() => "this breaks the test:",
        Verdict::Found => "these break the test together:",
    };
    line(&mut text, "", &format!("{name}: {result}"));
    if found.verdict == Verdict::Found {
        culprit(&mut text, &found.layer, &found.rule);
        for other in &found.with {
            culprit(&mut text, &other.layer, &other.rule);
        }
        text += "\nWith this change it passes:\n";
        text += &specs::diff(&found.changes, false);
    }
    if found.verdict == Verdict::NotTheJail {
        let what = "files of the host that neither the trace nor the command, its programs and its \
                    configuration name; chroot where places are bound";
        line(&mut text, "not tried", what);
    }
    if !found.failure.is_empty() {
        text.push('\n');
        for (number, words) in found.failure.lines().enumerate() {
            line(
                &mut text,
                if number == 0 { "failed" } else { "" },
                &shown(words),
            );
        }
    }
    line(
        &mut text,
        "tried",
        &tried(found.way, found.trials, found.seconds),
    );
    text
}

fn culprit(text: &mut String, layer: &str, rule: &str) {
    let rule = match rule {
        "" => "the layer as a whole".to_owned(),
        rule => shown(rule),
    };
    line(text, layer, &rule);
}

/// One screen: what is needed by exercise, and what fell away.
pub(super) fn minimized(found: &Minimized) -> String {
    let mut text = String::new();
    let (name, proven, unproven) = (&found.name, found.proven.len(), found.unproven.len());
    let fate = if found.removed {
        "removed"
    } else {
        "marked as unproven"
    };
    let needed = format!("needed: {proven}");
    let result = match unproven {
        0 => format!("{name}: {needed}; not needed: none"),
        _ => format!("{name}: {needed}; not needed, and {fate}: {unproven}"),
    };
    line(&mut text, "", &result);
    let mut by_exercise: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for proven in &found.proven {
        let items = by_exercise.entry(&proven.exercise).or_default();
        items.push(shown(&proven.item));
    }
    for (exercise, items) in by_exercise {
        let items = format!("{}: {}", items.len(), items.join(", "));
        wrapped(&mut text, &shown(exercise), &items);
    }
    for one in &found.unproven {
        let origin = match one.origin.as_str() {
            "" => String::new(),
            origin => format!(" ({})", shown(origin)),
        };
        line(
            &mut text,
            "not needed",
            &format!("{}{origin}", shown(&one.item)),
        );
    }
    for one in &found.not_tried {
        line(
            &mut text,
            "not tried",
            &format!("{}: {}", shown(&one.item), one.why),
        );
    }
    let tried = tried(found.way, found.trials, found.seconds);
    line(
        &mut text,
        "tried",
        &format!("{tried}, {} at once", found.jobs),
    );
    text
}

/// How often, where, and how long it took.
pub(super) fn tried(way: Way, trials: usize, seconds: u64) -> String {
    let way = match way {
        Way::Isolated => "beside the jail",
        Way::InPlace => "in place",
    };
    format!("{trials} times, {way}, in {seconds} s")
}
