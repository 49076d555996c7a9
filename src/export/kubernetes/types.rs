//! What is used here of Kubernetes' objects (API reference: `apps/v1`, `v1`, `networking.k8s.io/v1`).

use std::collections::BTreeMap;

use serde::Serialize;

/// Names and values by which objects find each other.
pub type Labels = BTreeMap<&'static str, String>;

/// One document of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Document {
    Claim(Object<ClaimSpec>),
    ConfigMap(ConfigMap),
    NetworkPolicy(Object<PolicySpec>),
    Service(Object<ServiceSpec>),
    Workload(Box<Object<WorkloadSpec>>),
}

/// An object that wants something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object<S> {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: Metadata,
    pub spec: S,
}

/// What an object is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// What everything of a service has.
    pub fn of(name: impl Into<String>, labels: Labels) -> Self {
        Self {
            name: name.into(),
            labels,
            annotations: BTreeMap::new(),
        }
    }
}

/// Files as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMap {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: Metadata,
    pub data: BTreeMap<String, String>,
}

/// What a Deployment and a StatefulSet are to keep running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    pub replicas: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    pub selector: Selector,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<u32>,
    pub template: Template,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<ClaimTemplate>,
}

/// Which pods are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    pub match_labels: Labels,
}

/// A pod in the making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template {
    pub metadata: Metadata,
    pub spec: PodSpec,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    pub automount_service_account_token: bool,
    pub enable_service_links: bool,
    #[serde(rename = "hostIPC")]
    pub host_ipc: bool,
    pub host_network: bool,
    #[serde(rename = "hostPID")]
    pub host_pid: bool,
    pub share_process_namespace: bool,
    pub termination_grace_period_seconds: u32,
    pub security_context: PodSecurity,
    pub containers: Vec<Container>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

/// Who the processes of a pod are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    pub run_as_non_root: bool,
    pub run_as_user: u32,
    pub run_as_group: u32,
    pub supplemental_groups: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplemental_groups_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<Pair>,
}

/// A profile of a kernel's layer: on the node, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
}

/// A name and a value: of a variable, a sysctl, a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub image: String,
    pub image_pull_policy: &'static str,
    pub command: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    pub working_dir: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    pub security_context: ContainerSecurity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<Mount>,
}

/// A port at which it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    pub name: String,
    pub container_port: u16,
    pub protocol: &'static str,
}

/// As much may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resources {
    pub limits: BTreeMap<&'static str, String>,
}

/// What a container's processes may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSecurity {
    pub privileged: bool,
    pub allow_privilege_escalation: bool,
    pub read_only_root_filesystem: bool,
    pub capabilities: Capabilities,
    pub seccomp_profile: Profile,
}

/// By names as `NET_BIND_SERVICE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    pub drop: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
}

/// What the kubelet does to find out how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    #[serde(flatten)]
    pub look: Look,
    pub period_seconds: u32,
    pub timeout_seconds: u32,
    pub failure_threshold: u32,
}

/// How it looks: always from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Look {
    #[serde(rename_all = "camelCase")]
    HttpGet {
        path: String,
        port: u16,
        http_headers: Vec<Pair>,
    },
    TcpSocket {
        port: u16,
    },
}

/// A volume in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub name: String,
    pub mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What a pod can mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub name: String,
    #[serde(flatten)]
    pub source: VolumeSource,
}

/// Where a volume comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum VolumeSource {
    #[serde(rename_all = "camelCase")]
    ConfigMap {
        name: String,
        default_mode: u32,
        items: Vec<KeyPath>,
    },
    #[serde(rename_all = "camelCase")]
    EmptyDir {
        #[serde(skip_serializing_if = "Option::is_none")]
        medium: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size_limit: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    PersistentVolumeClaim { claim_name: String, read_only: bool },
    #[serde(rename_all = "camelCase")]
    Projected {
        default_mode: u32,
        sources: Vec<Source>,
    },
}

/// What lies together in one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    ConfigMap(Keys),
    Secret(Keys),
}

/// Which files of an object, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Keys {
    pub name: String,
    pub items: Vec<KeyPath>,
}

/// A file by its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPath {
    pub key: String,
    pub path: String,
}

/// A claim that each pod of a StatefulSet gets for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimTemplate {
    pub metadata: Metadata,
    pub spec: ClaimSpec,
}

/// Room that outlives a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSpec {
    pub access_modes: Vec<&'static str>,
    pub resources: Requests,
}

/// As much is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requests {
    pub requests: BTreeMap<&'static str, String>,
}

/// A name and an address for pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceSpec {
    pub selector: Labels,
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    pub name: String,
    pub port: u16,
    pub protocol: &'static str,
    pub target_port: String,
}

/// Who speaks with pods, and with whom they speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    pub pod_selector: Selector,
    pub policy_types: Vec<&'static str>,
    pub ingress: Vec<Peers>,
    pub egress: Vec<Peers>,
}

/// Anybody, at these ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peers {
    pub ports: Vec<PolicyPort>,
}

/// One port, or all of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyPort {
    pub protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}
