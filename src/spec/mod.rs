//! The policy of one jail: the [`Spec`] type, its TOML, and the service knowledge that ships
//! with gaoler. A spec belongs to a person; each allowance says what needs it (`because`).
#![forbid(unsafe_code)]

mod derive;
mod names;
mod parse;
mod service;
mod types;
mod write;

pub use derive::{Derived, DirectoryFacts, Facts, derive};
pub use parse::parse;
pub use service::{ConfigPaths, IsDirectory, Knowledge, Place, Resolved, config_paths, shipped};
pub use types::*;
pub use write::to_toml;
