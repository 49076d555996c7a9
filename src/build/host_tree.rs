//! Finding a path on the host the way the kernel does, with every link on the way noted, and
//! telling who may read what is there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::users::Account;
use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;

/// As many links as `path_resolution(7)` follows.
const MOST_LINKS: usize = 40;

/// The host's files. Its root is `/` outside tests.
#[derive(Debug)]
pub struct HostTree {
    root: Beneath,
    /// What has been looked at. A plan is of one moment: a file that changes after it is noticed
    /// when it is copied.
    seen: Mutex<HashMap<PathBuf, Option<Stat>>>,
    modes: Vec<(PathBuf, u32)>,
}

/// One thing on the way to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A directory.
    Directory(PathBuf),
    /// A symbolic link and its text.
    Symlink(PathBuf, PathBuf),
}

/// Where a path leads.
#[derive(Debug)]
pub struct Found {
    /// Directories and links on the way, in the order in which they were met.
    pub steps: Vec<Step>,
    /// The path without links.
    pub real: PathBuf,
    /// What is there; `None` if nothing is.
    pub stat: Option<Stat>,
    /// Who gets there.
    pub reach: Reach,
}

/// Who may use a file: from everyone down to root alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Neither the service's user nor its groups.
    Root,
    /// The service, as the owner or by one of its groups.
    Service,
    /// Anybody.
    Everyone,
}

impl HostTree {
    /// The host beneath `root`.
    ///
    /// # Errors
    /// `root` is no directory.
    pub fn open(root: &Path) -> Result<Self> {
        let opened = Beneath::open(root).doing(|| format!("open {}", root.display()))?;
        Ok(Self {
            root: opened,
            seen: Mutex::default(),
            modes: Vec::new(),
        })
    }

    /// The same where files that have no permission bit count as having these: guarded programs,
    /// by their paths without links.
    pub fn with_modes(self, modes: &[(PathBuf, u32)]) -> Self {
        Self {
            modes: modes.to_vec(),
            ..self
        }
    }

    /// The host's root directory. What [`HostTree::find`] gave as `real` is opened beneath it.
    pub fn root(&self) -> &Beneath {
        &self.root
    }

    /// Follows `path` through every link, beneath the root. What does not exist any more at the
    /// end of the path is taken as a name of its own.
    ///
    /// # Errors
    /// The links go round in a circle, or a file stands where a directory should.
    pub fn find(&self, path: &Path, account: &Account) -> Result<Found> {
        let mut walk = Walk::new(path);
        let mut found = Found {
            steps: Vec::new(),
            real: PathBuf::from("/"),
            stat: self.look(Path::new("/"))?,
            reach: Reach::Everyone,
        };
        while let Some(name) = walk.next() {
            if name == ".." {
                found.real.pop();
                found.stat = self.look(&found.real)?;
                continue;
            }
            self.enter(&mut found, &name, path, account)?;
            if let Some((link, target)) = self.link(&found)? {
                walk.follow(&target)
                    .map_err(|why| Error::new(doing(path), why))?;
                let base = if target.has_root() {
                    Path::new("/")
                } else {
                    parent(&link)
                };
                found.real = base.to_owned();
                found.stat = self.look(&found.real)?;
                found.steps.push(Step::Symlink(link, target));
            }
        }
        Ok(found)
    }

    /// Goes from the directory of `found` to `name` in it.
    fn enter(
        &self,
        found: &mut Found,
        name: &OsString,
        path: &Path,
        account: &Account,
    ) -> Result<()> {
        if let Some(directory) = &found.stat {
            if file_type(directory) != FileType::Directory {
                let why = format!("{} is not a directory", found.real.display());
                return Err(Error::new(doing(path), why));
            }
            found.reach = found.reach.min(reach(directory, account, 0o1));
        }
        if found.real != Path::new("/") {
            found.steps.push(Step::Directory(found.real.clone()));
        }
        found.real.push(name);
        found.stat = match found.stat {
            Some(_) => self.look(&found.real)?,
            None => None,
        };
        Ok(())
    }

