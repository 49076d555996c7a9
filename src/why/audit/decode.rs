//! From the fields of a record to what it says.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::call::{Action, Arch, Call};
use super::fields::Fields;
use super::header::{Header, Kind};
use super::record::{
    AppArmor, Endpoint, Landlock, Network, Object, Process, Seccomp, Syscall, Verdict, What,
};
use super::{Fault, selinux};
use crate::sys::caps;

/// The most of a command line that the kernel records (`MAX_PROCTITLE_AUDIT_LEN`, `kernel/audit.h`).
const MAX_TITLE: usize = 128;

/// More permissions or rights than any record names: SELinux's classes have 32 at most, Landlock
/// has fewer.
pub(super) const MAX_RIGHTS: usize = 64;

/// One record of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Something was denied.
    Denial(Process, What),
    /// The call that was under way, and who made it.
    Syscall(Process, Syscall),
    /// A file name that the call had.
    Path(PathPart),
    /// The working directory.
    Cwd(PathBuf),
    /// The command line.
    Command(Vec<OsString>),
    /// Who made a Landlock domain.
    DomainMade(u64, Process),
    /// A Landlock domain is gone.
    DomainGone(u64),
    /// There are no more records of this event.
    End,
}

/// A file name of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathPart {
    pub(super) name: PathBuf,
    pub(super) inode: Option<u64>,
}

/// What a record says; `None` if it is of a kind that says nothing here, such as a message of
/// AppArmor about its profiles.
pub(super) fn part(header: &Header<'_>) -> Result<Option<Part>, Fault> {
    if let Kind::EndOfEvent = header.kind {
        return Ok(Some(Part::End));
    }
    if header.kind == Kind::Avc && header.body.trim_ascii_start().starts_with(b"avc:") {
        return selinux::part(header);
    }
    let fields = Fields::new(header.body, header.interpreted)?;
    match header.kind {
        Kind::Syscall => Ok(Some(Part::Syscall(process(&fields)?, syscall(&fields)?))),
        Kind::Path => path(&fields),
        Kind::Cwd => Ok(fields.path("cwd").map(Part::Cwd)),
        Kind::Proctitle => Ok(fields.untrusted("proctitle").map(command)),
        Kind::Seccomp => seccomp(&fields).map(Some),
        Kind::AbnormalEnd if fields.word("reason").as_deref() == Some("seccomp") => {
            seccomp(&fields).map(Some)
        }
        Kind::Avc => avc(&fields),
        Kind::AppArmor(verdict) => apparmor(&fields, verdict).map(Some),
        Kind::LandlockAccess => landlock(&fields).map(Some),
        Kind::LandlockDomain => landlock_domain(&fields),
        Kind::AbnormalEnd | Kind::EndOfEvent => Ok(None),
    }
}

/// An access vector record that is none of SELinux's: AppArmor's, or one of a module that is not
/// read (Smack writes `lsm=SMACK`).
fn avc(fields: &Fields<'_>) -> Result<Option<Part>, Fault> {
    let Some(verdict) = fields.word("apparmor") else {
        return if fields.has("lsm") {
            Ok(None)
        } else {
            Err(Fault::Missing("apparmor"))
        };
    };
    let verdict = match verdict.as_str() {
        "DENIED" => Verdict::Denied,
        "ALLOWED" => Verdict::Allowed,
        "AUDIT" => Verdict::Audited,
        "HINT" => Verdict::Hint,
        "ERROR" => Verdict::Error,
        "KILLED" => Verdict::Killed,
        "STATUS" | "AUTO" => return Ok(None),
        _ => return Err(Fault::Value("apparmor")),
    };
    apparmor(fields, verdict).map(Some)
}

fn seccomp(fields: &Fields<'_>) -> Result<Part, Fault> {
    let compat: Option<u32> = fields.number("compat")?;
    let seccomp = Seccomp {
        call: call(fields)?.ok_or(Fault::Missing("syscall"))?,
        compat: compat.map(|compat| compat != 0),
        signal: signal(fields)?,
        action: action(fields)?,
        instruction_pointer: fields.hexadecimal("ip")?,
    };
    Ok(Part::Denial(process(fields)?, What::Seccomp(seccomp)))
}

