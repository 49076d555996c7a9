//! The labels of SELinux on the places of the host that a jail has (`selinux(8)`). They are read from the
//! files themselves, so that they are known on a host that has been labelled and does not enforce them, too.

use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::export::selinux::{Class, Label, Labels, prefix};
use crate::spec::{Spec, is_kernel};
use crate::{Doing, Error, Result};

/// The attribute that holds a label (`xattr(7)`).
const ATTRIBUTE: &str = "security.selinux";

/// The longest label that is read, bytes; the kernel takes 4096 of a process.
const LONGEST: usize = 4096;

/// As many files are looked at in one place.
const MOST_FILES: usize = 100_000;

/// What is in each bound place, by labels. A place that is not there yet, or has none, is left out.
///
/// # Errors
/// A place has a label and something in it has none; there are more than 100 000 files in one.
pub fn of(spec: &Spec) -> Result<BTreeMap<PathBuf, Labels>> {
    let own = format!("{}_", prefix(&spec.name)?);
    let mut found = BTreeMap::new();
    for bind in spec.binds.iter().filter(|bind| !is_kernel(&bind.path)) {
        let Some(kind) = kind_of(&bind.path)? else {
            continue;
        };
        // It has been labelled by the module that is made anew now.
        if !kind.starts_with(&own) {
            found.insert(bind.path.clone(), below(&bind.path)?);
        }
    }
    Ok(found)
}

/// All labels in one place.
fn below(place: &Path) -> Result<Labels> {
    let doing = || format!("read the labels in {}", place.display());
    let mut labels = Labels::new();
    let mut left = vec![place.to_owned()];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        seen += 1;
        if seen > MOST_FILES {
            return Err(Error::new(
                doing(),
                format!("there are more than {MOST_FILES} files in it"),
            ));
        }
        let of_path = || format!("look at {}", path.display());
        let kind = match fs::symlink_metadata(&path) {
            Ok(about) => about.file_type(),
            // It has been removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::new(of_path(), error)),
        };
        let Some(class) = class(kind) else {
            return Err(Error::new(
                of_path(),
                "it is a device, which no jail has of the host",
            ));
        };
        if class == Class::Directory {
            for entry in fs::read_dir(&path).doing(of_path)? {
                left.push(entry.doing(of_path)?.path());
            }
        }
        let Some(kind) = kind_of(&path)? else {
            if fs::symlink_metadata(&path).is_err() {
                continue;
            }
            return Err(
                Error::new(of_path(), "it has no label, and what it is in has one")
                    .hint(format!("label it: restorecon -R {}", place.display())),
            );
        };
        labels.insert(Label { kind, class });
    }
    Ok(labels)
}

fn class(kind: FileType) -> Option<Class> {
    let known = [
        (kind.is_dir(), Class::Directory),
        (kind.is_file(), Class::File),
        (kind.is_fifo(), Class::Pipe),
        (kind.is_socket(), Class::Socket),
        (kind.is_symlink(), Class::Symlink),
    ];
    let found = known.into_iter().find(|(is_it, _)| *is_it);
    found.map(|(_, class)| class)
}

/// The type in a file's label; `None` if it has no label, or is not there.
fn kind_of(path: &Path) -> Result<Option<String>> {
    use rustix::io::Errno;
    let doing = || format!("read the label of {}", path.display());
    let mut value = vec![0; LONGEST];
    let length = match rustix::fs::lgetxattr(path, ATTRIBUTE, &mut value[..]) {
        Ok(length) => length,
        Err(Errno::NODATA | Errno::NOENT | Errno::NOTSUP) => return Ok(None),
        Err(error) => return Err(Error::new(doing(), io::Error::from(error))),
    };
    value.truncate(length);
    let text = String::from_utf8_lossy(&value);
    match type_in(&text) {
        Some(kind) => Ok(Some(kind.to_owned())),
        None => Err(Error::new(doing(), format!("{text:?} is no label"))),
    }
}

/// `system_u:object_r:etc_t:s0`, with or without a NUL at its end.
fn type_in(label: &str) -> Option<&str> {
    let kind = label.trim_end_matches('\0').split(':').nth(2)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (!kind.is_empty() && kind.chars().all(plain)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_the_third_word_of_a_label() {
        for (label, kind) in [
            ("system_u:object_r:etc_t:s0\0", Some("etc_t")),
            ("u:r:box.process:s0:c1,c2", Some("box.process")),
            ("u:r:plain_t", Some("plain_t")),
            ("u:r", None),
            ("u:r::s0", None),
            ("u:r:a)(allow b:s0", None),
        ] {
            assert_eq!(type_in(label), kind, "{label}");
        }
    }

    #[test]
    fn what_is_labelled_is_told_by_type_and_class() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a");
        fs::write(&file, "").unwrap();
        // A file system, or a user, without labels.
        let set = |path: &Path, kind: &str| {
            let label = format!("system_u:object_r:{kind}:s0\0");
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(path, ATTRIBUTE, label.as_bytes(), flags)
        };
        if set(place.path(), "etc_t").is_err() {
            assert_eq!(kind_of(place.path()).unwrap(), None);
            return;
        }
        let error = below(place.path()).unwrap_err().to_string();
        assert!(error.contains("has no label"), "{error}");
        set(&file, "shadow_t").unwrap();
        let expected = [("etc_t", Class::Directory), ("shadow_t", Class::File)];
        let expected = expected.map(|(kind, class)| Label {
            kind: kind.to_owned(),
            class,
        });
        assert_eq!(below(place.path()).unwrap(), Labels::from(expected));
    }
}
