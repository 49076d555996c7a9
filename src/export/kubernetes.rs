//! Objects for a cluster of Kubernetes: the service as a workload, with everything that confines it, keeps
//! its state and lets it be reached. The image is that of the export to OCI.

mod configuration;
mod gaps;
mod keys;
mod names;
mod network;
mod pod;
mod probes;
mod profiles;
mod storage;
mod types;
mod yaml;

use std::path::{Path, PathBuf};

pub use configuration::{Configuration, Content, Held, MOST_TEXT};
pub use keys::{OLDEST, USUAL, Version};

use super::oci::{runtime::Seccomp, seccomp};
use super::{Exported, ExportedFile, Ledger, Subject, sh};
use crate::spec::{Demand, Direction};
use crate::{Error, Result};
use storage::Storage;
use types::{Document, Labels, Metadata, Object, PodSpec, Selector, Template, WorkloadSpec};

/// Where a kubelet looks for profiles (`kubelet(8)`: `--root-dir`).
const PROFILES: &str = "/var/lib/kubelet/seccomp";

/// What is wanted of the export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The version of the cluster; `None`: [`USUAL`].
    pub version: Option<Version>,
    /// What the nodes pull; `None`: an image of the jail's name.
    pub image: Option<String>,
    /// What the files that a person configures hold.
    pub configuration: Configuration,
}

/// Writes the objects, and the filter twice: as a file of the nodes, and for an operator that puts it there.
///
/// # Errors
/// The version is too old; the spec says something that these files cannot hold.
pub fn export(subject: Subject<'_>, options: &Options) -> Result<Exported> {
    let spec = subject.spec;
    let version = options.version.unwrap_or(USUAL);
    let name = names::of(&spec.name)?;
    if version < OLDEST {
        return Err(Error::usage(
            format!(
                "export the jail {} to Kubernetes {}.{}",
                spec.name, version.0, version.1
            ),
            format!(
                "the oldest that objects are written for is {}.{}",
                OLDEST.0, OLDEST.1
            ),
        ));
    }
    let mut ledger = Ledger::new(spec);
    let storage = storage::of(&subject, &name, &options.configuration, &mut ledger)?;
    let parts = pod::Parts {
        name: &name,
        image: image(options, &name)?,
        version,
        probes: probes::of(&subject, &mut ledger),
        storage: &storage,
    };
    let (image, ready_seconds) = (parts.image, parts.probes.min_ready_seconds);
    let pod = pod::of(&subject, parts, &mut ledger)?;
    let mut documents = storage.objects.clone();
    documents.extend(network::service(spec, &name));
    documents.push(network::policy(&subject, &name, &mut ledger));
    documents.push(workload(&name, pod, ready_seconds, &storage));
    let filter = filter(&subject, &mut ledger)?;
    let level = gaps::level(&subject, &mut ledger);
    gaps::tell(&subject, image, &mut ledger);
    let heading = heading(&subject, &name, version, level, &storage);
    let directory = PathBuf::from(&name);
    let mut files = vec![file(
        directory.join(format!("{name}.yaml")),
        yaml::documents(&heading, &documents)?,
    )];
    if let Some(filter) = filter {
        files.extend(profile(&directory, &name, &filter)?);
    }
    Ok(Exported {
        files,
        gaps: ledger.close(),
    })
}

/// Finds the objects of a service.
fn labels(name: &str) -> Labels {
    Labels::from([("app.kubernetes.io/name", name.to_owned())])
}

