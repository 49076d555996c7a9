//! What differs between two specs, by meaning: reasons, evidence, comments and order do not
//! count. Pure.
mod items;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::Spec;
use items::{Item, items};

/// What a change is about, most costly first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// A place that the service can change.
    Writable,
    /// A capability.
    Capability,
    /// A system call.
    Call,
    /// Who it runs as.
    Identity,
    /// A layer of the jail.
    Protection,
    /// A program in the jail.
    Program,
    /// A port.
    Port,
    /// A family of sockets.
    Family,
    /// A device.
    Device,
    /// Something that it can only read.
    Readable,
    /// A limit.
    Limit,
    /// A finding that is accepted.
    Risk,
    /// How it is started, told and stopped.
    Service,
    /// How it is tried.
    Exercise,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It is only in the second spec.
    Added,
    /// It is in both, and not the same.
    Changed,
    /// It is only in the first spec.
    Removed,
}

/// One property of an item, before and after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Field {
    /// Its key in the file.
    pub field: &'static str,
    /// In the first spec; `None` if it is not set there.
    pub from: Option<String>,
    /// In the second.
    pub to: Option<String>,
}

/// One item that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What it is about.
    pub cost: Cost,
    /// The item: `bind /var/lib/web`, `call ptrace`, `service.user`.
    pub item: String,
    /// What happened to it.
    pub change: Difference,
    /// The properties that differ; of an item that was added or removed, all.
    pub fields: Vec<Field>,
    /// Its reason in the second spec, or in the first if it was removed; empty if it has none.
    pub because: String,
    /// How that is known, as in the file; empty if it has no reason.
    pub evidence: String,
}

/// Everything that differs from `old` to `new`, most costly first.
pub fn diff(old: &Spec, new: &Spec) -> Vec<Change> {
    let (before, mut after) = (items(old), items(new));
    let mut changes = Vec::new();
    for (name, item) in before {
        match after.remove(&name) {
            None => changes.push(only(name, item, Difference::Removed)),
            Some(other) => changes.extend(changed(name, item, other)),
        }
    }
    let added = after.into_iter();
    changes.extend(added.map(|(name, item)| only(name, item, Difference::Added)));
    changes.sort();
    changes
}

fn only(
    item: String,
    Item {
        cost,
        fields,
        because,
        evidence,
    }: Item,
    change: Difference,
) -> Change {
    let field = |(field, value)| match change {
        Difference::Removed => Field {
            field,
            from: Some(value),
            to: None,
        },
        Difference::Added | Difference::Changed => Field {
            field,
            from: None,
            to: Some(value),
        },
    };
    Change {
        cost,
        item,
        change,
        fields: fields.into_iter().map(field).collect(),
        because,
        evidence,
    }
}

fn changed(item: String, mut old: Item, mut new: Item) -> Option<Change> {
    let mut keys: Vec<&'static str> = old
        .fields
        .keys()
        .chain(new.fields.keys())
        .copied()
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let fields: Vec<Field> = keys
        .into_iter()
        .map(|field| Field {
            field,
            from: old.fields.remove(field),
            to: new.fields.remove(field),
        })
        .filter(|field| field.from != field.to)
        .collect();
    (!fields.is_empty()).then_some(Change {
        cost: old.cost.min(new.cost),
        item,
        change: Difference::Changed,
        fields,
        because: new.because,
        evidence: new.evidence,
    })
}
