//! From what is known about a service to what it is on this host: its real command, with the
//! options that the administrator set, and what follows from them.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::{Unreadable, value_of, words};
use super::{ConfigPaths, Knowledge, Place, PortLines, VERSION};
use crate::spec::names::is_plain_absolute;
use crate::spec::{Exercise, Reload};
use crate::{Error, Result};

/// A service as this host runs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The knowledge with its variables replaced, except `$PORT` in the exercises: `command`
    /// and `user` are the real ones, `places` and `pid_file` lie below `root` if that is set.
    pub knowledge: Knowledge,
    /// The configuration file, as the service names it: below `root` if that is set.
    pub config: Option<PathBuf>,
    /// The directory that it makes its root by itself.
    pub root: Option<PathBuf>,
    /// The port that its command line tells it to use by default.
    pub port: Option<u16>,
}

impl Knowledge {
    /// Replaces the variables by what this host sets. `read_file` gives the text of a file,
    /// or nothing if it does not exist.
    ///
    /// # Errors
    /// A file of variables that cannot be understood (with its line), or an option with a
    /// path that is not absolute.
    pub fn resolve(&self, read_file: &dyn Fn(&Path) -> Option<String>) -> Result<Resolved> {
        let known = match &self.version_file {
            Some(file) => self.versioned(self.version(file, read_file)?),
            None => self.clone(),
        };
        known.with_command(known.real_command(read_file)?)
    }

    /// The first version that this host has.
    fn version(&self, file: &Path, read_file: &dyn Fn(&Path) -> Option<String>) -> Result<&str> {
        let file = file.display().to_string();
        let has =
            |version: &&String| read_file(Path::new(&file.replace(VERSION, version))).is_some();
        let found = self.versions.iter().find(has);
        found.map(String::as_str).ok_or_else(|| {
            Error::setup(
                format!("find the version of {}", self.name),
                format!("there is no {file} for any of {}", self.versions.join(", ")),
            )
            .hint("say how it is started: gaoler learn NAME -- COMMAND...")
        })
    }

    /// What is known about a service that runs the same program by a command of its own: what
    /// the program does, and not where the distribution's service has its files, how it is
    /// controlled and who answers on its address.
    ///
    /// # Errors
    /// An option with a path that is not absolute.
    pub fn resolve_command(&self, command: &[String]) -> Result<Resolved> {
        let understood = self.understands(command) && !self.config_test_writes;
        let reads_its_own =
            |lines: &&PortLines| understood && lines.command.iter().any(|word| word == "$CONFIG");
        let port_lines = self.port_lines.as_ref().filter(reads_its_own).cloned();
        // Where it waits is its own affair, unless there is a way to see that.
        let told = option(command, self.port_option.as_deref()).is_some();
        let seen = told || self.config_ports.is_some() || port_lines.is_some();
        let of_program = Self {
            port_default: self.port_default.filter(|_| seen),
            ready: if seen { self.ready.clone() } else { Vec::new() },
            port_lines,
            config_test: if understood {
                self.config_test.clone()
            } else {
                Vec::new()
            },
            environment: BTreeMap::new(),
            exercises: Vec::new(),
            reload: None,
            stop: Vec::new(),
            pid_file: None,
            host_pid_file: None,
            places: Vec::new(),
            ..self.clone()
        };
        of_program.with_command(command.to_vec())
    }

    /// Whether a command names no path but by an option that is known, so that the test of the
    /// configuration tests what that command would use.
    fn understands(&self, command: &[String]) -> bool {
        let options = [&self.config_option, &self.root_option];
        let is_option = |word: &str| options.into_iter().flatten().any(|known| word == known);
        let mut words = command.iter().skip(1);
        while let Some(word) = words.next() {
            let attached = options.into_iter().flatten();
            if is_option(word) {
                words.next();
            } else if word.contains('/')
                && !self.command.contains(word)
                && !attached
                    .clone()
                    .any(|known| word.starts_with(known.as_str()))
            {
                return false;
            }
        }
        true
    }

    fn with_command(&self, command: Vec<String>) -> Result<Resolved> {
        let config = match option(&command, self.config_option.as_deref()) {
            Some(path) => Some(absolute(path, "configuration file", &command)?),
            None => self.config_default.clone(),
        };
        let root = match option(&command, self.root_option.as_deref()) {
            Some(path) => Some(absolute(path, "root directory", &command)?),
            None => None,
        };
        let port = option(&command, self.port_option.as_deref()).and_then(|port| port.parse().ok());
        let user = option(&command, self.user_option.as_deref())
            .unwrap_or(&self.user)
            .to_owned();
        let knowledge = Variables {
            config: config.as_deref(),
            root: root.as_deref(),
        }
        .fill(self);
        Ok(Resolved {
            knowledge: Knowledge {
                command,
                user,
                ..knowledge
            },
            config,
            root,
            port,
        })
    }

