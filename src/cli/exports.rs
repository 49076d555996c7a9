//! What `export` prints.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use super::screen::line;
use super::specs::shown;
use super::{FINDINGS, args};
use crate::Result;
use crate::export::{Exported, Gap};
use crate::verbs::{self, Event, Places};

/// Exports, and prints or writes what comes of it.
pub(super) fn export(places: &Places, asked: &args::Export, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let export = verbs::export(places, &asked.name, &asked.enforcer()?, &report)?;
    let image = match &asked.output {
        Some(directory) => verbs::export_write(places, directory, &asked.name, &export, &report)?,
        None => None,
    };
    if asked.output.is_none() && asked.has_image() {
        let words = "the tree and the image are written with --output alone";
        report(Event::Note(words.to_owned()));
    }
    let exported = &export.exported;
    let shown = as_json(exported, image.as_deref());
    output.show(asked.json, &shown, || match &asked.output {
        Some(directory) => written(exported, directory, &asked.name, image.as_deref()),
        None => files(exported),
    })?;
    let lacks = asked.fail_on_gap && !exported.gaps.is_empty();
    Ok(if lacks { FINDINGS } else { 0 })
}

fn as_json(exported: &Exported, image: Option<&str>) -> serde_json::Value {
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
        "image": image,
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

fn written(exported: &Exported, directory: &Path, name: &str, image: Option<&str>) -> String {
    let mut text = String::new();
    for file in &exported.files {
        let path = directory.join(&file.path);
        let words = match file.install == file.path {
            true => path.display().to_string(),
            false => format!("{}, for {}", path.display(), file.install.display()),
        };
        line(&mut text, "wrote", &words);
    }
    if let Some(digest) = image {
        let layout = directory.join(format!("{name}.oci"));
        line(
            &mut text,
            "wrote",
            &format!("{}, the image {digest}", layout.display()),
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
