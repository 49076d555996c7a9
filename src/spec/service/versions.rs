//! A service of which several versions are installed side by side.
use std::path::{Path, PathBuf};

use super::{Knowledge, Place, PortLines, VERSION};
use crate::spec::Exercise;

impl Knowledge {
    /// The knowledge about one version.
    pub(super) fn versioned(&self, version: &str) -> Self {
        let word = |text: &String| text.replace(VERSION, version);
        let words = |all: &Vec<String>| all.iter().map(word).collect::<Vec<String>>();
        let path =
            |path: &Path| PathBuf::from(path.display().to_string().replace(VERSION, version));
        Self {
            command: words(&self.command),
            config_default: self.config_default.as_deref().map(path),
            config_test: words(&self.config_test),
            exercises: self
                .exercises
                .iter()
                .map(|exercise| Exercise {
                    command: words(&exercise.command),
                    ..exercise.clone()
                })
                .collect(),
            stop: words(&self.stop),
            pid_file: self.pid_file.as_deref().map(path),
            host_pid_file: self.host_pid_file.as_deref().map(path),
            places: self
                .places
                .iter()
                .map(|place| Place {
                    path: path(&place.path),
                    ..place.clone()
                })
                .collect(),
            port_lines: self.port_lines.as_ref().map(|lines| PortLines {
                command: words(&lines.command),
                ..lines.clone()
            }),
            ..self.clone()
        }
    }
}
