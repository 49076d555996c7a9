//! Whose a message is.

/// What a message cannot say of itself: the supervisor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The jail.
    pub jail: &'a str,
    /// The generation that runs.
    pub generation: u64,
    /// The process on the host; 0 if the kernel does not name one.
    pub pid: i32,
}
