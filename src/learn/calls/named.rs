//! Calls that do no more than read, or look at, what one path names. A filter of the kernel's
//! tracepoints can compare that path with known ones, as a seccomp filter cannot.

use crate::sys::abi;

/// Such a call, in the words of its tracepoint
/// (`/sys/kernel/tracing/events/syscalls/sys_enter_*/format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub call: &'static str,
    /// What its tracepoint is called.
    pub tracepoint: &'static str,
    /// The field that holds the path.
    pub path: &'static str,
    /// The field that holds the flags, if it has some that decide.
    pub flags: Option<&'static str>,
    /// With `AT_EMPTY_PATH` in the flags, it is about a descriptor.
    pub of_descriptor: bool,
}

impl Named {
    /// The name of its tracepoint, in the group `syscalls`.
    pub fn event(&self) -> String {
        format!("sys_enter_{}", self.tracepoint)
    }

    /// With these flags it is about a descriptor, unless it names a path all the same.
    pub fn is_of_descriptor(&self, flags: u64) -> bool {
        self.of_descriptor && flags & u64::from(abi::AT_EMPTY_PATH.unsigned_abs()) != 0
    }
}

const fn named(call: &'static str, path: &'static str, flags: Option<&'static str>) -> Named {
    Named {
        call,
        tracepoint: call,
        path,
        flags,
        of_descriptor: false,
    }
}

const fn at(call: &'static str, flags: &'static str) -> Named {
    Named {
        of_descriptor: true,
        ..named(call, "filename", Some(flags))
    }
}

const fn old(call: &'static str, tracepoint: &'static str) -> Named {
    Named {
        tracepoint,
        ..named(call, "filename", None)
    }
}

/// The calls. An `access(2)` asks for a mode, but answering says no more than that it looked.
pub const NAMED: [Named; 11] = [
    named("access", "filename", None),
    named("faccessat", "filename", None),
    at("faccessat2", "flags"),
    old("lstat", "newlstat"),
    at("newfstatat", "flag"),
    named("open", "filename", Some("flags")),
    named("openat", "filename", Some("flags")),
    named("readlink", "path", None),
    named("readlinkat", "pathname", None),
    old("stat", "newstat"),
    at("statx", "flags"),
];

#[cfg(test)]
mod tests {
    use super::super::deciding::DECIDING;
    use super::*;

    #[test]
    fn flags_are_the_only_argument_that_decides() {
        for named in NAMED {
            let deciding = DECIDING.iter().find(|(call, _)| *call == named.call);
            let count = deciding.map_or(0, |(_, arguments)| arguments.len());
            assert_eq!(count, usize::from(named.flags.is_some()), "{}", named.call);
        }
    }
}
