//! A small `ld.so.cache`, for libraries where the dynamic linker does not look by itself.
//!
//! The format is glibc's own (`sysdeps/generic/dl-cache.h`, "glibc-ld.so.cache1.1", the only one
//! written since 2.33): a header, entries sorted for the linker's binary search, strings.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `cache_file_new_flags_endian_{little,big}`.
const ENDIAN: u8 = if cfg!(target_endian = "little") { 2 } else { 3 };
/// `FLAG_ELF_LIBC6` and the architecture's flag.
const FLAGS: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0x0303)
} else if cfg!(target_arch = "aarch64") {
    Some(0x0a03)
} else {
    None
};
/// More than any dynamic linker: 200 KiB today.
const LARGEST_LINKER: u64 = 16 * 1024 * 1024;

/// The cache that leads from each name to its path.
///
/// # Errors
/// The machine's flag in the cache is not known, or there is too much for the format.
pub fn cache(objects: &[(String, PathBuf)]) -> Result<Vec<u8>> {
    let flags = FLAGS.ok_or_else(|| {
        Error::new(
            "write /etc/ld.so.cache",
            "its format is not known for this architecture",
        )
        .hint("put the libraries into the dynamic linker's own directories, or set LD_LIBRARY_PATH")
    })?;
    let mut sorted: Vec<&(String, PathBuf)> = objects.iter().collect();
    sorted.sort_by(|a, b| compare(b.0.as_bytes(), a.0.as_bytes()));
    lay_out(&sorted, flags)
        .ok_or_else(|| Error::new("write /etc/ld.so.cache", "there are too many libraries"))
}

fn lay_out(sorted: &[&(String, PathBuf)], flags: u32) -> Option<Vec<u8>> {
    let start = HEADER.checked_add(ENTRY.checked_mul(sorted.len())?)?;
    let (mut entries, mut strings) = (Vec::new(), Vec::new());
    for (name, path) in sorted {
        let mut offset_of = |text: &[u8]| {
            let offset = u32::try_from(start + strings.len()).ok();
            strings.extend_from_slice(text);
            strings.push(0);
            offset
        };
        let key = offset_of(name.as_bytes())?;
        let value = offset_of(path.as_os_str().as_bytes())?;
        for word in [flags, key, value, 0] {
            entries.extend_from_slice(&word.to_ne_bytes());
        }
        entries.extend_from_slice(&0u64.to_ne_bytes());
    }
    let mut cache = MAGIC.to_vec();
    cache.extend_from_slice(&u32::try_from(sorted.len()).ok()?.to_ne_bytes());
    cache.extend_from_slice(&u32::try_from(strings.len()).ok()?.to_ne_bytes());
    cache.extend_from_slice(&[ENDIAN, 0, 0, 0]);
    cache.resize(HEADER, 0);
    cache.extend(entries);
    cache.extend(strings);
    Some(cache)
}

/// The linker's own order of names (`_dl_cache_libcmp`): numbers by their value, and a digit
/// after any other character.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        match (a.split_first(), b.split_first()) {
            (Some((x, _)), Some((y, _))) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (left, rest_a) = number(a);
                let (right, rest_b) = number(b);
                if left != right {
                    return left.cmp(&right);
                }
                (a, b) = (rest_a, rest_b);
            }
            (Some((x, _)), _) if x.is_ascii_digit() => return Ordering::Greater,
            (Some(_), Some((y, _))) if y.is_ascii_digit() => return Ordering::Less,
            (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
            (x, y) => return x.map(|x| *x.0).cmp(&y.map(|y| *y.0)),
        }
    }
}

/// The number at the beginning of `text`, which wraps as the linker's `int` does.
fn number(text: &[u8]) -> (i32, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let value = digits.iter().fold(0i32, |value, digit| {
        value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'))
    });
    (value, rest)
}

/// The directories that a dynamic linker searches by itself, as written in its own file: they
/// differ between distributions.
#[derive(Debug)]
pub struct DefaultDirectories {
    directories: BTreeSet<PathBuf>,
}

