//! What `generations` and `rollback` can be told.

use clap::Args;

/// Shown below the help of `generations`.
pub const EXAMPLES: &str = "Examples:\n  gaoler generations named\n  \
    gaoler generations named --prune 2     keep the two newest\n  \
    gaoler generations named --json | jq '.generations[] | select(.current).altered'\n\n\
    Never removed: the current generation, the one that runs, and the last one before it that a\n\
    service was ready from. A build keeps three by itself.";

/// Shown below the help of `rollback`.
pub const ROLLBACK_EXAMPLES: &str = "Examples:\n  gaoler rollback named       to the generation before\n  \
    gaoler rollback named 7     to that one\n\n\
    A generation is a root tree and the spec that it was built from: both come back. A spec that\n\
    is another one by now stays as NAME.toml.old. A jail that runs is started anew; if it does not\n\
    get ready, it goes back to the generation that ran. `start` and `restart` stay with the\n\
    generation; `up`, `build` and `upgrade` go forward again.\n\
    Exit codes: 0 done, 1 it did not work and all is as before.";

/// What `generations` can be told.
#[derive(Args, Debug)]
pub struct Generations {
    /// The jail's name.
    pub name: String,
    /// Remove all but so many of the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub prune: Option<u16>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What `rollback` can be told.
#[derive(Args, Debug)]
pub struct Rollback {
    /// The jail's name.
    pub name: String,
    /// The generation; without it, the newest before the current one that was ready.
    pub generation: Option<u64>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
