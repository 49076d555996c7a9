//! The documents of an image layout (OCI image specification 1.1: `image-layout.md`, `manifest.md`,
//! `config.md`), as values. The same tree and spec give the same bytes.

use serde_json::{Value, json};

use super::text;
use crate::export::Subject;
use crate::filter::Architecture;
use crate::spec::{Direction, Protocol};
use crate::{Error, Result};

/// Media types.
pub mod media {
    /// An index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// What a container is made with.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer: not compressed, so that its digest depends on no compressor.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// `{}`: the configuration of what is none.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A bill of materials.
    pub const SBOM: &str = "application/vnd.cyclonedx+json";
}

/// The file `oci-layout`.
pub const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// What an image in a layout is called (`annotations.md`).
pub const NAME: &str = "org.opencontainers.image.ref.name";

/// The configuration of what is none.
pub const EMPTY: &str = "{}";

/// Points to a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What is in it.
    pub media: &'static str,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Descriptor {
    /// As JSON has it.
    pub fn value(&self) -> Value {
        json!({
            "mediaType": self.media,
            "digest": self.digest(),
            "size": self.size,
        })
    }

    /// `sha256:...`
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }
}

/// What a container of the image is made with, but for its layer. `manifest` is the digest of the
/// list of what is in that.
///
/// # Errors
/// A path is not UTF-8; gaoler has no name for this architecture.
pub fn config(subject: &Subject<'_>, manifest: &str) -> Result<Value> {
    let spec = subject.spec;
    let service = &spec.service;
    let (uid, gid) = match service.start_as_root {
        true => (0, 0),
        false => (subject.uid, subject.gid),
    };
    let variables = service.environment.iter();
    let environment: Vec<String> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let bound = spec
        .ports
        .iter()
        .filter(|rule| rule.direction == Direction::Bind && rule.port != 0);
    let ports = bound.map(|rule| {
        let protocol = match rule.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        (format!("{}/{protocol}", rule.port), json!({}))
    });
    let mut volumes = serde_json::Map::new();
    for bind in spec.binds.iter().filter(|bind| bind.writable) {
        volumes.insert(text(&bind.path)?, json!({}));
    }
    Ok(json!({
        "architecture": architecture()?,
        "os": "linux",
        "config": {
            "User": format!("{uid}:{gid}"),
            "ExposedPorts": ports.collect::<serde_json::Map<_, _>>(),
            "Env": environment,
            "Entrypoint": subject.command_as_user(),
            "Volumes": volumes,
            "WorkingDir": text(&service.workdir)?,
            "Labels": {
                "org.opencontainers.image.title": spec.name,
                "gaoler.manifest": format!("sha256:{manifest}"),
            },
            "StopSignal": "SIGTERM",
        },
        "history": [{
            "created_by": format!("gaoler export {} --to oci", spec.name),
        }],
    }))
}

/// The same with its only layer.
pub fn with_layer(config: &Value, layer: &Descriptor) -> Value {
    let mut whole = config.clone();
    whole["rootfs"] = json!({
        "type": "layers",
        "diff_ids": [layer.digest()],
    });
    whole
}

/// The manifest of the image.
pub fn manifest(config: &Descriptor, layer: &Descriptor) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": config.value(),
        "layers": [layer.value()],
    })
}

/// The manifest that attaches a bill of materials to an image ("Guidelines for Artifact Usage").
pub fn attached(sbom: &Descriptor, empty: &Descriptor, image: &Descriptor) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "artifactType": media::SBOM,
        "config": empty.value(),
        "layers": [sbom.value()],
        "subject": image.value(),
    })
}

/// The index of the layout: the image by its name, and the bills of materials that are attached to it.
pub fn index(name: &str, image: &Descriptor, attached: &[Descriptor]) -> Value {
    let mut first = image.value();
    first["annotations"] = json!({ NAME: name });
    let attached = attached.iter().map(|attached| {
        let mut entry = attached.value();
        entry["artifactType"] = json!(media::SBOM);
        entry
    });
    json!({
        "schemaVersion": 2,
        "mediaType": media::INDEX,
        "manifests": std::iter::once(first).chain(attached).collect::<Vec<_>>(),
    })
}

/// This machine's architecture, as Go names it.
///
/// # Errors
/// gaoler has no name for it.
pub fn architecture() -> Result<&'static str> {
    match Architecture::native() {
        Some(Architecture::Aarch64) => Ok("arm64"),
        Some(Architecture::X86_64) => Ok("amd64"),
        None => Err(Error::usage(
            "write an image",
            "gaoler has no name for this architecture",
        )),
    }
}
