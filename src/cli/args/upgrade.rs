//! What `upgrade` can be told.

use clap::Args;

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler upgrade --all --check       which jails are behind the host, and how\n  \
    gaoler upgrade named               what is new is tried out beside, then swapped in and watched\n  \
    gaoler upgrade --all --yes --json\n  \
    gaoler upgrade named --allow CAP_NET_RAW\n\n\
    What the host has now is run under the tracer with the exercises of the spec: in the jail, in a\n\
    network of its own, and on copies of what the service writes. Where it needs more than its spec\n\
    allows and was not seen to need when it was learned, that is shown; on a terminal you are asked,\n\
    elsewhere --yes agrees. What is never safe to give, as a capability, has to be named by --allow.\n\
    Then the new generation is built, started, exercised and watched; if it does not do, the one\n\
    from before runs again. A command that was killed leaves what ran before to the next start.\n\
    Exit codes: 0 done or nothing to do, 1 refused or rolled back, 3 --check: a jail is behind.\n\
    A hook for apt that runs --check: examples/apt-hook.";

/// What `upgrade` can be told.
#[derive(Args, Debug)]
pub struct Upgrade {
    /// The jail's name.
    #[arg(required_unless_present = "all")]
    pub name: Option<String>,
    /// Every jail that has been built.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    /// Only report what differs.
    #[arg(long, conflicts_with_all = ["yes", "allow", "skip_trial"])]
    pub check: bool,
    /// Agree to what it needs more, as far as that is safe: never a capability, a device, a place to
    /// write, a whole directory or a protection.
    #[arg(long)]
    pub yes: bool,
    /// Give it this too, named as it is shown; may be given more than once.
    #[arg(long, value_name = "SUBJECT", conflicts_with = "all")]
    pub allow: Vec<String>,
    /// Do not try it out beside the jail first: for a service that does not work in a network of its
    /// own. It is watched and rolled back all the same.
    #[arg(long)]
    pub skip_trial: bool,
    /// How long it is watched once it was started anew, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub settle: u16,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
