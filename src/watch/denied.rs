//! How often the jails that are looked at were denied something, as the kernel's audit records have
//! it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use super::monitor::denials::{Denial, Denials};
use super::processes::Process;
use crate::Result;
use crate::host::audit_records::AuditRecords;
use crate::run::state::State;

/// Larger than an audit record.
const BUFFER: usize = 64 * 1024;

/// Counts them from its beginning on.
#[derive(Debug)]
pub(super) struct Denied {
    records: AuditRecords,
    denials: Denials,
    /// The jail of each process, when it was looked last and the time before.
    jails: [BTreeMap<i32, String>; 2],
    counts: BTreeMap<String, u64>,
}

impl Denied {
    /// Nothing, where the kernel does not tell.
    pub(super) fn listen() -> Option<Self> {
        Some(Self {
            records: AuditRecords::open().ok()?,
            denials: Denials::default(),
            jails: Default::default(),
            counts: BTreeMap::new(),
        })
    }

    /// What was denied to anybody since this was asked last.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn take(&mut self) -> Result<Vec<Denial>> {
        let (mut buffer, mut records) = (vec![0; BUFFER], Vec::new());
        // What was dropped is not counted: then there were more than anybody reads.
        self.records.take(&mut buffer, &mut records)?;
        let all = records.iter().flat_map(|record| self.denials.of(record));
        Ok(all.collect())
    }

    /// Counts these, by whose processes they are about: those of now, and those of the look before.
    pub(super) fn count(&mut self, denials: &[Denial], jails: &[State], now: &[Vec<Process>]) {
        let of_jail = |(state, processes): (&State, &Vec<Process>)| {
            let pids = processes.iter().map(|process| process.pid);
            pids.map(|pid| (pid, state.name.clone()))
                .collect::<Vec<_>>()
        };
        let known = jails.iter().zip(now).flat_map(of_jail).collect();
        self.jails.rotate_right(1);
        if let Some(place) = self.jails.first_mut() {
            *place = known;
        }
        for denial in denials {
            let mut known = self.jails.iter();
            if let Some(jail) = known.find_map(|jails| jails.get(&denial.pid)) {
                *self.counts.entry(jail.clone()).or_default() += 1;
            }
        }
    }

    /// How often this jail was denied something.
    pub(super) fn of(&self, jail: &str) -> u64 {
        self.counts.get(jail).copied().unwrap_or(0)
    }
}

/// Readable when there is something to take.
impl AsFd for Denied {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.records.as_fd()
    }
}
