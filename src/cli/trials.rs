//! What `bisect` prints.

use super::screen::line;
use super::specs::{self, shown};
use crate::verbs::{Bisected, Verdict, Way};

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
    if !found.failure.is_empty() {
        text.push('\n');
        for (number, words) in found.failure.lines().enumerate() {
            line(&mut text, if number == 0 { "failed" } else { "" }, &shown(words));
        }
    }
    line(&mut text, "tried", &tried(found.way, found.trials, found.seconds));
    text
}

fn culprit(text: &mut String, layer: &str, rule: &str) {
    let rule = match rule {
        "" => "the layer as a whole".to_owned(),
        rule => shown(rule),
    };
    line(text, layer, &rule);
}

/// How often, where, and how long it took.
pub(super) fn tried(way: Way, trials: usize, seconds: u64) -> String {
    let way = match way {
        Way::Isolated => "beside the jail",
        Way::InPlace => "in place",
    };
    format!("{trials} times, {way}, in {seconds} s")
}
