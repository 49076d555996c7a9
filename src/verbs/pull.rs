//! `pull`: an image with its bill of materials from a registry into a layout.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::export::layout::Layout;
use super::places::lock;
use super::registry::{self, Moved};
use super::{Event, Report};
use crate::export::oci::image::{self, Descriptor as Entry, media};
use crate::registry::document::{Descriptor, Document, Index, Manifest};
use crate::registry::{Digest, Fetched, Options, Reference, Registry};
use crate::{Doing, Error, Result};

/// As many bills of materials are fetched.
const BILLS: usize = 16;

/// What `pull` can be told.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// What the image is called.
    pub reference: String,
    /// The layout to write.
    pub directory: PathBuf,
    /// How the registry is spoken to.
    pub registry: Options,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// What the image is called at the registry.
    pub reference: String,
    /// Its digest: of what is for this machine, if it is there for several.
    pub digest: String,
    /// What it is called in the layout.
    pub name: String,
    /// The digests of the bills of materials that are attached to it.
    pub attached: Vec<String>,
    /// What was fetched.
    pub downloaded: Moved,
    /// What was there.
    pub skipped: Moved,
}

/// Fetches an image, with the bills of materials that are attached to it, and writes a layout of it.
/// What is in the layout already is not fetched again.
///
/// # Errors
/// The registry cannot be reached, does not let us in or has no such image; something is not what
/// its digest says; the layout cannot be written. Then its index is the one that there was.
pub fn pull(options: &PullOptions, report: &Report<'_>) -> Result<Pulled> {
    let reference = registry::reference(&options.reference)?;
    let listener = |notice| registry::tell(report, notice);
    let registry = Registry::open(&reference, &options.registry, &listener)?;
    report(Event::Doing(format!("asking for {reference}")));
    let (fetched, manifest) = find(&registry, &reference)?;

    let directory = &options.directory;
    let doing = || format!("write the layout {}", directory.display());
    fs::create_dir_all(directory).doing(doing)?;
    let directory = fs::canonicalize(directory).doing(doing)?;
    let busy = || Error::new(doing(), "another command does that now");
    let _lock = lock(&directory).doing(doing)?.ok_or_else(busy)?;
    let mut pull = Pull {
        registry: &registry,
        layout: Layout::open(&directory)?,
        directory,
        downloaded: Moved::default(),
        skipped: Moved::default(),
    };
    let image = pull.image(&fetched, &manifest)?;
    let mut attached = Vec::new();
    for bill in bills(&registry, &fetched.digest, report)? {
        attached.extend(pull.bill(&bill, &fetched.digest, report)?);
    }
    let name = name(&reference);
    pull.layout.finish(&image::index(name, &image, &attached))?;
    Ok(Pulled {
        reference: reference.to_string(),
        digest: image.digest(),
        name: name.to_owned(),
        attached: attached.iter().map(Entry::digest).collect(),
        downloaded: pull.downloaded,
        skipped: pull.skipped,
    })
}

/// What the image is called in the layout: by its tag, or the last part of its repository.
fn name(reference: &Reference) -> &str {
    let last = || reference.repository.rsplit('/').next().unwrap_or_default();
    reference.tag.as_deref().unwrap_or_else(last)
}

/// The manifest of an image, for this machine.
fn find(registry: &Registry<'_>, reference: &Reference) -> Result<(Fetched, Manifest)> {
    let doing = || format!("pull {reference}");
    let none = || Error::new(doing(), "the registry has no such image");
    // Exactly what it is counts more than what it is called.
    let digest = reference.digest.as_ref().map(Digest::to_string);
    let by = digest.as_ref().or(reference.tag.as_ref());
    let fetched = registry.manifest(by.ok_or_else(none)?)?.ok_or_else(none)?;
    let index = match fetched.document.clone() {
        Document::Manifest(manifest) => return Ok((fetched, *manifest)),
        Document::Index(index) => index,
    };
    let chosen = choose(&index, image::architecture()?).map_err(|why| Error::new(doing(), why))?;
    let fetched = registry
        .manifest(&chosen.digest.to_string())?
        .ok_or_else(none)?;
    match fetched.document.clone() {
        Document::Manifest(manifest) => Ok((fetched, *manifest)),
        Document::Index(_) => Err(Error::new(doing(), "its index names another index")),
    }
}

/// The image of an index for machines of this architecture.
fn choose<'a>(index: &'a Index, architecture: &str) -> Result<&'a Descriptor, String> {
    let platforms = || {
        let platforms = index.manifests.iter().filter_map(|it| it.platform.as_ref());
        platforms.map(|it| format!("{}/{}", it.os, it.architecture))
    };
    let wanted = format!("linux/{architecture}");
    let mut entries = index.manifests.iter();
    let is_it = |entry: &&Descriptor| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|it| it.os == "linux" && it.architecture == architecture)
    };
    entries.find(is_it).ok_or_else(|| {
        let there: Vec<String> = platforms().take(8).collect();
        format!(
            "it is there for {:?}, and not for {wanted}",
            there.join(", ")
        )
    })
}

