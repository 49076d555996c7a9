//! `push`: a jail's image with its bill of materials to a registry.

mod stored;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use serde::Serialize;

use super::places::lock;
use super::registry::{self, Moved};
use super::{Enforcer, Event, Places, Report, export, export_write, must_be_ours, valid_name};
use crate::export::oci::image::media;
use crate::registry::document::{self, Descriptor};
use crate::registry::{Attached, Options, Reference, Registry, Source};
use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result};
use stored::{Stored, StoredManifest};

/// How the directory begins in which an image is until it is sent: no jail's name does.
const PUSH: &str = ".push-";

/// What `push` can be told.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// The jail's name.
    pub name: String,
    /// What the image is to be called.
    pub reference: String,
    /// The layout that it is in; `None`: it is made of the current generation.
    pub layout: Option<PathBuf>,
    /// How the registry is spoken to.
    pub registry: Options,
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// What the image is called.
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// The digests of what is attached to it.
    pub attached: Vec<String>,
    /// What was sent.
    pub uploaded: Moved,
    /// What the registry had.
    pub skipped: Moved,
}

/// Sends the image of a jail's current generation, or the one in a layout, with what is attached to
/// it. What the registry has is not sent again.
///
/// # Errors
/// The jail has not been built; the layout has no such image, or is damaged; the registry cannot be
/// reached, does not let us in or does not take it.
pub fn push(places: &Places, options: &PushOptions, report: &Report<'_>) -> Result<Pushed> {
    let name = &options.name;
    valid_name(name)?;
    let reference = registry::reference(&options.reference)?;
    let listener = |notice| registry::tell(report, notice);
    let registry = Registry::open(&reference, &options.registry, &listener)?;
    let send =
        |layout: &Path| Push::of(&registry, Stored::open(layout)?, report).run(name, &reference);
    if let Some(layout) = &options.layout {
        return send(layout);
    }
    let exported = export(places, name, &Enforcer::Oci, report)?;
    let scratch = Scratch::take(places, name)?;
    let sent = export_write(places, &scratch.directory, name, &exported, report)
        .and_then(|_| send(&scratch.directory.join(format!("{name}.oci"))));
    let removed = scratch.remove();
    sent.and_then(|sent| removed.map(|()| sent))
}

/// A push that goes on.
struct Push<'a> {
    registry: &'a Registry<'a>,
    stored: Stored,
    report: &'a Report<'a>,
    uploaded: Moved,
    skipped: Moved,
}

impl<'a> Push<'a> {
    fn of(registry: &'a Registry<'a>, stored: Stored, report: &'a Report<'a>) -> Self {
        Self {
            registry,
            stored,
            report,
            uploaded: Moved::default(),
            skipped: Moved::default(),
        }
    }

    /// Blobs first, then who names them: a registry refuses a manifest without its blobs.
    fn run(mut self, name: &str, reference: &Reference) -> Result<Pushed> {
        let image = self.stored.image(name)?;
        if let Some(wanted) = reference.digest.as_ref().filter(|it| **it != image.digest) {
            let why = format!("the image has the digest {}", image.digest);
            return Err(Error::usage(format!("push it as {wanted}"), why)
                .hint("leave the digest out, and name a tag"));
        }
        let attached = self.stored.attached(&image.digest)?;
        let mut blobs: Vec<&Descriptor> = image.manifest.blobs().collect();
        blobs.extend(attached.iter().flat_map(|it| it.manifest.blobs()));
        let mut seen = BTreeSet::new();
        for blob in blobs.into_iter().filter(|blob| seen.insert(&blob.digest)) {
            self.blob(blob)?;
        }
        let digest = image.digest.to_string();
        self.manifest(reference.tag.as_ref().unwrap_or(&digest), &image)?;
        for bill in &attached {
            self.attach(&image, bill)?;
        }
        Ok(Pushed {
            reference: reference.to_string(),
            digest,
            attached: attached.iter().map(|it| it.digest.to_string()).collect(),
            uploaded: self.uploaded,
            skipped: self.skipped,
        })
    }

    fn blob(&mut self, blob: &Descriptor) -> Result<()> {
        (self.report)(Event::Doing(format!("looking for {}", blob.digest)));
        if self.registry.has_blob(&blob.digest)? {
            self.skipped.blob(blob.size);
            return Ok(());
        }
        self.registry.send_blob(&Source {
            file: &self.stored.blob(blob)?,
            digest: &blob.digest,
            size: blob.size,
        })?;
        self.uploaded.blob(blob.size);
        Ok(())
    }

    /// Sends a manifest under a tag or digest, unless it is what is there. `None` if it is.
    fn manifest(&mut self, by: &str, stored: &StoredManifest) -> Result<Option<Attached>> {
        if self.registry.manifest_digest(by)?.as_ref() == Some(&stored.digest) {
            self.skipped.manifests += 1;
            return Ok(None);
        }
        let sent = self
            .registry
            .send_manifest(by, media::MANIFEST, &stored.bytes)?;
        self.uploaded.manifests += 1;
        Ok(Some(sent))
    }

    /// Sends a bill of materials, and sees to it that it is found.
    fn attach(&mut self, image: &StoredManifest, bill: &StoredManifest) -> Result<()> {
        let is_listed = match self.manifest(&bill.digest.to_string(), bill)? {
            Some(sent) => sent == Attached::Listed,
            None => self.registry.referrers(&image.digest)?.is_some(),
        };
        if is_listed {
            return Ok(());
        }
        let entry = document::referrer(&bill.bytes)
            .map_err(|why| Error::new(format!("read the manifest {}", bill.digest), why))?;
        match self.registry.list_referrer(&image.digest, &entry)? {
            true => self.uploaded.manifests += 1,
            false => self.skipped.manifests += 1,
        }
        Ok(())
    }
}

/// Where the image is until it is sent: `STATE/.push-NAME`. What a push that was killed has left
/// there goes with the next one.
struct Scratch {
    above: PathBuf,
    label: String,
    directory: PathBuf,
    /// Given up by whoever ends.
    _lock: OwnedFd,
}

impl Scratch {
    fn take(places: &Places, name: &str) -> Result<Self> {
        let label = format!("{PUSH}{name}");
        let directory = places.state.join(&label);
        let doing = || format!("make {}", directory.display());
        match rustix::fs::mkdir(&directory, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        must_be_ours(&directory, &doing())?;
        let lock = lock(&directory).doing(doing)?;
        let busy = || {
            Error::new(format!("push {name}"), "another command does that now")
                .hint("wait for it, or end it")
        };
        Ok(Self {
            above: places.state.clone(),
            label,
            _lock: lock.ok_or_else(busy)?,
            directory,
        })
    }

    fn remove(&self) -> Result<()> {
        let doing = || format!("remove {}", self.directory.display());
        let above = Beneath::open(&self.above).doing(doing)?;
        above.remove_tree(Path::new(&self.label)).doing(doing)
    }
}
