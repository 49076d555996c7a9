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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::host::users::{Group, User};

    fn account() -> Account {
        let user = User {
            name: "u".into(),
            uid: 7,
            gid: 8,
            gecos: String::new(),
            home: "/".into(),
            shell: String::new(),
        };
        let group = Group {
            name: "g".into(),
            gid: 8,
            members: Vec::new(),
        };
        Account {
            user,
            group,
            groups: Vec::new(),
            others: Vec::new(),
        }
    }

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        mode(place.path(), 0o755);
        place
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn write(path: &Path, bytes: &[u8], bits: u32) {
        fs::write(path, bytes).unwrap();
        mode(path, bits);
    }

    fn look(place: &Path) -> Held {
        held(&HostTree::open(Path::new("/")).unwrap(), &account(), place)
    }

    #[test]
    fn what_not_everybody_may_read_is_not_taken() {
        let place = place();
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("closed")).unwrap();
        write(&path("conf"), b"text\n", 0o644);
        write(&path("key"), b"secret\n", 0o640);
        write(&path("closed/key"), b"secret\n", 0o644);
        mode(&path("closed"), 0o750);
        symlink("closed/key", path("link")).unwrap();
        symlink("conf", path("other")).unwrap();
        let text = Content::Text("text\n".to_owned());
        let expected = BTreeMap::from([
            (path("conf"), text.clone()),
            (path("other"), text.clone()),
            (path("key"), Content::Secret),
            (path("closed/key"), Content::Secret),
            (path("link"), Content::Secret),
        ]);
        assert_eq!(look(place.path()), Held::Files(expected));
        let one = Held::Files(BTreeMap::from([(path("conf"), text)]));
        assert_eq!(look(&path("conf")), one);
    }

    #[test]
    fn what_no_config_map_can_hold_is_told() {
        let place = place();
        let path = |name: &str| place.path().join(name);
        let why = || match look(place.path()) {
            Held::Unfit(why) => why,
            Held::Files(files) => panic!("{files:?}"),
        };
        for bytes in [&b"\xff"[..], &[b'x'; MOST_TEXT + 1]] {
            write(&path("conf"), bytes, 0o644);
            assert!(why().contains("too much, or no text"), "{}", why());
        }
        fs::remove_file(path("conf")).unwrap();
        symlink("nowhere", path("link")).unwrap();
        assert!(why().contains("there is none"), "{}", why());
        fs::remove_file(path("link")).unwrap();
        for number in 0..=MOST_FILES {
            write(&path(&number.to_string()), b"", 0o644);
        }
        assert!(!why().is_empty());
        assert!(matches!(look(&path("nothing")), Held::Unfit(_)));
    }

    /// A tree with one file, as a manifest has it.
    fn tree(source: &Path) -> (tempfile::TempDir, Manifest) {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("etc")).unwrap();
        fs::write(tree.path().join("etc/conf"), "text\n").unwrap();
        let entry = Entry {
            path: "/etc/conf".into(),
            kind: EntryKind::File,
            source: Some(source.to_owned()),
            sha256: Some(copy::hash_bytes(b"text\n")),
            uid: 0,
            gid: 0,
            mode: "0644".into(),
            target: None,
            device: None,
            size: Some(5),
            reason: "a test".into(),
        };
        let entries = vec![entry];
        (tree, Manifest { entries })
    }

    #[test]
    fn the_tree_has_what_its_manifest_says() {
        let place = place();
        let source = place.path().join("conf");
        write(&source, b"changed since\n", 0o644);
        let (tree, manifest) = tree(&source);
        let of = || {
            let host = HostTree::open(Path::new("/")).unwrap();
            of_tree(&host, &account(), &manifest, tree.path())
        };
        let only = |content| BTreeMap::from([(PathBuf::from("/etc/conf"), content)]);
        assert_eq!(of().unwrap(), only(Content::Text("text\n".to_owned())));
        mode(&source, 0o600);
        assert_eq!(of().unwrap(), only(Content::Secret));
        mode(&source, 0o644);
        fs::write(tree.path().join("etc/conf"), "other\n").unwrap();
        assert!(of().unwrap_err().why().contains("not as it was built"));
    }
}
