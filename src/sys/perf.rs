//! A signal for the thread that makes a system call of a certain kind: a tracepoint of the kernel
//! with a filter, by `perf_event_open(2)`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `PERF_TYPE_TRACEPOINT` of `linux/perf_event.h`.
const TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOEXEC: libc::c_ulong = 8;
/// `PERF_EVENT_IOC_ENABLE`, `_IO('$', 0)`.
const ENABLE: libc::Ioctl = 0x2400;
/// `PERF_EVENT_IOC_SET_FILTER`, `_IOW('$', 6, char *)`.
const SET_FILTER: libc::Ioctl = 0x4008_2406;

/// The bits of `struct perf_event_attr`, in the order of the header.
const DISABLED: u64 = 1;
const INHERIT: u64 = 1 << 1;
const REMOVE_ON_EXEC: u64 = 1 << 36;
const SIGTRAP: u64 = 1 << 37;

/// The first version that has `sig_data` (`PERF_ATTR_SIZE_VER7`, Linux 5.13).
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    bits: u64,
    /// From `wakeup_events` to what comes before `sig_data`.
    unused: [u64; 9],
    sig_data: u64,
}

const _: () = assert!(size_of::<Attributes>() == 128);

/// A watch on a thread and on everything that it makes, until they execute another program.
#[derive(Debug)]
pub struct Watch {
    event: OwnedFd,
}

impl Watch {
    /// From now on, a thread that passes `tracepoint` while `filter` holds
    /// (`Documentation/trace/events.rst`, "Event filtering") gets a SIGTRAP before it is back in its
    /// program, with `mark` in it (`sigaction(2)`, `TRAP_PERF`).
    ///
    /// # Errors
    /// `EINVAL` or `E2BIG` before Linux 5.13, or if the filter is none for this tracepoint;
    /// `EACCES` or `EPERM` without `CAP_PERFMON`; `ESRCH`.
    pub fn start(tid: i32, tracepoint: u64, filter: &CStr, mark: u64) -> io::Result<Self> {
        let watch = Self::prepare(tid, tracepoint, filter, mark)?;
        watch.control(ENABLE, 0)?;
        Ok(watch)
    }

    /// Whether [`Watch::start`] would do.
    ///
    /// # Errors
    /// As [`Watch::start`].
    pub fn check(tracepoint: u64, filter: &CStr) -> io::Result<()> {
        Self::prepare(0, tracepoint, filter, 0).map(drop)
    }

    fn prepare(tid: i32, tracepoint: u64, filter: &CStr, mark: u64) -> io::Result<Self> {
        let attributes = Attributes {
            kind: TRACEPOINT,
            size: 128,
            config: tracepoint,
            sample_period: 1,
            bits: DISABLED | INHERIT | REMOVE_ON_EXEC | SIGTRAP,
            sig_data: mark,
            ..Attributes::default()
        };
        // SAFETY: `attributes` outlives the call, begins with its own size and is laid out as the
        // header says; the kernel reads it.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                tid,
                -1,
                -1,
                CLOEXEC,
            )
        };
        let fd = match i32::try_from(fd) {
            Ok(fd) if fd >= 0 => fd,
            _ => return Err(io::Error::last_os_error()),
        };
        // SAFETY: the kernel has just opened it, and nothing else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        let watch = Self { event };
        watch.control(SET_FILTER, filter.as_ptr() as usize)?;
        Ok(watch)
    }

    /// How often the filter held: each time was a signal, unless one could not be delivered.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn count(&self) -> io::Result<u64> {
        let mut count = [0u8; 8];
        match rustix::io::read(&self.event, &mut count)? {
            8 => Ok(u64::from_ne_bytes(count)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn control(&self, what: libc::Ioctl, argument: usize) -> io::Result<()> {
        // SAFETY: the requests of this file take nothing, or a string that the caller keeps and
        // the kernel copies.
        if unsafe { libc::ioctl(self.event.as_raw_fd(), what, argument) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// The longest filter, its NUL included: the kernel copies no more than a page of it.
pub const LONGEST_FILTER: usize = 4096;

/// A filter as the kernel takes it; `None` if it is too long.
pub fn filter(text: &str) -> Option<CString> {
    let filter = CString::new(text).ok()?;
    (filter.as_bytes_with_nul().len() <= LONGEST_FILTER).then_some(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tracefs;

    fn entry_of(call: &str) -> u64 {
        let event = tracefs::event("syscalls", &format!("sys_enter_{call}"));
        event.unwrap().id
    }

    /// Needs root and a kernel with tracepoints for system calls.
    #[test]
    fn filters_are_checked_by_the_kernel() {
        let openat = entry_of("openat");
        let good = "(flags==524288&&!(filename.ustring==\"/a b\"))";
        Watch::check(openat, &filter(good).unwrap()).unwrap();
        let wrong = Watch::check(openat, c"colour==1").unwrap_err();
        assert_eq!(wrong.raw_os_error(), Some(libc::EINVAL));
        assert!(filter(&"x".repeat(LONGEST_FILTER)).is_none());
        assert!(filter(&"x".repeat(LONGEST_FILTER - 1)).is_some());
    }

    #[test]
    fn what_does_not_match_is_not_counted() {
        // A signal of the test's own would end it: only one that never matches is switched on.
        let openat = entry_of("openat");
        // SAFETY: gettid(2) cannot fail and touches no memory.
        let own = unsafe { libc::gettid() };
        let never = c"filename.ustring==\"/never/opened\"";
        let watch = Watch::start(own, openat, never, 1).unwrap();
        assert!(std::fs::File::open("/dev/null").is_ok());
        assert_eq!(watch.count().unwrap(), 0);
    }
}
