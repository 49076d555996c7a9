//! The working directory as the kernel sees it.

use rustix::io::Result;

/// `getcwd(2)` itself, without libc's interpretation: a directory outside the root comes back
/// as "(unreachable)/…". Does not allocate.
///
/// # Errors
/// `ENOENT` if it has been removed; `ERANGE` if `buffer` is too small.
pub fn current(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most the given length into `buffer`.
    let result = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    let length = super::check(result)?;
    Ok(buffer
        .get(..usize::try_from(length).unwrap_or(0))
        .unwrap_or_default())
}
