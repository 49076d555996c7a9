//! System calls by name and number, for the architecture that this program was built for, as
//! the `syscalls` crate has them from the kernel's tables.
#![forbid(unsafe_code)]

use syscalls::Sysno;

/// Calls that change who a thread is, by which a service that starts as root becomes its user
/// (`credentials(7)`).
pub const CHANGE_IDS: [&str; 10] = [
    "capset",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
];

/// SHM_EXEC (`shmat(2)`).
pub const SHM_EXEC: u64 = 0o100_000;

/// Whether a call of this name makes executable what is writable, or what may have been written
/// before: anything but the pages of a file. Of mmap and mprotect a whole register is looked at, as
/// the kernel does.
pub fn executes_what_is_written(name: &str, arguments: &[u64; 6]) -> bool {
    const WRITE: u64 = libc::PROT_WRITE as u64;
    const EXECUTE: u64 = libc::PROT_EXEC as u64;
    const ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;
    let [_, _, third, fourth, ..] = *arguments;
    match name {
        "mmap" => third & EXECUTE != 0 && (third & WRITE != 0 || fourth & ANONYMOUS != 0),
        "mprotect" | "pkey_mprotect" => third & EXECUTE != 0,
        "shmat" => third & SHM_EXEC != 0,
        _ => false,
    }
}

/// Whether a call of this name asks for huge pages, which few hosts have set aside and most programs
/// that ask can do without (`MAP_HUGETLB` of `mmap(2)`).
pub fn asks_for_huge_pages(name: &str, arguments: &[u64; 6]) -> bool {
    const HUGE: u64 = libc::MAP_HUGETLB as u64;
    let [_, _, _, flags, ..] = *arguments;
    name == "mmap" && flags & HUGE != 0
}

/// The number of the call with this name.
pub fn number(name: &str) -> Option<u32> {
    let call: Sysno = name.parse().ok()?;
    u32::try_from(call.id()).ok()
}

/// The name of the call with this number.
pub fn name(number: u32) -> Option<&'static str> {
    Sysno::new(usize::try_from(number).ok()?).map(|call| call.name())
}

/// The highest number that has a name. Calls above it are newer than this program.
pub fn highest() -> u32 {
    u32::try_from(Sysno::last().id()).unwrap_or(0)
}

/// The known name that looks most like this one, for an error's hint; `None` if none is near.
pub fn similar(name: &str) -> Option<&'static str> {
    // The longest name has 23 characters; whatever is far longer is no slip of the keyboard.
    if name.len() > 40 {
        return None;
    }
    let allowed = 1 + name.len() / 4;
    Sysno::iter()
        .map(|call| {
            (
                distance(name.as_bytes(), call.name().as_bytes()),
                call.name(),
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, name)| name)
}

/// The Levenshtein distance: insertions, deletions and replacements that turn one into the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, byte) in from.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, other) in cells.zip(to) {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_number() {
        for call in Sysno::iter() {
            assert_eq!(number(call.name()).and_then(name), Some(call.name()));
        }
        assert_eq!(number("read"), Some(libc::SYS_read as u32));
        assert_eq!(number("seccomp"), Some(libc::SYS_seccomp as u32));
        assert_eq!(number("Read"), None);
        assert_eq!(name(highest() + 1), None);
        assert_eq!(name(u32::MAX), None);
        assert!(highest() >= 450);
    }

    #[test]
    fn a_slip_finds_its_call() {
        assert_eq!(similar("opennat"), Some("openat"));
        assert_eq!(similar("epol_wait"), Some("epoll_wait"));
        assert_eq!(similar("getppid"), Some("getppid"));
        assert_eq!(similar("make_me_a_sandwich"), None);
        assert_eq!(similar(&"x".repeat(100_000)), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b""), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"abc", b"abc"), 0);
    }
}
