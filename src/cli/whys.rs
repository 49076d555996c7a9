//! What `why` shows.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::specs;
use crate::verbs::{Explained, Why};
use crate::why::Remedy;

/// For machines: the form is described in docs/json.md.
pub(super) fn json(why: &Why) -> impl Serialize {
    json!({
        "name": why.name,
        "works": why.works(),
        "failures": why.failures,
        "denials": why.denials.iter().map(denial_json).collect::<Vec<Value>>(),
    })
}

fn denial_json(explained: &Explained) -> Value {
    let Explained {
        denial,
        patch,
        cost,
        unwise,
        applied,
    } = explained;
    json!({
        "source": denial.source,
        "subject": denial.subject,
        "cause": denial.cause,
        "remedy": remedy(&denial.remedy),
        "patch": patch,
        "cost": cost,
        "unwise": unwise,
        "safe": denial.is_safe(),
        "advice": denial.advice,
        "claimed": denial.claimed,
        "applied": applied,
    })
}

fn remedy(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Allow(_) => "allow",
        Remedy::Limit(..) => "limit",
        Remedy::None => "none",
        Remedy::Rebuild => "rebuild",
    }
}

/// For people.
pub(super) fn text(why: &Why) -> String {
    let mut text = String::new();
    for failure in &why.failures {
        line(&mut text, &format!("failed   {}", specs::shown(failure)));
    }
    let (matter, left): (Vec<&Explained>, Vec<&Explained>) =
        why.denials.iter().partition(|one| one.denial.matters());
    for explained in &matter {
        line(&mut text, "");
        line(
            &mut text,
            &format!("denied   {}", specs::shown(&explained.denial.subject)),
        );
        line(
            &mut text,
            &format!("         {}", specs::shown(&explained.denial.cause)),
        );
        change(&mut text, &why.name, explained);
    }
    if !left.is_empty() {
        line(&mut text, "");
    }
    for explained in &left {
        let subject = specs::shown(&explained.denial.subject);
        line(&mut text, &format!("left out {subject}"));
    }
    let end = match (why.works(), matter.is_empty()) {
        (true, true) => format!(
            "{}: everything works, nothing was denied that matters",
            why.name
        ),
        (true, false) => format!("{}: start it now: gaoler start {0}", why.name),
        (false, true) => format!(
            "{}: it does not work, and nothing that the jail denied explains it; does it work outside?",
            why.name
        ),
        (false, false) => format!(
            "{}: take over what is safe with --apply, the rest by its name with --allow",
            why.name
        ),
    };
    line(&mut text, "");
    line(&mut text, &end);
    text
}

fn change(text: &mut String, name: &str, explained: &Explained) {
    let applied = if explained.applied {
        "changed"
    } else {
        "change "
    };
    match &explained.denial.remedy {
        Remedy::Rebuild => line(text, &format!("{applied}  gaoler build {name}")),
        _ => {
            for shown in specs::diff(&explained.patch, false).lines() {
                line(text, &format!("{applied}  {shown}"));
            }
        }
    }
    if explained.cost > 0.0 {
        line(text, &format!("cost     score {:+.1}", explained.cost));
    }
    for finding in &explained.unwise {
        line(
            text,
            &format!(
                "unwise   {}: {}",
                finding.subject,
                specs::shown(&finding.evidence)
            ),
        );
    }
    if !explained.applied && explained.denial.remedy != Remedy::None && !explained.denial.is_safe()
    {
        line(text, "         for a person to say, not for --apply");
    }
}

fn line(text: &mut String, words: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{words}").unwrap_or_default();
}
