//! Whether an ordinary user may make a user namespace here, and which setting forbids it.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use crate::Error;
use crate::sys::user_namespace::{Part, Refused, try_out};

/// Debian's own setting: 0 keeps user namespaces for root.
const DEBIAN: &str = "kernel.unprivileged_userns_clone";
/// How many user namespaces a user may have (`namespaces(7)`).
const MOST: &str = "user.max_user_namespaces";
/// Ubuntu's, from 23.10 on: 1 takes the capabilities in them away.
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";

/// An ordinary user who runs gaoler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrdinaryUser {
    /// The number.
    pub uid: u32,
    /// That of the primary group.
    pub gid: u32,
    /// The supplementary groups, which cannot be given up without a privilege; not the primary one.
    pub groups: Vec<u32>,
    /// Why this user's jails cannot have a user namespace, and what to do about it, if so.
    pub refused: Option<(String, String)>,
}

impl OrdinaryUser {
    /// Who runs this process; `None` if that is root.
    pub fn of_this_process() -> Option<Self> {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            return None;
        }
        let gid = rustix::process::getegid().as_raw();
        let groups = rustix::process::getgroups().unwrap_or_default();
        let mut groups: Vec<u32> = groups.iter().map(|group| group.as_raw()).collect();
        groups.retain(|group| *group != gid);
        groups.sort_unstable();
        groups.dedup();
        let refused = match try_out(uid.as_raw(), gid) {
            Ok(Ok(())) => None,
            Ok(Err(refused)) => Some(explain(refused, &setting)),
            Err(errno) => Some((format!("trying it out failed: {errno}"), String::new())),
        };
        Some(Self {
            uid: uid.as_raw(),
            gid,
            groups,
            refused,
        })
    }
}

/// The error of a launch that could not enter its user namespace.
pub fn error(doing: String, refused: Refused) -> Error {
    let (why, hint) = explain(refused, &setting);
    Error::setup(doing, why).hint(hint)
}

/// A setting of the kernel as a number; `None` if this kernel has none of that name.
fn setting(name: &str) -> Option<u64> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Why, and what to do: the setting is named if one explains it. `setting` gives those of a kernel,
/// by their names for `sysctl(8)`.
pub fn explain(refused: Refused, setting: &dyn Fn(&str) -> Option<u64>) -> (String, String) {
    let Refused { part, errno } = refused;
    let is = |name, value| setting(name) == Some(value);
    let said = crate::error::explain(&errno.into());
    let why = |why: &str| format!("this host refuses user namespaces to ordinary users: {why}");
    match (part, errno) {
        (_, _) if is(DEBIAN, 0) => (
            why(&format!("{DEBIAN} is 0")),
            by_sysctl(&format!("{DEBIAN}=1")),
        ),
        (_, Errno::NOSPC | Errno::USERS) if is(MOST, 0) => (
            why(&format!("{MOST} is 0")),
            by_sysctl(&format!("{MOST}=15000")),
        ),
        (_, Errno::NOSPC | Errno::USERS) => (
            why(&format!(
                "this user has as many as {MOST} allows, or they lie too deep in each other"
            )),
            by_sysctl(&format!("{MOST}=15000")),
        ),
        (_, Errno::PERM | Errno::ACCESS) if is(APPARMOR, 1) => (
            why(&format!(
                "{APPARMOR} is 1, and no AppArmor profile lets this program have them"
            )),
            format!(
                "a profile for gaoler's file with the rule `userns,` in /etc/apparmor.d; or, {}",
                by_sysctl(&format!("{APPARMOR}=0"))
            ),
        ),
        (Part::Namespace, Errno::INVAL | Errno::NOSYS) => (
            why(&format!("this kernel has none ({said})")),
            "run gaoler as root, which needs none: sudo gaoler".to_owned(),
        ),
        (Part::Namespace, _) => (
            why(&format!(
                "unshare(2) answers {said:?}, as a container's seccomp filter, a security module, \
                 or a chroot makes it"
            )),
            "allow unshare with CLONE_NEWUSER there (a container: another seccomp profile), or \
             run gaoler as root, which needs none: sudo gaoler"
                .to_owned(),
        ),
        (Part::Ids | Part::Capabilities, _) => (
            why(&format!(
                "one can be made, but nothing may be done in it ({said}), as a container's \
                 seccomp filter or a security module makes it"
            )),
            "allow mount namespaces there (a container: another seccomp profile), or run gaoler \
             as root, which needs none: sudo gaoler"
                .to_owned(),
        ),
    }
}

fn by_sysctl(setting: &str) -> String {
    format!(
        "as root: sysctl {setting} (in a file of /etc/sysctl.d it lasts); or run gaoler as root, \
         which needs none: sudo gaoler"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(part: Part, errno: Errno, settings: &[(&str, u64)]) -> (String, String) {
        let setting = |name: &str| {
            let mut known = settings.iter();
            known
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        explain(Refused { part, errno }, &setting)
    }

    #[test]
    fn the_setting_that_forbids_it_is_named_with_its_remedy() {
        let open = [(DEBIAN, 1), (MOST, 100), (APPARMOR, 0)];
        for (part, errno, settings, wanted, remedy) in [
            (
                Part::Namespace,
                Errno::PERM,
                [(DEBIAN, 0)].as_slice(),
                DEBIAN,
                "userns_clone=1",
            ),
            (
                Part::Namespace,
                Errno::NOSPC,
                &[(MOST, 0)],
                MOST,
                "max_user_namespaces=15000",
            ),
            (
                Part::Namespace,
                Errno::NOSPC,
                &[(MOST, 9)],
                MOST,
                "max_user_namespaces=15000",
            ),
            (
                Part::Capabilities,
                Errno::PERM,
                &[(APPARMOR, 1)],
                APPARMOR,
                "`userns,`",
            ),
            (
                Part::Ids,
                Errno::ACCESS,
                &[(APPARMOR, 1)],
                APPARMOR,
                "userns=0",
            ),
            (
                Part::Namespace,
                Errno::INVAL,
                &open,
                "this kernel has none",
                "sudo gaoler",
            ),
            (
                Part::Namespace,
                Errno::PERM,
                &open,
                "seccomp",
                "CLONE_NEWUSER",
            ),
            (
                Part::Capabilities,
                Errno::PERM,
                &[],
                "seccomp",
                "mount namespaces",
            ),
        ] {
            let (why, hint) = told(part, errno, settings);
            assert!(why.contains(wanted), "{part:?} {errno}: {why}");
            assert!(hint.contains(remedy), "{part:?} {errno}: {hint}");
        }
    }
}
