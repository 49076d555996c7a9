//! Descriptors that this program was started with.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, Result};

/// They have been taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors from `first` on, `count` of them, and closes them on execve. Once: a second
/// call finds none. Before this program has opened anything.
///
/// # Errors
/// `EBADF` if one of them is not open; `EALREADY` the second time.
pub fn take(first: i32, count: u16) -> Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Errno::ALREADY);
    }
    let numbers = first..first.saturating_add(count.into());
    for number in numbers.clone() {
        // SAFETY: F_SETFD takes integers only, and answers EBADF for a number that is not open.
        let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        super::check(result.into())?;
    }
    let own = |number| {
        // SAFETY: it is open (just seen), came from whoever started this program, and nobody in it
        // knows of it: nothing was opened yet, and each is taken once.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    Ok(numbers.map(own).collect())
}
