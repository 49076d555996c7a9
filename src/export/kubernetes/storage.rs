//! What is mounted over the image: claims, places in memory, configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::configuration::{self, Configuration, Held};
use super::names::Volumes;
use super::types::{
    ClaimSpec, ClaimTemplate, Document, Metadata, Mount, Object, Requests, Volume, VolumeSource,
};
use super::{labels, text};
use crate::audit::Severity;
use crate::build::EntryKind;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::BindRule;
use crate::{Error, Result};

/// What is gone with the next boot (`hier(7)`): a pod has its own, and nothing of it is kept.
const VOLATILE: [&str; 5] = ["/dev/shm", "/run", "/tmp", "/var/run", "/var/tmp"];

/// The room that a claim asks for: a claim must ask, and no spec says how much.
pub const ROOM: &str = "1Gi";

/// Everything that a pod mounts, and the objects behind it.
#[derive(Debug, Default)]
pub struct Storage {
    pub volumes: Vec<Volume>,
    pub mounts: Vec<Mount>,
    /// Of a StatefulSet: one claim for each pod.
    pub templates: Vec<ClaimTemplate>,
    /// ConfigMaps and claims.
    pub objects: Vec<Document>,
    /// Secrets that somebody has to make, with the command that does.
    pub secrets: Vec<String>,
}

/// A storage in the making.
pub(super) struct Making<'a, 'l> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) ledger: &'l mut Ledger,
    /// The name of the objects.
    pub(super) name: &'a str,
    pub(super) names: Volumes,
    pub(super) made: Storage,
}

/// Mounts what the spec mounts.
///
/// # Errors
/// A path that no manifest can hold.
pub fn of(
    subject: &Subject<'_>,
    name: &str,
    configuration: &Configuration,
    ledger: &mut Ledger,
) -> Result<Storage> {
    let mut making = Making {
        subject,
        ledger,
        name,
        names: Volumes::default(),
        made: Storage::default(),
    };
    making.writable()?;
    making.scratch()?;
    making.read_only(&configuration.binds)?;
    configuration::of_the_tree(&mut making, &configuration.tree)?;
    making.files(&configuration.tree);
    Ok(making.made)
}

