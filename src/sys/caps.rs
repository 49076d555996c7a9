//! Capability names (`capabilities(7)`).
#![forbid(unsafe_code)]
