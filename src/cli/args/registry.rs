//! What `push` and `pull` can be told.

use std::path::PathBuf;

use clap::Args;

use crate::registry::Options;
use crate::verbs::{PullOptions, PushOptions};

/// Shown below the help of `push`.
pub const PUSH_EXAMPLES: &str = "Examples:\n  gaoler push named registry.example.org/services/named:1.0\n  \
    gaoler push named registry.example.org/services/named:1.0 --layout out/named.oci\n  \
    gaoler push named 127.0.0.1:5000/named:test --plain-http --json\n\n\
    The image is that of export --to oci, of the current generation. What the registry has is not\n\
    sent again: an unchanged image uploads nothing. Its bill of materials is attached to it, also\n\
    where the registry has no referrers API. Users and passwords are those of podman login and\n\
    docker login; credential helpers are not run.";

/// Shown below the help of `pull`.
pub const PULL_EXAMPLES: &str = "Examples:\n  gaoler pull registry.example.org/services/named:1.0 -o named.oci\n  \
    gaoler pull registry.example.org/services/named@sha256:... -o named.oci\n  \
    gaoler pull 127.0.0.1:5000/named:test --plain-http -o named.oci && \\\n    \
    skopeo copy oci:named.oci:test containers-storage:named:test\n\n\
    Everything is compared with its digest while it is fetched; a tag leads to whatever the registry\n\
    says, a digest to one content only. What is in the directory already is not fetched again, and\n\
    its index is replaced last.";

/// What `push` can be told.
#[derive(Args, Debug)]
pub struct Push {
    /// The jail's name.
    pub name: String,
    /// Where to: REGISTRY/REPOSITORY:TAG. No registry and no tag is the usual one.
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// Send the image of that name in this image layout, as export has written it.
    #[arg(long, value_name = "DIR")]
    pub layout: Option<PathBuf>,
    /// How the registry is spoken to.
    #[command(flatten)]
    pub registry: Registry,
}

/// What `pull` can be told.
#[derive(Args, Debug)]
pub struct Pull {
    /// Which: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST.
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// The image layout to write.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// How the registry is spoken to.
    #[command(flatten)]
    pub registry: Registry,
}

/// What both can be told.
#[derive(Args, Debug)]
pub struct Registry {
    /// Speak without TLS: whoever is between can read and change what is said, and passwords with it.
    #[arg(long)]
    pub plain_http: bool,
    /// Trust the certificates in this file, in place of those that this machine trusts.
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    pub ca: Option<PathBuf>,
    /// Users and passwords, in place of $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json
    /// and ~/.docker/config.json.
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
    /// How often a request is tried again that may work in a moment: one that cannot connect, gets no
    /// answer, or is answered by 429 or 5xx.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

impl Push {
    /// The same, as the verb takes it.
    pub fn options(&self) -> PushOptions {
        PushOptions {
            name: self.name.clone(),
            reference: self.reference.clone(),
            layout: self.layout.clone(),
            registry: self.registry.options(),
        }
    }
}

impl Pull {
    /// The same, as the verb takes it.
    pub fn options(&self) -> PullOptions {
        PullOptions {
            reference: self.reference.clone(),
            directory: self.output.clone(),
            registry: self.registry.options(),
        }
    }
}

impl Registry {
    fn options(&self) -> Options {
        Options {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            auth_file: self.auth_file.clone(),
            retries: self.retries,
        }
    }
}
