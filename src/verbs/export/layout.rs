//! An image layout in the making: blobs by their digest, and an index.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::Value;
use tar::{Builder, EntryType, Header};

use super::bundle;
use crate::build::{Entry, EntryKind, Manifest};
use crate::export::oci::image::{self, Descriptor, media};
use crate::sys::beneath::Beneath;
use crate::sys::copy;
use crate::verbs::jail;
use crate::{Doing, Result};

/// A layout in the making.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// Makes its directories, or takes those that are there: blobs of other images stay.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        let layout = Self {
            directory: directory.to_owned(),
        };
        let blobs = layout.blobs();
        fs::create_dir_all(&blobs).doing(|| format!("make the directory {}", blobs.display()))?;
        jail::replace(&directory.join("oci-layout"), image::LAYOUT)?;
        Ok(layout)
    }

    fn blobs(&self) -> PathBuf {
        self.directory.join("blobs").join("sha256")
    }

    /// Adds a blob.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&self, media: &'static str, text: &str) -> Result<Descriptor> {
        let sha256 = copy::hash_bytes(text.as_bytes());
        let path = self.blobs().join(&sha256);
        jail::replace(&path, text)?;
        Ok(Descriptor {
            media,
            sha256,
            size: text.len() as u64,
        })
    }

    /// The same of a value.
    ///
    /// # Errors
    /// As [`Layout::add`].
    pub fn add_value(&self, media: &'static str, value: &Value) -> Result<Descriptor> {
        self.add(media, &value.to_string())
    }

    /// Adds the layer of a root that was copied by this manifest.
    ///
    /// # Errors
    /// The root cannot be read, or the layer not be written.
    pub fn add_layer(&self, root: &Path, manifest: &Manifest) -> Result<Descriptor> {
        let half = self.blobs().join("layer.new");
        let doing = || format!("write {}", half.display());
        let file = File::create(&half).doing(doing)?;
        let written = layer(file, root, manifest);
        let described = written.and_then(|()| {
            let mut file = File::open(&half).doing(doing)?;
            let size = file.metadata().doing(doing)?.len();
            let sha256 = copy::hash(&mut file).doing(doing)?;
            fs::rename(&half, self.blobs().join(&sha256)).doing(doing)?;
            Ok(Descriptor {
                media: media::LAYER,
                sha256,
                size,
            })
        });
        if described.is_err() {
            // What went wrong first is what the user needs to know.
            fs::remove_file(&half).unwrap_or_default();
        }
        described
    }

    /// Adds a blob that somebody else has, and that `fetch` writes into an empty file, unless it is
    /// there. Whether it had to be fetched.
    ///
    /// # Errors
    /// It cannot be fetched or written; then there is nothing of it.
    pub fn receive(
        &self,
        sha256: &str,
        size: u64,
        fetch: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<bool> {
        let doing = || format!("write {}", self.blobs().join(sha256).display());
        // Its directory may be one that others write to: nothing in it leads elsewhere.
        let blobs = Beneath::open(&self.blobs()).doing(doing)?;
        if has(&blobs, sha256, size) {
            return Ok(false);
        }
        let half = PathBuf::from(format!("{sha256}.new"));
        match blobs.unlink(&half) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        let mut file = File::from(blobs.create(&half, 0o644).doing(doing)?);
        let fetched = fetch(&mut file).and_then(|()| {
            file.sync_all().doing(doing)?;
            blobs.rename(&half, Path::new(sha256)).doing(doing)
        });
        if fetched.is_err() {
            // What went wrong first is what the user needs to know.
            blobs.unlink(&half).unwrap_or_default();
        }
        fetched.map(|()| true)
    }

    /// Whether a blob is there, and whole.
    pub fn has(&self, sha256: &str, size: u64) -> bool {
        Beneath::open(&self.blobs()).is_ok_and(|blobs| has(&blobs, sha256, size))
    }

    /// Writes the index, last: then everything that it names is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&self, index: &Value) -> Result<()> {
        jail::replace(&self.directory.join("index.json"), &index.to_string())
    }
}

fn has(blobs: &Beneath, sha256: &str, size: u64) -> bool {
    let Ok(opened) = blobs.file(Path::new(sha256)) else {
        return false;
    };
    let mut file = File::from(opened);
    let is_that_long = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == size;
    file.metadata().is_ok_and(is_that_long) && copy::hash(&mut file).is_ok_and(|it| it == sha256)
}

/// An archive of the root: by path, without times and names of users, so that the same tree gives the
/// same bytes.
fn layer(file: File, root: &Path, manifest: &Manifest) -> Result<()> {
    let doing = || format!("write an archive of {}", root.display());
    let beneath = Beneath::open(root).doing(doing)?;
    let mut archive = Builder::new(BufWriter::new(file));
    for entry in bundle::entries(manifest) {
        let name = || format!("write {} into the layer", entry.path.display());
        append(&mut archive, &beneath, entry).doing(name)?;
    }
    let mut buffer = archive.into_inner().doing(doing)?;
    buffer.flush().doing(doing)?;
    buffer.get_ref().sync_all().doing(doing)
}

fn append(archive: &mut Builder<impl Write>, root: &Beneath, entry: &Entry) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mode(entry.mode_bits().unwrap_or(0));
    header.set_size(0);
    let below = entry.path.strip_prefix("/").unwrap_or(&entry.path);
    let path = match below == Path::new("") {
        true => Path::new("./"),
        false => below,
    };
    let is_directory = entry.kind == EntryKind::Directory
        || (entry.kind == EntryKind::Mountpoint && entry.size.is_none());
    match entry.kind {
        _ if is_directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, path, std::io::empty())
        }
        EntryKind::Symlink => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            let target = entry.target.as_deref().unwrap_or(Path::new(""));
            archive.append_link(&mut header, path, target)
        }
        _ => {
            let file = File::from(root.file(below)?);
            header.set_entry_type(EntryType::Regular);
            header.set_size(file.metadata()?.len());
            archive.append_data(&mut header, path, file)
        }
    }
}
