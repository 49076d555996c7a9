//! What runs between fork and execve. Nothing here allocates, takes a lock or prints: each
//! operation answers with an errno, and the parent, which holds the plan, words the error.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::mounts::{attach, bind, bind_device, mount_root};
use super::prepare::{Opened, Operation};
use crate::plan::{Descriptors, FIRST_PASSED};
use crate::sys;
use crate::sys::seccomp::{Instruction, Options};

/// More supplementary groups than this are not read back without allocating.
const MOST_GROUPS: usize = 64;

/// What the child carries from one operation to the next.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    /// The jail's root, while mounts are made.
    root: Option<OwnedFd>,
    /// The program, under its fixed number.
    program: Option<BorrowedFd<'static>>,
    /// A program that the parent hands over.
    given: Option<BorrowedFd<'a>>,
    /// The Landlock ruleset, and a directory that it has no rule for.
    landlock: Option<[BorrowedFd<'a>; 2]>,
    /// Where a failure is written.
    pub(super) errors: Option<BorrowedFd<'a>>,
    /// What is passed on.
    sockets: &'a [OwnedFd],
    /// Which numbers the descriptors get.
    numbers: Descriptors,
    /// The process that becomes the service: its pid, inside and outside.
    pub(super) pid: i32,
}

impl<'a> Carried<'a> {
    /// With the descriptors that the parent opened.
    pub(super) fn new(descriptors: &'a Opened, errors: Option<&'a OwnedFd>, pid: i32) -> Self {
        let landlock = descriptors.landlock.as_ref();
        Self {
            root: None,
            program: None,
            given: descriptors.program.as_ref().map(AsFd::as_fd),
            landlock: landlock.map(|own| [own.ruleset.as_fd(), own.forbidden.as_fd()]),
            errors: errors.map(AsFd::as_fd),
            sockets: &descriptors.sockets,
            numbers: descriptors.numbers,
            pid,
        }
    }
}

/// Performs the operations in order. Answers only on failure, with the step's index.
pub(super) fn perform(
    operations: &mut [(u32, Operation)],
    carried: &mut Carried<'_>,
) -> Option<(u32, Errno)> {
    operations.iter_mut().find_map(|(index, operation)| {
        operation
            .perform(carried)
            .err()
            .map(|errno| (*index, errno))
    })
}

/// In place of a step's index: the number is that of the filter's listener.
const LISTENER: u32 = u32::MAX;

/// What the child says on the error pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The step of this index failed.
    Failed(u32, Errno),
    /// Its filter's listener has this number, and it waits for somebody to take it.
    Listener(i32),
}

impl Word {
    /// The size of every word on the pipe.
    pub(super) const SIZE: usize = 8;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let (step, number) = match self {
            Word::Failed(step, errno) => (step, errno.raw_os_error()),
            Word::Listener(number) => (LISTENER, number),
        };
        let mut bytes = [0; Self::SIZE];
        let (first, second) = bytes.split_at_mut(4);
        first.copy_from_slice(&step.to_ne_bytes());
        second.copy_from_slice(&number.to_ne_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        let number = i32::from_ne_bytes([e, f, g, h]);
        match u32::from_ne_bytes([a, b, c, d]) {
            LISTENER => Word::Listener(number),
            step => Word::Failed(step, Errno::from_raw_os_error(number)),
        }
    }
}

/// Says a word to the parent.
pub(super) fn tell(errors: impl AsFd, word: Word) -> Result<usize> {
    rustix::io::write(errors, &word.to_bytes())
}

/// Installs the filter. Its listener stays open, close-on-exec, until the parent has taken it:
/// the execve that would close it is the first call that waits for an answer.
fn install(program: &[Instruction], options: Options, carried: &Carried<'_>) -> Result<()> {
    let Some(listener) = sys::seccomp::install(program, options)? else {
        return Ok(());
    };
    let number = listener.as_raw_fd();
    std::mem::forget(listener);
    tell(carried.errors.ok_or(Errno::BADF)?, Word::Listener(number)).map(drop)
}