    /// The path and text of the link that `found` stands on, if it does.
    fn link(&self, found: &Found) -> Result<Option<(PathBuf, PathBuf)>> {
        match &found.stat {
            Some(stat) if file_type(stat) == FileType::Symlink => {
                if is_of_a_process(&found.real) {
                    return Err(Error::new(
                        doing(&found.real),
                        "it leads to what this very process has open",
                    )
                    .hint("name the file itself in the spec"));
                }
                let read = self.root.read_link(&found.real);
                let target = read.doing(|| format!("read the link {}", found.real.display()))?;
                Ok(Some((found.real.clone(), target)))
            }
            _ => Ok(None),
        }
    }

    /// What is at a path without links; `None` if nothing is.
    fn look(&self, path: &Path) -> Result<Option<Stat>> {
        let known = self
            .seen
            .lock()
            .ok()
            .and_then(|seen| seen.get(path).copied());
        if let Some(stat) = known {
            return Ok(stat);
        }
        let stat = match self.root.stat(path) {
            Ok(stat) => Some(self.before_its_guard(path, stat)),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno).doing(|| format!("look at {}", path.display())),
        };
        if let Ok(mut seen) = self.seen.lock() {
            seen.insert(path.to_owned(), stat);
        }
        Ok(stat)
    }

    fn before_its_guard(&self, path: &Path, mut stat: Stat) -> Stat {
        let mut modes = self.modes.iter();
        if let Some((_, mode)) = modes.find(|(guarded, _)| guarded == path)
            && stat.st_mode & 0o7777 == 0
        {
            stat.st_mode |= mode & 0o7777;
        }
        stat
    }
}

/// The names still to be walked, last one first.
struct Walk {
    names: Vec<OsString>,
    links: usize,
}

impl Walk {
    fn new(path: &Path) -> Self {
        let mut walk = Self {
            names: Vec::new(),
            links: 0,
        };
        walk.push(path);
        walk
    }

    fn next(&mut self) -> Option<OsString> {
        self.names.pop()
    }

    /// Puts the names of a link's text before what is left.
    fn follow(&mut self, target: &Path) -> std::result::Result<(), &'static str> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err("its symbolic links go round in a circle");
        }
        self.push(target);
        Ok(())
    }

    fn push(&mut self, path: &Path) {
        self.names.extend(
            path.components()
                .rev()
                .filter_map(|component| match component {
                    Component::Normal(name) => Some(name.to_owned()),
                    Component::ParentDir => Some(OsString::from("..")),
                    Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
                }),
        );
    }
}

/// A link in `/proc/PID` is no path: it leads to what gaoler itself has open, such as the directory
/// that it builds in (CVE-2024-21626). `/proc/self` and `/proc/mounts` are ordinary ones.
fn is_of_a_process(link: &Path) -> bool {
    link.strip_prefix("/proc")
        .is_ok_and(|below| below.components().count() > 1)
}

/// The kind of thing that `stat` is of.
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Who has the permission `bit` (4, 2 or 1, as for others) on what `stat` is of. Access control
/// lists are not looked at: who has a file only by one of them counts as not having it.
pub fn reach(stat: &Stat, account: &Account, bit: u32) -> Reach {
    let owner = stat.st_uid == account.user.uid;
    if stat.st_mode & bit != 0 && !owner {
        Reach::Everyone
    } else if owner && stat.st_mode & (bit << 6) != 0 {
        if stat.st_mode & bit != 0 {
            Reach::Everyone
        } else {
            Reach::Service
        }
    } else if !owner && account.has_group(stat.st_gid) && stat.st_mode & (bit << 3) != 0 {
        Reach::Service
    } else {
        Reach::Root
    }
}

