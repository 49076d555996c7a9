//! Documents of YAML 1.2, as `kubectl` takes several in one file.

use serde::Serialize;

use crate::{Error, Result};

/// Comments, and documents after them.
///
/// # Errors
/// Something that YAML cannot hold.
pub fn documents(heading: &[String], all: &[impl Serialize]) -> Result<String> {
    let mut text = heading.join("\n") + "\n";
    for document in all {
        let document =
            serde_saphyr::to_string(document).map_err(|error| Error::new("write YAML", error))?;
        text += &format!("---\n{}\n", document.trim_end());
    }
    Ok(text)
}