impl Operation {
    fn perform(&mut self, carried: &mut Carried<'_>) -> Result<()> {
        match self {
            Operation::StopPropagation => rustix::mount::mount_change(
                c"/",
                MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM,
            ),
            Operation::MountRoot { tree } => {
                carried.root = Some(mount_root(tree)?);
                Ok(())
            }
            Operation::Bind {
                source,
                target,
                attributes,
            } => bind(source, root(carried)?, target, *attributes),
            Operation::BindDevice {
                source,
                target,
                number,
                attributes,
            } => bind_device(source, root(carried)?, target, *number, *attributes),
            Operation::MountScratch { mount, target } => attach(mount, root(carried)?, target),
            Operation::PivotRoot => {
                rustix::process::fchdir(root(carried)?)?;
                // With both names ".", the old root ends up mounted on top of the new one
                // (pivot_root(2), NOTES).
                rustix::process::pivot_root(c".", c".")
            }
            Operation::DetachOldRoot => rustix::mount::unmount(c".", UnmountFlags::DETACH),
            Operation::Chroot { tree } => {
                rustix::process::chdir(tree.as_c_str())?;
                rustix::process::chroot(c".")
            }
            Operation::EnterRoot => enter_root(carried),
            Operation::NewSession => rustix::process::setsid().map(drop),
            Operation::PassSockets => pass_sockets(carried),
            Operation::OpenProgram { path } => {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let program = rustix::fs::open(path.as_c_str(), flags, Mode::empty())?;
                let number = carried.numbers.program();
                carried.program = Some(sys::close::place(&program, number, false)?);
                // It may have that number already; CloseRest closes it if it has another.
                std::mem::forget(program);
                Ok(())
            }
            Operation::TakeProgram => {
                let given = carried.given.ok_or(Errno::BADF)?;
                let number = carried.numbers.program();
                carried.program = Some(sys::close::place(given, number, false)?);
                Ok(())
            }
            Operation::ChangeDirectory { path } => change_directory(path),
            Operation::CloseRest => close_rest(carried),
            Operation::Limit { resource, value } => limit(*resource, *value),
            Operation::Umask { mask } => {
                // umask(2) always succeeds and answers with the old mask.
                rustix::process::umask(Mode::from_raw_mode(*mask));
                Ok(())
            }
            Operation::DropBoundingSet { keep, last } => drop_bounding_set(*keep, *last),
            Operation::SetGroups { groups } => rustix::thread::set_thread_groups(groups),
            Operation::SetGids { gid } => {
                let gid = Gid::from_raw(*gid);
                rustix::thread::set_thread_res_gid(gid, gid, gid)
            }
            Operation::SetUids { uid } => set_uids(*uid),
            Operation::SetCapabilities { keep } => set_capabilities(*keep),
            Operation::SetAmbient { keep } => set_ambient(*keep),
            Operation::VerifyIds {
                uid,
                gid,
                groups,
                capabilities,
                ambient,
            } => {
                verify_ids(*uid, *gid, groups)?;
                verify_capabilities(*capabilities, *ambient)
            }
            Operation::VerifyOwnIds { uid, gid } => {
                verify_forms(*uid, *gid)?;
                verify_capabilities(0, 0)
            }
            Operation::NoNewPrivs => {
                rustix::thread::set_no_new_privs(true)?;
                if rustix::thread::no_new_privs()? {
                    Ok(())
                } else {
                    Err(Errno::PERM)
                }
            }
            Operation::Landlock => {
                let [ruleset, forbidden] = carried.landlock.ok_or(Errno::BADF)?;
                sys::landlock::restrict_self(ruleset)?;
                sys::landlock::refuses(forbidden)
            }
            Operation::Seccomp {
                program,
                options,
                refuses,
            } => {
                install(program, *options, carried)?;
                if *refuses {
                    sys::seccomp::refuses_typing()?;
                }
                Ok(())
            }
            Operation::Execute {
                arguments,
                environment,
            } => {
                let program = carried.program.ok_or(Errno::BADF)?;
                environment.set_number(carried.pid);
                Err(sys::exec::execute(program, arguments, environment))
            }
        }
    }
}

fn root<'a>(carried: &'a Carried<'_>) -> Result<&'a OwnedFd> {
    carried.root.as_ref().ok_or(Errno::BADF)
}

