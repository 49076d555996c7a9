//! The rules of a profile, each with its reason.

use std::path::{Path, PathBuf};

use super::text;
use crate::Result;
use crate::audit::Severity;
use crate::build::{Entry, EntryKind, LOG_DIRECTORY};
use crate::export::{Item, Ledger, Loss, Root, Subject};
use crate::spec::{FileKind, Ready};
use crate::sys::{caps, families};

/// The rules in the making.
pub struct Rules<'a> {
    subject: Subject<'a>,
    root: Root,
    pub ledger: Ledger,
    pub text: String,
}

impl<'a> Rules<'a> {
    pub fn new(subject: Subject<'a>, root: Root) -> Self {
        Self {
            subject,
            root,
            ledger: Ledger::new(subject.spec),
            text: String::new(),
        }
    }

    /// Says them all.
    pub fn say(&mut self) -> Result<()> {
        self.capabilities();
        self.network();
        self.signals();
        self.limits();
        self.files()?;
        self.places()?;
        self.devices()?;
        self.log()
    }

    fn because(&mut self, reason: &str) {
        self.text += &format!("  {}\n", text::comment(reason));
    }

    fn rule(&mut self, rule: &str) {
        self.text += &format!("  {rule},\n");
    }

    fn capabilities(&mut self) {
        for rule in &self.subject.spec.capabilities {
            let Some(name) = caps::name(rule.capability) else {
                continue;
            };
            self.because(&rule.because);
            self.rule(&format!("capability {}", name.to_ascii_lowercase()));
            self.ledger.said(&Item::Capability(rule.capability));
        }
        self.ledger.said(&Item::NoOtherCapability);
    }

    fn network(&mut self) {
        for rule in &self.subject.spec.families {
            let Some(name) = families::name(rule.family) else {
                continue;
            };
            self.because(&rule.because);
            self.rule(&format!("network {name}"));
            if name == "unix" {
                self.rule("unix");
            }
            self.ledger.said(&Item::Family(rule.family));
        }
        self.ledger.said(&Item::NoOtherFamily);
    }

    /// Whoever manages it signals it, and its processes each other.
    fn signals(&mut self) {
        let name = &self.subject.spec.name;
        self.because("it is stopped and reloaded from outside, and its processes end each other");
        self.rule("signal (receive) peer=unconfined");
        self.rule(&format!("signal (send, receive) peer={name}"));
    }

    fn limits(&mut self) {
        let limits = self.subject.spec.limits.clone();
        for (name, word, value) in [
            ("core", "core", limits.core),
            ("descriptors", "nofile", limits.descriptors),
            ("file_size", "fsize", limits.file_size),
        ] {
            if let Some(value) = value {
                self.because("as [limits] of the spec");
                self.rule(&format!("set rlimit {word} <= {value}"));
                self.ledger.said(&Item::Limit(name));
            }
        }
    }

    /// What the tree has, by the path at which the kernel finds it.
    fn files(&mut self) -> Result<()> {
        let manifest = self.subject.manifest;
        let mut reason = "";
        for entry in &manifest.entries {
            let Some(path) = self.place(entry) else {
                continue;
            };
            let (path, access) = match entry.kind {
                EntryKind::File => (text::path(&path)?, self.access(entry)),
                EntryKind::Directory if self.is_listed(&entry.path) => {
                    (text::directory(&path)?, "r")
                }
                EntryKind::Directory
                | EntryKind::Device
                | EntryKind::Mountpoint
                | EntryKind::Symlink => continue,
            };
            if reason != entry.reason {
                reason = &entry.reason;
                self.because(reason);
            }
            self.rule(&format!("{path} {access}"));
        }
        for rule in &self.subject.spec.files {
            self.ledger.said(&Item::File(rule.path.clone()));
        }
        self.ledger.said(&Item::NothingElse);
        self.ledger.gap(
            [Item::Arguments("execve")],
            Loss::Loosened,
            Severity::Low,
            "it can execute its own program, and those that are listed as programs, again",
        );
        Ok(())
    }

    /// Whether a directory is there for its own sake, and not just on the way to something.
    fn is_listed(&self, path: &Path) -> bool {
        let mut files = self.subject.spec.files.iter();
        files.any(|rule| rule.path == path && rule.kind == FileKind::Directory)
    }

    /// Where the kernel finds an entry; what gaoler has written itself is in the tree alone.
    fn place(&self, entry: &Entry) -> Option<PathBuf> {
        match self.root {
            Root::Tree => Some(entry.path.clone()),
            Root::Host => Some(entry.source.clone().unwrap_or_else(|| entry.path.clone())),
        }
    }

    fn access(&self, entry: &Entry) -> &'static str {
        let spec = self.subject.spec;
        let own = spec.service.command.first().map(Path::new) == Some(entry.path.as_path());
        let is_program = |path: &Path| {
            let mut files = spec.files.iter();
            files.any(|rule| rule.path == path && rule.kind == FileKind::Program)
        };
        let code = entry.mode_bits().is_some_and(|bits| bits & 0o111 != 0)
            || entry.path.to_string_lossy().contains(".so");
        match (own, is_program(&entry.path), code) {
            (true, ..) => "mr",
            (false, true, _) => "mrix",
            (false, false, true) => "mr",
            (false, false, false) => "r",
        }
    }

    fn places(&mut self) -> Result<()> {
        let spec = self.subject.spec;
        for bind in &spec.binds {
            self.because(&bind.because);
            let access = if bind.writable { "rwkl" } else { "rk" };
            let entry = self.subject.manifest.entry(&bind.path);
            let is_file =
                entry.is_some_and(|it| it.kind == EntryKind::Mountpoint && it.size.is_some());
            match is_file {
                true => self.rule(&format!("{} {access}", text::path(&bind.path)?)),
                false => {
                    let own = if bind.writable { "rw" } else { "r" };
                    self.rule(&format!("{} {own}", text::directory(&bind.path)?));
                    self.rule(&format!("{} {access}", text::below(&bind.path)?));
                }
            }
            self.ledger
                .said(&Item::Bind(bind.path.clone(), bind.writable));
        }
        for rule in &spec.scratch {
            self.because(&rule.because);
            self.rule(&format!("{} rw", text::directory(&rule.path)?));
            self.rule(&format!("{} rwkl", text::below(&rule.path)?));
        }
        let scratch = spec.scratch.iter();
        self.ledger.gap(
            scratch.map(|rule| Item::Scratch(rule.path.clone())),
            Loss::Loosened,
            Severity::Info,
            "a profile lets it write there, but makes no place in memory and sets no size",
        );
        Ok(())
    }

    fn devices(&mut self) -> Result<()> {
        for rule in &self.subject.spec.devices {
            self.because(&rule.because);
            self.rule(&format!("{} rw", text::path(&rule.path)?));
            self.ledger.said(&Item::Device(rule.path.clone()));
        }
        Ok(())
    }

    /// The sockets that everybody may speak to.
    fn log(&mut self) -> Result<()> {
        let spec = self.subject.spec;
        self.because("its messages");
        match self.root {
            Root::Tree => self.rule(&format!("{LOG_DIRECTORY}/log w")),
            Root::Host => {
                self.rule("/dev/log w");
                self.rule("/run/systemd/journal/dev-log w");
            }
        }
        if spec.log.journal {
            self.rule("/run/systemd/journal/socket w");
        }
        if spec.service.ready.contains(&Ready::Notify) {
            self.because("it says there that it is ready");
            self.rule(match self.root {
                Root::Tree => "/dev/gaoler/notify w",
                Root::Host => "/run/systemd/notify w",
            });
        }
        Ok(())
    }
}
