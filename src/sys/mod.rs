//! Every `unsafe` and raw system call, a file per facility. Knows neither spec nor plan.

pub mod abi;
pub mod caps;
pub mod peek_socket;
pub mod process_memory;
pub mod ptrace;
pub mod spawn_traced;
pub mod tick;