/// The old root, if it were still mounted, would lie over the new one, where `..` leads to it.
fn enter_root(carried: &Carried<'_>) -> Result<()> {
    rustix::process::chdir(c"/")?;
    let Some(root) = &carried.root else {
        return Ok(());
    };
    let (root, above) = (rustix::fs::fstat(root)?, rustix::fs::stat(c"/..")?);
    if (root.st_dev, root.st_ino) == (above.st_dev, above.st_ino) {
        Ok(())
    } else {
        Err(Errno::XDEV)
    }
}

/// The kernel answers "(unreachable)/…" for a directory outside the root (CVE-2024-21626).
fn change_directory(path: &CStr) -> Result<()> {
    rustix::process::chdir(path)?;
    let mut buffer = [0_u8; 4096];
    match sys::directory::current(&mut buffer)?.first() {
        Some(b'/') => Ok(()),
        _ => Err(Errno::XDEV),
    }
}

/// To the numbers at which the service looks for them: they stay open when it is executed.
fn pass_sockets(carried: &mut Carried<'_>) -> Result<()> {
    // Its number may be one of those.
    carried.root = None;
    for (socket, number) in carried.sockets.iter().zip(FIRST_PASSED..) {
        sys::close::place(socket, number, true)?;
    }
    Ok(())
}

/// Sockets and program are already in their places; the error pipe and what Landlock needs follow,
/// and everything above them is closed.
fn close_rest(carried: &mut Carried<'_>) -> Result<()> {
    carried.root = None;
    let numbers = carried.numbers;
    if let Some(errors) = carried.errors {
        carried.errors = Some(sys::close::place(errors, numbers.errors(), false)?);
    }
    let unused = numbers.first_unused();
    let Some([ruleset, forbidden]) = carried.landlock else {
        return sys::close::close_from(unused);
    };
    carried.landlock = Some([
        sys::close::place(ruleset, unused, false)?,
        sys::close::place(forbidden, unused + 1, false)?,
    ]);
    sys::close::close_from(unused + 2)
}

/// Lowers both limits; one that is lower already stays.
fn limit(resource: rustix::process::Resource, value: u64) -> Result<()> {
    let present = rustix::process::getrlimit(resource);
    let lower = |old: Option<u64>| Some(old.map_or(value, |old| old.min(value)));
    let new = rustix::process::Rlimit {
        current: lower(present.current),
        maximum: lower(present.maximum),
    };
    rustix::process::setrlimit(resource, new)
}

fn drop_bounding_set(keep: u64, last: u8) -> Result<()> {
    for number in 0..=last.min(63) {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if keep & one.bits() == 0 {
            rustix::thread::remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}

/// Keeps the permitted set across the change from uid 0, for [`set_capabilities`] to cut down.
fn set_uids(uid: u32) -> Result<()> {
    let uid = Uid::from_raw(uid);
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    // Nobody of that user attaches to what is not the service yet, whatever fs.suid_dumpable says
    // (CVE-2016-8659); execve sets it anew.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

fn set_capabilities(keep: u64) -> Result<()> {
    let keep = CapabilitySet::from_bits_retain(keep);
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: keep,
    };
    rustix::thread::set_capabilities(None, sets)
}

fn set_ambient(keep: u64) -> Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if keep & one.bits() != 0 {
            rustix::thread::configure_capability_in_ambient_set(one, true)?;
        }
    }
    Ok(())
}

fn verify_forms(uid: u32, gid: u32) -> Result<()> {
    let ids = sys::ids::all()?;
    if ids.uids == [uid; 4] && ids.gids == [gid; 4] {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

fn verify_ids(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    verify_forms(uid, gid)?;
    let mut buffer = [0_u32; MOST_GROUPS];
    let count = sys::ids::groups(&mut buffer)?;
    let found = buffer.get_mut(..count).ok_or(Errno::INVAL)?;
    found.sort_unstable();
    if found == groups {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

fn verify_capabilities(capabilities: u64, ambient: u64) -> Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    let wanted = CapabilitySet::from_bits_retain(capabilities);
    if [sets.effective, sets.permitted, sets.inheritable] != [wanted; 3] {
        return Err(Errno::PERM);
    }
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_ambient_set(one) {
            Ok(set) if set == (ambient & one.bits() != 0) => {}
            // The kernel knows neither this number nor a higher one, so nobody can have them.
            Err(Errno::INVAL) if ambient >> number == 0 => break,
            Ok(_) => return Err(Errno::PERM),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
