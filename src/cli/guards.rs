//! What `guard` prints.

use super::screen::line;
use super::specs::shown;
use crate::verbs::Guarded;

/// How it stands first, then what was done, and what was not.
pub(super) fn guarded(found: &Guarded) -> String {
    let mut text = String::new();
    let program = found
        .program
        .as_ref()
        .map_or(String::new(), |path| shown(&path.to_string_lossy()));
    let words = match (found.guarded, found.holds) {
        (false, _) => format!("{}: the host's own copy is not guarded", found.name),
        (true, true) => format!(
            "{}: {program} cannot be started outside of the jail",
            found.name
        ),
        (true, false) => format!("{}: {program} is guarded no longer in full", found.name),
    };
    line(&mut text, "", &words);
    for problem in &found.problems {
        line(&mut text, "PROBLEM", &shown(problem));
    }
    for change in &found.changed {
        line(&mut text, "changed", &shown(change));
    }
    if let Some(mode) = found.mode.as_ref().filter(|_| found.changed.is_empty()) {
        line(&mut text, "mode", &format!("0000, and {mode} before"));
        for path in &found.overrides {
            line(
                &mut text,
                "dpkg",
                &format!("keeps it for {}", shown(&path.to_string_lossy())),
            );
        }
        for path in &found.masks {
            line(&mut text, "masked by", &shown(&path.to_string_lossy()));
        }
    }
    for left in &found.left {
        line(&mut text, "note", &shown(left));
    }
    if found.guarded {
        let command = if found.holds { " --undo" } else { "" };
        line(
            &mut text,
            "next",
            &format!("gaoler guard {}{command}", found.name),
        );
    }
    text
}
