//! What the kernel asked of the service's threads, kept until the call is over that made it ask;
//! then told apart into what the call needed and what it did not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::calls::{self, Done};
use super::capabilities::{DAC_OVERRIDE, DAC_READ_SEARCH};
use super::record::Event;
use super::speculative;
use super::trace::{CapabilitySource, Known};
use crate::sys::abi;
use crate::sys::capability_events::{self, Ask, CapabilityEvents};

/// `OVERLAYFS_SUPER_MAGIC` of `linux/magic.h`.
const OVERLAY: u64 = 0x794c_7630;

/// Calls whose first argument is an open file, which says what they are about.
const OF_FILES: [&str; 8] = [
    "fallocate",
    "ftruncate",
    "pread64",
    "pwrite64",
    "read",
    "readv",
    "write",
    "writev",
];

/// The questions of one run.
#[derive(Debug, Default)]
pub struct Asked {
    events: Option<CapabilityEvents>,
    /// Why there are none, so that capabilities are known by rule only.
    pub by_rule: String,
    waiting: BTreeMap<i32, BTreeSet<Ask>>,
}

impl Asked {
    /// Watches a process, which has not begun, and all that it makes; unless its capabilities
    /// shall be known by rule.
    pub fn watch(pid: i32, wanted: CapabilitySource) -> Self {
        if wanted == CapabilitySource::Rule {
            return Self {
                by_rule: "it was asked for so".to_owned(),
                ..Self::default()
            };
        }
        let watching = capability_events::Event::find().and_then(|event| event.watch(pid));
        match watching {
            Ok(events) => Self {
                events: Some(events),
                ..Self::default()
            },
            Err(error) => Self {
                by_rule: error.to_string(),
                ..Self::default()
            },
        }
    }

    /// Whether the kernel tells.
    pub fn tells(&self) -> bool {
        self.events.is_some()
    }

    /// Takes over what the kernel has asked since the last time.
    pub fn read(&mut self) {
        let Self {
            events, waiting, ..
        } = self;
        if let Some(events) = events {
            events.take(|ask| {
                waiting.entry(ask.tid).or_default().insert(ask);
            });
        }
    }

    /// What a thread was asked for since the last time.
    pub fn take(&mut self, tid: i32) -> BTreeSet<Ask> {
        self.waiting.remove(&tid).unwrap_or_default()
    }

    /// A thread goes by another number now.
    pub fn renumbered(&mut self, former: i32, now: i32) {
        let asks = self.take(former);
        self.waiting.entry(now).or_default().extend(asks);
    }

    /// The threads that were asked for something which nobody has taken yet.
    pub fn threads(&self) -> Vec<i32> {
        self.waiting.keys().copied().collect()
    }

    /// What may be missing, at the end.
    pub fn gaps(&self) -> Vec<String> {
        let Some(events) = &self.events else {
            return Vec::new();
        };
        let lost = match events.lost() {
            Ok(0) => None,
            Ok(lost) => Some(format!(
                "{lost} events of the kernel about capabilities were lost"
            )),
            Err(error) => Some(format!(
                "whether events of the kernel about capabilities were lost is not known: {error}"
            )),
        };
        let more = (!events.covers_all_processors()).then(|| {
            "a processor came or went meanwhile: what the kernel asked there was not seen"
                .to_owned()
        });
        lost.into_iter().chain(more).collect()
    }
}

/// A call has returned, for which the kernel asked `asks`: what it needed, in the place of what
/// it needs by rule. `name` is the call's.
pub fn judge(done: &mut Done<'_>, name: &str, asks: &BTreeSet<Ask>) {
    if !asks.is_empty() && on_overlay(done) {
        return;
    }
    let mut by_rule = Vec::new();
    done.events.retain(|event| match event {
        Event::Capability {
            capability, call, ..
        } => {
            by_rule.push((*capability, call.clone()));
            false
        }
        _ => true,
    });
    let overrides = asks
        .iter()
        .any(|ask| ask.granted && ask.capability == DAC_OVERRIDE);
    for ask in asks {
        if overrides && ask.capability == DAC_READ_SEARCH && name != "open_by_handle_at" {
            // Whoever overrides the mode bits may search, too: generic_permission() of fs/namei.c.
            continue;
        }
        let (capability, refused) = match done.result {
            Err(abi::EPERM | abi::EACCES) if !ask.granted => (ask.capability, true),
            Ok(_) | Err(abi::EINPROGRESS) if ask.granted => {
                let Some(needed) = speculative::needed(done, name, ask.capability) else {
                    done.events.push(Event::Speculation(ask.capability));
                    continue;
                };
                (needed, false)
            }
            _ => continue,
        };
        let call = text(done, name, capability, &by_rule);
        done.events.push(Event::Capability {
            capability,
            call,
            known: Known::Asked,
            refused,
            user: done.caller.credentials().acts_as(),
        });
    }
}

/// The call with what decided: as the rule for this capability puts it, or any rule for this
/// call, or what is known about its arguments.
fn text(done: &Done<'_>, name: &str, capability: u8, by_rule: &[(u8, String)]) -> String {
    let rule = by_rule.iter().find(|(ruled, _)| *ruled == capability);
    if let Some((_, call)) = rule.or(by_rule.first()) {
        return call.clone();
    }
    if let Some(path) = done.paths.first() {
        return format!("{name}({})", path.found.asked.display());
    }
    let mut found = done.events.iter().filter_map(|event| match event {
        Event::Path { found, .. } => Some(found),
        _ => None,
    });
    if let Some(found) = found.next() {
        return format!("{name}({})", found.asked.display());
    }
    if OF_FILES.contains(&name)
        && let Some(file) = calls::open_file(done.caller, done.int(0))
    {
        // The number of a process means nothing later.
        let own = format!("/proc/{}", done.caller.process);
        let file = file
            .strip_prefix(own)
            .map_or(file.clone(), |rest| Path::new("/proc/self").join(rest));
        return format!("{name}({})", file.display());
    }
    let values = calls::deciding(done.call.number)
        .map(|deciding| calls::deciding::values(deciding, done.call))
        .unwrap_or_default();
    let words: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
    format!("{name}({})", words.join(", "))
}

/// Overlayfs asks in the name of whoever mounted it, while the caller is under way
/// (`ovl_override_creds()` of fs/overlayfs), as for `CAP_SYS_ADMIN` to look at its own marks.
/// Nothing tells such a question from one to the caller.
fn on_overlay(done: &Done<'_>) -> bool {
    let mut named = done.events.iter().filter_map(|event| match event {
        Event::Path { found, .. } => Some(found.host.as_path()),
        _ => None,
    });
    let descriptor = || calls::open_file(done.caller, done.int(0));
    named.any(overlaid) || descriptor().is_some_and(|file| overlaid(&file))
}

/// The path, or where it would be, is on an overlayfs.
pub(super) fn overlaid(path: &Path) -> bool {
    let there = path
        .ancestors()
        .find_map(|path| rustix::fs::statfs(path).ok());
    #[allow(clippy::cast_sign_loss)]
    there.is_some_and(|statfs| statfs.f_type as u64 == OVERLAY)
}
