//! Capability names (`capabilities(7)`).
#![forbid(unsafe_code)]
/// A set.
pub struct CapabilitySet(/** bits */ pub u64);
impl std::fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{:x}", self.0) }
}
