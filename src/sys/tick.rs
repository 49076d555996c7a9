//! A timer that interrupts one thread's blocking calls: `waitpid(2)` has no time limit.

use std::io;
use std::time::Duration;

/// Interrupts the calling thread's blocking system calls with `EINTR`, again and again, until
/// dropped. A tick that comes while the thread is not blocked does nothing, so whoever waits
/// must be content with the next one.
///
/// The signal is `SIGURG`: nobody sends it by chance, and without a handler it is ignored.
#[derive(Debug)]
pub struct Tick {
    timer: libc::timer_t,
}

extern "C" fn nothing(_signal: libc::c_int) {}

impl Tick {
    /// Starts ticking for the calling thread.
    ///
    /// # Errors
    /// As `sigaction(2)`, `timer_create(2)`, `timer_settime(2)`.
    pub fn start(period: Duration) -> io::Result<Self> {
        install_handler()?;
        // SAFETY: sigevent is plain integers and a pointer; zeroes are a value of it.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGURG;
        // SAFETY: gettid(2) cannot fail and touches no memory.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = std::ptr::null_mut();
        // SAFETY: both pointers are to live locals.
        succeed(unsafe {
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
        })?;
        let tick = Self { timer };
        let every = libc::timespec {
            tv_sec: libc::time_t::try_from(period.as_secs()).unwrap_or(1),
            tv_nsec: libc::c_long::from(period.subsec_nanos()),
        };
        let times = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: the timer was just made and is deleted only by `drop`; `times` is a live local.
        succeed(unsafe {
            libc::timer_settime(tick.timer, 0, &raw const times, std::ptr::null_mut())
        })?;
        Ok(tick)
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        // SAFETY: made by `start`, deleted once, here. It can only fail for a timer that does not
        // exist.
        let deleted = unsafe { libc::timer_delete(self.timer) };
        debug_assert_eq!(deleted, 0);
    }
}

fn install_handler() -> io::Result<()> {
    // SAFETY: sigaction is plain integers and a pointer; zeroes are an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // No SA_RESTART: the point is to interrupt.
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: `action` is a live local; the handler is a function that does nothing, which is
    // async-signal-safe.
    succeed(unsafe { libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()) })
}

fn succeed(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocking_call_is_interrupted() {
        let _tick = Tick::start(Duration::from_millis(5)).unwrap();
        // SAFETY: pause(2) takes nothing.
        assert_eq!(unsafe { libc::pause() }, -1);
        assert_eq!(
            io::Error::last_os_error().kind(),
            io::ErrorKind::Interrupted
        );
    }
}