impl DefaultDirectories {
    /// Reads a dynamic linker. glibc keeps the list in it as `/lib/\0/usr/lib/\0`, with a `/` at
    /// the end of each, which nothing else in it looks like.
    ///
    /// # Errors
    /// `read(2)`'s.
    pub fn of(linker: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        linker.take(LARGEST_LINKER).read_to_end(&mut bytes)?;
        let texts = bytes.split(|byte| *byte == 0);
        let directories = texts.filter_map(|text| {
            let directory = text
                .strip_suffix(b"/")
                .filter(|text| text.starts_with(b"/"))?;
            Some(PathBuf::from(OsStr::from_bytes(directory)))
        });
        Ok(Self {
            directories: directories.collect(),
        })
    }

    /// Whether the linker finds `object` without cache or RPATH: `glibc-hwcaps/LEVEL` below such
    /// a directory is searched too.
    pub fn has(&self, object: &Path) -> bool {
        let directory = object.parent().unwrap_or(Path::new("/"));
        let listed = |directory: &Path| self.directories.contains(directory);
        listed(directory) || hwcaps_base(directory).is_some_and(listed)
    }
}

/// `DIR` of `DIR/glibc-hwcaps/LEVEL`.
fn hwcaps_base(directory: &Path) -> Option<&Path> {
    let hwcaps = directory.parent()?;
    (hwcaps.file_name()? == "glibc-hwcaps").then(|| hwcaps.parent())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_that_of_glibc() {
        let objects = [
            ("liba.so.2".to_owned(), PathBuf::from("/opt/x/liba.so.2")),
            ("liba.so.10".to_owned(), PathBuf::from("/opt/x/liba.so.10")),
        ];
        let cache = cache(&objects).unwrap();
        let word = |at: usize| u32::from_ne_bytes(cache[at..at + 4].try_into().unwrap());
        let text = |at: u32| {
            cache[at as usize..]
                .split(|byte| *byte == 0)
                .next()
                .unwrap()
        };
        assert_eq!(&cache[..20], MAGIC);
        assert_eq!(word(20), 2);
        assert_eq!(cache.len(), HEADER + 2 * ENTRY + word(24) as usize);
        assert_eq!(text(word(HEADER + 4)), b"liba.so.10");
        assert_eq!(text(word(HEADER + 8)), b"/opt/x/liba.so.10");
        assert_eq!(text(word(HEADER + ENTRY + 4)), b"liba.so.2");
    }

    #[test]
    fn names_are_ordered_as_the_linker_does() {
        assert_eq!(compare(b"lib.so.9", b"lib.so.10"), Ordering::Less);
        assert_eq!(compare(b"libx1.so", b"libx.so"), Ordering::Greater);
        assert_eq!(compare(b"lib.so.1", b"lib.so.1"), Ordering::Equal);
        assert_eq!(compare(b"lib.so", b"lib.so.1"), Ordering::Less);
    }

    #[test]
    fn this_hosts_linker_lists_its_directories() {
        let linker = File::open("/lib64/ld-linux-x86-64.so.2").unwrap();
        let own = DefaultDirectories::of(linker).unwrap();
        assert!(own.has(Path::new("/usr/lib/libx.so.1")));
        assert!(own.has(Path::new("/usr/lib/glibc-hwcaps/x86-64-v3/libx.so.1")));
        assert!(!own.has(Path::new("/opt/libx.so.1")));
        assert!(!own.has(Path::new("/usr/lib/odd/libx.so.1")));
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a-c0-9.]{0,12}", b in "[a-c0-9.]{0,12}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
        }

        #[test]
        fn any_names_fit(names in proptest::collection::btree_set("[a-z0-9.+-]{1,30}", 0..50)) {
            let objects: Vec<_> =
                names.iter().map(|name| (name.clone(), Path::new("/o").join(name))).collect();
            let cache = cache(&objects).unwrap();
            prop_assert_eq!(cache.last().copied().unwrap_or(0) , 0);
        }
    }
}
