//! Closing descriptors in bulk (`close_range(2)`, Linux 5.9) and giving them fixed numbers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Result;

/// Closes every descriptor from `first` up.
///
/// Owned descriptors in that range must not be used afterwards: this is for a program that has
/// just started, or a child that is about to execute another one.
///
/// # Errors
/// As `close_range(2)`: none on a kernel that has the call.
pub fn close_from(first: u32) -> Result<()> {
    range(first, 0)
}

/// Marks every descriptor from `first` up to be closed by `execve`.
///
/// # Errors
/// As `close_range(2)`; `CLOSE_RANGE_CLOEXEC` needs Linux 5.11.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn range(first: u32, flags: u32) -> Result<()> {
    // SAFETY: close_range takes three integers and touches no memory of the caller.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    super::check(result).map(drop)
}

/// Makes `descriptor` available under `number` too, closing what was there, and answers with
/// it. Close-on-exec as asked.
///
/// This is for a child that is about to execute another program: what had that number before
/// must not be used again.
///
/// # Errors
/// As `dup3(2)`.
pub fn place(descriptor: impl AsFd, number: u32, keep: bool) -> Result<BorrowedFd<'static>> {
    let number = number.cast_signed();
    let result = if descriptor.as_fd().as_raw_fd() == number {
        let flags = if keep { 0 } else { libc::FD_CLOEXEC };
        // SAFETY: F_SETFD takes integers only.
        unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_SETFD, flags) }
    } else {
        let flags = if keep { 0 } else { libc::O_CLOEXEC };
        // SAFETY: dup3 takes three integers and touches no memory of the caller.
        unsafe {
            libc::syscall(
                libc::SYS_dup3,
                descriptor.as_fd().as_raw_fd(),
                number,
                flags,
            )
        }
    };
    super::check(result)?;
    // SAFETY: that number is open now, and in a child that only places each number once and
    // closes nothing below the last of them it stays open until execve.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}
