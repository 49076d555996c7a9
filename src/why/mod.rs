//! Why something was denied: what the host has recorded of it, read and put into words.
#![forbid(unsafe_code)]

pub mod audit;
