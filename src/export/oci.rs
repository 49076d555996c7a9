//! A bundle and an image of the Open Container Initiative (runtime specification 1.0.2, image
//! specification 1.1), for `runc`, `crun`, `podman` and whatever else takes them.

mod config;
mod gaps;
pub mod image;
mod podman;
pub(super) mod runtime;
pub(super) mod seccomp;

use std::path::PathBuf;

use serde::Serialize;

use super::{Exported, ExportedFile, Ledger, Subject};
use crate::{Error, Result};

/// The directory with the tree in a bundle.
pub const ROOT: &str = "rootfs";

/// Writes a bundle without its tree: `config.json`, and beside it the filter alone, for those who
/// take one, and a script that has podman run the image with both.
///
/// # Errors
/// The spec says something that these files cannot hold.
pub fn export(subject: Subject<'_>) -> Result<Exported> {
    let spec = subject.spec;
    let mut ledger = Ledger::new(spec);
    let config = config::of(&subject, &mut ledger)?;
    gaps::tell(&subject, &mut ledger);
    let bundle = PathBuf::from(&spec.name);
    let mut files = vec![file(bundle.join("config.json"), &config)?];
    if let Some(filter) = &config.linux.seccomp {
        files.push(file(bundle.join("seccomp.json"), filter)?);
    }
    let path = bundle.join("podman.sh");
    files.push(ExportedFile {
        install: path.clone(),
        path,
        text: podman::script(&subject)?,
        executable: true,
    });
    Ok(Exported {
        files,
        gaps: ledger.close(),
    })
}

fn file(path: PathBuf, content: &impl Serialize) -> Result<ExportedFile> {
    let mut text = serde_json::to_string_pretty(content)
        .map_err(|error| Error::new(format!("write {}", path.display()), error))?;
    text.push('\n');
    Ok(ExportedFile {
        install: path.clone(),
        path,
        text,
        executable: false,
    })
}

/// Text as JSON can hold it.
fn text(path: &std::path::Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::usage(
            format!("write {} into a bundle", path.display()),
            "JSON holds UTF-8 alone",
        )
    })?;
    Ok(text.to_owned())
}
