//! Runs a service under a tracer and says what it needed: `Event → Trace → Needs`, each need
//! with its evidence. Never writes a spec.
#![forbid(unsafe_code)]

pub mod address;
pub mod calls;
pub mod capabilities;
pub mod paths;
pub mod process;
pub mod record;
pub mod trace;

pub use trace::Trace;
