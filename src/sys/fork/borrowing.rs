//! A child that runs in its parent's memory, as `vfork(2)` has it: the parent stands still until
//! the child has executed a program or ended. No page table is copied and no page is copied on
//! write, which is most of what a fork costs.

use std::arch::asm;
use std::ffi::c_void;
use std::ptr::NonNull;

use rustix::io::{Errno, Result};

/// What a child of [`fork_borrowing`] may use of its stack, and what nobody may touch below it.
const STACK_SIZE: usize = 128 * 1024;
const GUARD_SIZE: usize = 64 * 1024;

/// Exit code of a child whose function came back.
const CAME_BACK: i32 = 125;

/// A stack for one child at a time, with a guard below it. Pages that nobody touches cost
/// nothing.
#[derive(Debug)]
pub struct Stack(NonNull<c_void>);

impl Stack {
    /// Maps one.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub fn new() -> Result<Self> {
        // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                GUARD_SIZE + STACK_SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(crate::sys::last_errno());
        }
        let stack = Self(NonNull::new(mapped).ok_or(Errno::FAULT)?);
        // SAFETY: the range is the lowest part of the mapping just made, which nobody uses yet.
        let result = unsafe { libc::mprotect(mapped, GUARD_SIZE, libc::PROT_NONE) };
        crate::sys::check(result.into())?;
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping that `new` made, and no child runs on it: each one
        // has left it before `fork_borrowing` returns.
        let result = unsafe { libc::munmap(self.0.as_ptr(), GUARD_SIZE + STACK_SIZE) };
        debug_assert_eq!(result, 0);
    }
}

/// Forks a child with the numbers `pids`, innermost pid namespace first (`clone3(2)`, set_tid,
/// Linux 5.5; empty: the kernel chooses), which runs `child` on `stack` in the caller's memory. Answers once the child has
/// executed a program or ended; a `child` that comes back ends with exit code 125. Its end is
/// signalled by SIGCHLD.
///
/// What `child` changes in memory, its caller finds changed; descriptors, directories, ids,
/// limits and filters are the child's own (`clone(2)`, CLONE_VM and nothing else).
///
/// # Errors
/// As `clone3(2)`: `EEXIST` if a chosen pid is taken, `EPERM` without CAP_SYS_ADMIN.
pub fn fork_borrowing(pids: &[i32], stack: &mut Stack, mut child: &mut dyn FnMut()) -> Result<()> {
    // SAFETY: clone_args is plain integers, for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = i64::from(libc::CLONE_VM | libc::CLONE_VFORK).unsigned_abs();
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.stack = (stack.0.addr().get() + GUARD_SIZE) as u64;
    arguments.stack_size = STACK_SIZE as u64;
    if !pids.is_empty() {
        arguments.set_tid = pids.as_ptr().expose_provenance() as u64;
    }
    arguments.set_tid_size = pids.len() as u64;
    let child: *mut &mut dyn FnMut() = &raw mut child;
    // SAFETY: the kernel reads `arguments` and the pids, which outlive the call. The parent
    // stands still (CLONE_VFORK) until the child has left this memory, so what `child` borrows
    // is used by one of them at a time and lives long enough. The child runs on its own stack,
    // `stack`, which is borrowed for as long, aligned to pages, and larger than what `enter`
    // needs; it never returns into the frames of the parent. The thread-local storage that both
    // have holds nothing that the child's system calls depend on: at most errno, which is read
    // right after the call that sets it. Signal handlers would run in the child as in the parent.
    let result = unsafe { clone(&mut arguments, child.cast()) };
    match usize::try_from(result) {
        Ok(_) => Ok(()),
        Err(_) => {
            let number = i32::try_from(result.unsigned_abs()).map_err(|_| Errno::INVAL)?;
            Err(Errno::from_raw_os_error(number))
        }
    }
}

/// The system call itself: there is no function for it in the C library, and its child must not
/// return from one.
#[cfg(target_arch = "x86_64")]
unsafe fn clone(arguments: &mut libc::clone_args, data: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the kernel changes rax, rcx and r11 only. In the child rsp is the top of the new
    // stack, aligned as the ABI wants it before a call, and `enter` does not come back.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") arguments,
            in("rsi") size_of::<libc::clone_args>(),
            in("r8") data,
            in("r9") enter as extern "C" fn(*mut c_void) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The same for 64-bit ARM.
#[cfg(target_arch = "aarch64")]
unsafe fn clone(arguments: &mut libc::clone_args, data: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the kernel changes x0 only. In the child sp is the top of the new stack, aligned
    // as the ABI wants it, and `enter` does not come back.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "brk 1",
            "2:",
            inlateout("x0") arguments as *mut libc::clone_args => result,
            in("x1") size_of::<libc::clone_args>(),
            in("x8") libc::SYS_clone3,
            in("x9") data,
            in("x10") enter as extern "C" fn(*mut c_void) -> !,
        );
    }
    result
}

/// Where the child begins.
extern "C" fn enter(data: *mut c_void) -> ! {
    // SAFETY: `data` is the address of the reference in `fork_borrowing`, whose frame stands
    // still until this process has left its memory.
    let child = unsafe { &mut *data.cast::<&mut dyn FnMut()>() };
    child();
    super::exit_now(CAME_BACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait() -> i32 {
        let mut status = 0;
        // SAFETY: `status` is a live integer. A test's thread waits for its own children only
        // (__WNOTHREAD): other tests have theirs.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WNOTHREAD) };
        assert!(pid > 0);
        status
    }

    #[test]
    fn the_parent_sees_what_the_child_did_and_how_it_ended() {
        let mut stack = Stack::new().unwrap();
        let mut seen = 0;
        for round in 1..=3 {
            let before = seen;
            fork_borrowing(&[], &mut stack, &mut || seen = before + round).unwrap();
            let status = wait();
            assert!(libc::WIFEXITED(status), "{status}");
            assert_eq!(libc::WEXITSTATUS(status), CAME_BACK);
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn a_failure_is_the_parents() {
        let mut stack = Stack::new().unwrap();
        let mut ran = false;
        // No process can have the number 0.
        let error = fork_borrowing(&[0], &mut stack, &mut || ran = true).unwrap_err();
        assert!([Errno::INVAL, Errno::PERM].contains(&error), "{error}");
        assert!(!ran);
    }

    /// Descriptors and the like are not shared, unlike memory.
    #[test]
    fn the_childs_descriptors_are_its_own() {
        let mut stack = Stack::new().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut closed = Err(Errno::INVAL);
        fork_borrowing(&[], &mut stack, &mut || {
            closed = crate::sys::close::close_from(3);
        })
        .unwrap();
        wait();
        closed.unwrap();
        rustix::io::write(&write, b"x").unwrap();
        assert_eq!(rustix::io::read(&read, &mut [0_u8; 2]).unwrap(), 1);
    }

    #[test]
    fn running_over_the_stack_hits_the_guard() {
        let mut stack = Stack::new().unwrap();
        let lowest = stack.0.addr().get() + GUARD_SIZE;
        fork_borrowing(&[], &mut stack, &mut || {
            let below = std::ptr::with_exposed_provenance_mut::<u8>(lowest - 1);
            // SAFETY: the page is mapped without access, so this process ends here, as it should.
            unsafe { below.write_volatile(1) };
        })
        .unwrap();
        let status = wait();
        assert!(libc::WIFSIGNALED(status), "{status}");
        assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    }
}
