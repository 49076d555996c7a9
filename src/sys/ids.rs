//! Reading back every form of a process's ids (`credentials(7)`).

use rustix::io::Result;

/// Real, effective, saved and file system ids of the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllIds {
    /// User ids.
    pub uids: [u32; 4],
    /// Group ids.
    pub gids: [u32; 4],
}

/// All ids of the calling thread.
///
/// # Errors
/// None that `getresuid(2)` documents for valid pointers.
pub fn all() -> Result<AllIds> {
    let mut uids = [0_u32; 4];
    let mut gids = [0_u32; 4];
    let [real, effective, saved, file_system] = &mut uids;
    // SAFETY: three valid, distinct, writable u32, which is what the kernel's uid_t is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_getresuid,
            std::ptr::from_mut(real),
            std::ptr::from_mut(effective),
            std::ptr::from_mut(saved),
        )
    };
    super::check(result)?;
    *file_system = file_system_id(libc::SYS_setfsuid);
    let [real, effective, saved, file_system] = &mut gids;
    // SAFETY: as above, for gid_t.
    let result = unsafe {
        libc::syscall(
            libc::SYS_getresgid,
            std::ptr::from_mut(real),
            std::ptr::from_mut(effective),
            std::ptr::from_mut(saved),
        )
    };
    super::check(result)?;
    *file_system = file_system_id(libc::SYS_setfsgid);
    Ok(AllIds { uids, gids })
}

/// Asks for an invalid id, which changes nothing and answers with the present one
/// (`setfsuid(2)`, NOTES).
fn file_system_id(call: libc::c_long) -> u32 {
    // SAFETY: takes one integer and touches no memory.
    let result = unsafe { libc::syscall(call, u32::MAX) };
    // The kernel answers with a 32-bit id in a long: the low half is the id.
    result as u32
}

/// Supplementary groups of the calling thread, written into `buffer`; the count is returned.
/// Does not allocate.
///
/// # Errors
/// `EINVAL` if there are more than `buffer` holds.
pub fn groups(buffer: &mut [u32]) -> Result<usize> {
    let size = libc::c_int::try_from(buffer.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the kernel writes at most `size` gid_t (u32) into `buffer`, which holds that many.
    let result = unsafe { libc::syscall(libc::SYS_getgroups, size, buffer.as_mut_ptr()) };
    super::check(result).map(|count| usize::try_from(count).unwrap_or(0))
}
