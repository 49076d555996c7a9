//! `/etc/ld.so.cache`, which ldconfig(8) writes and ld.so reads: the format of glibc's
//! `sysdeps/generic/dl-cache.h`.

use std::cmp::Ordering;
use std::ffi::c_char;

use super::machine::NATIVE;

/// The header of the format before glibc 2.2, which may stand before the present one.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The new format begins at a multiple of this after the old one.
const ALIGNMENT: usize = 8;
const BYTE_ORDER: usize = 28;
const BYTE_ORDER_MASK: u8 = 3;
const BYTE_ORDER_UNSET: u8 = 0;
const BYTE_ORDER_NATIVE: u8 = if cfg!(target_endian = "little") { 2 } else { 3 };
const EXTENSION_OFFSET: usize = 32;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const SECTION: usize = 16;
const SECTION_HWCAPS: u32 = 1;
/// In the upper half of `hwcap`: the lower half is the number of a `glibc-hwcaps` subdirectory.
const NAMED_LEVEL: u32 = 1 << 30;
/// In the upper half of `hwcap`: the instruction set level that the library itself asks for.
const ISA_LEVEL: u32 = (1 << 10) - 1;

/// A parsed cache. The bytes come from a file: every offset is checked when it is used, and a
/// wrong one ends the search, as in ld.so.
#[derive(Debug)]
pub(super) struct LibraryCache {
    /// What the offsets of the entries count from.
    strings: Vec<u8>,
    entries: Vec<Entry>,
    /// The `glibc-hwcaps` subdirectories that entries refer to by number.
    levels: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    flags: u32,
    key: u32,
    value: u32,
    hwcap: u64,
}

