//! Giving memory back that a process has only needed to get started, and taking some.

use std::ffi::c_void;
use std::io;

/// When a page that is taken can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// From the beginning: `mmap(2)` alone accounts for it.
    AtOnce,
    /// When `mprotect(2)` has made it so, which then accounts for it.
    Later,
}

/// Takes a page of memory and gives it back.
///
/// # Errors
/// As `mmap(2)`, `mprotect(2)` and `munmap(2)`.
pub fn take_a_page(writable: Writable) -> io::Result<()> {
    const PAGE: usize = 4096;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    let first = match writable {
        Writable::AtOnce => both,
        Writable::Later => libc::PROT_READ,
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel chooses takes no memory that is in use.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, first, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let made = match writable {
        Writable::AtOnce => Ok(()),
        // SAFETY: the page was mapped above, and nothing else knows of it.
        Writable::Later => done(unsafe { libc::mprotect(page, PAGE, both) }),
    };
    // SAFETY: the page was mapped above, and nothing points into it.
    done(unsafe { libc::munmap(page, PAGE) }).and(made)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Lets go of the pages of this program's own code and constants, and of free heap. What is
/// used again comes back from the page cache, a few pages at a time; what was only needed at
/// the start does not stay resident for as long as a supervisor lives.
pub fn release_program() {
    // SAFETY: the callback has the signature that dl_iterate_phdr(3) wants, keeps no pointer,
    // and the data pointer is unused.
    unsafe { libc::dl_iterate_phdr(Some(release_object), std::ptr::null_mut()) };
    // SAFETY: malloc_trim only returns free pages of the allocator's own to the kernel.
    unsafe { libc::malloc_trim(0) };
}

/// Releases the segments of one object that cannot have been written to.
unsafe extern "C" fn release_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut c_void,
) -> libc::c_int {
    // SAFETY: dl_iterate_phdr hands a valid dl_phdr_info whose headers are mapped and number
    // dlpi_phnum.
    let (base, headers) = unsafe {
        let info = &*info;
        (
            info.dlpi_addr,
            std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()),
        )
    };
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            release(base + header.p_vaddr, header.p_memsz);
        }
    }
    0
}

/// Drops the whole pages between `start` and its end.
fn release(start: u64, length: u64) {
    const PAGE: u64 = 4096;
    let first = start.next_multiple_of(PAGE);
    let end = (start + length) / PAGE * PAGE;
    let (Ok(first), Ok(size)) = (
        usize::try_from(first),
        usize::try_from(end.saturating_sub(first)),
    ) else {
        return;
    };
    // SAFETY: the range lies in a segment that is mapped from a file and was never writable, so
    // its pages hold nothing but the file's bytes, which the next access reads again
    // (madvise(2), MADV_DONTNEED). A failure leaves them where they are.
    unsafe {
        libc::madvise(
            std::ptr::with_exposed_provenance_mut(first),
            size,
            libc::MADV_DONTNEED,
        )
    };
}
