//! What `why` shows.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::{screen, specs};
use crate::audit::Finding;
use crate::verbs::{Explained, Healed, Why};
use crate::why::{Counts, NEVER_GIVEN, Remedy};

/// For machines: the form is described in docs/json.md.
pub(super) fn json(why: &Why) -> impl Serialize {
    json!({
        "name": why.name,
        "works": why.works(),
        "ran": why.ran,
        "logs": why.logs,
        "failures": why.failures,
        "last_words": why.last_words,
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
    let mut text = summary(why);
    for explained in why.denials.iter().filter(|one| one.denial.matters()) {
        line(&mut text, "");
        text += &one(&why.name, explained);
    }
    text + &end(why)
}

/// What did not work, what was read, and what nothing can be done about.
pub(super) fn summary(why: &Why) -> String {
    let mut text = String::new();
    for failure in &why.failures {
        line(&mut text, &format!("failed   {}", specs::shown(failure)));
    }
    for words in &why.last_words {
        line(&mut text, &format!("said     {}", specs::shown(words)));
    }
    for counts in &why.logs {
        if let Some(words) = log(counts, why.ran) {
            let name = specs::shown(&counts.log);
            line(&mut text, &format!("log      {name}: {words}"));
        }
    }
    let mut never = false;
    for explained in why.denials.iter().filter(|one| !one.denial.matters()) {
        let denial = &explained.denial;
        line(
            &mut text,
            &format!("left out {}", specs::shown(&denial.subject)),
        );
        if denial.is_never_given() {
            never = true;
        } else {
            line(
                &mut text,
                &format!("         {}", specs::shown(&denial.cause)),
            );
        }
    }
    if never {
        line(&mut text, &format!("         {NEVER_GIVEN}"));
    }
    text
}

/// What was in a log; of one that was read beside a run only what concerns the jail.
fn log(counts: &Counts, ran: bool) -> Option<String> {
    let all = [
        (counts.taken, "records of its programs"),
        (counts.again, "that another log has, too"),
        (counts.older, "from before the machine was started"),
        (counts.others, "records of other programs"),
        (counts.granted, "records of what was granted"),
        (
            counts.unreadable,
            "lines that look like records and cannot be read",
        ),
        (counts.dropped, "older records that were too many to keep"),
    ];
    let is_told = !ran || counts.taken + counts.unreadable > 0;
    let told = all.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = told
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    is_told.then(|| match words.as_slice() {
        [] => "no audit records".to_owned(),
        words => words.join(", "),
    })
}

/// How it stands, and what to do now.
pub(super) fn end(why: &Why) -> String {
    let matter = why.denials.iter().any(|one| one.denial.matters());
    let name = &why.name;
    let end = match (why.works(), matter) {
        (true, false) if !why.ran => format!("{name}: nothing of that matters to it"),
        (true, false) => format!("{name}: everything works, nothing was denied that matters"),
        (true, true) if why.failures.is_empty() => {
            format!("{name}: start it now: gaoler start {name}")
        }
        (true, true) => format!(
            "{name}: start it now: gaoler start {name}; if more is missing, gaoler learn {name} \
             --heal goes on until it works"
        ),
        (false, false) => format!(
            "{name}: it does not work, and nothing that the jail denied explains it; does it work \
             outside? Then gaoler bisect {name} -- TEST finds what breaks it, as a limit that it \
             reads and that is too low for it"
        ),
        (false, true) if why.denials.iter().any(|one| one.applied) => {
            format!("{name}: what was not taken over stays denied: gaoler why {name} looks again")
        }
        (false, true) => format!(
            "{name}: take over what is safe with --apply, the rest by its name with --allow"
        ),
    };
    format!("\n{end}\n")
}

/// One denial, with what would change.
pub(super) fn one(name: &str, explained: &Explained) -> String {
    let mut text = String::new();
    let denial = &explained.denial;
    let claimed = if denial.claimed { " (claimed)" } else { "" };
    let subject = specs::shown(&denial.subject);
    line(&mut text, &format!("denied   {subject}{claimed}"));
    line(
        &mut text,
        &format!("         {}", specs::shown(&denial.cause)),
    );
    change(&mut text, name, explained);
    if !denial.advice.is_empty() {
        line(
            &mut text,
            &format!("advice   {}", specs::shown(&denial.advice)),
        );
    }
    text
}

/// All that is known of one denial.
pub(super) fn in_full(explained: &Explained) -> String {
    let mut text = String::new();
    let denial = &explained.denial;
    line(
        &mut text,
        &format!("source   {:?}", denial.source).to_lowercase(),
    );
    line(
        &mut text,
        &format!("cause    {}", specs::shown(&denial.cause)),
    );
    for shown in specs::diff(&explained.patch, true).lines() {
        line(&mut text, &format!("change   {shown}"));
    }
    line(&mut text, &format!("cost     score {:+.1}", explained.cost));
    for finding in &explained.unwise {
        let Finding {
            id,
            subject,
            evidence,
            remedy,
            ..
        } = finding;
        for words in [id, subject, evidence, remedy] {
            line(&mut text, &format!("unwise   {}", specs::shown(words)));
        }
    }
    line(
        &mut text,
        if denial.is_safe() {
            "safe     --apply would take it"
        } else {
            "safe     no: a person has to say so"
        },
    );
    text
}

/// What `learn --heal` came to.
pub(super) fn healed(text: &mut String, healed: &Healed) {
    let rounds = healed.rounds.iter().flatten();
    let mut changes = 0;
    for (subject, cause) in rounds {
        let words = format!("{}: {}", specs::shown(subject), specs::shown(cause));
        screen::line(text, "healed", &words);
        changes += 1;
    }
    let result = match (changes, healed.works()) {
        (0, true) => "nothing: everything works in its jail",
        (_, true) => "everything works in its jail now",
        (_, false) => "not all: it does not work in its jail yet",
    };
    screen::line(text, "healed", result);
    for failure in &healed.last.failures {
        screen::line(text, "failed", &specs::shown(failure));
    }
    for asked in healed.asked() {
        let (subject, cause) = (&asked.denial.subject, &asked.denial.cause);
        let words = format!("{}: {}", specs::shown(subject), specs::shown(cause));
        screen::line(text, "to be asked", &words);
    }
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
    if !explained.patch.is_empty() {
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
