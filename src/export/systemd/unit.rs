//! A unit file in the making: settings, each with its reason, and the account of the spec.

use super::keys::{self, KEYS, Key};
use super::text;
use crate::export::{Item, Ledger, Subject};

/// A line of the file.
#[derive(Clone, Debug)]
struct Setting {
    key: &'static Key,
    value: String,
    because: String,
}

/// The file, and what it does not say.
pub struct Unit<'a> {
    pub subject: Subject<'a>,
    /// Which systemd reads it.
    pub version: u32,
    /// It changes a unit that somebody else wrote.
    pub drop_in: bool,
    pub ledger: Ledger,
    settings: Vec<Setting>,
}

impl<'a> Unit<'a> {
    pub fn new(subject: Subject<'a>, version: u32, drop_in: bool) -> Self {
        Self {
            subject,
            version,
            drop_in,
            ledger: Ledger::new(subject.spec),
            settings: Vec::new(),
        }
    }

    /// Whether a key has been written.
    pub fn says(&self, name: &str) -> bool {
        self.settings.iter().any(|line| line.key.name == name)
    }

    /// Writes a line, if this version knows its key; whether it does.
    pub fn set(
        &mut self,
        name: &str,
        value: impl Into<String>,
        because: impl Into<String>,
    ) -> bool {
        let Some(key) = keys::find(name).filter(|key| key.since <= self.version) else {
            return false;
        };
        self.settings.push(Setting {
            key,
            value: value.into(),
            because: because.into(),
        });
        true
    }

    /// Writes a line that says exactly these items; what a version without the key leaves open is
    /// the caller's to tell.
    pub fn say(
        &mut self,
        items: &[Item],
        name: &str,
        value: impl Into<String>,
        because: impl Into<String>,
    ) -> bool {
        let known = self.set(name, value, because);
        if known {
            for item in items {
                self.ledger.said(item);
            }
        }
        known
    }

    /// The text of the file.
    pub fn text(&self, heading: &[String]) -> String {
        let mut written = String::new();
        for line in heading {
            written.push_str(&text::comment(line));
            written.push('\n');
        }
        let (mut section, mut because) = ("", "");
        for key in KEYS {
            let lines: Vec<&Setting> = self
                .settings
                .iter()
                .filter(|setting| setting.key.name == key.name)
                .collect();
            if lines.is_empty() {
                continue;
            }
            if section != key.section {
                section = key.section;
                written += &format!("\n[{section}]\n");
            }
            if self.drop_in && key.adds && lines.iter().all(|line| !line.value.is_empty()) {
                written += &format!("{}=\n", key.name);
            }
            for line in lines {
                if because != line.because {
                    because = &line.because;
                    written += &format!("{}\n", text::comment(because));
                }
                written += &format!("{}={}\n", key.name, line.value);
            }
        }
        written
    }
}
