//! The jail's own passwd, group and nsswitch: the service's account and nothing else.

use crate::error::{Error, Result};
use crate::host::users::{self, Group, User};
use crate::spec::Spec;

/// The shell of every account in a jail: a text, not a file that is there.
const NO_SHELL: &str = "/usr/sbin/nologin";

/// Whom a service runs as, looked up on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The primary group.
    pub group: Group,
    /// The supplementary groups, exactly.
    pub groups: Vec<Group>,
    /// Other users that it changes to or looks up, each with the group of its line if that has a
    /// name.
    pub others: Vec<(User, Option<Group>)>,
}

impl Account {
    /// Looks up the user and groups that `spec` names.
    ///
    /// # Errors
    /// There is no such user or group on the host.
    pub fn of(spec: &Spec) -> Result<Self> {
        let service = &spec.service;
        let missing = |what: &str, name: &str| {
            Error::usage(
                format!("find the {what} {name} that {} runs as", spec.name),
                format!("there is no such {what} on this host"),
            )
        };
        let user = users::user(&service.user)?.ok_or_else(|| {
            missing("user", &service.user).hint(format!(
                "make one of its own: useradd --system --no-create-home --shell {NO_SHELL} {}",
                service.user
            ))
        })?;
        let group = |name: &String| users::group(name)?.ok_or_else(|| missing("group", name));
        let other = |name: &String| {
            let user = users::user(name)?.ok_or_else(|| missing("user", name))?;
            let group = users::group_by_id(user.gid)?;
            Ok((user, group))
        };
        Ok(Self {
            user,
            others: service.accounts.iter().map(other).collect::<Result<_>>()?,
            group: group(&service.group)?,
            groups: service.groups.iter().map(group).collect::<Result<_>>()?,
        })
    }

    /// Whether the service has the group `gid`.
    pub fn has_group(&self, gid: u32) -> bool {
        self.group.gid == gid || self.groups.iter().any(|group| group.gid == gid)
    }
}

/// The text of `/etc/passwd`: the service's user, and root only for a service that starts as
/// root and may look itself up. No password, no shell, no comment; the home is the working
/// directory, since the host's home need not exist in the jail. Other accounts have the home and
/// shell of the host: a service that changes to them may go there and run it.
pub fn passwd(spec: &Spec, account: &Account) -> String {
    let mut lines = String::new();
    if spec.service.start_as_root && account.user.uid != 0 {
        lines += &format!("root:*:0:0::/:{NO_SHELL}\n");
    }
    let home = match spec.service.workdir.to_str() {
        Some(workdir) if workdir.starts_with('/') && !workdir.contains([':', '\n']) => workdir,
        _ => "/",
    };
    let user = &account.user;
    lines += &format!(
        "{}:*:{}:{}::{home}:{NO_SHELL}\n",
        user.name, user.uid, account.group.gid
    );
    for (other, _) in account
        .others
        .iter()
        .filter(|(other, _)| other.name != user.name)
    {
        let User {
            name,
            uid,
            gid,
            home,
            shell,
            ..
        } = other;
        lines += &format!("{name}:*:{uid}:{gid}::{home}:{shell}\n");
    }
    lines
}

/// The text of `/etc/group`: the service's groups, with no other members than its user.
pub fn group(spec: &Spec, account: &Account) -> String {
    let mut lines = String::new();
    if spec.service.start_as_root && account.group.gid != 0 {
        lines += "root:*:0:\n";
    }
    lines += &format!("{}:*:{}:\n", account.group.name, account.group.gid);
    for group in account
        .groups
        .iter()
        .filter(|group| group.gid != account.group.gid)
    {
        lines += &format!("{}:*:{}:{}\n", group.name, group.gid, account.user.name);
    }
    let mut known: Vec<u32> = account.groups.iter().map(|group| group.gid).collect();
    known.push(account.group.gid);
    for group in account
        .others
        .iter()
        .filter_map(|(_, group)| group.as_ref())
    {
        if !known.contains(&group.gid) {
            known.push(group.gid);
            lines += &format!("{}:*:{}:\n", group.name, group.gid);
        }
    }
    lines
}

/// The text of `/etc/nsswitch.conf`: `files` for everything, and DNS when the jail has a
/// resolver's configuration. `has` tells whether a path is in the jail.
pub fn nsswitch(has: impl Fn(&str) -> bool) -> String {
    let mut lines = String::from("passwd: files\ngroup: files\n");
    lines += if has("/etc/resolv.conf") {
        "hosts: files dns\n"
    } else {
        "hosts: files\n"
    };
    for database in ["services", "protocols", "networks"] {
        if has(&format!("/etc/{database}")) {
            lines += &format!("{database}: files\n");
        }
    }
    lines
}

