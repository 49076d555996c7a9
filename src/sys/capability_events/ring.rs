//! An event of `perf_event_open(2)` and the ring that its records come in.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
/// `PERF_SAMPLE_TID | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW`, which is also their order in a
/// record.
const SAMPLE: u64 = 1 << 1 | 1 << 5 | 1 << 10;
/// `inherit`: what the process makes is watched too, in the same ring.
const INHERIT: u64 = 1 << 1;
/// `exclude_callchain_user`.
const KERNEL_CHAIN: u64 = 1 << 22;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOEXEC: libc::c_ulong = 1 << 3;
/// `PERF_FORMAT_LOST`: reading the event tells how many records found no room.
const TELL_LOST: u64 = 1 << 4;
/// As many callers are told.
const CALLERS: u16 = 8;
/// From here on an address in a chain is a marker: `PERF_CONTEXT_MAX`.
const MARKERS: u64 = 0u64.wrapping_sub(4095);
/// `PERF_RECORD_SAMPLE`.
const RECORD: u32 = 9;
/// The offsets of `data_head` and `data_tail` in `struct perf_event_mmap_page`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// `struct perf_event_attr`, as long as `PERF_ATTR_SIZE_VER5`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

/// Who is watched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    /// The calling thread.
    Caller,
    /// This process and all that it makes, while they run on this processor.
    Process(i32, i32),
}

/// What a record of the event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    /// The thread.
    pub(super) tid: i32,
    /// Where in the kernel it was, and who had called that.
    pub(super) callers: Vec<u64>,
    /// The event's own fields.
    pub(super) fields: &'a [u8],
}

/// An open event with its ring. Both go away when it is dropped, and with the process.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    page: usize,
    data: usize,
    event: OwnedFd,
}

impl Ring {
    /// Opens the trace event `id`, with room for `pages` pages of records, a power of two.
    pub(super) fn open(id: u64, whom: Whom, pages: usize) -> io::Result<Self> {
        let event = event(id, whom)?;
        // SAFETY: sysconf(3) takes an integer.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
            .map_err(|_| io::Error::last_os_error())?;
        let data = page * pages;
        // SAFETY: a new mapping where the kernel chooses takes no memory that is in use.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                page + data,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            memory,
            page,
            data,
            event,
        })
    }

    /// Whether there is anything to take.
    pub(super) fn is_empty(&self) -> bool {
        self.position(HEAD).load(Ordering::Acquire) == self.position(TAIL).load(Ordering::Relaxed)
    }

    /// How many records found no room so far.
    pub(super) fn lost(&self) -> io::Result<u64> {
        // `u64 value, lost`.
        let mut words = [0u8; 16];
        match rustix::io::read(&self.event, &mut words)? {
            16 => Ok(long(&words, 8).unwrap_or(u64::MAX)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Takes all records that are there.
    pub(super) fn take(&mut self, mut each: impl FnMut(Sample<'_>)) {
        if self.is_empty() {
            return;
        }
        let head = self.position(HEAD).load(Ordering::Acquire);
        let tail = self.position(TAIL).load(Ordering::Relaxed);
        let bytes = self.copy(tail, head);
        // Only now may the kernel write there again.
        self.position(TAIL).store(head, Ordering::Release);
        let mut rest = bytes.as_slice();
        while let Some((record, more)) = split(rest) {
            if let Some(sample) = parse(record) {
                each(sample);
            }
            rest = more;
        }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both offsets are within the first page of the mapping, which lives as long as
        // `self`, and aligned to 8; kernel and program share these words as atomics.
        unsafe { AtomicU64::from_ptr(self.memory.as_ptr().add(offset).cast()) }
    }

    /// What is between two positions, which count on without end.
    fn copy(&self, tail: u64, head: u64) -> Vec<u8> {
        let length = usize::try_from(head.wrapping_sub(tail))
            .unwrap_or(0)
            .min(self.data);
        // `data` is a power of two.
        let start = usize::try_from(tail & (self.data as u64 - 1)).unwrap_or(0);
        let first = length.min(self.data - start);
        let mut bytes = vec![0u8; length];
        for (at, from, count) in [(0, start, first), (first, 0, length - first)] {
            // SAFETY: `from + count` is at most `data`, which is mapped after the first page, and
            // `at + count` at most the length of `bytes`. The kernel writes nothing between tail
            // and head until the tail moves (`perf_event_open(2)`).
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.memory.as_ptr().add(self.page + from),
                    bytes.as_mut_ptr().add(at),
                    count,
                );
            }
        }
        bytes
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping that `open` made, which nothing borrows any more.
        let unmapped = unsafe { libc::munmap(self.memory.as_ptr().cast(), self.page + self.data) };
        debug_assert_eq!(unmapped, 0);
    }
}

fn event(id: u64, whom: Whom) -> io::Result<OwnedFd> {
    let (pid, processor, inherit) = match whom {
        Whom::Caller => (0, -1, 0),
        Whom::Process(pid, processor) => (pid, processor, INHERIT),
    };
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: u32::try_from(size_of::<Attributes>()).unwrap_or(0),
        config: id,
        sample_period: 1,
        sample_type: SAMPLE,
        read_format: TELL_LOST,
        flags: inherit | KERNEL_CHAIN,
        sample_max_stack: CALLERS,
        ..Attributes::default()
    };
    // SAFETY: `attributes` is a live struct of the size that it says, which the kernel reads.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            pid,
            processor,
            -1,
            CLOEXEC,
        )
    };
    match i32::try_from(event) {
        // SAFETY: the call has just opened it, and nothing else owns it.
        Ok(event) if event >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(event) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The first record, header and all, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, size) = header(bytes)?;
    (size >= 8).then(|| bytes.split_at_checked(size)).flatten()
}

