//! What gaoler knows about services before it has seen them run: `services/*.toml`.
mod config_paths;
mod config_ports;
mod environment;
mod port_lines;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use config_paths::{IsDirectory, config_paths};
pub use config_ports::{config_port, peer_ports};
pub(super) use environment::{words, words_with_pid};
pub use port_lines::listed_port;
pub use resolve::Resolved;

use super::{Exercise, Ready, Reload};
use crate::Result;

/// Stands for the version that the host has.
const VERSION: &str = "$VERSION";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$((
            concat!("services/", $name, ".toml"),
            include_str!(concat!("../../services/", $name, ".toml")),
        )),*]
    };
}

/// The files that ship inside the program, with the names they are found under in errors.
const SHIPPED: &[(&str, &str)] = &files![
    "apache2",
    "dnsmasq",
    "haproxy",
    "lighttpd",
    "memcached",
    "mosquitto",
    "named",
    "nginx",
    "nsd",
    "postgresql",
    "redis",
    "sshd",
    "unbound",
];

/// What is known about one service.
///
/// Its commands may hold `$CONFIG` (the configuration file that the service was given) and
/// `$ROOT` (the directory that it changes its root to). A word in brackets, as in
/// `[-t $ROOT]`, stands for several words, and for none if a variable in it has no value.
/// `$VERSION` in any of its words and paths is the first of `versions` that this host has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// The file that it was read from: the evidence for what it adds to a spec.
    pub file: String,
    /// Its name, as in `gaoler up NAME`.
    pub name: String,
    /// Other names it goes by.
    pub aliases: Vec<String>,
    /// The program and its arguments; an argument `$VARIABLE` is replaced by the words of that
    /// variable in the first of `environment_files` that sets it.
    pub command: Vec<String>,
    /// Shell-style files of variables, as in `/etc/default/named`.
    pub environment_files: Vec<PathBuf>,
    /// A file with an option in each line: the argument `$OPTION_LINES` is replaced by their words.
    /// Comments, and lines that are no option, do not count.
    pub option_file: Option<PathBuf>,
    /// Options in that file that are left out.
    pub options_dropped: Vec<String>,
    /// The versions that are installed side by side, under names of their own.
    pub versions: Vec<String>,
    /// A file that shows, with `$VERSION` in its path, that the host has a version.
    pub version_file: Option<PathBuf>,
    /// The user it runs as if neither its command nor its configuration says.
    pub user: String,
    /// It refuses to be started by root: it is its user from the start.
    pub refuses_root: bool,
    /// It changes to several users by itself, and stays root for that.
    pub start_as_root: bool,
    /// What its environment holds beside what every jail's does.
    pub environment: BTreeMap<String, String>,
    /// The option of its command that names the user.
    pub user_option: Option<String>,
    /// The option of its command that names the configuration file.
    pub config_option: Option<String>,
    /// The configuration file without that option.
    pub config_default: Option<PathBuf>,
    /// The option of its command that makes it change its root directory.
    pub root_option: Option<String>,
    /// The option of its command that names its main port.
    pub port_option: Option<String>,
    /// Its main port without that option.
    pub port_default: Option<u16>,
    /// Tests the configuration.
    pub config_test: Vec<String>,
    /// That, and printing it, makes files as root where the configuration says.
    pub config_test_writes: bool,
    /// When it is ready, if its main port is `port_default`: see [`Knowledge::on_port`].
    pub ready: Vec<Ready>,
    /// What shows that it works. `$PORT` stands for its main port: see
    /// [`Knowledge::exercises_on`].
    pub exercises: Vec<Exercise>,
    /// How it re-reads its configuration.
    pub reload: Option<Reload>,
    /// Its own way to stop.
    pub stop: Vec<String>,
    /// Where it writes its pid.
    pub pid_file: Option<PathBuf>,
    /// Where the host's own tools look for its pid.
    pub host_pid_file: Option<PathBuf>,
    /// Directories and files that belong to the service whether or not a run touched them:
    /// path, writable, reason.
    pub places: Vec<Place>,
    /// How to find the paths that its configuration names.
    pub config_paths: Option<ConfigPaths>,
    /// How to find the ports that its configuration names, in the output of the command of
    /// `config_paths`.
    pub config_ports: Option<ConfigPorts>,
    /// How to find the port that its configuration names, where that is one of lines.
    pub port_lines: Option<PortLines>,
    /// Ports that it may need beyond those seen.
    pub ports: Vec<super::PortRule>,
    /// System calls that it may need beyond those seen: name, reason.
    pub calls: Vec<super::CallRule>,
}

