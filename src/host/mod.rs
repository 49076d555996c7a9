//! The host, probed once, as plain data. Decides nothing.
#![forbid(unsafe_code)]

pub mod users;
