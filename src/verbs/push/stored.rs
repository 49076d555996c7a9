//! An image layout that is there (OCI image specification 1.1, `image-layout.md`): what it holds is
//! what its digests say, or an error.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::export::oci::image::{NAME, media};
use crate::registry::document::{self, Descriptor, Document, LARGEST, Manifest};
use crate::registry::{DAMAGED, Digest};
use crate::{Doing, Error, Result};

/// A layout.
pub(super) struct Stored {
    directory: PathBuf,
    index: Vec<Entry>,
}

/// What an index names.
#[derive(Deserialize)]
struct Entry {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    annotations: Value,
}

/// A manifest with its bytes.
pub(super) struct StoredManifest {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
    pub(super) manifest: Manifest,
}

impl Stored {
    /// Reads its index.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Entry>,
        }
        let path = directory.join("index.json");
        let doing = || format!("read the layout {}", directory.display());
        let bytes = read(&path).doing(doing)?;
        let index: Index =
            serde_json::from_slice(&bytes).map_err(|error| Error::new(doing(), error))?;
        Ok(Self {
            directory: directory.to_owned(),
            index: index.manifests,
        })
    }

    /// The image of this name.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(super) fn image(&self, name: &str) -> Result<StoredManifest> {
        let named = |entry: &&Entry| entry.annotations[NAME] == name;
        match self.index.iter().find(named) {
            Some(entry) => self.manifest(&entry.descriptor),
            None => {
                let names = self.index.iter();
                let names: Vec<&str> = names
                    .filter_map(|entry| entry.annotations[NAME].as_str())
                    .collect();
                let doing = format!("find the image {name:?} in {}", self.directory.display());
                Err(Error::usage(
                    doing,
                    format!("its images are {}", names.join(", ")),
                ))
            }
        }
    }

    /// What is attached to the manifest of this digest.
    ///
    /// # Errors
    /// Something is damaged.
    pub(super) fn attached(&self, subject: &Digest) -> Result<Vec<StoredManifest>> {
        let mut found = Vec::new();
        for entry in &self.index {
            if entry.descriptor.media_type != media::MANIFEST {
                continue;
            }
            let stored = self.manifest(&entry.descriptor)?;
            let its = stored.manifest.subject.as_ref();
            if its.is_some_and(|its| its.digest == *subject) {
                found.push(stored);
            }
        }
        Ok(found)
    }

    /// A blob as a file. Its content is compared when it is sent.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn blob(&self, blob: &Descriptor) -> Result<File> {
        let path = self.path(&blob.digest);
        File::open(&path)
            .doing(|| format!("open {}", path.display()))
            .map_err(|error| error.hint(DAMAGED))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<StoredManifest> {
        let path = self.path(&descriptor.digest);
        let wrong = |why: String| {
            Error::new(format!("read the manifest {}", path.display()), why).hint(DAMAGED)
        };
        let bytes = read(&path).map_err(|error| wrong(error.to_string()))?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(wrong("it is not what its digest says".to_owned()));
        }
        match document::parse(&bytes, Some(&descriptor.media_type)).map_err(wrong)? {
            Document::Manifest(manifest) => Ok(StoredManifest {
                digest: descriptor.digest.clone(),
                bytes,
                manifest: *manifest,
            }),
            Document::Index(_) => Err(Error::usage(
                format!("push {}", path.display()),
                "it is for several kinds of machines",
            )
            .hint("a jail is for one")),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let blobs = self.directory.join("blobs").join("sha256");
        blobs.join(digest.hexadecimal())
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
