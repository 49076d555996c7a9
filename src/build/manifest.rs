//! What is in a root tree, where each thing came from and why it is there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::sys::copy::hash_bytes;

/// The largest manifest that is read, in bytes: some fifty thousand entries.
const LARGEST: u64 = 32 * 1024 * 1024;

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A character device node.
    Device,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// An empty file (its `size` is 0) or a directory (it has no `size`) that something of the
    /// host is mounted on.
    Mountpoint,
    /// A symbolic link.
    Symlink,
}

/// One thing in a root tree. One line of JSON in the manifest file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Absolute path on the host that it was copied from; absent for what gaoler wrote itself.
    pub source: Option<PathBuf>,
    /// Of a regular file: the SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits in octal, four digits: `0755`.
    pub mode: String,
    /// Of a symbolic link: its text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<PathBuf>,
    /// Of a device: `major:minor`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// Size of a regular file, bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Why it is there.
    pub reason: String,
}

impl Entry {
    /// The permission bits as a number; `None` if the text is not four octal digits.
    pub fn mode_bits(&self) -> Option<u32> {
        let octal = self.mode.len() == 4 && self.mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
        octal.then(|| u32::from_str_radix(&self.mode, 8).ok())?
    }
}

/// Everything in a root tree, sorted by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The entries, sorted by path, each path once. The root directory itself is `/`.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// The regular files in the tree, mount points not counted.
    pub fn files(&self) -> usize {
        self.regular_files().count()
    }

    /// The bytes in those files.
    pub fn bytes(&self) -> u64 {
        self.regular_files()
            .filter_map(|entry| entry.size)
            .fold(0, u64::saturating_add)
    }

    /// The entry at `path`.
    pub fn entry(&self, path: &Path) -> Option<&Entry> {
        let index = self
            .entries
            .binary_search_by(|entry| entry.path.as_path().cmp(path))
            .ok()?;
        self.entries.get(index)
    }

    /// The text of the manifest file: a JSON object per line, sorted by path.
    ///
    /// # Errors
    /// A path is not UTF-8, which JSON cannot hold.
    pub fn to_json_lines(&self) -> Result<String> {
        let mut text = String::new();
        for entry in &self.entries {
            let line = serde_json::to_string(entry).map_err(|error| {
                Error::new(
                    format!("list {} in the manifest", entry.path.display()),
                    error,
                )
            })?;
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The SHA-256 over the text of the manifest, in hexadecimal. Two trees with the same digest
    /// hold the same.
    ///
    /// # Errors
    /// As [`Manifest::to_json_lines`].
    pub fn digest(&self) -> Result<String> {
        Ok(hash_bytes(self.to_json_lines()?.as_bytes()))
    }

    /// Writes the manifest into a new file.
    ///
    /// # Errors
    /// `write(2)`'s, and those of [`Manifest::to_json_lines`].
    pub fn write(&self, mut file: File) -> Result<()> {
        let text = self.to_json_lines()?;
        file.write_all(text.as_bytes())
            .doing(|| "write the manifest")
    }

    /// Reads a manifest. `origin` names the file in errors.
    ///
    /// # Errors
    /// It is too large, a line is not an entry, a path is not absolute or has `..` in it, or the
    /// lines are not sorted.
    pub fn read(file: File, origin: &Path) -> Result<Self> {
        let doing = || format!("read {}", origin.display());
        let mut manifest = Self::default();
        let mut length = 0u64;
        for (number, line) in BufReader::new(file.take(LARGEST + 1)).lines().enumerate() {
            let line = line.doing(doing)?;
            length += line.len() as u64 + 1;
            if length > LARGEST {
                return Err(Error::new(
                    doing(),
                    format!("it is larger than {LARGEST} bytes"),
                ));
            }
            let wrong = |why: String| Error::new(doing(), format!("line {}: {why}", number + 1));
            let entry: Entry = serde_json::from_str(&line).map_err(|e| wrong(e.to_string()))?;
            manifest.push(entry).map_err(|why| wrong(why.to_owned()))?;
        }
        Ok(manifest)
    }

    /// Reads the manifest at `path`, which must be no symbolic link.
    ///
    /// # Errors
    /// As [`Manifest::read`], and `open(2)`'s.
    pub fn load(path: &Path) -> Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty());
        Self::read(
            file.doing(|| format!("open {}", path.display()))?.into(),
            path,
        )
    }

    /// Adds an entry that has been read, if it can be one.
    fn push(&mut self, entry: Entry) -> std::result::Result<(), &'static str> {
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !entry.path.has_root() || !entry.path.components().all(plain) {
            return Err("its path is not an absolute one");
        }
        if self
            .entries
            .last()
            .is_some_and(|last| last.path >= entry.path)
        {
            return Err("it is not sorted by path");
        }
        if entry.mode_bits().is_none() {
            return Err("its mode is not four octal digits");
        }
        self.entries.push(entry);
        Ok(())
    }

    fn regular_files(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::File)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, kind: EntryKind, size: Option<u64>) -> Entry {
        Entry {
            path: path.into(),
            kind,
            source: None,
            sha256: None,
            uid: 0,
            gid: 0,
            mode: "0444".into(),
            target: None,
            device: None,
            size,
            reason: "a test".into(),
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            entries: vec![
                entry("/", EntryKind::Directory, None),
                entry("/a", EntryKind::File, Some(5)),
                entry("/a/b", EntryKind::File, Some(7)),
                entry("/a-b", EntryKind::Mountpoint, Some(0)),
            ],
        }
    }

    fn read(text: &[u8]) -> Result<Manifest> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        Manifest::read(file, Path::new("manifest.json"))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = manifest().to_json_lines().unwrap();
        assert_eq!(read(text.as_bytes()).unwrap(), manifest());
        assert_eq!((manifest().files(), manifest().bytes()), (2, 12));
        assert_eq!(manifest().entry(Path::new("/a/b")).unwrap().size, Some(7));
        assert_eq!(manifest().entry(Path::new("/x")), None);
    }

    #[test]
    fn the_digest_depends_on_everything() {
        let mut other = manifest();
        other.entries[1].mode = "0555".into();
        assert_ne!(manifest().digest().unwrap(), other.digest().unwrap());
        assert_eq!(manifest().digest().unwrap(), manifest().digest().unwrap());
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let line = |path: &str| {
            let entry = entry(path, EntryKind::File, None);
            serde_json::to_string(&entry).unwrap() + "\n"
        };
        for bad in [
            line("etc/passwd"),
            line("/../etc/passwd"),
            line("/b") + &line("/a"),
            line("/a") + &line("/a"),
            line("/a").replace("0444", "+444"),
            "[".repeat(100_000),
            "\n".into(),
        ] {
            assert!(
                read(bad.as_bytes()).is_err(),
                "{}",
                &bad[..bad.len().min(100)]
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(read(&bytes));
        }
    }
}