/// What keeps state has its claims and its pod by name; of everything else one pod is as good as another.
fn workload(name: &str, pod: PodSpec, ready_seconds: Option<u32>, storage: &Storage) -> Document {
    let keeps = !storage.templates.is_empty();
    Document::Workload(Box::new(Object {
        api_version: "apps/v1",
        kind: if keeps { "StatefulSet" } else { "Deployment" },
        metadata: Metadata::of(name.to_owned(), labels(name)),
        spec: WorkloadSpec {
            replicas: 1,
            service_name: keeps.then(|| name.to_owned()),
            selector: Selector {
                match_labels: labels(name),
            },
            min_ready_seconds: ready_seconds,
            template: Template {
                metadata: Metadata {
                    annotations: profiles::annotations(name, &pod),
                    ..Metadata::of("", labels(name))
                },
                spec: pod,
            },
            volume_claim_templates: storage.templates.clone(),
        },
    }))
}

fn filter(subject: &Subject<'_>, ledger: &mut Ledger) -> Result<Option<Seccomp>> {
    match subject.spec.protections.seccomp {
        Demand::Off => Ok(None),
        Demand::Prefer | Demand::Require => seccomp::of(subject, ledger).map(Some),
    }
}

/// The filter as a file below the directory of profiles, and as an object that has it put there.
fn profile(directory: &Path, name: &str, filter: &Seccomp) -> Result<[ExportedFile; 2]> {
    let place = profiles::place(name);
    let mut text = serde_json::to_string_pretty(filter)
        .map_err(|error| Error::new(format!("write the filter of {name}"), error))?;
    text.push('\n');
    let heading = [sh::comment(
        "For the security-profiles-operator, in place of the file on each node.",
    )];
    let object = yaml::documents(&heading, &[profiles::object(name, filter)])?;
    Ok([
        ExportedFile {
            install: Path::new(PROFILES).join(&place),
            path: directory.join("seccomp").join(&place),
            text,
            executable: false,
        },
        file(
            directory.join(format!("{name}.seccompprofile.yaml")),
            object,
        ),
    ])
}

fn file(path: PathBuf, text: String) -> ExportedFile {
    ExportedFile {
        install: path.clone(),
        path,
        text,
        executable: false,
    }
}

/// The name by which nodes pull the image.
fn image<'a>(options: &'a Options, name: &'a str) -> Result<&'a str> {
    let image = options.image.as_deref().unwrap_or(name);
    match image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        false => Ok(image),
        true => Err(Error::usage(
            format!("run the image {image:?}"),
            "that is no name of an image",
        )
        .hint("name it as podman does, as in registry.example/web@sha256:...")),
    }
}

/// What somebody has to know and to do, before anything else.
fn heading(
    subject: &Subject<'_>,
    object: &str,
    version: Version,
    level: &str,
    storage: &Storage,
) -> Vec<String> {
    let spec = subject.spec;
    let name = &spec.name;
    let mut lines = vec![
        format!(
            "{name} in a pod of its own: for Kubernetes {}.{}.",
            version.0, version.1
        ),
        format!(
            "Made by \"gaoler export {name} --to kubernetes\" from the spec of the jail {name}."
        ),
        "Its image is that of \"--to oci\", pushed to where the nodes pull from.".to_owned(),
        format!("Its namespace can have the label pod-security.kubernetes.io/enforce: {level}"),
    ];
    if spec.protections.seccomp != Demand::Off {
        lines.push(format!(
            "Its filter is on each node as {PROFILES}/{}, or by the security-profiles-operator.",
            profiles::place(object)
        ));
    }
    if spec
        .ports
        .iter()
        .any(|rule| rule.direction == Direction::Bind)
    {
        lines.push(
            "It has to wait at the pod's address: at loopback, neither Service nor kubelet reaches it."
                .to_owned(),
        );
    }
    if !storage.secrets.is_empty() {
        lines.push(
            "Nobody can start it before these were made, on the host that has the files:"
                .to_owned(),
        );
        lines.extend(
            storage
                .secrets
                .iter()
                .map(|command| format!("    {command}")),
        );
    }
    lines.iter().map(|line| sh::comment(line)).collect()
}

/// Text as a manifest can hold it.
fn text(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::usage(
            format!("write {} into a manifest", path.display()),
            "YAML holds UTF-8 alone",
        )
    })?;
    Ok(text.to_owned())
}
