//! What shows whether a jail holds, and whether it holds too much: what `check`, `why`, `bisect` and
//! `minimize` can be told.

use std::path::PathBuf;

use clap::Args;

/// What `check` can be told.
#[derive(Args, Debug)]
pub struct Check {
    /// The jail's name. Without it: every process of the machine that listens on TCP or UDP, and
    /// what confines it, worst first.
    pub name: Option<String>,
    /// Look at the running processes too.
    #[arg(long, requires = "name")]
    pub live: bool,
    /// Run the exercises of the spec against the running jail.
    #[arg(long, requires = "name")]
    pub exercise: bool,
    /// Without a name: Unix sockets too.
    #[arg(long, conflicts_with = "name")]
    pub unix: bool,
    /// Exit with 3 if the score is above this; without a name, the exposure of the worst.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub fail_above: Option<f64>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
    /// Print the findings as SARIF 2.1.0, for code scanning.
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
}

/// What `why` can be told.
#[derive(Args, Debug)]
pub struct Why {
    /// The jail's name.
    pub name: String,
    /// Change the spec by everything that is safe: never a capability, a device, a place to write,
    /// a whole directory or a protection. The old spec stays beside it.
    #[arg(long)]
    pub apply: bool,
    /// Change it by this too, named as it is shown; may be given more than once.
    #[arg(long, value_name = "SUBJECT")]
    pub allow: Vec<String>,
    /// Explain the audit records of this file, which may be another machine's, without running
    /// anything: auditd's, the kernel log in any dress, or the journal as text or JSON; - is standard
    /// input; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What `bisect` can be told.
#[derive(Args, Debug)]
pub struct Bisect {
    /// The jail's name.
    pub name: String,
    /// An exercise of the spec that is the test; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub exercise: Vec<String>,
    /// Try it out on the service's own files and with the host's network; the jail is stopped
    /// meanwhile.
    #[arg(long)]
    pub in_place: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
    /// The test and its arguments.
    #[arg(last = true, value_name = "TEST")]
    pub test: Vec<String>,
}

/// What `minimize` can be told.
#[derive(Args, Debug)]
pub struct Minimize {
    /// The jail's name.
    pub name: String,
    /// Remove what no exercise needs from the spec; without it, it is marked as unproven.
    #[arg(long)]
    pub remove: bool,
    /// Only these kinds, as in capability or call; may be given more than once.
    #[arg(long, value_name = "KIND")]
    pub only: Vec<String>,
    /// Start over, in place of going on where a run was interrupted.
    #[arg(long)]
    pub again: bool,
    /// Try it out on the service's own files and with the host's network; the jail is stopped
    /// meanwhile.
    #[arg(long)]
    pub in_place: bool,
    /// How many trials go on at once; without it, one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What a worker is told.
#[derive(Args, Debug)]
pub struct TrialWorker {
    /// The jail's name.
    pub name: String,
    /// With its own network, on copies.
    #[arg(long)]
    pub isolated: bool,
    /// With the host's.
    #[arg(long)]
    pub in_place: bool,
    /// In the namespaces already.
    #[arg(long)]
    pub inside: bool,
}
