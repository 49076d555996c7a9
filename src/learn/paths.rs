//! Follows a path as the traced process would, and keeps what was met on the way.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::capabilities::Owned;

/// As many symlinks as the kernel follows in one path (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// How the traced thread sees the file system.
#[derive(Clone, Debug)]
pub struct View {
    /// Its process: what `/proc/self` means.
    pub process: i32,
    /// Itself: what `/proc/thread-self` means.
    pub thread: i32,
    /// The path of its root directory: the host's, or that in its own mount namespace.
    pub root: PathBuf,
    /// It has a mount namespace of its own, so that its paths are none of the host's.
    pub jailed: bool,
}

/// What becomes of a symlink that is the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is what the call is about.
    Keep,
}

/// Where a path leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The host's path; of something missing, the resolved parent and the rest.
    pub host: PathBuf,
    /// The path in the process's own root, absolute and without `.` and `..`.
    pub asked: PathBuf,
    /// Each symlink that was followed: its host path and its text.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// The directories that were searched.
    pub searched: Vec<Owned>,
    /// The directory that holds the last component.
    pub parent: Option<Owned>,
    /// What is there; `None` if nothing is.
    pub target: Option<Owned>,
}

/// Follows `text`, which starts at the host path `base` unless it is absolute.
pub fn resolve(view: &View, base: &Path, text: &[u8], last: Last) -> Resolved {
    let text = Path::new(OsStr::from_bytes(text));
    let start = if text.is_absolute() {
        view.root.clone()
    } else {
        base.to_owned()
    };
    let mut walk = Walk {
        view,
        at: start,
        found: Resolved::default(),
        left: VecDeque::new(),
    };
    walk.prepend(text);
    let follow_last = last == Last::Follow || text.as_os_str().as_bytes().ends_with(b"/");
    walk.run(follow_last);
    let Walk { at, mut found, .. } = walk;
    found.host = at;
    found.asked = any_thread(asked(view, base, text, &found.host));
    found.host = any_thread(found.host);
    found
}

/// The path as the process would write it, absolute in its own root. With `..` in it, its text
/// says nothing of what it leads to, so the resolved path stands in for it.
fn asked(view: &View, base: &Path, text: &Path, host: &Path) -> PathBuf {
    let inside = |path: &Path| match path.strip_prefix(&view.root) {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => path.to_owned(),
    };
    if text.components().any(|part| part == Component::ParentDir) {
        return inside(host);
    }
    let whole = if text.is_absolute() {
        text.to_owned()
    } else {
        inside(base).join(text)
    };
    let own = OsString::from(view.process.to_string());
    let mut parts: Vec<&OsStr> = whole.components().map(Component::as_os_str).collect();
    if let [_, proc, number, ..] = parts.as_mut_slice()
        && *proc == "proc"
        && *number == own
    {
        *number = OsStr::new("self");
    }
    parts.iter().collect()
}

/// `/proc/self/task/N` as `/proc/thread-self`: a trace must not grow with each thread.
fn any_thread(path: PathBuf) -> PathBuf {
    let Ok(rest) = path.strip_prefix("/proc/self/task") else {
        return path;
    };
    let mut parts = rest.components();
    if parts.next().is_none() {
        return path;
    }
    Path::new("/proc/thread-self").join(parts.as_path())
}

struct Walk<'a> {
    view: &'a View,
    at: PathBuf,
    found: Resolved,
    left: VecDeque<OsString>,
}

