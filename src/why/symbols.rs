//! From an address in a process to the function that it is in, for a person: `raise+0x3c in
//! /usr/lib/x86_64-linux-gnu/libc.so.6`.
//!
//! The process may be hostile. It chooses what is mapped where, and the names; it can have
//! replaced the file since, or mapped one that is no program. So the caller says how a mapped
//! file is opened ([`beneath`], [`mapped_by`]), and what is in it is only believed as far as
//! [`elf::nearest`] does.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::build::elf;
use crate::spec::turns_writing;
use crate::sys::beneath::Beneath;

/// What the kernel puts behind the name of a file that has been removed (d_path in fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// One line of `/proc/PID/maps` (proc_pid_maps(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The first address after it.
    pub end: u64,
    /// Whether code in it can be run.
    pub executable: bool,
    /// Where it begins in the file, bytes.
    pub offset: u64,
    /// The file's inode number; 0 if there is no file.
    pub inode: u64,
    /// What the kernel calls it: a path, `[vdso]` and its like, or nothing. A path counts from the
    /// root of the mount namespace, with a newline in it as `\012`.
    pub name: PathBuf,
}

/// What an address points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// The instruction in question.
    At(u64),
    /// The instruction after it: what a signal frame, a return address and the `si_call_addr` of
    /// SIGSYS have. It may be the first of another function.
    After(u64),
}

/// What memory an address is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A file, by its name. It has no function's name if it was stripped, is no program, or
    /// could not be opened.
    File(PathBuf),
    /// A file that is not there any more, or no longer the same: its symbols are not known.
    Gone(PathBuf),
    /// What the kernel or the process has named: `[vdso]`, `[stack]`, `[anon:...]`.
    Named(PathBuf),
    /// Memory of no file and no name that can be run: code that was made at run time.
    Generated,
    /// Memory that cannot be run: a jump into data.
    Data,
    /// None at all.
    Unmapped,
}

/// Where an address is. Its text is fit for a terminal, whatever the process has named things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function's name, as in the file, and the bytes from its beginning to the address.
    pub symbol: Option<(String, u64)>,
    /// The memory.
    pub memory: Memory,
    /// For a file that could be read as a program, the address that addr2line(1) takes for it. For
    /// any other file, the distance from where its first byte is mapped. For memory of no file,
    /// the distance from its beginning. For an address that is not mapped, itself.
    pub offset: u64,
}

/// How the file of a mapping is opened: it must be the very one, or an error.
pub type Open<'a> = dyn Fn(&Mapping) -> io::Result<File> + 'a;

/// The mappings in the text of `/proc/PID/maps`, in its order, which is by address. A line that
/// the kernel would not write is passed over.
pub fn mappings(text: &[u8]) -> Vec<Mapping> {
    text.split(|byte| *byte == b'\n')
        .filter_map(mapping)
        .collect()
}

fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut field = || fields.next().and_then(|field| str::from_utf8(field).ok());
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    let _device = field()?.split_once(':')?;
    let inode = field()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let (start, end) = (
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
    );
    (start < end).then(|| Mapping {
        start,
        end,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        offset,
        inode,
        name: OsStr::from_bytes(name).into(),
    })
}

/// The place of an address among the mappings of a process. Files are opened with `open`; one
/// that cannot be opened has no symbols.
pub fn place(mappings: &[Mapping], address: Address, open: &Open<'_>) -> Place {
    let (at, further) = match address {
        Address::At(at) => (at, 0),
        Address::After(next) => (next.saturating_sub(1), 1.min(next)),
    };
    let Some(mapping) = mappings.iter().find(|m| m.start <= at && at < m.end) else {
        return Place {
            symbol: None,
            memory: Memory::Unmapped,
            offset: at.saturating_add(further),
        };
    };
    let into = at.saturating_sub(mapping.start);
    let place = if mapping.inode == 0 {
        without_file(mapping, into)
    } else {
        in_file(mappings, mapping, into, open)
    };
    Place {
        symbol: place
            .symbol
            .map(|(name, into)| (name, into.saturating_add(further))),
        offset: place.offset.saturating_add(further),
        ..place
    }
}