/// The name service modules that [`nsswitch`] makes the C library load. Since glibc 2.34 `files`
/// and `dns` are part of libc.so.6 (NEWS of glibc 2.34), and what lies in their place is a stub.
pub fn modules(libc: Option<(u32, u32)>, has_resolver: bool) -> &'static [&'static str] {
    match (libc, has_resolver) {
        (None, _) => &[],
        (Some(version), _) if version >= (2, 34) => &[],
        (Some(_), true) => &["libnss_files.so.2", "libnss_dns.so.2"],
        (Some(_), false) => &["libnss_files.so.2"],
    }
}

/// The version of a glibc from the name of its file: up to 2.33 it was installed as
/// `libc-2.31.so` with a link `libc.so.6` to it; since 2.34 it is `libc.so.6` itself (NEWS of
/// glibc 2.34). `None` if this is no glibc's name.
pub fn libc_version(real_name: &str) -> Option<(u32, u32)> {
    if real_name == "libc.so.6" {
        return Some((2, 34));
    }
    let version = real_name.strip_prefix("libc-")?.strip_suffix(".so")?;
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> (Spec, Account) {
        let mut spec = Spec {
            name: "named".into(),
            ..Spec::default()
        };
        spec.service.user = "bind".into();
        spec.service.workdir = "/var/cache/bind".into();
        let user = User {
            name: "bind".into(),
            uid: 102,
            gid: 105,
            gecos: "secret".into(),
            home: "/home/bind".into(),
            shell: "/bin/bash".into(),
        };
        let group = Group {
            name: "bind".into(),
            gid: 105,
            members: vec!["admin".into()],
        };
        let certs = Group {
            name: "ssl-cert".into(),
            gid: 110,
            members: vec!["postgres".into()],
        };
        (
            spec,
            Account {
                user,
                group: group.clone(),
                groups: vec![group, certs],
                others: Vec::new(),
            },
        )
    }

    #[test]
    fn only_the_services_account_is_there() {
        let (mut spec, account) = named();
        assert_eq!(
            passwd(&spec, &account),
            "bind:*:102:105::/var/cache/bind:/usr/sbin/nologin\n"
        );
        assert_eq!(group(&spec, &account), "bind:*:105:\nssl-cert:*:110:bind\n");
        spec.service.start_as_root = true;
        spec.service.workdir = "/a:b\n".into();
        assert_eq!(
            passwd(&spec, &account),
            "root:*:0:0::/:/usr/sbin/nologin\nbind:*:102:105::/:/usr/sbin/nologin\n"
        );
        assert!(group(&spec, &account).starts_with("root:*:0:\n"));
    }

    #[test]
    fn other_accounts_have_their_lines() {
        let (mut spec, mut account) = named();
        spec.service.start_as_root = true;
        let other = |name: &str, uid, gid, group: Option<&str>| {
            let user = User {
                name: name.into(),
                uid,
                gid,
                gecos: "secret".into(),
                home: format!("/home/{name}"),
                shell: "/bin/sh".into(),
            };
            let group = group.map(|group| Group {
                name: group.into(),
                gid,
                members: vec!["admin".into()],
            });
            (user, group)
        };
        account.others = vec![
            other("reader", 4242, 4242, Some("readers")),
            other("guest", 4243, 105, Some("bind")),
            other("stray", 4244, 4244, None),
            other("bind", 102, 105, Some("bind")),
        ];
        assert_eq!(
            passwd(&spec, &account),
            "root:*:0:0::/:/usr/sbin/nologin\n\
             bind:*:102:105::/var/cache/bind:/usr/sbin/nologin\n\
             reader:*:4242:4242::/home/reader:/bin/sh\n\
             guest:*:4243:105::/home/guest:/bin/sh\n\
             stray:*:4244:4244::/home/stray:/bin/sh\n"
        );
        assert_eq!(
            group(&spec, &account),
            "root:*:0:\nbind:*:105:\nssl-cert:*:110:bind\nreaders:*:4242:\n"
        );
    }

    #[test]
    fn nsswitch_names_what_is_there() {
        assert_eq!(
            nsswitch(|_| false),
            "passwd: files\ngroup: files\nhosts: files\n"
        );
        let all = nsswitch(|_| true);
        assert!(all.contains("hosts: files dns\n") && all.contains("services: files\n"));
    }

    #[test]
    fn an_old_libc_needs_its_modules() {
        assert!(modules(None, true).is_empty());
        assert!(modules(Some((2, 36)), true).is_empty());
        assert_eq!(
            modules(Some((2, 31)), true),
            ["libnss_files.so.2", "libnss_dns.so.2"]
        );
    }

    #[test]
    fn the_name_of_the_libc_tells_its_version() {
        assert_eq!(libc_version("libc-2.31.so"), Some((2, 31)));
        assert_eq!(libc_version("libc.so.6"), Some((2, 34)));
        assert_eq!(libc_version("ld-musl-x86_64.so.1"), None);
    }

    #[test]
    fn a_user_that_is_not_there_is_an_error() {
        let (mut spec, _) = named();
        spec.service.user = "no-such-user-here".into();
        let error = Account::of(&spec).unwrap_err();
        assert!(error.to_string().contains("no such user"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
