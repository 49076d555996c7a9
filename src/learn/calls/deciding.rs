//! Which arguments decide what a call does, so that its number alone says little.

use crate::sys::ptrace::Call;

/// How much of an argument the kernel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// An `int`: the high half of the register means nothing.
    Int,
    /// The whole register.
    Long,
}

/// An argument, counted from 0, and its width.
pub type Deciding = (u8, Width);

use Width::{Int, Long};

/// The calls, in the order of the alphabet (section 2 of the manual). The flags of those that name
/// a path are whole registers: that is how a tracepoint compares them, and nobody sets more.
pub const DECIDING: &[(&str, &[Deciding])] = &[
    ("arch_prctl", &[(0, Int)]),
    ("bpf", &[(0, Int)]),
    ("clone", &[(0, Long)]),
    ("faccessat2", &[(3, Long)]),
    ("fadvise64", &[(3, Int)]),
    ("fallocate", &[(1, Int)]),
    ("fcntl", &[(1, Int)]),
    ("getsockopt", &[(1, Int), (2, Int)]),
    ("ioctl", &[(1, Int)]),
    ("keyctl", &[(0, Int)]),
    ("madvise", &[(2, Int)]),
    ("membarrier", &[(0, Int)]),
    ("memfd_create", &[(1, Int)]),
    ("mmap", &[(2, Long), (3, Long)]),
    ("mprotect", &[(2, Long)]),
    ("msgctl", &[(1, Int)]),
    ("newfstatat", &[(3, Long)]),
    ("open", &[(1, Long)]),
    ("openat", &[(2, Long)]),
    ("personality", &[(0, Int)]),
    ("pkey_mprotect", &[(2, Long)]),
    ("prctl", &[(0, Int)]),
    ("seccomp", &[(0, Int), (1, Int)]),
    ("semctl", &[(2, Int)]),
    ("setsockopt", &[(1, Int), (2, Int)]),
    ("shmat", &[(2, Int)]),
    ("shmctl", &[(1, Int)]),
    ("socket", &[(0, Int), (1, Int), (2, Int)]),
    ("socketpair", &[(0, Int), (1, Int), (2, Int)]),
    ("splice", &[(5, Int)]),
    ("statx", &[(2, Long)]),
    ("unshare", &[(0, Long)]),
];

/// The arguments that decide, of a call that has some.
pub fn values(deciding: &[Deciding], call: &Call) -> Vec<u64> {
    deciding
        .iter()
        .map(|(index, width)| {
            let value = call.arguments.get(usize::from(*index));
            let value = value.copied().unwrap_or_default();
            match width {
                Int => value & u64::from(u32::MAX),
                Long => value,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_fits_the_registers() {
        assert!(DECIDING.is_sorted_by(|(a, _), (b, _)| a < b));
        let indexes = DECIDING.iter().flat_map(|(_, deciding)| *deciding);
        assert!(indexes.clone().all(|(index, _)| *index < 6));
        assert!(indexes.count() > DECIDING.len());
    }

    #[test]
    fn the_high_half_of_an_int_means_nothing() {
        let call = Call {
            arguments: [7, 0xffff_ffff_0000_5412, 3, 4, 5, 6],
            ..Call::default()
        };
        assert_eq!(values(&[(1, Int), (0, Long)], &call), [0x5412, 7]);
        assert_eq!(values(&[(1, Long)], &call), [0xffff_ffff_0000_5412]);
    }
}