impl Walk<'_> {
    fn prepend(&mut self, text: &Path) {
        for part in text.components().rev() {
            match part {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsString::from("..")),
                Component::CurDir | Component::Prefix(_) | Component::RootDir => {}
            }
        }
    }

    fn run(&mut self, follow_last: bool) {
        self.found.target = owned(&self.real(&self.at));
        while let Some(name) = self.left.pop_front() {
            if name == ".." {
                self.up();
                self.found.target = owned(&self.real(&self.at));
                continue;
            }
            if !self.search() {
                self.at.push(name);
                return self.give_up();
            }
            self.step(&name);
            let Ok(metadata) = self.real(&self.at).symlink_metadata() else {
                return self.give_up();
            };
            let follow = follow_last || !self.left.is_empty();
            if metadata.is_symlink() && follow {
                if !self.follow() {
                    return self.give_up();
                }
            } else {
                self.found.target = Some(of(&metadata));
            }
        }
    }

    /// `..` of the root is the root.
    fn up(&mut self) {
        if self.at != self.view.root {
            self.at.pop();
        }
    }

    /// Notes that the directory reached so far is searched; `false` if it is none.
    fn search(&mut self) -> bool {
        match self.found.target {
            Some(owned) if owned.directory => {
                self.found.parent = Some(owned);
                if !self.found.searched.contains(&owned) {
                    self.found.searched.push(owned);
                }
                true
            }
            _ => false,
        }
    }

    /// A process's own directory under `/proc` is called `self`: its number means nothing later.
    fn step(&mut self, name: &OsStr) {
        let own = self.at == Path::new("/proc")
            && name.as_bytes() == self.view.process.to_string().as_bytes();
        self.at.push(if own { OsStr::new("self") } else { name });
    }

    /// Follows the link at `at`; `false` if that cannot be done.
    fn follow(&mut self) -> bool {
        if self.at == Path::new("/proc/self") || self.at == Path::new("/proc/thread-self") {
            self.found.target = owned(&self.real(&self.at));
            return true;
        }
        let Ok(text) = self.real(&self.at).read_link() else {
            return false;
        };
        if is_magic(&self.at) {
            return self.jump(text);
        }
        if self.found.links.len() >= MOST_LINKS {
            return false;
        }
        self.found.links.push((self.at.clone(), text.clone()));
        self.at.pop();
        if text.is_absolute() {
            self.at.clone_from(&self.view.root);
        }
        self.prepend(&text);
        self.found.target = owned(&self.real(&self.at));
        true
    }

    /// A magic link of `/proc` (`proc(5)`) leads to the open thing itself; its text is a host
    /// path, or a description such as `socket:[123]`, of which the link itself stays the name.
    fn jump(&mut self, text: PathBuf) -> bool {
        let there = self.real(&self.at);
        if text.is_absolute() {
            self.at = text;
        }
        self.found.target = there.metadata().ok().map(|metadata| of(&metadata));
        self.found.target.is_some()
    }

    fn give_up(&mut self) {
        self.found.target = None;
        while let Some(name) = self.left.pop_front() {
            if name == ".." {
                self.up();
            } else {
                self.at.push(name);
            }
        }
    }

    /// The path under which this process, and not the traced one, finds the same thing.
    fn real(&self, path: &Path) -> PathBuf {
        let View {
            process,
            thread,
            ref root,
            jailed,
        } = *self.view;
        if jailed && let Ok(rest) = path.strip_prefix(root) {
            // A link that leads to the root itself, in its mount namespace (proc(5)).
            return Path::new(&format!("/proc/{thread}/root")).join(rest);
        }
        if let Ok(rest) = path.strip_prefix("/proc/self") {
            return Path::new(&format!("/proc/{process}")).join(rest);
        }
        match path.strip_prefix("/proc/thread-self") {
            Ok(rest) => Path::new(&format!("/proc/{process}/task/{thread}")).join(rest),
            Err(_) => path.to_owned(),
        }
    }
}

/// Is this one of the links of `proc(5)` that lead to an open thing rather than to a path?
fn is_magic(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/proc") else {
        return false;
    };
    let mut parts = rest.components().map(Component::as_os_str).skip(1);
    let mut name = parts.next();
    if name == Some(OsStr::new("task")) {
        name = parts.nth(1);
    }
    match name.and_then(OsStr::to_str) {
        Some("cwd" | "exe" | "root") => true,
        Some("fd" | "map_files" | "ns") => parts.next().is_some(),
        _ => false,
    }
}

fn owned(path: &Path) -> Option<Owned> {
    path.metadata().ok().map(|metadata| of(&metadata))
}

fn of(metadata: &std::fs::Metadata) -> Owned {
    Owned {
        mode: metadata.mode() & 0o7777,
        user: metadata.uid(),
        group: metadata.gid(),
        directory: metadata.is_dir(),
    }
}

#[cfg(test)]
mod tests;
