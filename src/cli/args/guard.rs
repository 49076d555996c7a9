//! What `guard` can be told.

use clap::Args;

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler guard named\n  \
    gaoler guard named --status    does it still hold, after an upgrade?\n  \
    gaoler guard named --undo      give back mode, override and units, exactly as they were\n\n\
    The program of the service gets mode 0000 and keeps its owner; dpkg is told to leave it so in\n\
    upgrades (dpkg-statoverride); units that start it are masked, unless they are your own. How it\n\
    was is written to the disk first, so a command that was killed can be undone, too. gaoler\n\
    itself is not hindered: it builds with the mode that was, and learns from a copy that only it\n\
    sees. Refused: shells, interpreters, programs with several names or of several services.\n\
    Exit codes: 0 done or it holds, 3 --status: it is not guarded, or that does not hold any more.";

/// What `guard` can be told.
#[derive(Args, Debug)]
pub struct Guard {
    /// The jail's name.
    pub name: String,
    /// Give everything back as it was.
    #[arg(long)]
    pub undo: bool,
    /// Change nothing; say what is guarded and whether that holds.
    #[arg(long, conflicts_with = "undo")]
    pub status: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
