//! Strings in a file that look like the names of shared objects: what it may hand to `dlopen(3)`.

use std::collections::BTreeSet;

use memchr::memmem;

/// The shortest and longest such name, in bytes (`NAME_MAX` and a directory).
const LENGTHS: std::ops::RangeInclusive<usize> = 5..=512;

/// What each has, though maybe not at its end.
const ENDING: &[u8] = b".so";

/// So many names of one file are enough.
const MOST: usize = 4096;

/// What no program opens: the kernel maps its own object (vdso(7)) and the dynamic linker.
const OF_THE_KERNEL: [&str; 2] = ["linux-vdso", "ld-linux"];

/// What ld.so is called in its own messages; it is never opened by that name.
const OF_MESSAGES: &str = "ld.so";

/// The names in these bytes: maximal runs of the characters of paths that end in `.so` or
/// `.so.NUMBERS`. Patterns (`%s.so`, `$ORIGIN`) are none: what becomes of them cannot be told.
pub fn shared_object_names(bytes: &[u8]) -> BTreeSet<String> {
    words_with_ending(bytes)
        .filter(|word| LENGTHS.contains(&word.len()))
        .filter_map(|word| std::str::from_utf8(word).ok())
        .filter(|word| {
            let name = word.rsplit('/').next().unwrap_or_default();
            let is_pattern = word.contains(['%', '$']);
            let is_file =
                !OF_THE_KERNEL.iter().any(|own| name.starts_with(own)) && name != OF_MESSAGES;
            !is_pattern && is_file && is_shared_object(name)
        })
        .take(MOST)
        .map(str::to_owned)
        .collect()
}

/// The maximal runs in which the ending occurs. Few bytes of a library are near one, and only those
/// are looked at one by one.
fn words_with_ending(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut end = 0;
    memmem::find_iter(bytes, ENDING).filter_map(move |place| {
        if place < end {
            return None;
        }
        let (before, after) = bytes.split_at_checked(place)?;
        let of_name = |byte: &&u8| is_of_a_name(**byte);
        let start = place - before.iter().rev().take_while(of_name).count();
        end = place + after.iter().take_while(of_name).count();
        bytes.get(start..end)
    })
}

/// Whether a file name is `NAME.so` or `NAME.so.NUMBERS`.
pub(super) fn is_shared_object(name: &str) -> bool {
    let without_version = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = name.get(without_version.len()..).unwrap_or_default();
    let plain = rest.is_empty() || (rest.starts_with('.') && !rest.ends_with('.'));
    let name = without_version.as_bytes();
    name.len() > ENDING.len() && name.ends_with(ENDING) && plain
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+~/%$@".contains(&byte)
}