/// Type and size of `struct perf_event_header`.
fn header(bytes: &[u8]) -> Option<(u32, usize)> {
    let kind = word(bytes, 0)?;
    let size = bytes.get(6..)?.first_chunk::<2>()?;
    Some((kind, usize::from(u16::from_ne_bytes(*size))))
}

/// `None` for a record of something else.
fn parse(record: &[u8]) -> Option<Sample<'_>> {
    let (kind, _) = header(record)?;
    (kind == RECORD).then(|| record.get(8..).and_then(sample))?
}

/// `u32 pid, tid; u64 nr, ips[nr]; u32 size; char data[size]`.
fn sample(body: &[u8]) -> Option<Sample<'_>> {
    let tid = i32::try_from(word(body, 4)?).ok()?;
    let count = usize::try_from(long(body, 8)?).ok()?;
    let (chain, rest) = body.get(16..)?.split_at_checked(count.checked_mul(8)?)?;
    let callers = chain.chunks_exact(8).filter_map(|bytes| long(bytes, 0));
    let size = usize::try_from(word(rest, 0)?).ok()?;
    Some(Sample {
        tid,
        callers: callers.filter(|address| *address < MARKERS).collect(),
        fields: rest.get(4..)?.get(..size)?,
    })
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*bytes))
}

pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len() + 8).unwrap();
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(size.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn records_are_read_one_after_another() {
        let mut body = [7u32.to_ne_bytes(), 9u32.to_ne_bytes()].concat();
        for word in [3, 0u64.wrapping_sub(128), 0xffff_ffff_8100_0000, 5] {
            body.extend(word.to_ne_bytes());
        }
        body.extend(4u32.to_ne_bytes());
        body.extend(b"raw!");
        let one = record(RECORD, &body);
        let bytes = [one.clone(), record(77, b"other"), one].concat();
        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((one, more)) = split(rest) {
            found.extend(parse(one));
            rest = more;
        }
        let sample = || Sample {
            tid: 9,
            callers: vec![0xffff_ffff_8100_0000, 5],
            fields: b"raw!",
        };
        assert_eq!(found, [sample(), sample()]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let mut rest = bytes.as_slice();
            let mut steps = 0;
            while let Some((one, more)) = split(rest) {
                proptest::prop_assert!(one.len() >= 8);
                if let Some(sample) = parse(one) {
                    proptest::prop_assert!(sample.fields.len() < one.len());
                }
                rest = more;
                steps += 1;
            }
            proptest::prop_assert!(steps <= bytes.len() / 8);
        }
    }
}