fn doing(path: &Path) -> String {
    format!("find {} on the host", path.display())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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
        let group = |name: &str, gid| Group {
            name: name.into(),
            gid,
            members: Vec::new(),
        };
        Account {
            user,
            group: group("g", 8),
            groups: vec![group("h", 9)],
            others: Vec::new(),
        }
    }

    fn host(make: impl Fn(&Path)) -> (tempfile::TempDir, HostTree) {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path());
        let host = HostTree::open(directory.path()).unwrap();
        (directory, host)
    }

    #[test]
    fn every_link_on_the_way_is_a_step() {
        let (_directory, host) = host(|root| {
            fs::create_dir_all(root.join("usr/lib/x")).unwrap();
            fs::write(root.join("usr/lib/x/liba.so.1.2"), "").unwrap();
            symlink("liba.so.1.2", root.join("usr/lib/x/liba.so.1")).unwrap();
            symlink("usr/lib", root.join("lib")).unwrap();
        });
        let found = host
            .find(Path::new("/lib/x/liba.so.1"), &account())
            .unwrap();
        assert_eq!(found.real, Path::new("/usr/lib/x/liba.so.1.2"));
        assert!(found.stat.is_some());
        let links = [
            Step::Symlink("/lib".into(), "usr/lib".into()),
            Step::Symlink("/usr/lib/x/liba.so.1".into(), "liba.so.1.2".into()),
        ];
        assert!(links.iter().all(|link| found.steps.contains(link)));
        assert!(found.steps.contains(&Step::Directory("/usr/lib/x".into())));
    }

    #[test]
    fn dot_dot_and_absolute_links_stay_beneath() {
        let (_directory, host) = host(|root| {
            fs::create_dir_all(root.join("a")).unwrap();
            fs::write(root.join("f"), "").unwrap();
            symlink("../../../../f", root.join("a/up")).unwrap();
            symlink("/a/up", root.join("absolute")).unwrap();
        });
        let found = host.find(Path::new("/absolute"), &account()).unwrap();
        assert_eq!(found.real, Path::new("/f"));
        assert!(found.stat.is_some());
    }

    #[test]
    fn what_a_process_has_open_is_no_path() {
        let tree = HostTree::open(Path::new("/")).unwrap();
        for path in ["/proc/self/fd/0", "/proc/thread-self/root/etc", "/dev/fd/0"] {
            let error = tree.find(Path::new(path), &account()).unwrap_err();
            assert_eq!(error.why(), "it leads to what this very process has open");
        }
        let mounts = tree.find(Path::new("/proc/mounts"), &account()).unwrap();
        assert!(mounts.stat.is_some(), "{:?}", mounts.real);
    }

    #[test]
    fn a_circle_is_an_error() {
        let (_directory, host) = host(|root| {
            symlink("b", root.join("a")).unwrap();
            symlink("a", root.join("b")).unwrap();
        });
        let error = host.find(Path::new("/a/x"), &account()).unwrap_err();
        assert!(error.to_string().contains("circle"), "{error}");
    }

    #[test]
    fn what_is_missing_keeps_its_name() {
        let (_directory, host) = host(|root| {
            fs::create_dir(root.join("run")).unwrap();
            fs::create_dir(root.join("var")).unwrap();
            symlink("/run", root.join("var/run")).unwrap();
        });
        let found = host
            .find(Path::new("/var/run/new/deeper"), &account())
            .unwrap();
        assert_eq!(found.real, Path::new("/run/new/deeper"));
        assert!(found.stat.is_none());
        assert!(found.steps.contains(&Step::Directory("/run/new".into())));
    }

    #[test]
    fn the_owner_class_comes_first() {
        let mut stat = rustix::fs::stat("/").unwrap();
        let mut check = |uid, gid, mode, expected| {
            (stat.st_uid, stat.st_gid, stat.st_mode) = (uid, gid, mode);
            assert_eq!(
                reach(&stat, &account(), 4),
                expected,
                "{uid} {gid} {mode:o}"
            );
        };
        check(0, 0, 0o644, Reach::Everyone);
        check(0, 0, 0o640, Reach::Root);
        check(0, 9, 0o640, Reach::Service);
        check(7, 0, 0o600, Reach::Service);
        check(7, 8, 0o040, Reach::Root);
    }
}
