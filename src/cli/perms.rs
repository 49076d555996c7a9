//! What `perms` prints.

use std::fmt::Write;

use super::screen::line;
use super::specs::shown;
use crate::build::permissions::Permission;
use crate::verbs::Permissions;

/// What was changed and what is wrong first; then a line for everything; then why some of it is
/// looser than the tightest, each reason once.
pub(super) fn permissions(found: &Permissions) -> String {
    let mut text = String::new();
    let all = || found.entries.iter().chain(&found.places);
    let loose = all().filter(|one| one.looser.is_some()).count();
    let words = format!(
        "{}, generation {}: {} in the tree, {} in writable places; {loose} looser than the \
         tightest, with the reason below",
        found.name,
        found.generation,
        found.entries.len(),
        found.places.len(),
    );
    line(&mut text, "", &words);
    for change in &found.changed {
        let path = shown(&change.path.to_string_lossy());
        let words = format!("{path}: {} -> {}", change.from, change.to);
        line(&mut text, "set", &words);
    }
    for drift in &found.drift {
        let words = format!("{} {}", shown(&drift.path), shown(&drift.what));
        line(&mut text, "DIFFERENT", &words);
    }
    for path in &found.not_listed {
        line(&mut text, "not listed", &shown(path));
    }
    let mut reasons: Vec<&str> = Vec::new();
    for (title, list) in [("tree", &found.entries), ("places", &found.places)] {
        if list.is_empty() {
            continue;
        }
        write(&mut text, &format!("\n{title}:\n"));
        for one in list {
            write(&mut text, &row(one, &mut reasons));
        }
    }
    if !reasons.is_empty() {
        write(&mut text, "\nlooser because:\n");
    }
    for (reason, number) in reasons.iter().zip(1..) {
        write(&mut text, &format!("  [{number}] {}\n", shown(reason)));
    }
    text
}

/// One line; a reason for being looser that is new joins `reasons`.
fn row<'a>(one: &'a Permission, reasons: &mut Vec<&'a str>) -> String {
    let mark = match one.looser.as_deref() {
        None => String::new(),
        Some(reason) => {
            let known = reasons.iter().position(|known| *known == reason);
            let index = known.unwrap_or_else(|| {
                reasons.push(reason);
                reasons.len() - 1
            });
            format!("[{}]", index + 1)
        }
    };
    let owner = format!("{}:{}", one.uid, one.gid);
    format!(
        "  {:04o} {owner:<9} {mark:<4} {:<10} {}: {}\n",
        one.mode,
        one.kind,
        shown(&one.path.to_string_lossy()),
        shown(&one.because),
    )
}

fn write(text: &mut String, words: &str) {
    let written = text.write_str(words);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
