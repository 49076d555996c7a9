//! Reading another process's memory: `process_vm_readv(2)`.

use std::io;

/// A read never crosses into the next page of this size, so that an unmapped neighbour does
/// not spoil it. The smallest page size of Linux.
const PAGE: u64 = 4096;

/// Fills `buffer` from `address` in the memory of thread `tid` as far as it is mapped, and says
/// how many bytes were read.
///
/// # Errors
/// `EFAULT` if nothing is mapped there, `ESRCH` if the thread is gone, `EPERM`.
pub fn read(tid: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let start = usize::try_from(address).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?;
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(start),
        iov_len: buffer.len(),
    };
    // SAFETY: `local` is the whole of `buffer`, which is borrowed mutably for the call; `remote`
    // is an address of the other process, which the kernel checks.
    let read = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Exactly `N` bytes from `address`.
///
/// # Errors
/// As [`read`]; `EFAULT` if fewer are mapped.
pub fn read_array<const N: usize>(tid: i32, address: u64) -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    match read(tid, address, &mut buffer)? {
        read if read == N => Ok(buffer),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

/// The string at `address` up to its NUL, without it.
///
/// # Errors
/// As [`read`]; `ENAMETOOLONG` if there is no NUL in `limit` bytes.
pub fn read_string(tid: i32, address: u64, limit: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = address;
    let mut chunk = [0u8; PAGE as usize];
    while text.len() < limit {
        let wanted = usize::try_from(PAGE - at % PAGE)
            .unwrap_or(1)
            .min(limit - text.len());
        let room = chunk.get_mut(..wanted).unwrap_or_default();
        let read = read(tid, at, room)?;
        let bytes = room.get(..read).unwrap_or_default();
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            text.extend(bytes.iter().take(end));
            return Ok(text);
        }
        if read == 0 {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        text.extend_from_slice(bytes);
        at = at.saturating_add(read as u64);
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn strings_are_read_across_pages_and_bounded() {
        let mut memory = vec![b'a'; 10_000];
        memory.push(0);
        let at = memory.as_ptr() as u64;
        assert_eq!(read_string(own(), at, 20_000).unwrap().len(), 10_000);
        let error = read_string(own(), at, 4096).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }

    #[test]
    fn unmapped_memory_is_an_error() {
        assert_eq!(
            read_array::<8>(own(), 8).unwrap_err().raw_os_error(),
            Some(libc::EFAULT)
        );
        assert!(read_string(own(), u64::MAX - 4, 100).is_err());
    }
}
