//! Why something was denied: what a service, the kernel and the dynamic linker say about it, and
//! what on this host would mend it.
#![forbid(unsafe_code)]

pub mod linker;
pub mod symbols;