/// The bills of materials that are attached to an image.
fn bills(registry: &Registry<'_>, image: &Digest, report: &Report<'_>) -> Result<Vec<Descriptor>> {
    let listed = match registry.referrers(image)? {
        Some(listed) => listed,
        None => match registry
            .manifest(&image.referrers_tag())?
            .map(|it| it.document)
        {
            Some(Document::Index(index)) => index.manifests,
            Some(Document::Manifest(_)) | None => Vec::new(),
        },
    };
    let all = listed.len();
    let is_bill = |entry: &Descriptor| entry.artifact_type.as_deref() == Some(media::SBOM);
    let bills: Vec<Descriptor> = listed.into_iter().filter(is_bill).take(BILLS).collect();
    if bills.len() < all {
        report(Event::Note(format!(
            "{} more are attached to it that are left there: gaoler takes bills of materials of the \
             type {}, {BILLS} at most",
            all - bills.len(),
            media::SBOM
        )));
    }
    Ok(bills)
}

/// A pull that goes on.
struct Pull<'a> {
    registry: &'a Registry<'a>,
    layout: Layout,
    directory: PathBuf,
    downloaded: Moved,
    skipped: Moved,
}

impl Pull<'_> {
    fn image(&mut self, fetched: &Fetched, manifest: &Manifest) -> Result<Entry> {
        self.downloaded.manifests += 1;
        let has = |blob: &&Descriptor| self.layout.has(blob.digest.hexadecimal(), blob.size);
        let (there, missing): (Vec<_>, Vec<_>) = manifest.blobs().partition(has);
        there.iter().for_each(|blob| self.skipped.blob(blob.size));
        must_fit(&self.directory, missing.iter().map(|blob| blob.size))?;
        for blob in missing {
            let fetch = |target: &mut fs::File| self.registry.fetch_blob(blob, target);
            let sha256 = blob.digest.hexadecimal();
            match self.layout.receive(sha256, blob.size, fetch)? {
                true => self.downloaded.blob(blob.size),
                false => self.skipped.blob(blob.size),
            }
        }
        let text = std::str::from_utf8(&fetched.bytes)
            .map_err(|error| Error::new(format!("read the manifest {}", fetched.digest), error))?;
        self.layout.add(media::MANIFEST, text)
    }

    /// A bill of materials; `None` if it is not what it was said to be.
    fn bill(
        &mut self,
        bill: &Descriptor,
        image: &Digest,
        report: &Report<'_>,
    ) -> Result<Option<Entry>> {
        let fetched = self.registry.manifest(&bill.digest.to_string())?;
        if let Some(fetched) = &fetched
            && let Document::Manifest(manifest) = &fetched.document
            && manifest
                .subject
                .as_ref()
                .is_some_and(|it| it.digest == *image)
        {
            return self.image(fetched, manifest).map(Some);
        }
        report(Event::Warning(format!(
            "the registry says that {} is attached to the image, which it is not",
            bill.digest
        )));
        Ok(None)
    }
}

/// Refuses what cannot be stored, before any of it is fetched.
fn must_fit(directory: &Path, sizes: impl Iterator<Item = u64>) -> Result<()> {
    let needed = sizes.fold(0_u64, u64::saturating_add);
    let doing = || format!("write the layout {}", directory.display());
    let found = rustix::fs::statvfs(directory).doing(doing)?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    match needed <= free {
        true => Ok(()),
        false => Err(Error::new(
            doing(),
            format!("{needed} bytes would have to be fetched, and there is room for {free}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::document;

    #[test]
    fn a_machine_gets_its_own_image() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let entry = |os: &str, architecture: &str| {
            serde_json::json!({
                "mediaType": media::MANIFEST,
                "digest": digest(&format!("{os}/{architecture}")).to_string(),
                "size": 7,
                "platform": {"os": os, "architecture": architecture},
            })
        };
        let index = serde_json::json!({
            "mediaType": media::INDEX,
            "manifests": [entry("windows", "amd64"), entry("linux", "arm64"), entry("linux", "amd64")],
        });
        let Ok(Document::Index(index)) = document::parse(index.to_string().as_bytes(), None) else {
            panic!()
        };
        let chosen = |architecture| choose(&index, architecture).map(|it| it.digest.clone());
        assert_eq!(chosen("amd64"), Ok(digest("linux/amd64")));
        assert_eq!(chosen("arm64"), Ok(digest("linux/arm64")));
        assert!(chosen("riscv64").unwrap_err().contains("linux/arm64"));
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(must_fit(place.path(), [1, 2].into_iter()).is_ok());
        let error = must_fit(place.path(), [u64::MAX, 1].into_iter()).unwrap_err();
        assert!(error.to_string().contains("there is room for"), "{error}");
    }

    #[test]
    fn an_image_is_called_by_its_tag_or_its_repository() {
        let called = |text: &str| name(&text.parse().unwrap()).to_owned();
        assert_eq!(called("r.example/team/named:1.0"), "1.0");
        let by_digest = format!("r.example/team/named@{}", Digest::of(b""));
        assert_eq!(called(&by_digest), "named");
    }
}
