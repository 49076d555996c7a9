//! What gaoler knows about services before it has seen them run: `services/*.toml`.
use std::path::PathBuf;

use super::{Exercise, Ready, Reload};

/// What is known about one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// Its name, as in `gaoler up NAME`.
    pub name: String,
    /// Other names it goes by.
    pub aliases: Vec<String>,
    /// The program and its arguments; an argument `$VARIABLE` is replaced by the words of that
    /// variable in the first of `environment_files` that sets it.
    pub command: Vec<String>,
    /// Shell-style files of variables, as in `/etc/default/named`.
    pub environment_files: Vec<PathBuf>,
    /// The user it runs as if its command does not say.
    pub user: String,
    /// Tests the configuration.
    pub config_test: Vec<String>,
    /// When it is ready, until learning shows its real ports.
    pub ready: Vec<Ready>,
    /// What shows that it works.
    pub exercises: Vec<Exercise>,
    /// How it re-reads its configuration.
    pub reload: Option<Reload>,
    /// Its own way to stop.
    pub stop: Vec<String>,
    /// Where it writes its pid.
    pub pid_file: Option<PathBuf>,
    /// Directories and files that belong to the service whether or not a run touched them:
    /// path, writable, reason.
    pub places: Vec<Place>,
    /// How to find the paths that its configuration names.
    pub config_paths: Option<ConfigPaths>,
    /// Ports that it may need beyond those seen.
    pub ports: Vec<super::PortRule>,
    /// System calls that it may need beyond those seen: name, reason.
    pub calls: Vec<super::CallRule>,
}

/// A place on the host that belongs to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Absolute path.
    pub path: PathBuf,
    /// The service changes what is in it.
    pub writable: bool,
    /// Why.
    pub because: String,
}

/// A command that prints the whole configuration, and the keywords whose argument is a path.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigPaths {
    /// The command.
    pub command: Vec<String>,
    /// The keyword whose argument relative paths start from.
    pub base: String,
    /// Keywords whose quoted argument is a file that the service may write, or beside which it
    /// writes.
    pub files: Vec<String>,
    /// Keywords whose quoted argument is a directory that the service may write in.
    pub directories: Vec<String>,
    /// Why.
    pub because: String,
}

/// The shipped knowledge about `name`, if there is any.
///
/// # Errors
/// A mistake in the shipped file itself.
pub fn shipped(_name: &str) -> crate::Result<Option<Knowledge>> {
    Ok(None)
}
