//! Capability names and sets (`capabilities(7)`, `linux/capability.h`).
#![forbid(unsafe_code)]

use std::fmt;

/// The capabilities in the order of their numbers, from 0, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The name of a capability, in upper case and without `CAP_`, as in `NET_BIND_SERVICE`.
pub fn name(number: u8) -> Option<&'static str> {
    NAMES.get(usize::from(number)).copied()
}

/// The number of a capability; its name may have `CAP_` before it and be in either case.
pub fn number(name: &str) -> Option<u8> {
    let bare = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("cap_") => name.get(4..)?,
        _ => name,
    };
    let index = NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(bare))?;
    u8::try_from(index).ok()
}

/// A set of capabilities, as the masks in `/proc/PID/status` show it: bit N is capability N.
/// It can hold numbers that are newer than the names here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// Adds a capability; answers false, and adds nothing, if the number is above 63.
    #[must_use]
    pub fn insert(&mut self, number: u8) -> bool {
        match 1u64.checked_shl(u32::from(number)) {
            Some(bit) => {
                self.0 |= bit;
                true
            }
            None => false,
        }
    }

    /// Whether it has this capability.
    pub fn contains(self, number: u8) -> bool {
        1u64.checked_shl(u32::from(number))
            .is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |number| self.contains(*number))
    }
}

/// Names in the order of their numbers, with a comma between them; `none` for the empty set, and
/// `CAP_` with the number for one that has no name here.
impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, number) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match name(number) {
                Some(name) => f.write_str(name)?,
                None => write!(f, "CAP_{number}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (index, text) in NAMES.iter().enumerate() {
            assert_eq!(number(text).map(usize::from), Some(index));
            assert_eq!(
                number(&format!("cap_{}", text.to_lowercase())).map(usize::from),
                Some(index)
            );
        }
        assert_eq!(number("CAP_NET_BIND_SERVICE"), Some(10));
        assert_eq!(name(21), Some("SYS_ADMIN"));
        assert_eq!(name(40), Some("CHECKPOINT_RESTORE"));
        assert_eq!(name(41), None);
        for wrong in ["", "cap_", "CAP_CAP_KILL", "kilx", "ééé"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_running_kernel_has_no_unnamed_one() {
        let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
        assert!(name(last.trim().parse().unwrap()).is_some());
    }

    #[test]
    fn a_set_can_be_read() {
        let mut set = CapabilitySet::EMPTY;
        assert_eq!(set.to_string(), "none");
        assert!(set.insert(10) && set.insert(0) && set.insert(63));
        assert!(!set.insert(64));
        assert_eq!(set.to_string(), "CHOWN,NET_BIND_SERVICE,CAP_63");
        assert!(!set.contains(64) && !set.contains(255));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(mask: u64) {
            let mut copy = CapabilitySet::EMPTY;
            for number in CapabilitySet(mask).iter() {
                prop_assert!(copy.insert(number));
            }
            prop_assert_eq!(copy, CapabilitySet(mask));
        }
    }
}
