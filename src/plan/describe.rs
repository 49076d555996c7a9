//! Steps in words: for `gaoler plan`, the launch order page and the errors of a failed start.

use std::fmt;

use super::policy::FIRST_PASSED;
use super::step::{Content, Resource, Step};
use crate::spec::Listen;
use crate::sys::caps::CapabilitySet;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CloseInherited => f.write_str("close every inherited descriptor above 2"),
            Step::ClearEnvironment => f.write_str("clear the environment"),
            Step::ResetSignals => f.write_str("reset signal handlers, ignored signals and mask"),
            Step::ResolveIds {
                user,
                uid,
                gid,
                groups,
            } => {
                write!(
                    f,
                    "check that {user} is still uid {uid}, gid {gid}, groups {groups:?}"
                )
            }
            Step::JoinCgroup {
                directories,
                limits,
            } => {
                write!(
                    f,
                    "join {} cgroup directories, {} limits",
                    directories.len(),
                    limits.len()
                )
            }
            Step::CountUsage { directories } => write!(
                f,
                "have what it uses counted in {} cgroup directories, where they can be made",
                directories.len()
            ),
            Step::OpenLogSocket { directory } => {
                write!(f, "open the log socket in {}", directory.display())
            }
            Step::OpenJournalSocket { directory } => {
                write!(
                    f,
                    "open the socket for journald's protocol in {}",
                    directory.display()
                )
            }
            Step::EnterUserNamespace { uid, gid } => write!(
                f,
                "enter a user namespace in which only uid {uid} and gid {gid} exist"
            ),
            Step::MakeScratch { path, size_kib, .. } => {
                write!(
                    f,
                    "make an empty file system of {size_kib} KiB for {}",
                    path.display()
                )
            }
            Step::FillScratch { path, content, .. } => match content {
                Content::Directory => write!(f, "make the directory {} in it", path.display()),
                Content::File => write!(f, "copy {} into it from the tree", path.display()),
                Content::Link(target) => {
                    write!(f, "link {} in it to {}", path.display(), target.display())
                }
            },
            Step::NewNamespaces(kinds) => {
                let names = [
                    (kinds.mount, "mount"),
                    (kinds.pid, "pid"),
                    (kinds.ipc, "ipc"),
                    (kinds.uts, "uts"),
                ];
                let made: Vec<&str> = names
                    .iter()
                    .filter(|(made, _)| *made)
                    .map(|(_, name)| *name)
                    .collect();
                write!(f, "make new namespaces: {}", made.join(", "))
            }
            Step::StopPropagation => f.write_str("make every mount a slave of the host's"),
            Step::MountRoot { tree } => {
                write!(f, "mount {} read-only, nosuid", tree.display())
            }
            Step::Bind { path, writable, .. } => {
                let access = if *writable { "writable" } else { "read-only" };
                write!(
                    f,
                    "mount the host's {} {access}, nosuid, nodev, noexec",
                    path.display()
                )
            }
            Step::BindDevice { path, device } => write!(
                f,
                "mount the host's {} on {}, nosuid, noexec",
                device.path().display(),
                path.display()
            ),
            Step::MountScratch { path } => {
                write!(f, "mount the empty file system on {}", path.display())
            }
            Step::PivotRoot => f.write_str("pivot_root into the tree"),
            Step::DetachOldRoot => f.write_str("detach the host's file systems"),
            Step::Chroot { tree } => write!(f, "chdir into {} and chroot there", tree.display()),
            Step::EnterRoot => f.write_str("change directory to /"),
            Step::ForkService { .. } => {
                f.write_str("fork the service, leaving pid 1 behind to reap, without privileges")
            }
            Step::OpenNotifySocket { directory, .. } => write!(
                f,
                "open the socket for sd_notify in {}",
                directory.display()
            ),
            Step::OpenSocket { socket } => match &socket.listen {
                Listen::Manager => {
                    write!(
                        f,
                        "take the socket {} that the manager hands over",
                        socket.name
                    )
                }
                listen => write!(f, "bind the socket {} to {listen}", socket.name),
            },
            Step::PassSockets { names } => write!(
                f,
                "pass the sockets {} on, as descriptors from {FIRST_PASSED}",
                names.join(", ")
            ),
            Step::NewSession => f.write_str("start a new session"),
            Step::TakeProgram => f.write_str("take the program that is handed over"),
            Step::OpenProgram { path } => write!(f, "open {} inside the jail", path.display()),
            Step::ChangeDirectory { path } => write!(f, "change directory to {}", path.display()),
            Step::CloseRest => f.write_str("close every descriptor but standard input and output"),
            Step::Limit { resource, value } => {
                let name = match resource {
                    Resource::CoreFile => "core file size",
                    Resource::Descriptors => "open descriptors",
                    Resource::FileSize => "file size",
                };
                write!(f, "limit {name} to {value}")
            }
            Step::Umask { mask } => write!(f, "set the file mode creation mask to {mask:04o}"),
            Step::DropBoundingSet { keep, .. } => {
                write!(
                    f,
                    "drop every capability from the bounding set but {}",
                    CapabilitySet(*keep)
                )
            }
            Step::SetGroups { groups } => {
                write!(f, "set the supplementary groups to exactly {groups:?}")
            }
            Step::SetGids { gid } => {
                write!(
                    f,
                    "set the real, effective, saved and file system gid to {gid}"
                )
            }
            Step::SetUids { uid } => {
                write!(
                    f,
                    "set the real, effective, saved and file system uid to {uid}"
                )
            }
            Step::SetCapabilities { keep } => {
                write!(
                    f,
                    "set the permitted, effective and inheritable capabilities to {}",
                    CapabilitySet(*keep)
                )
            }
            Step::SetAmbient { keep } => {
                write!(
                    f,
                    "set the ambient capabilities to {}",
                    CapabilitySet(*keep)
                )
            }
            Step::VerifyIds { .. } => f.write_str("read ids, groups and capabilities back"),
            Step::VerifyOwnIds { uid, gid, groups } => write!(
                f,
                "read back that all forms of uid and gid are {uid} and {gid}, without \
                 capabilities; the groups {groups:?} stay"
            ),
            Step::NoNewPrivs => f.write_str("set no_new_privs and read it back"),
            Step::Landlock(rules) => write!(
                f,
                "apply Landlock ABI {} with {} file rules",
                rules.abi,
                rules.files.len()
            ),
            Step::Seccomp {
                program,
                listener,
                logs,
                ..
            } => {
                let listening = if *listener { ", with a listener" } else { "" };
                let logged = if *logs { ", which is logged" } else { "" };
                write!(
                    f,
                    "install the system call filter ({} instructions){listening}{logged}",
                    program.len()
                )
            }
            Step::EndStart {
                calls, exercises, ..
            } => {
                let calls = calls.len();
                write!(f, "end the {calls} system calls that only starting needs")?;
                match exercises.len() {
                    0 => Ok(()),
                    run => write!(f, ", once its {run} exercises have passed"),
                }
            }
            Step::Complain { directory, .. } => {
                let directory = directory.display();
                write!(
                    f,
                    "let run what the filter would refuse, and write it down in {directory}"
                )
            }
            Step::Execute { arguments, .. } => {
                write!(f, "execute {} through its descriptor", arguments.join(" "))
            }
        }
    }
}