fn signal(fields: &Fields<'_>) -> Result<Option<i32>, Fault> {
    // What a filter can end a process with (`seccomp(2)`).
    let named = [("SIGSYS", 31), ("SIGKILL", 9)];
    let word = fields.word("sig");
    let known = named.iter().find(|(name, _)| word.as_deref() == Some(name));
    match known {
        Some((_, number)) if fields.is_interpreted() => Ok(Some(*number)),
        _ => fields.number("sig"),
    }
}

fn action(fields: &Fields<'_>) -> Result<Option<Action>, Fault> {
    let named = fields.word("code").and_then(|word| Action::named(&word));
    if fields.is_interpreted() && named.is_some() {
        return Ok(named);
    }
    match fields.hexadecimal("code")? {
        None => Ok(None),
        Some(code) => u32::try_from(code)
            .map(|code| Some(Action::new(code)))
            .map_err(|_| Fault::Value("code")),
    }
}

/// The call of a seccomp or call record; `None` if it names none.
fn call(fields: &Fields<'_>) -> Result<Option<Call>, Fault> {
    let word = fields.word("syscall");
    let arch = fields.word("arch");
    let named = arch.as_deref().and_then(Arch::named).map(|arch| arch.0);
    let arch = match named {
        Some(number) if fields.is_interpreted() => Some(number),
        _ => match fields.hexadecimal("arch")? {
            Some(arch) => Some(u32::try_from(arch).map_err(|_| Fault::Value("arch"))?),
            None => None,
        },
    };
    let number: Option<i64> = fields.number("syscall")?;
    let written = match number {
        Some(_) => fields.word("SYSCALL"),
        None => word.clone(),
    };
    let number = match number {
        None | Some(-1) => None,
        Some(number) => Some(u32::try_from(number).map_err(|_| Fault::Value("syscall"))?),
    };
    Ok(word.map(|_| Call::new(arch, number, written)))
}

fn syscall(fields: &Fields<'_>) -> Result<Syscall, Fault> {
    Ok(Syscall {
        call: call(fields)?.ok_or(Fault::Missing("syscall"))?,
        arguments: [
            fields.hexadecimal("a0")?,
            fields.hexadecimal("a1")?,
            fields.hexadecimal("a2")?,
            fields.hexadecimal("a3")?,
        ],
        success: fields.word("success").map(|word| word == "yes"),
        exit: fields.number("exit")?,
    })
}

/// Who did it, as nearly every record says it.
pub(super) fn process(fields: &Fields<'_>) -> Result<Process, Fault> {
    Ok(Process {
        pid: fields.number("pid")?,
        uid: fields.id("uid")?,
        gid: fields.id("gid")?,
        login: fields.id("auid")?,
        comm: fields.untrusted("comm"),
        exe: fields.path("exe"),
        label: fields.word("subj"),
    })
}

fn path(fields: &Fields<'_>) -> Result<Option<Part>, Fault> {
    let inode = fields.number("inode")?;
    let path = fields.path("name").map(|name| PathPart { name, inode });
    Ok(path.map(Part::Path))
}

/// The words of a command line, between which the kernel has bytes of 0.
fn command(title: OsString) -> Part {
    let title = title.as_bytes();
    let title = title.get(..MAX_TITLE).unwrap_or(title);
    let title = title.strip_suffix(b"\0").unwrap_or(title);
    let words = title.split(|byte| *byte == 0);
    Part::Command(
        words
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect(),
    )
}

