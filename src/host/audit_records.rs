//! The kernel's audit records as they are made, whoever else reads them (`audit_log(3)` of the
//! kernel, the multicast group `AUDIT_NLGRP_READLOG` of `linux/audit.h`, Linux 3.16).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::AUDIT;

use super::netlink;
use super::process_events::Heard;
use crate::{Doing, Result};

/// The bit of the group.
const READLOG: u32 = 1;

/// Room for some thousand records that are not yet read, bytes.
const ROOM: usize = 4 << 20;

/// `AUDIT_SECCOMP`: a filter of system calls has decided, and the record says how.
pub const SECCOMP: u16 = 1326;
/// `AUDIT_AVC`: of SELinux, and with other words of AppArmor.
pub const AVC: u16 = 1400;
/// `AUDIT_LANDLOCK_ACCESS`, `AUDIT_LANDLOCK_DOMAIN` (Linux 6.15).
pub const LANDLOCK_ACCESS: u16 = 1423;
/// See [`LANDLOCK_ACCESS`].
pub const LANDLOCK_DOMAIN: u16 = 1424;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its type.
    pub kind: u16,
    /// What it says, from `audit(` on.
    pub text: String,
}

/// The connection.
#[derive(Debug)]
pub struct AuditRecords(OwnedFd);

impl AuditRecords {
    /// From now on.
    ///
    /// # Errors
    /// The kernel makes no such records, or tells who has `CAP_AUDIT_READ` only.
    pub fn open() -> Result<Self> {
        let socket = netlink::socket(AUDIT, READLOG, false, "its audit records")?;
        netlink::make_room(&socket, ROOM)?;
        Ok(Self(socket))
    }

    /// Takes what there is. Does not wait.
    ///
    /// # Errors
    /// The socket cannot be read.
    pub fn take(&self, buffer: &mut [u8], records: &mut Vec<Record>) -> Result<Heard> {
        let mut heard = Heard::All;
        loop {
            let length = match rustix::io::read(&self.0, &mut *buffer) {
                Err(Errno::AGAIN) => return Ok(heard),
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    heard = Heard::Lost;
                    continue;
                }
                result => result.doing(|| "hear the kernel's audit records")?,
            };
            let read = buffer.get(..length).unwrap_or_default();
            records.extend(records_in(read));
        }
    }
}

impl AsFd for AuditRecords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Some kernels count the header into the length and some do not (`audit_log_end`): then the text
/// goes to the end of what was read.
fn records_in(read: &[u8]) -> Option<Record> {
    const HEADER: usize = 16;
    let text = read.get(HEADER..)?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Record {
        kind: netlink::u16_at(read, 4)?,
        text: String::from_utf8_lossy(text).into_owned(),
    })
}

impl Record {
    /// The value of the first field of this name, without quotes.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut words = self.text.split_ascii_whitespace();
        let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_whatever_its_length_says() {
        let text = b"audit(1.2:3): auid=1 pid=77 comm=\"a b\" syscall=101";
        for length in [text.len(), text.len() + 16] {
            let length = u32::try_from(length).unwrap();
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(SECCOMP.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(text);
            bytes.extend([0; 3]);
            let record = records_in(&bytes).unwrap();
            assert_eq!((record.kind, record.field("pid")), (SECCOMP, Some("77")));
            assert_eq!(record.field("syscall"), Some("101"));
            assert_eq!(record.field("nothing"), None);
        }
        assert_eq!(records_in(b"short"), None);
    }
}
