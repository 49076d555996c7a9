//! The registers of a stopped thread, and the signal that it is told of.

use std::io;

use super::{Call, NATIVE_ARCH, request};

/// The signal of a [`Watch`](crate::sys::perf::Watch), of which a thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSignal {
    /// The watch's own mark.
    pub mark: u64,
    /// The thread had blocked it, and has gone on meanwhile.
    pub late: bool,
}

/// Whether the signal that a thread is told of is that of a watch.
///
/// # Errors
/// As [`resume`](super::resume).
pub fn watch_signal(tid: i32) -> io::Result<Option<WatchSignal>> {
    /// `TRAP_PERF` of `asm-generic/siginfo.h`.
    const TRAP_PERF: i32 = 6;
    let mut info = [0u32; 32];
    const _: () = assert!(size_of::<[u32; 32]>() == size_of::<libc::siginfo_t>());
    request(libc::PTRACE_GETSIGINFO, tid, 0, (&raw mut info) as usize)?;
    // signo, errno, code, padding, address, data (two words), type, flags.
    let [signal, _, code, _, _, _, low, high, _, flags, ..] = info;
    if (signal.cast_signed(), code.cast_signed()) != (libc::SIGTRAP, TRAP_PERF) {
        return Ok(None);
    }
    Ok(Some(WatchSignal {
        mark: u64::from(high) << 32 | u64::from(low),
        late: flags & 1 != 0,
    }))
}

/// The call from which a thread is about to go back to its program, and the value that it
/// returned. Right only for a thread that is stopped for a signal between the two.
///
/// # Errors
/// As [`resume`](super::resume); `ENOSYS` where the registers no longer hold the arguments.
#[cfg(target_arch = "x86_64")]
pub fn returned_call(tid: i32) -> io::Result<(Call, i64)> {
    // SAFETY: the structure is plain integers; all zeroes is a value of it.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, tid, 0, (&raw mut registers) as usize)?;
    let r = registers;
    let call = Call {
        arch: NATIVE_ARCH,
        number: r.orig_rax,
        arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
        instruction: r.rip,
    };
    Ok((call, r.rax.cast_signed()))
}

/// The call from which a thread is about to go back: its first argument is overwritten here.
///
/// # Errors
/// `ENOSYS`, always.
#[cfg(not(target_arch = "x86_64"))]
pub fn returned_call(_tid: i32) -> io::Result<(Call, i64)> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Whether [`returned_call`] can tell.
pub const TELLS_RETURNED_CALL: bool = cfg!(target_arch = "x86_64");

/// The register that holds a call's result, of a stopped thread. `-ENOSYS` at the entry of a call
/// and for as long as nothing has been made of it (`syscall_enter_from_user_mode` of the kernel).
///
/// # Errors
/// As [`resume`](super::resume).
pub fn result_register(tid: i32) -> io::Result<i64> {
    // SAFETY: the structure is plain integers; all zeroes is a value of it.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut vector = libc::iovec {
        iov_base: (&raw mut registers).cast(),
        iov_len: size_of::<libc::user_regs_struct>(),
    };
    let (what, which) = (libc::PTRACE_GETREGSET, libc::NT_PRSTATUS as usize);
    request(what, tid, which, (&raw mut vector) as usize)?;
    #[cfg(target_arch = "x86_64")]
    let result = registers.rax;
    #[cfg(target_arch = "aarch64")]
    let [result, ..] = registers.regs;
    Ok(result.cast_signed())
}

/// Puts `value` into the register that holds a call's result, of a thread that is stopped at the
/// entry of one. The call overwrites it, unless it is never made: that shows at the thread's end.
///
/// # Errors
/// As [`resume`](super::resume); `ENOSYS` where that register holds an argument, too.
pub fn mark_result(tid: i32, value: i64) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        let at = std::mem::offset_of!(libc::user, regs)
            + std::mem::offset_of!(libc::user_regs_struct, rax);
        request(
            libc::PTRACE_POKEUSER,
            tid,
            at,
            value.cast_unsigned() as usize,
        )
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let (_, _) = (tid, value);
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }
}

/// Whether [`mark_result`] can be had.
pub const MARKS_RESULT: bool = cfg!(target_arch = "x86_64");
