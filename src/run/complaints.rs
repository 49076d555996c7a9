//! What the filter would have refused, in complain mode: it runs, and is written down here. The
//! kernel waits for the answer to each such call (`seccomp_unotify(2)`), so none can be missed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, argument_that_decides};
use crate::sys::notify::Asked;
use crate::{Doing, Error, Result};

/// More different calls than these are only counted: a service must not fill the memory of its
/// supervisor.
const MOST: usize = 4096;

/// The file's name, beside the jail's generations.
const FILE: &str = "complaints.json";

/// A call that the filter would have refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// `AUDIT_ARCH_*` of the entry that it came through.
    pub architecture: u32,
    /// Its number there.
    pub number: u32,
    /// The arguments of the first one.
    pub arguments: [u64; 6],
    /// Where in memory the first one was made.
    pub instruction: u64,
    /// The thread that made the first one, as the host numbers it.
    pub thread: i32,
    /// The program of that thread, as the kernel has it (`comm` of proc(5)): the service's word.
    pub program: String,
    /// After the service was ready.
    pub serving: bool,
    /// How often.
    pub count: u64,
}

/// The complaints of a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// One for each call, argument that decides, and phase.
    pub complaints: Vec<Complaint>,
    /// How many there were beyond those, because there were too many different ones.
    pub not_told_apart: u64,
}

impl Record {
    /// What was written down when the jail was last run in complain mode; `None` if it never was.
    ///
    /// # Errors
    /// It cannot be read, or is no such record.
    pub fn load(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let doing = || format!("read {}", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing(doing),
        };
        let record = serde_json::from_slice(&text).map_err(|error| Error::new(doing(), error))?;
        Ok(Some(record))
    }
}

/// Architecture, number, argument that decides, phase.
type Key = (u32, u32, Option<u32>, bool);

/// Complaints that are being heard.
#[derive(Debug)]
pub(super) struct Complaints {
    path: PathBuf,
    /// The calls that only starting needs: they are no complaint before the service is ready.
    only_at_start: Vec<u32>,
    native: u32,
    /// The descriptor of the program, which the launcher executes itself.
    program: u32,
    serving: bool,
    heard: BTreeMap<Key, Complaint>,
    not_told_apart: u64,
    changed: bool,
}

impl Complaints {
    /// In complain mode, those of the jail, of which there are none yet.
    ///
    /// # Errors
    /// As writing a file.
    pub fn of(plan: &Plan) -> Result<Option<Self>> {
        let Some((directory, only_at_start)) = plan.complaints() else {
            return Ok(None);
        };
        let mut complaints = Self {
            path: directory.join(FILE),
            only_at_start: only_at_start.to_vec(),
            native: crate::plan::native_architecture()?,
            program: plan.descriptors().program(),
            serving: false,
            heard: BTreeMap::new(),
            not_told_apart: 0,
            changed: true,
        };
        complaints.save()?;
        Ok(Some(complaints))
    }

    /// The launcher's own last step asks too.
    fn is_launch(&self, asked: &Asked) -> bool {
        let [descriptor, ..] = asked.arguments;
        crate::sys::calls::number("execveat") == Some(asked.number)
            && descriptor & u64::from(u32::MAX) == u64::from(self.program)
    }

    /// From now on it serves.
    pub fn serves(&mut self) {
        self.serving = true;
    }

    /// A call has run that asked. One that is new is on disk when this returns.
    ///
    /// # Errors
    /// As writing a file.
    pub fn hear(&mut self, asked: &Asked) -> Result<()> {
        let native = asked.architecture == self.native;
        let of_start = native && self.only_at_start.contains(&asked.number);
        if (of_start && !self.serving) || (native && self.is_launch(asked)) {
            return Ok(());
        }
        let decides = argument_that_decides(asked.number).filter(|_| native);
        let decides = decides.and_then(|index| asked.arguments.get(index));
        // The kernel looks at the low half of all of these.
        let decides = decides.map(|value| (*value & u64::from(u32::MAX)) as u32);
        let key = (asked.architecture, asked.number, decides, self.serving);
        self.changed = true;
        if let Some(known) = self.heard.get_mut(&key) {
            known.count += 1;
            return Ok(());
        }
        if self.heard.len() >= MOST {
            self.not_told_apart += 1;
            return Ok(());
        }
        let complaint = Complaint {
            architecture: asked.architecture,
            number: asked.number,
            arguments: asked.arguments,
            instruction: asked.instruction,
            thread: asked.thread,
            program: crate::host::process::command_name(asked.thread).unwrap_or_default(),
            serving: self.serving,
            count: 1,
        };
        self.heard.insert(key, complaint);
        self.save()
    }

    /// Writes down what is new, counts included.
    ///
    /// # Errors
    /// As writing a file.
    pub fn save(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let record = Record {
            complaints: self.heard.values().cloned().collect(),
            not_told_apart: self.not_told_apart,
        };
        let doing = || format!("write {}", self.path.display());
        let text = serde_json::to_vec(&record).map_err(|error| Error::new(doing(), error))?;
        let beside = self.path.with_extension("json.new");
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &self.path).doing(doing)
    }
}
