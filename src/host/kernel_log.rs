//! What the kernel has written into its log (`Documentation/ABI/testing/dev-kmsg`).

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{Doing, Result};

/// The log.
const PATH: &str = "/dev/kmsg";

/// The longest message, bytes.
const LONGEST: usize = 8192;

/// The most that are read.
const MOST: usize = 1 << 20;

/// The kernel's own messages, the oldest first, as far as they have not been overwritten. What a
/// program has written there is marked by the kernel as not its own, and is left out.
///
/// # Errors
/// It cannot be opened: `EPERM` without CAP_SYSLOG where that is restricted.
pub fn messages() -> Result<Vec<String>> {
    let doing = || format!("read {PATH}");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let log = rustix::fs::open(PATH, flags, Mode::empty()).doing(doing)?;
    let mut buffer = vec![0; LONGEST];
    let mut found = Vec::new();
    for _ in 0..MOST {
        match rustix::io::read(&log, &mut buffer[..]) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(length) => found.extend(message(buffer.get(..length).unwrap_or_default())),
            // Some were overwritten meanwhile: the next one is there.
            Err(Errno::PIPE | Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(found)
}

/// `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`, of which the facility, 0 for the kernel, is the priority
/// divided by 8.
fn message(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (head, text) = text.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let line = text.lines().next().unwrap_or_default();
    (priority / 8 == 0).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_speaks_for_the_kernel() {
        let own = message(b"4,1234,5678,-;web[7]: segfault at 0\n SUBSYSTEM=x\n");
        assert_eq!(own.as_deref(), Some("web[7]: segfault at 0"));
        assert_eq!(message(b"12,1234,5678,-;web[7]: segfault at 0\n"), None);
        assert_eq!(message(b"x;y"), None);
        assert_eq!(message(b""), None);
    }

    #[test]
    fn it_can_be_read() {
        assert!(!messages().unwrap().is_empty());
    }
}
