//! `apparmor`.

use clap::{Args, Subcommand};

pub(super) const EXAMPLES: &str = "Examples:\n  gaoler apparmor complain named      what it would deny is written down: gaoler why named\n  \
    gaoler apparmor enforce named\n  \
    gaoler apparmor status              profiles of the jails, and what listens without one\n  \
    gaoler apparmor disable named       the distribution's profile has its place again\n\n\
    The profile is what \"gaoler export NAME --to apparmor\" gives, as /etc/apparmor.d/gaoler.NAME, from\n\
    where it is loaded at boot. The distribution's for the same program is disabled as aa-disable(8)\n\
    does it. Exit code 3: status has found a profile that does not confine what it is for.";

/// What is to be done with profiles.
#[derive(Args, Clone, Debug)]
pub struct AppArmor {
    /// What.
    #[command(subcommand)]
    pub verb: AppArmorVerb,
}

/// What can be done with them.
#[derive(Clone, Debug, Subcommand)]
pub enum AppArmorVerb {
    /// Show the profiles of the jails, whether they confine them, and what listens without one.
    Status {
        /// Only this jail.
        name: Option<String>,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Load the profile of a jail; what it does not allow is written down, and not denied.
    Complain(Load),
    /// Load the profile of a jail; what it does not allow is denied.
    Enforce(Load),
    /// Take the profile of a jail away again.
    Disable {
        /// The jail's name.
        name: String,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

/// What is loaded.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// The jail's name.
    pub name: String,
    /// For the service on the host's own files, started by its own unit, instead of in the jail.
    #[arg(long)]
    pub host_files: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
