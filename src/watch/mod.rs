//! What is happening in the jails: who runs, in which processes, with which sockets, and what
//! happens to them. Looks, and changes nothing.
#![forbid(unsafe_code)]

mod denied;
pub mod metrics;
pub mod monitor;
pub mod processes;
pub mod sockets;
pub mod standing;
pub mod top;
pub mod tree;
mod user_names;

pub use user_names::UserNames;
