//! System calls that a filter sends to user space (`seccomp_unotify(2)`).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::{Errno, Result};

/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND` of `linux/seccomp.h`: read and
/// write, of the size of their structure.
const RECEIVE: libc::c_ulong = number(0, size_of::<libc::seccomp_notif>());
const SEND: libc::c_ulong = number(1, size_of::<libc::seccomp_notif_resp>());

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`: the kernel performs the call.
const CONTINUE: u32 = 1;

/// `_IOWR('!', …)` of `asm-generic/ioctl.h`.
const fn number(request: usize, size: usize) -> libc::c_ulong {
    (3 << 30 | size << 16 | 0x21 << 8 | request) as libc::c_ulong
}

/// A call that has asked (`struct seccomp_data` of `linux/seccomp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The thread, in the pid namespace of the listener's reader.
    pub thread: i32,
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Its number.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The address that it was made from.
    pub instruction: u64,
}

/// Lets the next call that waits on a filter's listener run. `None` if none waits any more: its
/// thread was killed meanwhile. Blocks if none has been announced by `poll(2)`.
///
/// That the arguments can change before the kernel reads them again does not matter, because
/// nothing is decided by them (`seccomp_unotify(2)`, "Caveats").
///
/// # Errors
/// As `ioctl(2)`.
pub fn let_run(listener: impl AsFd) -> Result<Option<Asked>> {
    let descriptor = listener.as_fd().as_raw_fd();
    // SAFETY: the structure is plain integers, for which all zeroes, which the kernel asks for,
    // is a value.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: `asked` is a live local of the size that is in the request's number.
    let received = unsafe { libc::ioctl(descriptor, RECEIVE as _, &raw mut asked) };
    match checked(received) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::INTR) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let mut answer = libc::seccomp_notif_resp {
        id: asked.id,
        val: 0,
        error: 0,
        flags: CONTINUE,
    };
    // SAFETY: as above, for `answer`.
    let sent = unsafe { libc::ioctl(descriptor, SEND as _, &raw mut answer) };
    match checked(sent) {
        Ok(()) => Ok(Some(Asked {
            thread: asked.pid.cast_signed(),
            architecture: asked.data.arch,
            number: asked.data.nr.cast_unsigned(),
            arguments: asked.data.args,
            instruction: asked.data.instruction_pointer,
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn checked(result: libc::c_int) -> Result<()> {
    super::check(result.into()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;
    use crate::sys::seccomp::{Instruction, Options, answers, install};

    #[test]
    fn the_requests_are_the_kernel_s() {
        assert_eq!(RECEIVE, 0xC050_2100);
        assert_eq!(SEND, 0xC018_2101);
    }

    /// Everything runs, and `getppid` asks.
    fn getppid_asks() -> Vec<Instruction> {
        let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
        vec![
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, libc::SYS_getppid as u32),
            instruction(0x06, 0, 0, answers::USER_NOTIF),
            instruction(0x06, 0, 0, answers::ALLOW),
        ]
    }

    #[test]
    fn a_call_runs_while_somebody_listens_and_fails_afterwards() {
        let (listener, listeners) = channel();
        let (closed, is_closed) = channel::<()>();
        let caller = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            let options = Options {
                listener: true,
                ..Options::default()
            };
            listener
                .send(install(&getppid_asks(), options).unwrap().unwrap())
                .unwrap();
            let before = std::os::unix::process::parent_id();
            is_closed.recv().unwrap();
            (before, std::os::unix::process::parent_id().cast_signed())
        });
        let listener = listeners.recv().unwrap();
        poll(&mut [PollFd::new(&listener, PollFlags::IN)], None).unwrap();
        let parent = u32::try_from(libc::SYS_getppid).unwrap();
        let asked = let_run(&listener).unwrap().unwrap();
        assert_eq!(asked.number, parent);
        drop(listener);
        closed.send(()).unwrap();
        let (before, after) = caller.join().unwrap();
        assert_eq!(before, std::os::unix::process::parent_id());
        assert_eq!(after, -libc::ENOSYS);
    }
}
