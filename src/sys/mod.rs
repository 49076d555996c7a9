//! Every `unsafe` and raw system call, a file per facility. Knows neither spec nor plan.

pub mod calls;
pub mod caps;
pub mod datagram;
pub mod errno;
pub mod families;
pub mod seccomp;
