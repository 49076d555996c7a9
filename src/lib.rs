//! gaoler puts a network service in the smallest jail it can work in, keeps it there, and
//! proves that the jail holds. Data goes one way:
//! `Event → Trace → Needs → Spec → Manifest → Plan → Jail → State → Finding`.

pub mod attack;
pub mod audit;
pub mod build;
pub mod cli;
pub mod error;
pub mod export;
pub mod filter;
pub mod guard;
pub mod host;
pub mod incidents;
pub mod learn;
pub mod plan;
pub mod registry;
pub mod run;
pub mod spec;
pub mod sys;
pub mod verbs;
pub mod watch;
pub mod why;

pub use error::{Doing, Error, Result};
