//! What may be an attack on a jail: noticed, written down with what went before, and told.
//!
//! Everything is judged from what the kernel and gaoler's own processes say. What a jail says of
//! itself, in its log or as the name of a process, is kept as evidence and decides nothing.
#![forbid(unsafe_code)]

mod baseline;
mod store;
mod tell;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::spec::IncidentKind;
pub use baseline::is_unusual;
pub use store::{Counts, MOST, Noted, Store};
pub use tell::tell;

/// What was seen, before it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The jail's name.
    pub jail: String,
    /// What happened.
    pub kind: IncidentKind,
    /// To what: the same kind of thing to the same is one incident.
    pub subject: String,
    /// In words.
    pub detail: String,
    /// When, as `2026-11-22T11:40:20Z`.
    pub time: String,
    /// The process on the host that did it, if that is known.
    pub pid: Option<i32>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number: of all jails of this host, never given twice.
    pub id: u64,
    /// The jail's name.
    pub jail: String,
    /// What happened.
    pub kind: IncidentKind,
    /// To what.
    pub subject: String,
    /// In words, as it was seen last.
    pub detail: String,
    /// When it was seen first.
    pub first: String,
    /// When it was seen last.
    pub last: String,
    /// How often.
    pub count: u64,
    /// The process on the host that did it first, if that is known.
    pub pid: Option<i32>,
    /// The generation that ran.
    pub generation: Option<u64>,
    /// The jail was frozen because of it.
    pub frozen: bool,
    /// What went before.
    pub before: Before,
}

/// What went before an incident, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// How the service ended, if it did.
    pub ended: Option<String>,
    /// The function that the instruction is in, or what memory it is in.
    pub place: Option<String>,
    /// The program, by its path in the jail.
    pub program: Option<PathBuf>,
    /// The last denials, the oldest first.
    pub denials: Vec<String>,
    /// The last events of the jail, the oldest first.
    pub events: Vec<String>,
    /// What it said last.
    pub words: Vec<String>,
    /// What was mapped where: the lines of `/proc/PID/maps`.
    pub maps: Vec<String>,
}

impl Incident {
    /// In one line, for a log.
    pub fn line(&self) -> String {
        let Self {
            id,
            jail,
            detail,
            count,
            ..
        } = self;
        let kind = self.kind.name();
        let often = match count {
            1 => String::new(),
            more => format!(" ({more} times)"),
        };
        let frozen = if self.frozen {
            "; the jail is frozen"
        } else {
            ""
        };
        format!("incident {id}: {jail}: {kind}: {detail}{often}{frozen}")
    }
}
