//! The prober as a file in memory, and its arguments.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::attack::PROBER;
use crate::{Doing, Result};

/// The program, of which no byte can be changed any more.
#[derive(Debug)]
pub(super) struct Prober(OwnedFd);

impl Prober {
    /// Makes the file.
    ///
    /// # Errors
    /// As `memfd_create(2)`.
    pub(super) fn new() -> Result<Self> {
        let doing = || "make the prober";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"prober", flags).doing(doing)?;
        let mut rest = PROBER;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).doing(doing)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o555)).doing(doing)?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).doing(doing)?;
        Ok(Self(file))
    }

    /// Where it is as a file, in the directory of an attack.
    pub(super) fn path_in(directory: &Path) -> PathBuf {
        directory.join("bin/prober")
    }

    /// Its descriptor.
    pub(super) fn program(&self) -> &OwnedFd {
        &self.0
    }
}

/// What the prober is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a> {
    pub(super) probe: &'a str,
    pub(super) tells: bool,
    pub(super) serving: bool,
    pub(super) scene: &'a [String],
}

impl Arguments<'_> {
    /// As its command line.
    pub(super) fn list(self) -> Vec<String> {
        let tells = if self.tells { "tell" } else { "quiet" };
        let phase = if self.serving { "serve" } else { "now" };
        let first = ["prober", self.probe, tells, phase];
        let first = first.into_iter().map(str::to_owned);
        first.chain(self.scene.iter().cloned()).collect()
    }
}
