//! Which of the sockets that share a port get what comes (`socket(7)`, SO_ATTACH_REUSEPORT_CBPF).

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

/// Loads a word; at [`RANDOM`] it is a random one (`linux/filter.h`).
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const MODULO: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const ADD: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K) as u16;
const RETURN_ACCUMULATOR: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

/// `SKF_AD_OFF + SKF_AD_RANDOM`.
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();

/// Has all that comes at the port of this socket go to `count` of the sockets that share it, from
/// number `first` on, in the order in which they were bound. Where there is none of that number, the
/// kernel chooses one as without this.
///
/// # Errors
/// As `setsockopt(2)`: it shares its port with nobody; `count` is 0.
pub fn steer(socket: BorrowedFd<'_>, first: u32, count: u32) -> Result<()> {
    let step = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let mut steps = [
        step(LOAD, RANDOM),
        step(MODULO, count),
        step(ADD, first),
        step(RETURN_ACCUMULATOR, 0),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the kernel copies `program` and the four steps that it points to; both outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    super::check(result.into()).map(drop)
}

/// Leaves it to the kernel again (Linux 5.3).
///
/// # Errors
/// As `setsockopt(2)`.
pub fn leave_to_the_kernel(socket: BorrowedFd<'_>) -> Result<()> {
    let unused: libc::c_int = 0;
    // SAFETY: the kernel reads at most the int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_REUSEPORT_BPF,
            (&raw const unused).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    super::check(result.into()).map(drop)
}
