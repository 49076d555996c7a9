//! What confines a process, as the kernel shows it to others. What the process says of itself, its
//! name and its arguments, is none of that.

use std::{fmt, fs};

use serde::{Serialize, Serializer};

use super::process;

/// The kinds of namespaces that confine (`namespaces(7)`), as in `/proc/PID/ns`.
pub const NAMESPACES: [&str; 7] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"];

/// The longest label that is taken: longer ones are none (security modules limit them to a page).
const LONGEST_LABEL: usize = 4096;

/// A profile of AppArmor and its mode: `enforce`, `complain`…
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppArmor {
    /// The profile's name.
    pub profile: String,
    /// What happens to what it does not allow.
    pub mode: String,
}

impl AppArmor {
    /// Whether it stops anything.
    pub fn enforces(&self) -> bool {
        matches!(self.mode.as_str(), "enforce" | "kill" | "user" | "mixed")
    }
}

impl fmt::Display for AppArmor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.profile, self.mode)
    }
}

impl Serialize for AppArmor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The labels that security modules have put on a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// AppArmor's profile; none if it is unconfined, or there is no AppArmor.
    pub apparmor: Option<AppArmor>,
    /// SELinux's context, if there is SELinux.
    pub selinux: Option<String>,
}

impl Labels {
    /// The domain of an SELinux context that confines: `named_t` of
    /// `system_u:system_r:named_t:s0`. Those that Fedora's policy calls unconfined do not.
    pub fn selinux_domain(&self) -> Option<&str> {
        let domain = self.selinux.as_ref()?.split(':').nth(2)?;
        let loose = ["unconfined", "kernel_t", "initrc_t", "init_t"];
        (!loose.iter().any(|start| domain.starts_with(start))).then_some(domain)
    }
}

/// The labels of a process (`proc_pid_attr(5)`).
pub fn labels(pid: i32) -> Labels {
    let read = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/attr/{file}")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\0']);
        (!text.is_empty() && text.len() <= LONGEST_LABEL).then(|| text.to_owned())
    };
    match (read("apparmor/current"), read("current")) {
        (Some(label), current) => Labels {
            apparmor: apparmor(&label),
            selinux: current.filter(|text| is_context(text)),
        },
        (None, Some(current)) if is_context(&current) => Labels {
            apparmor: None,
            selinux: Some(current),
        },
        (None, Some(current)) => Labels {
            apparmor: apparmor(&current),
            selinux: None,
        },
        (None, None) => Labels::default(),
    }
}

/// The label that confines a process, if one does.
pub fn label(pid: i32) -> Option<String> {
    let labels = labels(pid);
    let profile = labels.apparmor.as_ref();
    profile
        .map(|apparmor| format!("AppArmor: {apparmor}"))
        .or_else(|| Some(format!("SELinux: {}", labels.selinux_domain()?)))
}

/// `NAME (MODE)`, or `unconfined` (`aa-status(8)`).
fn apparmor(label: &str) -> Option<AppArmor> {
    let (profile, mode) = label.rsplit_once(" (")?;
    let mode = mode.strip_suffix(')')?;
    (profile != "unconfined" && mode != "unconfined").then(|| AppArmor {
        profile: profile.to_owned(),
        mode: mode.to_owned(),
    })
}

/// `USER:ROLE:TYPE[:LEVEL]` of SELinux.
fn is_context(label: &str) -> bool {
    !label.ends_with(')') && label.split(':').count() >= 3
}

/// The kinds of namespaces in which it is apart from the process `from`.
pub fn namespaces_apart(pid: i32, from: i32) -> Vec<&'static str> {
    NAMESPACES
        .into_iter()
        .filter(|kind| {
            let (own, other) = (
                process::namespace(pid, kind),
                process::namespace(from, kind),
            );
            own.ok()
                .zip(other.ok())
                .is_some_and(|(own, other)| own != other)
        })
        .collect()
}

/// The unit of systemd that it belongs to, by its cgroup (`cgroups(7)`).
pub fn unit(pid: i32) -> Option<String> {
    unit_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn unit_of(cgroups: &str) -> Option<String> {
    let paths = cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2));
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    paths
        .filter_map(|path| path.split('/').rfind(is_unit))
        .map(str::to_owned)
        .next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn profiles_have_names_with_anything_in_them() {
        let named = apparmor("named (enforce)").unwrap();
        assert_eq!(
            (named.profile.as_str(), named.mode.as_str()),
            ("named", "enforce")
        );
        assert!(named.enforces());
        let odd = apparmor("/usr/bin/a (b) (complain)").unwrap();
        assert_eq!(odd.profile, "/usr/bin/a (b)");
        assert!(!odd.enforces());
        assert_eq!(apparmor("unconfined"), None);
        assert_eq!(apparmor("docker-default (unconfined)"), None);
    }

    #[test]
    fn contexts_are_told_from_profiles() {
        assert!(is_context("system_u:system_r:named_t:s0"));
        assert!(!is_context("named (enforce)") && !is_context("a:b:c (enforce)"));
        let labels = |context: &str| Labels {
            apparmor: None,
            selinux: Some(context.to_owned()),
        };
        assert_eq!(
            labels("system_u:system_r:named_t:s0").selinux_domain(),
            Some("named_t")
        );
        let loose = labels("unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023");
        assert_eq!(loose.selinux_domain(), None);
    }

    #[test]
    fn the_unit_is_the_last_in_the_path() {
        let text = "0::/user.slice/user-0.slice/user@0.service/app.slice/web.service\n";
        assert_eq!(unit_of(text).as_deref(), Some("web.service"));
        assert_eq!(
            unit_of("1:name=systemd:/system.slice/a.service/x\n"),
            Some("a.service".into())
        );
        assert_eq!(unit_of("0::/\n"), None);
    }

    #[test]
    fn nothing_is_apart_from_itself() {
        let own = std::process::id().cast_signed();
        assert!(namespaces_apart(own, own).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z():/ \n]{0,40}") {
            apparmor(&text);
            unit_of(&text);
            is_context(&text);
        }
    }
}
