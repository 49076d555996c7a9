//! What `perms` can be told.

use clap::Args;

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler perms named\n  \
    gaoler perms named --fix                      give the tree its owners and modes back\n  \
    gaoler perms named --script > named-perms.sh  the same as a script, with its reasons\n  \
    sh named-perms.sh /srv/chroot/named           in a copy of the tree\n\n\
    The tightest is: everything root's, files to be read (0444), programs to be executed too\n\
    (0555), directories to be listed and passed through (0555), those of /dev only passed\n\
    through (0111). Neither --fix nor the script follows a link or touches a file with several\n\
    names, and --fix changes nothing but owners and modes.\n\
    Exit codes: 0 the tree is as it was built, 3 it is not: content, something missing, something\n\
    more, and without --fix also owners and modes.";

/// What `perms` can be told.
#[derive(Args, Debug)]
pub struct Perms {
    /// The jail's name.
    pub name: String,
    /// Set the owners and modes in the tree that are not as they were built.
    #[arg(long)]
    pub fix: bool,
    /// Print a script for sh that sets all of them, from the tightest outward, each with its reason.
    #[arg(long, conflicts_with_all = ["fix", "json"])]
    pub script: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
