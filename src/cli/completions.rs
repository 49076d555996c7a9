//! Shell completions and man pages, from the same definitions as the arguments.

use std::path::Path;

use clap::CommandFactory;

use super::args::Arguments;
use crate::{Doing, Error, Result};

/// The completion script of a shell.
pub(super) fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "gaoler", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes `gaoler.1` and one page for each verb.
pub(super) fn man_pages(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).doing(|| format!("make {}", directory.display()))?;
    clap_mangen::generate_to(Arguments::command(), directory)
        .map_err(|error| Error::new(format!("write man pages to {}", directory.display()), error))
}
