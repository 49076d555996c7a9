//! What `attack` can be told.

use clap::{Args, ValueEnum};

use crate::attack::Layer;
use crate::verbs::{AttackOptions, Phase};

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler attack named\n  \
    gaoler attack named --phase serve --all     every probe, as the service is once it is ready\n  \
    gaoler attack named --without seccomp       what only the filter stops\n  \
    gaoler attack named --probe id-setuid --json\n  \
    gaoler attack --list                        what is tried, and where it is from\n  \
    gaoler attack --under 'bwrap --ro-bind /usr /usr --ro-bind {} {} --proc /proc --dev /dev \
    --unshare-all'\n\n\
    The jail is started anew for each probe, beside one that runs, with a prober in place of the\n\
    service; the tree stays as it is. Each probe also runs unconfined, as root and as the service's\n\
    user: one that does not get through there proves nothing, and counts as not proven.\n\
    With --under, nothing is allowed by a spec, and a layer is named only where that is certain.\n\
    Exit codes: 0 nothing escaped, 3 something did.";

/// What `attack` can be told.
#[derive(Args, Debug)]
pub struct Attack {
    /// The jail's name.
    #[arg(required_unless_present_any = ["list", "under"])]
    pub name: Option<String>,
    /// Attack what another launcher makes: run this command, split into words without a shell, with
    /// the prober's path and arguments after it. {} stands for the path too.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["name", "phase", "without"])]
    pub under: Option<String>,
    /// With --under: the user whom the processes outside belong to; without it, nobody.
    #[arg(long, requires = "under", conflicts_with = "name")]
    pub user: Option<String>,
    /// Only in this phase of the service's life: before it is ready, or after; without it, in both.
    #[arg(long)]
    pub phase: Option<PhaseName>,
    /// Start it without this layer; may be given more than once.
    #[arg(long, value_name = "LAYER")]
    pub without: Vec<Layer>,
    /// Only this probe; may be given more than once.
    #[arg(long, value_name = "ID")]
    pub probe: Vec<String>,
    /// List the probes, and try nothing.
    #[arg(long)]
    pub list: bool,
    /// Show what was stopped too, and by what.
    #[arg(long)]
    pub all: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// A phase by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PhaseName {
    /// Until the service is ready.
    Start,
    /// From then on.
    Serve,
}

impl Attack {
    /// As the verb wants it.
    pub fn options(self) -> AttackOptions {
        AttackOptions {
            name: self.name.unwrap_or_default(),
            phases: self
                .phase
                .into_iter()
                .map(|phase| match phase {
                    PhaseName::Start => Phase::Start,
                    PhaseName::Serve => Phase::Serve,
                })
                .collect(),
            without: self.without,
            probes: self.probe,
            under: self.under,
            user: self.user,
        }
    }
}
