//! The functions that refused calls were made in.

use std::path::Path;

use super::symbols::{self, Address, Mapping};
use crate::learn::Trace;
use crate::learn::trace::Place;
use crate::run::Complaint;
use crate::sys::beneath::Beneath;

/// Names of places in programs, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Places {
    of_files: Vec<(Place, String)>,
    of_threads: Vec<(i32, u64, String)>,
}

impl Places {
    /// The places of a run's failed calls, in the programs and libraries of the jail's root tree. A
    /// tree that cannot be opened has none.
    pub fn of(run: &Trace, tree: &Path) -> Self {
        let Ok(tree) = Beneath::open(tree) else {
            return Self::default();
        };
        let places = run.failed.iter().filter_map(|failed| failed.at.as_ref());
        Self {
            of_files: places
                .map(|place| (place.clone(), in_tree(&tree, place)))
                .collect(),
            of_threads: Vec::new(),
        }
    }

    /// The places of complaints whose threads still run: `is_of_jail` tells whether a thread is one
    /// of the jail's, since its number may be another's by now.
    pub fn of_running(complaints: &[Complaint], is_of_jail: impl Fn(i32) -> bool) -> Self {
        let running = complaints.iter().filter(|one| is_of_jail(one.thread));
        Self {
            of_files: Vec::new(),
            of_threads: running.filter_map(live).collect(),
        }
    }

    /// In words, of a place in a file.
    pub(super) fn name(&self, place: &Place) -> String {
        let mut known = self.of_files.iter();
        match known.find(|(other, _)| other == place) {
            Some((_, name)) => name.clone(),
            None => plain(place),
        }
    }

    /// In words, of a place in a thread that made a complaint.
    pub(super) fn name_in(&self, complaint: &Complaint) -> String {
        let wanted = (complaint.thread, complaint.instruction);
        let mut known = self.of_threads.iter();
        match known.find(|(thread, instruction, _)| (*thread, *instruction) == wanted) {
            Some((_, _, name)) => name.clone(),
            None => format!("{:#x}", complaint.instruction),
        }
    }
}

/// Without a look at the file.
fn plain(place: &Place) -> String {
    if place.file.as_os_str().is_empty() {
        return format!("{:#x}, in memory of no file", place.address);
    }
    format!("{}+{:#x}", place.file.display(), place.offset)
}

/// The kernel's address is that of the instruction after the call's.
fn in_tree(tree: &Beneath, place: &Place) -> String {
    let inode = place
        .file
        .strip_prefix("/")
        .ok()
        .and_then(|relative| tree.stat(relative).ok())
        .map(|stat| stat.st_ino);
    let (Some(inode), Some(start), Some(offset)) = (
        inode,
        place.address.checked_sub(1),
        place.offset.checked_sub(1),
    ) else {
        return plain(place);
    };
    let mapping = Mapping {
        start,
        end: place.address.saturating_add(1),
        executable: true,
        offset,
        inode,
        name: place.file.clone(),
    };
    let address = Address::After(place.address);
    symbols::place(&[mapping], address, &symbols::beneath(tree)).to_string()
}

fn live(complaint: &Complaint) -> Option<(i32, u64, String)> {
    let Complaint {
        thread,
        instruction,
        ..
    } = *complaint;
    let maps = std::fs::read(format!("/proc/{thread}/maps")).ok()?;
    let open = symbols::mapped_by(u32::try_from(thread).ok()?);
    let address = Address::After(instruction);
    let place = symbols::place(&symbols::mappings(&maps), address, &open);
    Some((thread, instruction, place.to_string()))
}
