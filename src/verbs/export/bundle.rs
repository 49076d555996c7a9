//! The root of a bundle: a copy of a generation's tree, in which everything is as the manifest says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::build::{Entry, EntryKind, Manifest};
use crate::sys::beneath::Beneath;
use crate::sys::copy::{self, Identity};
use crate::{Doing, Error, Result};

/// What a runtime makes itself: nothing below it is copied.
const DEV: &str = "/dev";

/// Where a root is while it is not whole.
const HALF: &str = "rootfs.new";

/// What of a manifest a bundle and an image have: everything but devices, and what is in `/dev`.
pub fn entries(manifest: &Manifest) -> impl Iterator<Item = &Entry> {
    let in_dev = |path: &Path| path != Path::new(DEV) && path.starts_with(DEV);
    let all = manifest.entries.iter();
    all.filter(move |entry| entry.kind != EntryKind::Device && !in_dev(&entry.path))
}

/// Copies the tree into the bundle at `bundle`, in place of the copy that is there.
///
/// # Errors
/// The tree is not as it was built; the copy cannot be written.
pub fn copy_root(tree: &Path, manifest: &Manifest, bundle: &Path) -> Result<PathBuf> {
    let root = bundle.join(crate::export::oci::ROOT);
    let doing = || format!("copy the tree into {}", root.display());
    fs::create_dir_all(bundle).doing(doing)?;
    let above = Beneath::open(bundle).doing(doing)?;
    remove(&above, HALF).doing(doing)?;
    above.make_directory(Path::new(HALF), 0o755).doing(doing)?;
    let copied = Beneath::open(tree)
        .doing(|| format!("open {}", tree.display()))
        .and_then(|from| {
            let to = above.beneath(Path::new(HALF)).doing(doing)?;
            entries(manifest).try_for_each(|entry| put(&from, &to, entry))
        });
    if let Err(error) = copied {
        remove(&above, HALF).doing(doing)?;
        return Err(error);
    }
    remove(&above, crate::export::oci::ROOT).doing(doing)?;
    let (half, whole) = (Path::new(HALF), Path::new(crate::export::oci::ROOT));
    above.rename(half, whole).doing(doing)?;
    Ok(root)
}

fn remove(above: &Beneath, name: &str) -> rustix::io::Result<()> {
    match above.remove_tree(Path::new(name)) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

fn put(from: &Beneath, to: &Beneath, entry: &Entry) -> Result<()> {
    let path = entry.path.as_path();
    let doing = || format!("copy {} into the bundle", path.display());
    let mode = entry
        .mode_bits()
        .ok_or_else(|| Error::new(doing(), "its mode is not known"))?;
    match entry.kind {
        EntryKind::Directory if path == Path::new("/") => {}
        EntryKind::Directory => to.make_directory(path, 0o700).doing(doing)?,
        EntryKind::Mountpoint if entry.size.is_none() => {
            to.make_directory(path, 0o700).doing(doing)?;
        }
        EntryKind::Mountpoint => drop(to.create(path, 0o600).doing(doing)?),
        EntryKind::File => file(from, to, entry)?,
        EntryKind::Symlink => {
            let target = entry.target.as_deref().unwrap_or(Path::new(""));
            return to.make_symlink(path, target).doing(doing);
        }
        EntryKind::Device => return Ok(()),
    }
    to.chown(path, entry.uid, entry.gid).doing(doing)?;
    to.chmod(path, mode).doing(doing)
}

fn file(from: &Beneath, to: &Beneath, entry: &Entry) -> Result<()> {
    let name = entry.path.display().to_string();
    let doing = || format!("copy {name} into the bundle");
    let mut source = File::from(from.file(&entry.path).doing(doing)?);
    let mut target = File::from(to.create(&entry.path, 0o600).doing(doing)?);
    let stat = rustix::fs::fstat(&source).doing(doing)?;
    let digest = copy::copy(&mut source, &mut target, &Identity::from(&stat), &name)?;
    if entry.sha256.as_ref() != Some(&digest) {
        return Err(Error::new(doing(), "it is not as it was built")
            .hint("see what has changed with \"gaoler check\", and build it again"));
    }
    Ok(())
}
