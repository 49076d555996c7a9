//! The policy of one jail: the [`Spec`] type, its TOML, and the service knowledge that ships
//! with gaoler. A spec belongs to a person; each allowance says what needs it (`because`).
#![forbid(unsafe_code)]

mod parse;
mod service;
mod types;
mod write;

pub use parse::parse;
pub use service::{ConfigPaths, Knowledge, shipped};
pub use types::*;
pub use write::to_toml;
