//! `incidents`, `freeze` and `thaw`.

use clap::{Args, Subcommand};

use crate::spec::IncidentKind;
use crate::verbs::IncidentsOptions;

pub(super) const EXAMPLES: &str = "Examples:\n  gaoler incidents\n  \
    gaoler incidents named --kind denial\n  \
    gaoler incidents show 7              what went before: denials, events, log, where the code was\n  \
    gaoler incidents --json | jq '.incidents[] | select(.count > 10)'";

pub(super) const FREEZE_EXAMPLES: &str = "Examples:\n  gaoler freeze named\n  \
    gaoler tree named                    who is in it\n  \
    gaoler thaw named                    or: gaoler stop named";

/// Which incidents.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Incidents {
    /// One of them.
    #[command(subcommand)]
    pub verb: Option<IncidentsVerb>,
    /// Only those of this jail.
    pub name: Option<String>,
    /// Only those of this kind.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<IncidentKind>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with one.
#[derive(Clone, Debug, Subcommand)]
pub enum IncidentsVerb {
    /// Show one incident and what went before it.
    Show {
        /// Its number.
        id: u64,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl Incidents {
    /// For the verb.
    pub fn options(&self) -> IncidentsOptions {
        IncidentsOptions {
            name: self.name.clone(),
            kind: self.kind,
        }
    }
}

fn kind(text: &str) -> Result<IncidentKind, String> {
    let mut all = IncidentKind::ALL.into_iter();
    all.find(|kind| kind.name() == text).ok_or_else(|| {
        let known = IncidentKind::ALL.map(IncidentKind::name);
        format!("one of {}", known.join(", "))
    })
}
