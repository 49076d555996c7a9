//! What `sbom` can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::verbs::SbomFormat;

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler sbom named > named.cdx.json\n  \
    gaoler sbom named --format spdx -o named.spdx.json\n  \
    gaoler sbom named --generation 3 | grype\n\n\
    Packages and versions are those that the files had when the generation was built. The same\n\
    generation gives the same document: its time is that of the build, or SOURCE_DATE_EPOCH, and\n\
    its number follows from the content. Files of no package say so.";

/// What `sbom` can be told.
#[derive(Args, Debug)]
pub struct Sbom {
    /// The jail's name.
    pub name: String,
    /// CycloneDX 1.6 or SPDX 2.3, both as JSON.
    #[arg(long, value_name = "FORMAT", default_value = "cyclonedx")]
    pub format: Format,
    /// Of this generation, in place of the current one.
    #[arg(long, value_name = "N")]
    pub generation: Option<u64>,
    /// Write it into this file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A format by the name that people give it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// CycloneDX 1.6.
    Cyclonedx,
    /// SPDX 2.3.
    Spdx,
}

impl From<Format> for SbomFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Cyclonedx => Self::CycloneDx,
            Format::Spdx => Self::Spdx,
        }
    }
}