fn without_file(mapping: &Mapping, into: u64) -> Place {
    let memory = if !mapping.name.as_os_str().is_empty() {
        Memory::Named(mapping.name.clone())
    } else if mapping.executable {
        Memory::Generated
    } else {
        Memory::Data
    };
    Place {
        symbol: None,
        memory,
        offset: into,
    }
}

fn in_file(mappings: &[Mapping], mapping: &Mapping, into: u64, open: &Open<'_>) -> Place {
    let opened = open(mapping);
    let is_gone = match &opened {
        Ok(_) => false,
        Err(error) => {
            error.kind() == io::ErrorKind::NotFound
                || mapping.name.as_os_str().as_bytes().ends_with(DELETED)
        }
    };
    let nearest = opened
        .ok()
        .and_then(|file| elf::nearest(&file, mapping.offset.checked_add(into)?));
    let memory = if is_gone {
        Memory::Gone(mapping.name.clone())
    } else {
        Memory::File(mapping.name.clone())
    };
    match nearest {
        Some(nearest) => Place {
            symbol: nearest.symbol,
            memory,
            offset: nearest.address,
        },
        None => Place {
            symbol: None,
            memory,
            offset: from_first_byte(mappings, mapping, into),
        },
    }
}

/// A file is mapped in pieces; the one before them all has its first byte.
fn from_first_byte(mappings: &[Mapping], mapping: &Mapping, into: u64) -> u64 {
    let first = mappings
        .iter()
        .filter(|m| m.inode == mapping.inode && m.name == mapping.name)
        .rfind(|m| m.offset == 0 && m.start <= mapping.start);
    match first {
        Some(first) => mapping
            .start
            .saturating_sub(first.start)
            .saturating_add(into),
        None => mapping.offset.saturating_add(into),
    }
}

/// Opens mapped files beneath a directory that stands for the process's root: a jail's tree,
/// `/proc/PID/root/.`, or `/`. No symbolic link is followed, as no mapping's name has one in it.
/// A file whose inode number is not the mapping's is not it: it was replaced.
pub fn beneath(root: &Beneath) -> impl Fn(&Mapping) -> io::Result<File> + '_ {
    |mapping| {
        let relative = mapping
            .name
            .strip_prefix("/")
            .map_err(|_| io::ErrorKind::NotFound)?;
        // Not opened to see: to open a device could do something to it.
        let stat = root.stat(relative)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let file = File::from(root.file(relative)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.ino() != mapping.inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }
}

/// Opens what the live process `pid` has mapped, through `/proc/PID/map_files`: the very files,
/// removed ones too, without following any path of the process. Needs CAP_CHECKPOINT_RESTORE or
/// CAP_SYS_ADMIN in the first user namespace (proc_pid_map_files(5)).
pub fn mapped_by(pid: u32) -> impl Fn(&Mapping) -> io::Result<File> {
    move |mapping| {
        let link = format!(
            "/proc/{pid}/map_files/{:x}-{:x}",
            mapping.start, mapping.end
        );
        // First only a handle: to open a device that is mapped could do something to it.
        let handle = rustix::fs::openat(CWD, &link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        File::open(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
    }
}

impl fmt::Display for Place {
    /// `symbol+0xoffset in FILE`, or `FILE+0xoffset`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |path: &Path| shown(&path.to_string_lossy());
        let memory = match &self.memory {
            Memory::File(path) | Memory::Named(path) => name(path),
            Memory::Gone(path) => {
                let bytes = path.as_os_str().as_bytes();
                let known = bytes.strip_suffix(DELETED).unwrap_or(bytes);
                let known = name(Path::new(OsStr::from_bytes(known)));
                format!("{known} (removed or replaced since)")
            }
            Memory::Generated => "generated code".to_owned(),
            Memory::Data => "data".to_owned(),
            Memory::Unmapped => return write!(f, "0x{:x}, which is not mapped", self.offset),
        };
        match &self.symbol {
            Some((symbol, into)) => write!(f, "{}+0x{into:x} in {memory}", shown(symbol)),
            None => write!(f, "{memory}+0x{:x}", self.offset),
        }
    }
}

/// Text that a terminal does not act upon.
fn shown(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    text.chars()
        .map(|c| if is_odd(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