fn apparmor(fields: &Fields<'_>, verdict: Verdict) -> Result<Part, Fault> {
    let operation = fields.word("operation");
    let operation = operation.ok_or(Fault::Missing("operation"))?;
    let mask = |key| fields.word(key).map(|mask: String| mask.replace(':', ""));
    let profile = fields.untrusted_word("profile");
    let record = AppArmor {
        verdict,
        profile: profile.or_else(|| fields.untrusted_word("label")),
        namespace: fields.untrusted_word("namespace"),
        class: fields.word("class"),
        name: fields.untrusted("name"),
        requested: mask("requested_mask"),
        denied: mask("denied_mask"),
        fsuid: fields.id("fsuid")?,
        ouid: fields.id("ouid")?,
        error: fields.number("error")?,
        info: fields.word("info"),
        peer: fields.untrusted("peer"),
        target: fields.untrusted("target"),
        signal: fields.word("signal"),
        family: fields.word("family"),
        socket_type: fields.word("sock_type"),
        protocol: fields.number("protocol")?,
        address: fields.untrusted("addr").filter(|address| address != "none"),
        peer_address: fields
            .untrusted("peer_addr")
            .filter(|address| address != "none"),
        capability: capability(fields)?.or_else(|| old_capability(fields, &operation)),
        flags: fields.word("flags"),
        filesystem: fields.untrusted_word("fstype"),
        source: fields.untrusted("srcname"),
        network: network(fields)?,
        operation,
    };
    let what = What::AppArmor(Box::new(record));
    Ok(Part::Denial(process(fields)?, what))
}

/// A capability, by its number or, in interpreted text, its name.
pub(super) fn capability(fields: &Fields<'_>) -> Result<Option<u8>, Fault> {
    match fields
        .word("capability")
        .and_then(|name| caps::number(&name))
    {
        Some(named) => Ok(Some(named)),
        None => fields.number("capability"),
    }
}

/// A capability as AppArmor had it before Linux 2.6.36: by its name, as any other object.
fn old_capability(fields: &Fields<'_>, operation: &str) -> Option<u8> {
    let name = fields.word("name").filter(|_| operation == "capable");
    caps::number(&name?)
}

fn landlock(fields: &Fields<'_>) -> Result<Part, Fault> {
    let domain = fields.hexadecimal("domain")?;
    let blockers = fields.word("blockers").ok_or(Fault::Missing("blockers"))?;
    if blockers.split(',').count() > MAX_RIGHTS {
        return Err(Fault::Value("blockers"));
    }
    let other = Process {
        pid: fields.number("opid")?,
        comm: fields.untrusted("ocomm"),
        ..Process::default()
    };
    let record = Landlock {
        domain: domain.ok_or(Fault::Missing("domain"))?,
        blockers: blockers.split(',').map(str::to_owned).collect(),
        object: object(fields)?,
        other: other.pid.is_some().then_some(other),
        network: network(fields)?,
        creator: None,
    };
    let what = What::Landlock(Box::new(record));
    Ok(Part::Denial(process(fields)?, what))
}

fn landlock_domain(fields: &Fields<'_>) -> Result<Option<Part>, Fault> {
    let domain = fields.hexadecimal("domain")?;
    let domain = domain.ok_or(Fault::Missing("domain"))?;
    Ok(match fields.word("status").as_deref() {
        Some("allocated") => Some(Part::DomainMade(domain, process(fields)?)),
        Some("deallocated") => Some(Part::DomainGone(domain)),
        _ => None,
    })
}

/// The file of a record of SELinux or Landlock.
pub(super) fn object(fields: &Fields<'_>) -> Result<Object, Fault> {
    Ok(Object {
        path: fields.path("path"),
        name: fields.untrusted("name"),
        device: fields.word("dev"),
        inode: fields.number("ino")?,
    })
}

/// The addresses of a record.
pub(super) fn network(fields: &Fields<'_>) -> Result<Network, Fault> {
    let endpoint = |address, port| -> Result<Endpoint, Fault> {
        Ok(Endpoint {
            address: fields.address(address)?,
            port: fields.number(port)?,
        })
    };
    Ok(Network {
        local: endpoint("laddr", "lport")?,
        foreign: endpoint("faddr", "fport")?,
        source: endpoint("saddr", "src")?,
        destination: endpoint("daddr", "dest")?,
    })
}
