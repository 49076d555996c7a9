//! What the kernel says of its trace events (`Documentation/trace/events.rst`), by way of a
//! mount of tracefs that is in no directory: nothing is left behind, and it does not matter
//! whether the host has one.
#![forbid(unsafe_code)]

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::error::{Doing, Error, Result};

/// A trace event: its number, and where its fields are in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFormat {
    /// Its number, as `perf_event_open(2)` wants it.
    pub id: u64,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    offset: usize,
    size: usize,
}

impl EventFormat {
    /// Where in a record the field `name` of `size` bytes begins.
    ///
    /// # Errors
    /// If this kernel's event has no such field, or one of another size.
    pub fn offset(&self, name: &str, size: usize) -> Result<usize> {
        let field = self.fields.iter().find(|field| field.name == name);
        match field {
            Some(field) if field.size == size => Ok(field.offset),
            _ => Err(Error::new(
                "read the records of a trace event",
                format!("this kernel's has no field {name} of {size} bytes"),
            )),
        }
    }
}

/// The event `name` of `group`.
///
/// # Errors
/// If tracefs cannot be mounted, as by an ordinary user or in lockdown, or this kernel has no such
/// event.
pub fn event(group: &str, name: &str) -> Result<EventFormat> {
    let root = mounted().doing(|| "mount tracefs")?;
    let read = |file: &str| {
        let path = format!("events/{group}/{name}/{file}");
        text(&root, &path).doing(|| format!("read tracefs's {path}"))
    };
    parse(&read("format")?).ok_or_else(|| {
        let doing = format!("read what the trace event {group}:{name} is like");
        Error::new(
            doing,
            "its format is not as the kernel's documentation says",
        )
    })
}

fn mounted() -> rustix::io::Result<OwnedFd> {
    let tracefs = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&tracefs)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&tracefs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn text(root: &OwnedFd, path: &str) -> std::io::Result<String> {
    let file = openat(root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Lines like `ID: 2073` and `field:int cap; offset:32; size:4; signed:1;`.
fn parse(text: &str) -> Option<EventFormat> {
    let id = text.lines().find_map(|line| line.strip_prefix("ID: "))?;
    Some(EventFormat {
        id: id.trim().parse().ok()?,
        fields: text.lines().filter_map(field).collect(),
    })
}

fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let number = |part: &str, key: &str| part.strip_prefix(key)?.strip_prefix(':')?.parse().ok();
    Some(Field {
        name: declaration.rsplit([' ', '*']).next()?.to_owned(),
        offset: number(parts.next()?, "offset")?,
        size: number(parts.next()?, "size")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read() {
        let format = parse(
            "name: cap_capable\nID: 2073\nformat:\n\
             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
             \tfield:struct user_namespace * target_ns;\toffset:16;\tsize:8;\tsigned:0;\n\
             \tfield:int cap;\toffset:32;\tsize:4;\tsigned:1;\n\n\
             print fmt: \"cap %d\", REC->cap\n",
        )
        .unwrap();
        assert_eq!(format.id, 2073);
        assert_eq!(format.offset("target_ns", 8).unwrap(), 16);
        assert_eq!(format.offset("cap", 4).unwrap(), 32);
        let wrong = format.offset("cap", 8).unwrap_err().to_string();
        assert!(wrong.contains("no field cap of 8 bytes"), "{wrong}");
        assert!(parse("format:\n").is_none());
    }

    #[test]
    fn reading_an_event_leaves_no_mount() {
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let before = mounts();
        let format = event("sched", "sched_process_exit").unwrap();
        assert!(format.id > 0 && format.offset("pid", 4).is_ok());
        assert!(event("sched", "no_such_event").is_err());
        assert_eq!(mounts(), before);
    }
}