    fn real_command(&self, read_file: &dyn Fn(&Path) -> Option<String>) -> Result<Vec<String>> {
        let mut command = Vec::new();
        for word in &self.command {
            match word.strip_prefix('$') {
                Some("OPTION_LINES") => command.extend(self.option_lines(read_file)),
                Some(variable) => command.extend(self.variable(variable, read_file)?),
                None => command.push(word.clone()),
            }
        }
        Ok(command)
    }

    /// The words of the option file, if it is there.
    fn option_lines(&self, read_file: &dyn Fn(&Path) -> Option<String>) -> Vec<String> {
        let text = self
            .option_file
            .as_deref()
            .and_then(read_file)
            .unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let options: Vec<Vec<String>> = lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        let counts = |words: &Vec<String>| {
            let first = words.first().filter(|first| first.starts_with('-'));
            first.is_some_and(|first| !self.options_dropped.contains(first))
        };
        options.into_iter().filter(counts).flatten().collect()
    }

    /// The words of a variable; none if no file sets it, as for systemd.
    fn variable(
        &self,
        name: &str,
        read_file: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<Vec<String>> {
        for path in &self.environment_files {
            let Some(text) = read_file(path) else {
                continue;
            };
            let value = value_of(&text, name).map_err(|error| unreadable(path, &error))?;
            if let Some(value) = value {
                return words(&value).map_err(|error| {
                    Error::usage(
                        format!("split {name} of {} into words", path.display()),
                        error.why,
                    )
                });
            }
        }
        Ok(Vec::new())
    }
}

fn unreadable(path: &Path, error: &Unreadable) -> Error {
    Error::usage(format!("read {}:{}", path.display(), error.line), error.why)
        .hint("write NAME=\"VALUE\" without substitutions")
}

/// The value of an option: the word after it, or the rest of its word. The last one counts.
fn option<'a>(command: &'a [String], option: Option<&str>) -> Option<&'a str> {
    let option = option?;
    let mut value = None;
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            Some("") => value = words.next().map(String::as_str),
            Some(rest) => value = Some(rest),
            None => {}
        }
    }
    value
}

fn absolute(path: &str, what: &str, command: &[String]) -> Result<PathBuf> {
    let trimmed = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    if is_plain_absolute(Path::new(trimmed)) {
        return Ok(PathBuf::from(trimmed));
    }
    Err(Error::usage(
        format!("find the {what} of {}", command.join(" ")),
        format!("{path} is not an absolute path"),
    )
    .hint("name it from the root, without `..`"))
}

/// What the variables in commands stand for.
struct Variables<'a> {
    config: Option<&'a Path>,
    root: Option<&'a Path>,
}

impl Variables<'_> {
    fn fill(&self, knowledge: &Knowledge) -> Knowledge {
        Knowledge {
            config_test: self.command(&knowledge.config_test),
            stop: self.command(&knowledge.stop),
            reload: knowledge.reload.as_ref().map(|reload| match reload {
                Reload::Command(command) => Reload::Command(self.command(command)),
                Reload::Signal(signal) => Reload::Signal(*signal),
            }),
            exercises: knowledge
                .exercises
                .iter()
                .map(|exercise| Exercise {
                    command: self.command(&exercise.command),
                    ..exercise.clone()
                })
                .collect(),
            config_paths: knowledge.config_paths.as_ref().map(|paths| ConfigPaths {
                command: self.command(&paths.command),
                ..paths.clone()
            }),
            port_lines: knowledge.port_lines.as_ref().map(|lines| PortLines {
                command: self.command(&lines.command),
                ..lines.clone()
            }),
            pid_file: knowledge.pid_file.as_deref().map(|path| self.on_host(path)),
            places: knowledge
                .places
                .iter()
                .map(|place| Place {
                    path: self.on_host(&place.path),
                    ..place.clone()
                })
                .collect(),
            ..knowledge.clone()
        }
    }

    /// A path of the service as the host has it: below the root that the service makes its own.
    fn on_host(&self, path: &Path) -> PathBuf {
        match (self.root, path.strip_prefix("/")) {
            (Some(root), Ok(below)) => root.join(below),
            _ => path.to_owned(),
        }
    }

    fn command(&self, words: &[String]) -> Vec<String> {
        words.iter().flat_map(|word| self.word(word)).collect()
    }

    /// One word, or the words in its brackets. One that asks for a missing value is left out.
    fn word(&self, word: &str) -> Vec<String> {
        let group = word
            .strip_prefix('[')
            .and_then(|word| word.strip_suffix(']'));
        let words = match group {
            Some(group) => group
                .split_whitespace()
                .map(|word| self.replaced(word))
                .collect(),
            None => self.replaced(word).map(|word| vec![word]),
        };
        words.unwrap_or_default()
    }

    fn replaced(&self, word: &str) -> Option<String> {
        match word {
            "$CONFIG" => self.config.map(|path| path.display().to_string()),
            "$ROOT" => self.root.map(|path| path.display().to_string()),
            _ => Some(word.to_owned()),
        }
    }
}
