//! From a spec, a manifest and the host to a [`Plan`]: every ordering decision, no I/O.
#![forbid(unsafe_code)]

pub mod filter;
