//! A user namespace with one user and one group in it (`user_namespaces(7)`): what an ordinary
//! user may make, and no program with privileges of its own is needed for.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::MountPropagationFlags;
use rustix::thread::{CapabilitySet, UnshareFlags};

/// Which part of it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The namespace itself.
    Namespace,
    /// Its user and its group.
    Ids,
    /// Capabilities in it: it was made, and whoever is in it may do nothing with it.
    Capabilities,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was refused.
    pub part: Part,
    /// With which error.
    pub errno: Errno,
}

impl Part {
    fn refused(self, errno: Errno) -> Refused {
        Refused { part: self, errno }
    }
}

/// Moves the calling process, which must have one thread, into a user namespace where only `uid`
/// and `gid` exist, both its own, and into a mount namespace that belongs to that one. There it
/// has every capability, over nothing but what is made in it. Groups cannot be changed in it
/// (`/proc/PID/setgroups`), which the kernel demands of who maps a group without a privilege.
///
/// # Errors
/// What was refused. The process may be half-way then, and is not to go on.
pub fn enter(uid: u32, gid: u32) -> std::result::Result<(), Refused> {
    unshare(UnshareFlags::NEWUSER).map_err(|errno| Part::Namespace.refused(errno))?;
    map(uid, gid).map_err(|errno| Part::Ids.refused(errno))?;
    take_mounts().map_err(|errno| Part::Capabilities.refused(errno))
}

/// As [`enter`] would, in a process that ends at once: nothing is left of it.
///
/// # Errors
/// What was refused; a process could not be made.
pub fn try_out(uid: u32, gid: u32) -> Result<std::result::Result<(), Refused>> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: the raw call, not fork(3): no handlers run and no lock of the C library is touched.
    // The child has its own copy of the memory and only this thread, and does nothing but system
    // calls on integers and constants until it exits.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    let pid = super::check(pid)?;
    if pid == 0 {
        let word = match enter(uid, gid) {
            Ok(()) => [0, 0],
            Err(refused) => said(refused),
        };
        // Nobody is there to be told if the pipe is gone.
        let told = rustix::io::write(&write, &word);
        super::fork::exit_now(i32::from(told.is_err()));
    }
    drop(write);
    let mut word = [0; 2];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut word));
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let options = rustix::process::WaitOptions::empty();
    rustix::io::retry_on_intr(|| rustix::process::waitpid(pid, options))?;
    match read? {
        2 => Ok(heard(word)),
        _ => Err(Errno::CHILD),
    }
}

/// A refusal as two bytes; an error number has at most 133 (`errno(3)`).
fn said(Refused { part, errno }: Refused) -> [u8; 2] {
    let part = match part {
        Part::Namespace => 1,
        Part::Ids => 2,
        Part::Capabilities => 3,
    };
    [part, u8::try_from(errno.raw_os_error()).unwrap_or(u8::MAX)]
}

fn heard([part, errno]: [u8; 2]) -> std::result::Result<(), Refused> {
    let part = match part {
        0 => return Ok(()),
        1 => Part::Namespace,
        2 => Part::Ids,
        _ => Part::Capabilities,
    };
    Err(part.refused(Errno::from_raw_os_error(errno.into())))
}

fn unshare(flags: UnshareFlags) -> Result<()> {
    // SAFETY: what makes unshare(2) unsafe is CLONE_FILES, which would take this thread's
    // descriptors away from owners in other threads; it is never among `flags`.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// One line each, with the process's own number, is what needs no privilege outside.
fn map(uid: u32, gid: u32) -> Result<()> {
    write(c"/proc/self/setgroups", b"deny")?;
    write(c"/proc/self/uid_map", Line::of(uid).text())?;
    write(c"/proc/self/gid_map", Line::of(gid).text())
}

/// Where a security module takes the capabilities away that a new user namespace gives, this is
/// the first call that is refused (AppArmor's `unprivileged_userns` profile).
fn take_mounts() -> Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    if !sets.effective.contains(CapabilitySet::SYS_ADMIN) {
        return Err(Errno::PERM);
    }
    unshare(UnshareFlags::NEWNS)?;
    // What is mounted on the host later appears here too; nothing from here appears there.
    rustix::mount::mount_change(
        c"/",
        MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM,
    )
}

fn write(path: &std::ffi::CStr, text: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    match rustix::io::write(file, text)? {
        written if written == text.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}

/// `N N 1`: the number is the same inside and outside. Made without allocating.
struct Line {
    bytes: [u8; 32],
    length: usize,
}

impl Line {
    fn of(number: u32) -> Self {
        let mut line = Self {
            bytes: [0; 32],
            length: 0,
        };
        for _ in 0..2 {
            line.number(number);
            line.push(b' ');
        }
        line.push(b'1');
        line
    }

    fn number(&mut self, number: u32) {
        let mut divisor = 1_000_000_000;
        let mut begun = false;
        while divisor > 0 {
            let digit = u8::try_from(number / divisor % 10).unwrap_or_default();
            begun |= digit > 0 || divisor == 1;
            if begun {
                self.push(b'0' + digit);
            }
            divisor /= 10;
        }
    }

    /// Two numbers of ten digits, two blanks and a one are shorter than the line.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_maps_a_number_to_itself() {
        assert_eq!(Line::of(0).text(), b"0 0 1");
        assert_eq!(Line::of(1000).text(), b"1000 1000 1");
        assert_eq!(Line::of(u32::MAX).text(), b"4294967295 4294967295 1");
    }

    #[test]
    fn what_was_refused_comes_over_the_pipe() {
        assert_eq!(heard([0, 0]), Ok(()));
        for part in [Part::Namespace, Part::Ids, Part::Capabilities] {
            for errno in [Errno::PERM, Errno::NOSPC, Errno::USERS] {
                let refused = part.refused(errno);
                assert_eq!(heard(said(refused)), Err(refused));
            }
        }
    }
}
