//! What `export` prints.

use serde_json::json;

use super::screen::line;
use super::specs::shown;
use super::{FINDINGS, Output, args};
use crate::Result;
use crate::export::{Exported, Gap};
use crate::verbs::{self, Event, Places};

/// Exports, and prints or writes what comes of it.
pub(super) fn export(places: &Places, asked: &args::Export, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let exported = verbs::export(places, &asked.name, &asked.enforcer()?, &report)?;
    if let Some(directory) = &asked.output {
        verbs::export_write(directory, &asked.name, &exported)?;
    }
    output.show(asked.json, &as_json(&exported), || match &asked.output {
        Some(directory) => written(&exported, directory),
        None => files(&exported),
    })?;
    let lacks = asked.fail_on_gap && !exported.gaps.is_empty();
    Ok(if lacks { FINDINGS } else { 0 })
}

fn as_json(exported: &Exported) -> serde_json::Value {
    let files = exported.files.iter().map(|file| {
        json!({
            "path": file.path,
            "install": file.install,
            "text": file.text,
            "executable": file.executable,
        })
    });
    json!({
        "files": files.collect::<Vec<_>>(),
        "gaps": exported.gaps,
        "cost": exported.cost(),
    })
}

/// The files themselves, each below the place where it belongs; the gaps as comments after them.
fn files(exported: &Exported) -> String {
    let mut text = String::new();
    for file in &exported.files {
        text += &format!("# {}\n{}\n", file.install.display(), file.text);
    }
    for row in gaps(exported).lines() {
        text += &format!("# {row}\n");
    }
    text
}

fn written(exported: &Exported, directory: &std::path::Path) -> String {
    let mut text = String::new();
    for file in &exported.files {
        let path = directory.join(&file.path);
        line(
            &mut text,
            "wrote",
            &format!("{}, for {}", path.display(), file.install.display()),
        );
    }
    text + &gaps(exported)
}

fn gaps(exported: &Exported) -> String {
    let mut text = String::new();
    if exported.gaps.is_empty() {
        line(&mut text, "gaps", "none");
        return text;
    }
    let words = format!(
        "{}, which add {:.1} to the score",
        exported.gaps.len(),
        exported.cost()
    );
    line(&mut text, "gaps", &words);
    for gap in &exported.gaps {
        line(&mut text, gap.loss.name(), &about(gap));
    }
    text
}

/// As many items of a gap are named.
const NAMED: usize = 4;

fn about(gap: &Gap) -> String {
    let mut names: Vec<String> = gap
        .items
        .iter()
        .take(NAMED)
        .map(|item| shown(item))
        .collect();
    if let Some(more) = gap.items.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    format!(
        "{}: {} (+{:.1})",
        names.join(", "),
        shown(&gap.why),
        gap.cost
    )
}
