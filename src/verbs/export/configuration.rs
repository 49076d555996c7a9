//! What a person configures of a service: the files at the places that its jail reads of the host, and those
//! that the tree has copies of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::build::{Account, Entry, EntryKind, HostTree, Manifest, Reach, file_type, reach};
use crate::export::kubernetes::{Configuration, Content, Held, MOST_TEXT};
use crate::spec::{Spec, is_ruling};
use crate::sys::beneath::Beneath;
use crate::sys::copy;
use crate::{Doing, Error, Result};

/// Where a person configures services (`hier(7)`).
const ETC: &str = "/etc";

/// What the C library and OpenSSL read there, of no one service; and what a container has of its own.
const OF_NO_SERVICE: [&str; 12] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/networks",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/rpc",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// As many files are looked at in one place.
const MOST_FILES: usize = 256;

/// As deep.
const DEEPEST: usize = 8;

/// The longest path of a file: it is its key in a ConfigMap too, which has 253 bytes.
const LONGEST_PATH: usize = 240;

/// Reads all of it. What not everybody may read is not opened.
///
/// # Errors
/// The tree is not as it was built.
pub fn of(
    spec: &Spec,
    account: &Account,
    manifest: &Manifest,
    tree: &Path,
) -> Result<Configuration> {
    let host = HostTree::open(Path::new("/"))?;
    let binds = spec.binds.iter().filter(|bind| !bind.writable);
    let held = binds.map(|bind| (bind.path.clone(), held(&host, account, &bind.path)));
    Ok(Configuration {
        binds: held.collect(),
        tree: of_tree(&host, account, manifest, tree)?,
    })
}

/// Files of the tree, as the manifest has them. What is too much for one ConfigMap stays in the image alone.
fn of_tree(
    host: &HostTree,
    account: &Account,
    manifest: &Manifest,
    tree: &Path,
) -> Result<BTreeMap<PathBuf, Content>> {
    let root = Beneath::open(tree).doing(|| format!("open {}", tree.display()))?;
    let mut room = MOST_TEXT;
    let mut found = BTreeMap::new();
    for entry in manifest
        .entries
        .iter()
        .filter(|entry| is_configuration(entry))
    {
        let path = entry.path.as_path();
        let source = entry.source.as_deref().unwrap_or(path);
        // Of one that is gone it is not known who might have read it.
        let everybody = find(host, account, source).is_ok_and(|(_, everybody)| everybody);
        if !everybody {
            found.insert(path.to_owned(), Content::Secret);
            continue;
        }
        let doing = || format!("read {} in the tree", path.display());
        let file = File::from(root.file(path).doing(doing)?);
        let Some(text) = text(file, room).doing(doing)? else {
            continue;
        };
        if entry.sha256 != Some(copy::hash_bytes(text.as_bytes())) {
            return Err(Error::new(doing(), "it is not as it was built")
                .hint("see what has changed with \"gaoler check\", and build it again"));
        }
        room -= text.len();
        found.insert(path.to_owned(), Content::Text(text));
    }
    Ok(found)
}

fn is_configuration(entry: &Entry) -> bool {
    let path = entry.path.as_path();
    entry.kind == EntryKind::File
        && entry.source.is_some()
        && path.starts_with(ETC)
        && !is_ruling(path)
        && !OF_NO_SERVICE.iter().any(|other| path == Path::new(other))
}

/// What is in a file, if that is text of at most `room` bytes.
fn text(file: File, room: usize) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    file.take(room as u64 + 1).read_to_end(&mut bytes)?;
    Ok(match bytes.len() <= room {
        true => String::from_utf8(bytes).ok(),
        false => None,
    })
}

/// The regular file that a path of the host leads to, and whether everybody may read it.
fn find(host: &HostTree, account: &Account, path: &Path) -> Result<(PathBuf, bool)> {
    let doing = || format!("read {}", path.display());
    let found = host.find(path, account)?;
    let stat = found
        .stat
        .ok_or_else(|| Error::new(doing(), "there is none"))?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(Error::new(doing(), "it is no file"));
    }
    let reach = found.reach.min(reach(&stat, account, 0o4));
    Ok((found.real, reach == Reach::Everyone))
}

/// What a place of the host holds.
fn held(host: &HostTree, account: &Account, place: &Path) -> Held {
    let mut looking = Looking {
        host,
        account,
        room: MOST_TEXT,
        files: BTreeMap::new(),
    };
    match looking.look(place, 0) {
        Ok(()) => Held::Files(looking.files),
        Err(error) => Held::Unfit(error.why().to_owned()),
    }
}

/// A place that is looked through.
struct Looking<'a> {
    host: &'a HostTree,
    account: &'a Account,
    room: usize,
    files: BTreeMap<PathBuf, Content>,
}

impl Looking<'_> {
    /// Takes what is at and below a path. Of a link, what it leads to.
    fn look(&mut self, path: &Path, depth: usize) -> Result<()> {
        let doing = || format!("read {}", path.display());
        let root = self.host.root();
        let kind = root.stat(path).doing(doing)?;
        if file_type(&kind) != FileType::Directory {
            return self.file(path);
        }
        if depth > DEEPEST {
            return Err(Error::new(doing(), "it is too deep"));
        }
        for name in root.names(path, MOST_FILES).doing(doing)? {
            self.look(&path.join(name), depth + 1)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let refuse = |why: &str| Error::new("read a file", format!("{} {why}", path.display()));
        if path.to_str().is_none_or(|text| text.len() > LONGEST_PATH) {
            return Err(refuse("has a name that no key can be"));
        }
        if self.files.len() >= MOST_FILES {
            return Err(refuse("is one too many"));
        }
        let (real, everybody) = find(self.host, self.account, path)
            .map_err(|error| refuse(&format!("cannot be read: {}", error.why())))?;
        let mut content = Content::Secret;
        if everybody {
            let file = self.host.root().file(&real);
            let file = File::from(file.doing(|| format!("open {}", real.display()))?);
            let text = text(file, self.room).doing(|| format!("read {}", real.display()))?;
            let text = text.ok_or_else(|| refuse("is too much, or no text"))?;
            self.room -= text.len();
            content = Content::Text(text);
        }
        self.files.insert(path.to_owned(), content);
        Ok(())
    }
}
