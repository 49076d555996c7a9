//! The fields that not every version of Kubernetes has, and since which they are there without being
//! turned on (`pkg/features/kube_features.go`).

/// Major and minor.
pub type Version = (u32, u32);

/// The oldest that objects are written for: the first to which the annotation of a filter means nothing.
pub const OLDEST: Version = (1, 27);

/// The one that is meant if nobody says: the oldest that the project keeps up.
pub const USUAL: Version = (1, 35);

/// `supplementalGroupsPolicy` (KEP-3619): beta and on in 1.33, stable in 1.35.
pub const GROUPS_POLICY: Version = (1, 33);