impl Making<'_, '_> {
    /// Places that the service changes. What outlives a boot of the host is a claim.
    fn writable(&mut self) -> Result<()> {
        let binds = self.subject.spec.binds.iter().filter(|it| it.writable);
        let (mut kept, mut volatile, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for bind in binds {
            if self.is_file(&bind.path) {
                files.push(item(bind));
            } else if is_volatile(&bind.path) {
                volatile.push(item(bind));
                let volume = self.volume(&bind.path, empty());
                self.mount(volume, &bind.path, None, false)?;
            } else {
                kept.push(item(bind));
                let volume = self.names.name(&bind.path);
                self.made.templates.push(ClaimTemplate {
                    metadata: Metadata::of(volume.clone(), labels(self.name)),
                    spec: claim(),
                });
                self.mount(volume, &bind.path, None, false)?;
            }
        }
        self.ledger.gap(
            files,
            Loss::Lost,
            Severity::Medium,
            "a volume is a directory: a single file cannot be kept in one; have the service write in a \
             directory of its own",
        );
        self.ledger.gap(
            volatile.iter().cloned(),
            Loss::Lost,
            Severity::Info,
            "it is the pod's own, and empty at each start, as after a boot",
        );
        self.ledger.gap(
            kept.iter().cloned(),
            Loss::Lost,
            Severity::Info,
            format!(
                "a claim begins empty: what the host has there has to be copied into it; that it asks for \
                 {ROOM} is a guess, for the spec does not say how much the service writes"
            ),
        );
        let scratch = self.subject.spec.scratch.iter();
        let scratch = scratch.map(|rule| Item::Scratch(rule.path.clone()));
        self.ledger.gap(
            kept.into_iter().chain(volatile).chain(scratch),
            Loss::Loosened,
            Severity::Medium,
            "no volume can be mounted noexec by a pod: what the service writes there it can execute, under \
             its filter",
        );
        Ok(())
    }

    fn scratch(&mut self) -> Result<()> {
        for rule in &self.subject.spec.scratch {
            let source = VolumeSource::EmptyDir {
                medium: Some("Memory"),
                size_limit: Some(format!("{}Ki", rule.size_kib)),
            };
            let volume = self.volume(&rule.path, source);
            self.mount(volume, &rule.path, None, false)?;
        }
        Ok(())
    }

    /// Places that it reads: configuration, or what is too much for that.
    fn read_only(&mut self, held: &BTreeMap<PathBuf, Held>) -> Result<()> {
        let binds = self.subject.spec.binds.iter().filter(|it| !it.writable);
        let (mut copied, mut claimed, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        let mut reasons = Vec::new();
        for bind in binds {
            let why = match held.get(&bind.path) {
                Some(Held::Files(files)) if files.is_empty() => "it is empty",
                Some(Held::Files(files)) => {
                    copied.push(item(bind));
                    configuration::of_a_bind(self, &bind.path, files)?;
                    continue;
                }
                Some(Held::Unfit(why)) => why.as_str(),
                None => "nobody has looked",
            };
            if is_volatile(&bind.path) || self.is_file(&bind.path) {
                foreign.push(item(bind));
            } else {
                claimed.push(item(bind));
                self.claimed(&bind.path)?;
            }
            reasons.push(format!("{}: {why}", bind.path.display()));
        }
        let reasons = reasons.join("; ");
        self.ledger.gap(
            copied,
            Loss::Lost,
            Severity::Info,
            "it is the cluster's own copy from now on: who changes the host's changes nothing here; it is \
             root's, and has no empty directories",
        );
        self.ledger.gap(
            claimed,
            Loss::Lost,
            Severity::Low,
            format!("a claim has to be filled before it is there, for no ConfigMap can hold it ({reasons})"),
        );
        self.ledger.gap(
            foreign,
            Loss::Lost,
            Severity::Medium,
            format!("what the host has there is not in the cluster ({reasons})"),
        );
        Ok(())
    }

    fn claimed(&mut self, path: &Path) -> Result<()> {
        let volume = self.names.name(path);
        let name = format!("{}-{volume}", self.name);
        self.made.objects.push(Document::Claim(Object {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            metadata: Metadata::of(name.clone(), labels(self.name)),
            spec: claim(),
        }));
        self.made.volumes.push(Volume {
            name: volume.clone(),
            source: VolumeSource::PersistentVolumeClaim {
                claim_name: name,
                read_only: true,
            },
        });
        self.mount(volume, path, None, true)
    }

    /// What the image has, where nothing hides it.
    fn files(&mut self, tree: &BTreeMap<PathBuf, configuration::Content>) {
        let spec = self.subject.spec;
        for rule in &spec.files {
            self.ledger.said(&Item::File(rule.path.clone()));
        }
        self.ledger.gap(
            spec.files_in_scratch()
                .map(|rule| Item::File(rule.path.clone())),
            Loss::Lost,
            Severity::Low,
            "a place in memory is empty at first, and hides what the image has there",
        );
        let secret = tree
            .iter()
            .filter(|(_, content)| matches!(content, configuration::Content::Secret));
        self.ledger.gap(
            secret.map(|(path, _)| Item::File(path.clone())),
            Loss::Loosened,
            Severity::Info,
            "not everybody may read it here: it is mounted from a Secret, but the image has it too, and who \
             pulls that reads it",
        );
    }

    fn is_file(&self, path: &Path) -> bool {
        let entry = self.subject.manifest.entry(path);
        entry.is_some_and(|it| it.kind == EntryKind::Mountpoint && it.size.is_some())
    }

    /// A volume of the pod for what is mounted at `path`.
    pub(super) fn volume(&mut self, path: &Path, source: VolumeSource) -> String {
        let name = self.names.name(path);
        self.made.volumes.push(Volume {
            name: name.clone(),
            source,
        });
        name
    }

    /// Mounts a volume, or one file of it.
    ///
    /// # Errors
    /// The path is none that a mount can have.
    pub(super) fn mount(
        &mut self,
        volume: String,
        path: &Path,
        sub_path: Option<String>,
        read_only: bool,
    ) -> Result<()> {
        let mount_path = text(path)?;
        if mount_path.contains(':') {
            return Err(
                Error::usage(format!("mount {mount_path}"), "a mount has no colon in it")
                    .hint("give it another path, or leave it out of the spec"),
            );
        }
        self.made.mounts.push(Mount {
            name: volume,
            mount_path,
            sub_path,
            read_only,
        });
        Ok(())
    }
}

fn item(bind: &BindRule) -> Item {
    Item::Bind(bind.path.clone(), bind.writable)
}

fn is_volatile(path: &Path) -> bool {
    VOLATILE.iter().any(|place| path.starts_with(place))
}

fn empty() -> VolumeSource {
    VolumeSource::EmptyDir {
        medium: None,
        size_limit: None,
    }
}

fn claim() -> ClaimSpec {
    ClaimSpec {
        access_modes: vec!["ReadWriteOnce"],
        resources: Requests {
            requests: BTreeMap::from([("storage", ROOM.to_owned())]),
        },
    }
}