impl LibraryCache {
    /// The cache in `bytes`, in the present format, in the old one, or in the old one with the
    /// present one behind it. `None` for anything else, which ld.so ignores as well.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(MAGIC) {
            let levels = named_levels(bytes).unwrap_or_default();
            return Self::parse_new(bytes, levels);
        }
        if !bytes.starts_with(OLD_MAGIC) {
            return None;
        }
        let count = usize::try_from(word(bytes, OLD_HEADER - 4)?).ok()?;
        let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
        let embedded = bytes.get(end.checked_next_multiple_of(ALIGNMENT)?..);
        match embedded {
            // ld.so counts the offsets of the names of levels from the wrong place here (measured
            // with glibc 2.36): it knows no level, and takes the library that asks for none.
            Some(new) if new.starts_with(MAGIC) => Self::parse_new(new, Vec::new()),
            _ => Self::parse_old(bytes.get(OLD_HEADER..end)?, bytes.get(end..)?),
        }
    }

    fn parse_new(bytes: &[u8], levels: Vec<String>) -> Option<Self> {
        let order = bytes.get(BYTE_ORDER)? & BYTE_ORDER_MASK;
        if order != BYTE_ORDER_UNSET && order != BYTE_ORDER_NATIVE {
            return None;
        }
        let count = usize::try_from(word(bytes, MAGIC.len())?).ok()?;
        let end = count.checked_mul(ENTRY)?.checked_add(HEADER)?;
        let entries = bytes
            .get(HEADER..end)?
            .chunks_exact(ENTRY)
            .map(|entry| {
                let (low, high) = (word(entry, 16)?, word(entry, 20)?);
                let hwcap = u64::from(low) | u64::from(high) << 32;
                let (flags, key, value) = (word(entry, 0)?, word(entry, 4)?, word(entry, 8)?);
                Some(Entry {
                    flags,
                    key,
                    value,
                    hwcap,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            strings: bytes.to_vec(),
            entries,
            levels,
        })
    }

    fn parse_old(entries: &[u8], strings: &[u8]) -> Option<Self> {
        let entries = entries
            .chunks_exact(OLD_ENTRY)
            .map(|entry| {
                let (flags, key, value) = (word(entry, 0)?, word(entry, 4)?, word(entry, 8)?);
                Some(Entry {
                    flags,
                    key,
                    value,
                    hwcap: 0,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            strings: strings.to_vec(),
            entries,
            levels: Vec::new(),
        })
    }

    /// The path that the cache has for the library `name`, given the `glibc-hwcaps`
    /// subdirectories that this CPU reaches, best first. Like ld.so, searches by halves: an entry
    /// that is out of order is not found.
    pub fn lookup(&self, name: &str, active: &[&str]) -> Option<&str> {
        let start = self.first(name.as_bytes())?;
        let mut best: Option<(usize, &str)> = None;
        for entry in self.entries.get(start..)? {
            if self.compare(name.as_bytes(), entry) != Some(Ordering::Equal) {
                break;
            }
            if entry.flags != NATIVE.cache_flags {
                continue;
            }
            let Some(path) = text(&self.strings, entry.value) else {
                continue;
            };
            match self.level(entry, active) {
                Level::Unreached => {}
                Level::Reached(rank) => {
                    if best.is_none_or(|(best, _)| rank < best) {
                        best = Some((rank, path));
                    }
                }
                // ldconfig sorts it behind those for a level: nothing better follows.
                Level::None => return Some(best.map_or(path, |(_, path)| path)),
            }
        }
        best.map(|(_, path)| path)
    }

    /// The paths of all libraries of this machine, without those for a level that this CPU does
    /// not reach.
    pub fn paths<'a>(&'a self, active: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(|entry| entry.flags == NATIVE.cache_flags)
            .filter(|entry| !matches!(self.level(entry, active), Level::Unreached))
            .filter_map(|entry| text(&self.strings, entry.value))
    }

    /// The first of the entries that carry `name`, in a table that is sorted downwards.
    fn first(&self, name: &[u8]) -> Option<usize> {
        let (mut left, mut right) = (0, self.entries.len());
        while left < right {
            let middle = left + (right - left) / 2;
            match self.compare(name, self.entries.get(middle)?)? {
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
                Ordering::Equal => {
                    let same = |entry: &&Entry| self.compare(name, entry) == Some(Ordering::Equal);
                    let before = self
                        .entries
                        .get(..middle)?
                        .iter()
                        .rev()
                        .take_while(same)
                        .count();
                    return Some(middle - before);
                }
            }
        }
        None
    }

    fn compare(&self, name: &[u8], entry: &Entry) -> Option<Ordering> {
        bytes_at(&self.strings, entry.key).map(|key| compare_names(name, key))
    }

    fn level(&self, entry: &Entry, active: &[&str]) -> Level {
        let (high, low) = ((entry.hwcap >> 32) as u32, entry.hwcap as u32);
        if entry.hwcap == 0 {
            return Level::None;
        }
        if high & !ISA_LEVEL != NAMED_LEVEL {
            return Level::Unreached;
        }
        let named = usize::try_from(low)
            .ok()
            .and_then(|index| self.levels.get(index));
        match named.and_then(|name| active.iter().position(|level| level == name)) {
            Some(rank) => Level::Reached(rank),
            None => Level::Unreached,
        }
    }
}

/// What an entry asks of the CPU.
enum Level {
    /// Nothing.
    None,
    /// The active level of this rank, 0 being the best.
    Reached(usize),
    /// A level that this CPU does not reach, or a capability of the kind that glibc 2.37 dropped.
    Unreached,
}

/// The names in the `glibc-hwcaps` section of the extension directory.
fn named_levels(bytes: &[u8]) -> Option<Vec<String>> {
    let start = usize::try_from(word(bytes, EXTENSION_OFFSET)?).ok()?;
    if start == 0 || word(bytes, start)? != EXTENSION_MAGIC {
        return None;
    }
    let count = usize::try_from(word(bytes, start.checked_add(4)?)?).ok()?;
    let sections = bytes.get(start.checked_add(8)?..)?;
    let section = sections
        .chunks_exact(SECTION)
        .take(count)
        .find(|section| word(section, 0) == Some(SECTION_HWCAPS))?;
    let offset = usize::try_from(word(section, 8)?).ok()?;
    let size = usize::try_from(word(section, 12)?).ok()?;
    let names = bytes.get(offset..offset.checked_add(size)?)?;
    // A name that cannot be read keeps its place, as an empty one, which no level has.
    let name = |at: &[u8]| text(bytes, word(at, 0)?).map(str::to_owned);
    Some(
        names
            .chunks_exact(4)
            .map(|at| name(at).unwrap_or_default())
            .collect(),
    )
}

/// The order of ldconfig: runs of digits compare as numbers, so `libx.so.10` follows
/// `libx.so.9`, and `libx.so.01` equals `libx.so.1`.
fn compare_names(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let (a, b) = (left.first().copied(), right.first().copied());
        let order = match (a.is_some_and(|a| a.is_ascii_digit()), b) {
            (_, None) => {
                return if a.is_some() {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                };
            }
            (true, Some(b)) if b.is_ascii_digit() => take_number(&mut left)
                .wrapping_sub(take_number(&mut right))
                .cmp(&0),
            (true, Some(_)) => return Ordering::Greater,
            (false, Some(b)) if b.is_ascii_digit() && a.is_some() => return Ordering::Less,
            (false, Some(b)) => {
                left = left.get(1..).unwrap_or_default();
                right = right.get(1..).unwrap_or_default();
                (a.unwrap_or(0) as c_char).cmp(&(b as c_char))
            }
        };
        if order != Ordering::Equal || a.is_none() {
            return order;
        }
    }
}

/// Takes the digits at the front off; overflows like the C `int` of the original.
fn take_number(text: &mut &[u8]) -> i32 {
    let mut number = 0i32;
    while let Some((digit, rest)) = text
        .split_first()
        .filter(|(digit, _)| digit.is_ascii_digit())
    {
        number = number
            .wrapping_mul(10)
            .wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    number
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// The string at an offset, up to its NUL.
fn bytes_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    rest.get(..end)
}

fn text(strings: &[u8], offset: u32) -> Option<&str> {
    std::str::from_utf8(bytes_at(strings, offset)?).ok()
}

#[cfg(test)]
mod tests;
