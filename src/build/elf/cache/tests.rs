use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const V2: &str = "x86-64-v2";
const V3: &str = "x86-64-v3";

/// A cache in the present format, with entries `(name, path, flags, hwcap)` in the given order.
fn cache_bytes(entries: &[(&str, &str, u32, u64)], levels: &[&str]) -> Vec<u8> {
    let mut strings = Vec::new();
    let extension = HEADER + entries.len() * ENTRY;
    let names = extension + 8 + SECTION;
    let base = names + levels.len() * 4;
    let mut put = |text: &str| {
        let at = (base + strings.len()) as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at.to_ne_bytes()
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend((entries.len() as u32).to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([BYTE_ORDER_NATIVE, 0, 0, 0]);
    bytes.extend((extension as u32).to_ne_bytes());
    bytes.extend([0; 12]);
    for (name, path, flags, hwcap) in entries {
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(put(name));
        bytes.extend(put(path));
        bytes.extend([0; 4]);
        bytes.extend(hwcap.to_ne_bytes());
    }
    let size = (levels.len() * 4) as u32;
    for word in [EXTENSION_MAGIC, 1, SECTION_HWCAPS, 0, names as u32, size] {
        bytes.extend(word.to_ne_bytes());
    }
    levels.iter().for_each(|level| bytes.extend(put(level)));
    bytes.extend(strings);
    bytes
}

fn named(index: u64) -> u64 {
    u64::from(NAMED_LEVEL) << 32 | index
}

fn sample() -> Vec<u8> {
    let native = NATIVE.cache_flags;
    cache_bytes(
        &[
            ("libz.so.10", "/z10", native, 0),
            ("libz.so.9", "/foreign", 3, 0),
            ("libz.so.9", "/z9", native, 0),
            ("libb.so.1", "/b/v2", native, named(0)),
            ("libb.so.1", "/b/v3", native, named(1)),
            ("libb.so.1", "/b", native, 0),
            ("liba.so", "/a/legacy", native, 1 << 50),
            ("liba.so", "/a", native, 0),
        ],
        &[V2, V3],
    )
}

#[test]
fn numbers_in_names_compare_as_numbers() {
    let order = |a: &str, b: &str| compare_names(a.as_bytes(), b.as_bytes());
    assert_eq!(order("libx.so.9", "libx.so.10"), Ordering::Less);
    assert_eq!(order("libx.so.01", "libx.so.1"), Ordering::Equal);
    assert_eq!(order("libx.so", "libx.so.1"), Ordering::Less);
    assert_eq!(order("lib1", "libx"), Ordering::Greater);
    assert_eq!(order("libx", "lib1"), Ordering::Less);
    assert_eq!(order("", ""), Ordering::Equal);
    assert_eq!(order("lib5", "lib"), Ordering::Greater);
}

#[test]
fn entries_of_other_machines_and_old_capabilities_are_passed_over() {
    let cache = LibraryCache::parse(&sample()).unwrap();
    assert_eq!(cache.lookup("libz.so.9", &[]), Some("/z9"));
    assert_eq!(cache.lookup("libz.so.10", &[]), Some("/z10"));
    assert_eq!(cache.lookup("liba.so", &[]), Some("/a"));
    assert_eq!(cache.lookup("libc.so", &[]), None);
}

#[test]
fn the_best_active_level_wins() {
    let cache = LibraryCache::parse(&sample()).unwrap();
    assert_eq!(cache.lookup("libb.so.1", &[V3, V2]), Some("/b/v3"));
    assert_eq!(cache.lookup("libb.so.1", &[V2]), Some("/b/v2"));
    assert_eq!(cache.lookup("libb.so.1", &[]), Some("/b"));
}

#[test]
fn a_cache_of_the_other_byte_order_is_left_aside() {
    let mut bytes = sample();
    bytes[BYTE_ORDER] = BYTE_ORDER_NATIVE ^ 1;
    assert!(LibraryCache::parse(&bytes).is_none());
    bytes[BYTE_ORDER] = BYTE_ORDER_UNSET;
    assert!(LibraryCache::parse(&bytes).is_some());
}

#[test]
fn more_entries_than_bytes_are_refused() {
    let mut bytes = sample();
    bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(LibraryCache::parse(&bytes).is_none());
}

/// Has ldconfig write a cache of a library with a variant for `x86-64-v2`.
fn written_by_ldconfig(format: &str) -> (TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let libraries = root.join("libraries");
    let variant = libraries.join("glibc-hwcaps").join(V2);
    std::fs::create_dir_all(&variant).unwrap();
    for place in [&libraries, &variant] {
        let gcc = Command::new("gcc")
            .args([
                "-shared",
                "-nostdlib",
                "-Wl,-soname,libgaoler.so.7",
                "-x",
                "c",
                "/dev/null",
            ])
            .arg("-o")
            .arg(place.join("libgaoler.so.7"))
            .status();
        assert!(gcc.unwrap().success());
    }
    let (conf, cache) = (root.join("conf"), root.join("cache"));
    std::fs::write(&conf, libraries.to_str().unwrap()).unwrap();
    let ldconfig = Command::new("/sbin/ldconfig")
        .args(["-X", "-c", format, "-f"])
        .arg(&conf)
        .arg("-C")
        .arg(&cache)
        .status();
    assert!(ldconfig.unwrap().success());
    let bytes = std::fs::read(cache).unwrap();
    (directory, bytes)
}

fn found_in(directory: &Path, bytes: &[u8], levels: &[&str]) -> String {
    let cache = LibraryCache::parse(bytes).unwrap();
    let path = cache.lookup("libgaoler.so.7", levels).unwrap();
    Path::new(path)
        .strip_prefix(directory)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// What ld.so of glibc 2.36 takes from each format, tried beneath a changed root: only the new
/// one knows levels, and the old one has the variant before the plain library.
#[test]
fn all_formats_of_ldconfig_are_read() {
    let plain = "libraries/libgaoler.so.7";
    let variant = "libraries/glibc-hwcaps/x86-64-v2/libgaoler.so.7";
    for (format, magic, without_level, with_level) in [
        ("new", MAGIC, plain, variant),
        ("compat", OLD_MAGIC, plain, plain),
        ("old", OLD_MAGIC, variant, variant),
    ] {
        let (directory, bytes) = written_by_ldconfig(format);
        assert!(bytes.starts_with(magic), "{format}");
        assert_eq!(
            found_in(directory.path(), &bytes, &[]),
            without_level,
            "{format}"
        );
        assert_eq!(
            found_in(directory.path(), &bytes, &[V3, V2]),
            with_level,
            "{format}"
        );
    }
}

#[test]
fn the_cache_of_the_host_says_what_ldconfig_prints() {
    let cache = LibraryCache::parse(&std::fs::read("/etc/ld.so.cache").unwrap()).unwrap();
    let output = Command::new("/sbin/ldconfig").arg("-p").output().unwrap();
    let mut seen = std::collections::HashSet::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let Some((name, rest)) = line.trim().split_once(" (libc6,x86-64) => ") else {
            continue;
        };
        if seen.insert(name.to_owned()) {
            assert_eq!(cache.lookup(name, &[]), Some(rest), "{name}");
        }
    }
    assert!(seen.len() > 10);
}

fn exercise(bytes: &[u8]) {
    if let Some(cache) = LibraryCache::parse(bytes) {
        for name in ["libb.so.1", "liba.so", "libz.so.9", "", "\u{fc}"] {
            cache.lookup(name, &[V3, V2]);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), old: bool) {
        let magic = if old { OLD_MAGIC } else { MAGIC };
        exercise(&bytes);
        exercise(&[magic, &bytes].concat());
    }

    #[test]
    fn mutated_caches_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        length in any::<prop::sample::Index>(),
        cut: bool,
        embedded: bool,
    ) {
        let mut bytes = sample();
        if embedded {
            let old = [OLD_MAGIC, &[0], &1u32.to_ne_bytes(), &[0; OLD_ENTRY + 4]].concat();
            bytes = [old, bytes].concat();
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        exercise(&bytes);
    }

    #[test]
    fn the_order_of_names_is_antisymmetric(a in "[a-c0-2.]{0,8}", b in "[a-c0-2.]{0,8}") {
        let there = compare_names(a.as_bytes(), b.as_bytes());
        prop_assert_eq!(there, compare_names(b.as_bytes(), a.as_bytes()).reverse());
    }
}