impl Knowledge {
    /// The exercises with `$PORT` replaced; without a port, those that need none.
    pub fn exercises_on(&self, port: Option<u16>) -> Vec<Exercise> {
        let needs_none = |exercise: &&Exercise| {
            let mut words = exercise.command.iter();
            port.is_some() || !words.any(|word| word.contains("$PORT"))
        };
        let port = port.unwrap_or_default().to_string();
        let replaced = |word: &String| word.replace("$PORT", &port);
        self.exercises
            .iter()
            .filter(needs_none)
            .map(|exercise| Exercise {
                command: exercise.command.iter().map(replaced).collect(),
                ..exercise.clone()
            })
            .collect()
    }

    /// Its program, in every version.
    fn programs(&self) -> impl Iterator<Item = String> {
        let program = self.command.first().cloned().unwrap_or_default();
        let plain = (!program.contains(VERSION)).then(|| program.clone());
        let versions = self.versions.iter();
        let versions = versions.map(move |version| program.replace(VERSION, version));
        plain.into_iter().chain(versions)
    }

    /// The knowledge about a service whose main port is another one: it is ready when that one
    /// answers. Without a port it has no sign that is one.
    pub fn on_port(self, port: Option<u16>) -> Self {
        let main = self.port_default;
        let moved = |sign: Ready| match sign {
            Ready::Tcp(old) if Some(old) == main => port.map(Ready::Tcp),
            Ready::Udp(old) if Some(old) == main => port.map(Ready::Udp),
            other => Some(other),
        };
        Self {
            ready: self.ready.into_iter().filter_map(moved).collect(),
            port_default: port,
            ..self
        }
    }
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
    /// Where relative paths start from if the configuration does not say.
    pub base_default: PathBuf,
    /// Keywords whose quoted argument is a file that the service may write, or beside which it
    /// writes.
    pub files: Vec<String>,
    /// Keywords whose quoted argument is a directory that the service may write in.
    pub directories: Vec<String>,
    /// Why.
    pub because: String,
}

/// A command that prints the configuration, and the lines of it that name a port: see
/// [`listed_port`].
#[derive(Clone, Debug, PartialEq)]
pub struct PortLines {
    /// The command.
    pub command: Vec<String>,
    /// The first words of such lines, in any case; without any, every line is one.
    pub keywords: Vec<String>,
    /// Words in a line that speaks another protocol than the plain one.
    pub secured: Vec<String>,
}

/// The statements of a configuration that name ports.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigPorts {
    /// Keywords of statements `KEYWORD [port NUMBER] { ADDRESS; ... };`, most telling first.
    /// One that is missing waits on the default port.
    pub listeners: Vec<String>,
    /// The keyword of the default port, alone in a statement, and of a listener's own port.
    pub default: String,
    /// Words that make a listener speak another protocol than the plain one.
    pub secured: Vec<String>,
    /// The address that stands for none.
    pub nobody: String,
    /// Keywords of statements that name other servers, whose ports it connects to.
    pub peers: Vec<String>,
    /// Why it connects to them.
    pub because: String,
}

/// The shipped knowledge about `name`, which may be an alias, if there is any.
///
/// # Errors
/// A mistake in the shipped file itself.
pub fn shipped(name: &str) -> Result<Option<Knowledge>> {
    find(|known| known.name == name || known.aliases.iter().any(|alias| alias == name))
}

/// The shipped knowledge about the service that `program`, an absolute path without links, runs.
///
/// # Errors
/// As [`shipped`].
pub fn shipped_program(program: &Path) -> Result<Option<Knowledge>> {
    find(|known| known.programs().any(|own| Path::new(&own) == program))
}

fn find(is_wanted: impl Fn(&Knowledge) -> bool) -> Result<Option<Knowledge>> {
    for &(origin, text) in SHIPPED {
        let knowledge = read::knowledge(text, origin)?;
        if is_wanted(&knowledge) {
            return Ok(Some(knowledge));
        }
    }
    Ok(None)
}
