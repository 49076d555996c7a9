//! File handles: numbers by which a file is found wherever a root is (`open_by_handle_at(2)`).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::{Errno, Result};

/// The largest handle that the kernel makes (`MAX_HANDLE_SZ`, `linux/exportfs.h`).
const LARGEST: usize = 128;

/// The two numbers before a handle's bytes: how many there are, and its type.
const HEADER: usize = 8;

/// The handle of a file, as the kernel wants it back: `struct file_handle`.
///
/// # Errors
/// As `name_to_handle_at(2)`: `EOPNOTSUPP` for a file system that has none.
pub fn of(path: &Path) -> Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let mut words = [0_u32; (HEADER + LARGEST) / 4];
    words[0] = LARGEST as u32;
    let mut mount = 0;
    // SAFETY: the buffer is aligned as `struct file_handle` is, and has as many bytes after its
    // header as it says; the path ends in NUL, and the mount's number is an integer.
    let result = unsafe {
        libc::name_to_handle_at(
            libc::AT_FDCWD,
            path.as_ptr(),
            words.as_mut_ptr().cast(),
            &raw mut mount,
            0,
        )
    };
    super::check(result.into())?;
    Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
}
