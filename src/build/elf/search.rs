//! Where ld.so looks for a library, in order: ld.so(8), and glibc's `elf/dl-load.c` for what
//! the manual page leaves out.

use std::path::Path;
use std::sync::Arc;

use super::machine::Layout;
use super::object::ElfObject;

/// An object in the order of its loading; the first is the program.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The path it was opened by, as found.
    pub path: String,
    /// Every name that it was asked for by.
    pub names: Vec<String>,
    pub object: Arc<ElfObject>,
    /// Device and inode, by which ld.so knows one file under two paths; absent for the program
    /// and the interpreter, which the kernel has mapped.
    pub identity: Option<(u64, u64)>,
    /// The object that first asked for it.
    pub loader: Option<usize>,
    rpath: Vec<String>,
    runpath: Option<Vec<String>>,
}

impl Loaded {
    /// An object found at `path`, with the directory of `origin` for `$ORIGIN`.
    pub fn new(path: String, origin: &Path, object: Arc<ElfObject>, layout: &Layout) -> Self {
        let origin = origin
            .parent()
            .unwrap_or(Path::new("/"))
            .to_string_lossy()
            .into_owned();
        let list = |list: &Option<String>| list.as_ref().map(|list| split(list, &origin, layout));
        let (rpath, runpath) = (
            list(&object.rpath).unwrap_or_default(),
            list(&object.runpath),
        );
        let names = vec![path.clone()];
        Self {
            path,
            names,
            object,
            identity: None,
            loader: None,
            rpath,
            runpath,
        }
    }

    /// Whether a request for `name` means this object.
    pub fn answers(&self, name: &str) -> bool {
        self.object.soname.as_deref() == Some(name) || self.names.iter().any(|known| known == name)
    }

    /// The directory that `$ORIGIN` stands for in this object's `DT_NEEDED`, given its path.
    pub fn directory(path: &str) -> String {
        Path::new(path)
            .parent()
            .unwrap_or(Path::new("/"))
            .to_string_lossy()
            .into_owned()
    }
}

/// One step of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory, with a slash at its end; its `glibc-hwcaps` subdirectories come before it.
    Directory(String),
    /// `/etc/ld.so.cache`; without what lies in a default directory if `defaults` is not set.
    Cache { defaults: bool },
}

/// The steps of the search for a library that `loaded[loader]` asks for by a name without a
/// slash: `DT_RPATH` of that object and of those that led to it, unless it has `DT_RUNPATH`;
/// its `DT_RUNPATH`; the cache; the default directories. `LD_LIBRARY_PATH` is left out: it
/// belongs to a shell, not to a jail.
pub(super) fn places(loaded: &[Loaded], loader: usize, layout: &Layout) -> Vec<Place> {
    let mut places = Vec::new();
    let Some(asking) = loaded.get(loader) else {
        return places;
    };
    let mut directories: Vec<&String> = Vec::new();
    if asking.runpath.is_none() {
        let ancestors = std::iter::successors(Some(asking), |object| loaded.get(object.loader?));
        directories.extend(ancestors.flat_map(|object| &object.rpath));
    }
    directories.extend(asking.runpath.iter().flatten());
    places.extend(directories.into_iter().cloned().map(Place::Directory));
    let defaults = !asking.object.no_default_directories;
    places.push(Place::Cache { defaults });
    if defaults {
        places.extend(layout.directories.iter().cloned().map(Place::Directory));
    }
    places
}

/// The directories of a search path, each with a slash at its end. An empty element, and one
/// that is relative, count from the working directory, which in a jail is the root at first.
fn split(list: &str, origin: &str, layout: &Layout) -> Vec<String> {
    if list.is_empty() {
        return Vec::new();
    }
    let directory = |element: &str| {
        let expanded = expand(element, origin, layout);
        format!("{}/", absolute(&expanded).trim_end_matches('/'))
    };
    list.split(':').map(directory).collect()
}

/// The path as seen from the root directory.
pub(super) fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

/// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, also in braces (ld.so(8), "Dynamic string
/// tokens"). Any other dollar sign stays.
pub(super) fn expand(text: &str, origin: &str, layout: &Layout) -> String {
    let tokens = [
        ("ORIGIN", origin),
        ("PLATFORM", layout.platform),
        ("LIB", layout.lib.as_str()),
    ];
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let token = tokens
            .iter()
            .find_map(|(name, value)| strip_token(after, name).map(|after| (*value, after)));
        let (value, after) = token.unwrap_or(("$", after));
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

/// What follows the token `name`, which is in braces or ends where no identifier goes on.
fn strip_token<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.strip_prefix(name)?.strip_prefix('}');
    }
    let rest = text.strip_prefix(name)?;
    let goes_on = rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    (!goes_on).then_some(rest)
}

#[cfg(test)]
mod tests;
