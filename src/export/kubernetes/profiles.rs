//! The filter as an object of the security-profiles-operator, which puts it on every node
//! (`api/seccompprofile/v1beta1`; since its version 0.9 one for the whole cluster).

use std::collections::BTreeMap;

use serde::Serialize;

use super::labels;
use super::types::{Container, Metadata, Object, PodSpec};
use crate::export::oci::runtime::{Calls, Seccomp};

/// A filter. What is not listed fails with EPERM, as a runtime has it where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompProfileSpec {
    default_action: String,
    architectures: Vec<String>,
    syscalls: Vec<Calls>,
}

/// Where a kubelet looks for it, below its directory of profiles: where the operator puts it.
pub fn place(name: &str) -> String {
    format!("operator/{name}.json")
}

/// The same for podman, which does not look at the field (4.3), and finds no file in a directory below that
/// of profiles.
pub fn annotations(name: &str, pod: &PodSpec) -> BTreeMap<String, String> {
    let container = pod.containers.iter();
    let confined = container.filter(|it| {
        it.security_context
            .seccomp_profile
            .localhost_profile
            .is_some()
    });
    let pair = |container: &Container| {
        let key = format!(
            "container.seccomp.security.alpha.kubernetes.io/{}",
            container.name
        );
        (key, format!("localhost/{name}.json"))
    };
    confined.map(pair).collect()
}

/// The object of a filter.
pub fn object(name: &str, filter: &Seccomp) -> Object<SeccompProfileSpec> {
    Object {
        api_version: "security-profiles-operator.x-k8s.io/v1beta1",
        kind: "SeccompProfile",
        metadata: Metadata::of(name.to_owned(), labels(name)),
        spec: SeccompProfileSpec {
            default_action: filter.default_action.clone(),
            architectures: filter.architectures.clone(),
            syscalls: filter.syscalls.clone(),
        },
    }
}
