//! Runs a service under a tracer and says what it needed: `Event → Trace → Needs`, each need
//! with its evidence. Never writes a spec.
#![forbid(unsafe_code)]

pub mod trace;

pub use trace::Trace;
