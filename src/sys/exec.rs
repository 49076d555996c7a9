//! `execveat(2)` with everything prepared beforehand.

use std::ffi::{CString, NulError};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// A NULL-terminated array of C strings, as `execve` wants it.
#[derive(Debug)]
pub struct StringArray {
    // Declared before the strings it points into; both are never changed after construction.
    pointers: Vec<*const libc::c_char>,
    strings: Vec<CString>,
}

impl StringArray {
    /// Copies `texts`.
    ///
    /// # Errors
    /// A text with a NUL byte in it.
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Result<Self, NulError> {
        let strings: Vec<CString> = texts
            .iter()
            .map(|text| CString::new(text.as_ref()))
            .collect::<Result<_, _>>()?;
        let mut pointers: Vec<*const libc::c_char> =
            strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Ok(Self { pointers, strings })
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }
}

/// Executes the program behind `program`; returns only if that failed. Does not allocate.
pub fn execute(program: impl AsFd, arguments: &StringArray, environment: &StringArray) -> Errno {
    // SAFETY: the path is an empty NUL-terminated constant; both arrays end in NULL and point
    // into CStrings that the StringArray owns, whose heap buffers do not move while it lives.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    super::last_errno()
}
