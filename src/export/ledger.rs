//! Keeps account of what of a spec an export has said, and what it could not.

use std::collections::BTreeSet;

use super::item::{Item, items};
use super::{Gap, Loss};
use crate::audit::{Severity, weight};
use crate::spec::Spec;

/// The account of one export: each item of the spec is either said or in a gap.
#[derive(Clone, Debug)]
pub struct Ledger {
    open: BTreeSet<Item>,
    all: BTreeSet<Item>,
    gaps: Vec<Gap>,
}

impl Ledger {
    /// Opens it with everything that `spec` says.
    pub fn new(spec: &Spec) -> Self {
        let all: BTreeSet<Item> = items(spec).into_iter().collect();
        Self {
            open: all.clone(),
            all,
            gaps: Vec::new(),
        }
    }

    /// The enforcer's files say this, exactly.
    pub fn said(&mut self, item: &Item) {
        self.open.remove(item);
    }

    /// The enforcer's files say nothing of these, or not exactly. What the spec does not say is left
    /// out, and if nothing is left there is no gap.
    pub fn gap(
        &mut self,
        items: impl IntoIterator<Item = Item>,
        loss: Loss,
        severity: Severity,
        why: impl Into<String>,
    ) {
        let items: BTreeSet<Item> = items.into_iter().collect();
        let about: Vec<String> = items
            .intersection(&self.all)
            .map(ToString::to_string)
            .collect();
        self.open.retain(|item| !items.contains(item));
        if !about.is_empty() {
            self.gaps.push(Gap {
                items: about,
                loss,
                why: why.into(),
                severity,
                cost: weight(severity),
            });
        }
    }

    /// What belongs to whoever starts the service, where an enforcer only confines it; `limits` by name.
    pub fn started_by_others(
        &mut self,
        spec: &Spec,
        limits: impl IntoIterator<Item = Item>,
        why: &str,
    ) {
        let service = [
            Item::Command,
            Item::User,
            Item::Groups,
            Item::WorkingDirectory,
            Item::Umask,
            Item::Environment,
            Item::Forks,
            Item::HostPidFile,
            Item::Reload,
            Item::Stop,
            Item::Restart,
            Item::Liveness,
            Item::Log,
            Item::NoNewPrivileges,
        ];
        let ready = spec.service.ready.iter().cloned().map(Item::Ready);
        let sockets = spec.sockets.iter().map(|it| Item::Socket(it.name.clone()));
        let all = service.into_iter().chain(ready).chain(sockets);
        self.gap(all.chain(limits), Loss::Lost, Severity::Info, why);
    }

    /// What nobody does but gaoler's supervisor, its tools on the host, and Landlock in a jail.
    pub fn without_gaoler(&mut self) {
        self.gap(
            [Item::HostPidFile],
            Loss::Lost,
            Severity::Info,
            "nobody writes its pid where the host's own tools look for it: they do not find it",
        );
        self.without_own_tools();
        self.gap(
            [Item::NoPassedDirectory],
            Loss::Loosened,
            Severity::Low,
            "from a directory that another process passes it as a descriptor it opens files outside: Landlock \
             forbids that in a jail",
        );
    }

    /// gaoler's own tools look at what a service leaves before they use it, and others do not.
    pub fn without_own_tools(&mut self) {
        self.gap(
            [Item::NothingBelieved],
            Loss::Lost,
            Severity::Info,
            "a link or a pid file that it leaves in a place that it writes to is followed and believed by the \
             host's tools: gaoler's own do neither",
        );
    }

    /// Whether nobody has accounted for it yet.
    pub fn is_open(&self, item: &Item) -> bool {
        self.open.contains(item)
    }

    /// The gaps, the worst first. What nobody has accounted for is one too.
    pub fn close(mut self) -> Vec<Gap> {
        let open = std::mem::take(&mut self.open);
        self.gap(
            open,
            Loss::Lost,
            Severity::Medium,
            "this export has no words for it",
        );
        // Of the same weight they stay in the order of the export.
        self.gaps.sort_by_key(|gap| std::cmp::Reverse(gap.severity));
        self.gaps
    }
}
