//! What capabilities the kernel asks for, of a process and all that it makes: the trace event
//! `capability:cap_capable` (Linux 6.14), taken with `perf_event_open(2)`.
//!
//! An event belongs to the descriptor that opened it, so nothing is left in the kernel when its
//! owner ends, however it ends. A record is written before the call that made the kernel ask
//! returns, and those that find no room are counted.

mod ring;

use std::io;

use super::memory::{Writable, take_a_page};
use super::tracefs::{self, EventFormat};
use crate::error::{Doing, Error, Result};
use ring::{Ring, Sample, Whom};

/// Room for records of one processor, in pages: the kernel asks for each page of shared memory that is
/// touched, and a database touches thousands before its next call.
const PAGES: usize = 512;
/// And with many processors.
const FEWER_PAGES: usize = 16;
/// These are many.
const MANY_PROCESSORS: usize = 32;
/// How often the event is tried: the allocator takes memory, too, when it likes.
const TRIES: usize = 3;
/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u8 = 21;

/// The kernel asked whether a thread has a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The thread.
    pub tid: i32,
    /// The number of the capability.
    pub capability: u8,
    /// It has it.
    pub granted: bool,
}

/// The event, found and tried out.
#[derive(Debug)]
pub struct Event {
    id: u64,
    layout: Layout,
    known: Known,
}

/// Where the fields are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    namespace: usize,
    capability: usize,
    result: usize,
}

/// What the event is like when it is known what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The user namespace of the host, as the kernel addresses it.
    home: u64,
    /// The innermost callers of a question that comes with every piece of memory: may it eat
    /// into the reserve (`cap_vm_enough_memory()` of `security/commoncap.c`)? Whether the answer
    /// is yes or no, there is memory.
    memory: Vec<u64>,
}

/// The event of a process, being watched.
#[derive(Debug)]
pub struct CapabilityEvents {
    rings: Vec<Ring>,
    event: Event,
    processors: String,
}

impl Event {
    /// Finds the event and tries it on the calling thread, which takes some memory for that.
    ///
    /// # Errors
    /// If this kernel has no such event, its use is not allowed, or it does not show what is
    /// known to happen.
    pub fn find() -> Result<Self> {
        let format = tracefs::event("capability", "cap_capable")?;
        let layout = Layout::of(&format)?;
        let known = try_out(format.id, layout).doing(|| "try the kernel's capability event")?;
        let known = known.ok_or_else(|| {
            let why = "it does not show a question that the kernel is known to ask";
            Error::new("try the kernel's capability event", why)
        })?;
        Ok(Self {
            id: format.id,
            layout,
            known,
        })
    }

    /// Watches a process and all that it makes from now on. It must have one thread.
    ///
    /// # Errors
    /// As `perf_event_open(2)` and `mmap(2)`.
    pub fn watch(self, pid: i32) -> Result<CapabilityEvents> {
        let processors = online().doing(|| "ask which processors there are")?;
        let numbers = list(&processors);
        let pages = if numbers.len() > MANY_PROCESSORS {
            FEWER_PAGES
        } else {
            PAGES
        };
        let open = |processor| Ring::open(self.id, Whom::Process(pid, processor), pages);
        let rings: io::Result<Vec<Ring>> = numbers.into_iter().map(open).collect();
        Ok(CapabilityEvents {
            rings: rings.doing(|| "watch the kernel's capability event")?,
            event: self,
            processors,
        })
    }
}

impl CapabilityEvents {
    /// Takes what was asked since the last time, without what is asked for every piece of memory
    /// and what is asked for within another user namespace.
    pub fn take(&mut self, mut each: impl FnMut(Ask)) {
        let Self { rings, event, .. } = self;
        for ring in rings {
            ring.take(|sample| {
                if let Some(ask) = event.ask(&sample) {
                    each(ask);
                }
            });
        }
    }

    /// How many events found no room so far.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn lost(&self) -> io::Result<u64> {
        self.rings.iter().map(Ring::lost).sum()
    }

    /// The same processors are there as at the beginning: one that came later is not watched.
    pub fn covers_all_processors(&self) -> bool {
        online().is_ok_and(|now| now == self.processors)
    }
}

impl Event {
    fn ask(&self, sample: &Sample<'_>) -> Option<Ask> {
        let (ask, namespace) = self.layout.read(sample)?;
        let memory = ask.capability == SYS_ADMIN && sample.callers.starts_with(&self.known.memory);
        (namespace == self.known.home && !memory).then_some(ask)
    }
}

impl Layout {
    fn of(format: &EventFormat) -> Result<Self> {
        Ok(Self {
            namespace: format.offset("target_ns", 8)?,
            capability: format.offset("cap", 4)?,
            result: format.offset("ret", 4)?,
        })
    }

    /// The question, and the user namespace that it is about.
    fn read(self, sample: &Sample<'_>) -> Option<(Ask, u64)> {
        let capability = ring::word(sample.fields, self.capability)?;
        let ask = Ask {
            tid: sample.tid,
            capability: u8::try_from(capability).ok()?,
            granted: ring::word(sample.fields, self.result)? == 0,
        };
        Some((ask, ring::long(sample.fields, self.namespace)?))
    }
}

/// Takes memory in two ways, and looks at what the event shows of it. `None` if that is not one
/// and the same question.
fn try_out(id: u64, layout: Layout) -> io::Result<Option<Known>> {
    let mut ring = Ring::open(id, Whom::Caller, 1)?;
    for _ in 0..TRIES {
        let first = seen(&mut ring, layout, Writable::AtOnce)?;
        let second = seen(&mut ring, layout, Writable::Later)?;
        let known = compare(&first, &second);
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

/// What was asked: in which user namespace, and by which functions of the kernel.
type Asked = (u64, Vec<u64>);

fn seen(ring: &mut Ring, layout: Layout, writable: Writable) -> io::Result<Vec<Asked>> {
    ring.take(|_| {});
    take_a_page(writable)?;
    let mut seen = Vec::new();
    ring.take(|sample| {
        if let Some((ask, namespace)) = layout.read(&sample)
            && ask.capability == SYS_ADMIN
        {
            seen.push((namespace, sample.callers));
        }
    });
    Ok(seen)
}

/// The callers that both have in common, from the innermost on; further out the ways part.
fn compare(first: &[Asked], second: &[Asked]) -> Option<Known> {
    let ([(home, one)], [(same, other)]) = (first, second) else {
        return None;
    };
    let common = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other);
    let memory: Vec<u64> = common.map(|(one, _)| *one).collect();
    let parted = memory.len() < one.len() && memory.len() < other.len();
    // Fewer than two would be `cap_capable()` alone, which everything is asked by.
    (home == same && parted && memory.len() >= 2).then_some(Known {
        home: *home,
        memory,
    })
}

fn online() -> io::Result<String> {
    std::fs::read_to_string("/sys/devices/system/cpu/online")
}

/// The numbers of a list like `0-3,6`.
fn list(text: &str) -> Vec<i32> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests;
