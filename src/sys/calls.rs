//! System call names of the native architecture.
#![forbid(unsafe_code)]

use syscalls::Sysno;

/// The number of the system call with this name.
pub fn number(name: &str) -> Option<u32> {
    name.parse::<Sysno>()
        .ok()
        .and_then(|call| u32::try_from(call.id()).ok())
}

/// The name of the system call with this number.
pub fn name(number: u32) -> Option<&'static str> {
    usize::try_from(number)
        .ok()
        .and_then(Sysno::new)
        .map(|call| call.name())
}

/// The known name nearest to `name`, for a hint.
pub fn similar(name: &str) -> Option<&'static str> {
    let prefix = name.get(..name.len().min(3))?;
    Sysno::iter()
        .map(|call| call.name())
        .find(|known| known.starts_with(prefix))
}
