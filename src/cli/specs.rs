//! What `spec diff` prints.

use serde_json::{Value, json};

use crate::spec::{Change, Difference, Field, turns_writing};

/// One line for each item, and with `verbose` its reason below.
pub(super) fn diff(changes: &[Change], verbose: bool) -> String {
    let mut text = String::new();
    for change in changes {
        let mark = match change.change {
            Difference::Added => '+',
            Difference::Changed => '~',
            Difference::Removed => '-',
        };
        let fields: Vec<String> = change.fields.iter().map(field).collect();
        let colon = if fields.is_empty() { "" } else { ": " };
        text += &format!(
            "{mark} {}{colon}{}\n",
            shown(&change.item),
            fields.join(", ")
        );
        if verbose && !change.because.is_empty() {
            let (because, evidence) = (shown(&change.because), shown(&change.evidence));
            text += &format!("    {because} ({evidence})\n");
        }
    }
    text
}

fn field(field: &Field) -> String {
    let name = match field.field {
        "value" => String::new(),
        name => format!("{name} "),
    };
    let value = match (&field.from, &field.to) {
        (Some(from), Some(to)) => format!("{} -> {}", shown(from), shown(to)),
        (Some(value), None) | (None, Some(value)) => shown(value),
        (None, None) => String::new(),
    };
    format!("{name}{value}")
}

/// A path or reason may hold anything: nothing of it reaches the terminal as a command.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    text.chars()
        .map(|c| if is_odd(c) { '\u{fffd}' } else { c })
        .collect()
}

/// `spec diff --json`.
pub(super) fn diff_json(changes: &[Change]) -> Value {
    json!({ "same": changes.is_empty(), "changes": changes })
}

#[cfg(test)]
mod tests {
    use crate::spec::{diff as differences, parse};

    use super::*;

    const OLD: &str = include_str!("../../tests/docs/example.toml");

    #[test]
    fn the_text_of_a_diff() {
        let new = OLD
            .replace("/etc/example\", writable = false", "/etc/example\", writable = true")
            .replace("  { call = \"write\", because = \"its log\" },\n", "")
            .replace(
                "calls = [",
                "calls = [\n  { call = \"ptrace\", because = \"a \\u001b[2Jdebugger\", evidence = \"rule: built in\" },",
            )
            .replace("umask = \"0027\"", "umask = \"0022\"\nstart_as_root = true")
            .replace("processes = 64\n", "");
        let read = |text: &str| parse(text, "example.toml").unwrap();
        let changes = differences(&read(OLD), &read(&new));
        insta::assert_snapshot!(diff(&changes, true));
        assert!(!diff(&changes, false).contains("debugger"));
    }
}
