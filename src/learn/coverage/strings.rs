//! Strings in a file that look like the names of shared objects: what it may hand to `dlopen(3)`.

use std::collections::BTreeSet;

/// The shortest and longest such name, in bytes (`NAME_MAX` and a directory).
const LENGTHS: std::ops::RangeInclusive<usize> = 5..=512;

/// So many names of one file are enough.
const MOST: usize = 4096;

/// What no program opens: the kernel maps its own object (vdso(7)) and the dynamic linker.
const OF_THE_KERNEL: [&str; 2] = ["linux-vdso", "ld-linux"];

/// What ld.so is called in its own messages; it is never opened by that name.
const OF_MESSAGES: &str = "ld.so";

/// The names in these bytes: maximal runs of the characters of paths that end in `.so` or
/// `.so.NUMBERS`. Patterns (`%s.so`, `$ORIGIN`) are none: what becomes of them cannot be told.
pub fn shared_object_names(bytes: &[u8]) -> BTreeSet<String> {
    bytes
        .split(|byte| !is_of_a_name(*byte))
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

/// Whether a file name is `NAME.so` or `NAME.so.NUMBERS`.
pub(super) fn is_shared_object(name: &str) -> bool {
    let without_version = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = name.get(without_version.len()..).unwrap_or_default();
    let plain = rest.is_empty() || (rest.starts_with('.') && !rest.ends_with('.'));
    without_version.len() > ".so".len() && without_version.ends_with(".so") && plain
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+~/%$@".contains(&byte)
}
