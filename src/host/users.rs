//! The host's users and groups (`passwd(5)`, `group(5)`).
//!
//! gaoler reads the files itself. What is not in them (LDAP, SSSD, systemd-homed) is asked of
//! `getent(1)`: name service modules are other people's code and are never loaded into this
//! process, which is static besides.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Doing, Error, Result};

/// The largest file or answer that is read, in bytes: some hundred thousand accounts.
const LARGEST: u64 = 32 * 1024 * 1024;
/// How long a name service may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// `getent(1)`, by its absolute path: a PATH is not to be trusted here.
pub(super) const GETENT: &str = "/usr/bin/getent";
/// The longest name (`useradd(8)` allows 256).
const LONGEST_NAME: usize = 256;

/// One line of `passwd(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Comment field.
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Shell.
    pub shell: String,
}

/// One line of `group(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Names of the users who have it as a supplementary group.
    pub members: Vec<String>,
}

/// The user `name` of this host, or `None`.
///
/// # Errors
/// `/etc/passwd` cannot be read, or the name service failed.
pub fn user(name: &str) -> Result<Option<User>> {
    let file = read(Path::new("/etc/passwd"))?;
    match parse_users(&file).find(|user| user.name == name) {
        Some(user) => Ok(Some(user)),
        None => {
            let answer = ask("passwd", name)?;
            Ok(parse_users(&answer).find(|user| user.name == name))
        }
    }
}

/// The groups in `/etc/group`, in its order.
///
/// # Errors
/// It cannot be read.
pub fn groups() -> Result<Vec<Group>> {
    let file = read(Path::new("/etc/group"))?;
    Ok(parse_groups(&file).collect())
}

/// The group `name` of this host, or `None`.
///
/// # Errors
/// `/etc/group` cannot be read, or the name service failed.
pub fn group(name: &str) -> Result<Option<Group>> {
    let file = read(Path::new("/etc/group"))?;
    match parse_groups(&file).find(|group| group.name == name) {
        Some(group) => Ok(Some(group)),
        None => {
            let answer = ask("group", name)?;
            Ok(parse_groups(&answer).find(|group| group.name == name))
        }
    }
}

/// The user with this number in `/etc/passwd`, or `None`.
///
/// # Errors
/// `/etc/passwd` cannot be read.
pub fn user_by_id(uid: u32) -> Result<Option<User>> {
    let file = read(Path::new("/etc/passwd"))?;
    Ok(parse_users(&file).find(|user| user.uid == uid))
}

/// The names of all users with this number in `/etc/passwd`.
///
/// # Errors
/// `/etc/passwd` cannot be read.
pub fn names_of(uid: u32) -> Result<Vec<String>> {
    let file = read(Path::new("/etc/passwd"))?;
    let same = parse_users(&file).filter(|user| user.uid == uid);
    Ok(same.map(|user| user.name).collect())
}

/// The group with this number in `/etc/group`, or `None`.
///
/// # Errors
/// `/etc/group` cannot be read.
pub fn group_by_id(gid: u32) -> Result<Option<Group>> {
    let file = read(Path::new("/etc/group"))?;
    Ok(parse_groups(&file).find(|group| group.gid == gid))
}

/// The groups of `/etc/group` that list the user `name` as a member.
///
/// # Errors
/// `/etc/group` cannot be read.
pub fn supplementary_groups(name: &str) -> Result<Vec<Group>> {
    let file = read(Path::new("/etc/group"))?;
    let lists = |group: &Group| group.members.iter().any(|member| member == name);
    Ok(parse_groups(&file).filter(lists).collect())
}

/// The lines of a `passwd(5)` that are well-formed; the others are left out, as the C library
/// does (`+` and `-` lines of NIS among them).
pub fn parse_users(text: &str) -> impl Iterator<Item = User> + '_ {
    lines(text).filter_map(|line| {
        let mut fields = line.split(':');
        let name = account_name(fields.next()?)?;
        let _password = fields.next()?;
        let user = User {
            name,
            uid: id(fields.next()?)?,
            gid: id(fields.next()?)?,
            gecos: fields.next()?.to_owned(),
            home: fields.next()?.to_owned(),
            shell: fields.next()?.to_owned(),
        };
        fields.next().is_none().then_some(user)
    })
}

/// The lines of a `group(5)` that are well-formed; the others are left out.
pub fn parse_groups(text: &str) -> impl Iterator<Item = Group> + '_ {
    lines(text).filter_map(|line| {
        let mut fields = line.split(':');
        let name = account_name(fields.next()?)?;
        let _password = fields.next()?;
        let gid = id(fields.next()?)?;
        let members = fields
            .next()?
            .split(',')
            .filter(|member| !member.is_empty());
        let group = Group {
            name,
            gid,
            members: members.map(str::to_owned).collect(),
        };
        fields.next().is_none().then_some(group)
    })
}

/// Lines as the C library has them: only a line feed ends one, and a carriage return before it
/// belongs to the last field.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
}

/// A name that can be in these files and on a command line.
fn account_name(name: &str) -> Option<String> {
    let first = name.chars().next()?;
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '/');
    let good =
        !matches!(first, '-' | '+' | '#') && !name.contains(odd) && name.len() <= LONGEST_NAME;
    good.then(|| name.to_owned())
}

/// A user or group number. The last one means "no change" to `chown(2)` and `setresuid(2)`.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())?
        .filter(|id| *id != u32::MAX)
}

/// A whole file, within the bound; bytes that are no UTF-8 are replaced, which makes their names
/// match nothing.
fn read(path: &Path) -> Result<String> {
    let doing = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).doing(doing)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .doing(doing)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(
            doing(),
            format!("it is larger than {LARGEST} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What `getent DATABASE NAME` prints; empty when it knows no such name or is not installed.
fn ask(database: &str, name: &str) -> Result<String> {
    // getent takes a number for an id: only names are asked for here.
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    if number || account_name(name).is_none() || !Path::new(GETENT).exists() {
        return Ok(String::new());
    }
    let doing = || format!("look up {name} in {database} with {GETENT}");
    let mut child = Command::new(GETENT)
        .args([database, name])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .doing(doing)?;
    let in_time = wait(&child).doing(doing)?;
    if !in_time {
        child.kill().doing(doing)?;
    }
    let status = child.wait().doing(doing)?;
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(LARGEST).read_to_end(&mut bytes).doing(doing)?;
    }
    match (in_time, status.code()) {
        (true, Some(0)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        // getent(1): "one or more supplied key could not be found".
        (true, Some(2)) => Ok(String::new()),
        (true, _) => Err(Error::new(doing(), format!("it ended with {status}"))),
        (false, _) => Err(Error::new(doing(), "it did not answer within 10 seconds")
            .hint("is the name service (LDAP, SSSD) reachable?")),
    }
}

/// Whether `child` ended within [`PATIENCE`].
fn wait(child: &Child) -> rustix::io::Result<bool> {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Ok(true);
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let seconds = i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX);
    let timeout = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout))?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn well_formed_lines_are_read_and_others_left_out() {
        let text = "root:x:0:0:root:/root:/bin/bash\n\
                    +::::::\n\
                    # comment\n\
                    short:x:1\n\
                    long:x:1:1:a:b:c:d\n\
                    evil:x:-1:0:::\n\
                    none:x:4294967295:0:::\n\
                    bind:x:102:105::/var/cache/bind:/usr/sbin/nologin\n";
        let users: Vec<_> = parse_users(text).collect();
        assert_eq!(
            users
                .iter()
                .map(|user| user.name.as_str())
                .collect::<Vec<_>>(),
            ["root", "bind"]
        );
        assert_eq!((users[1].uid, users[1].gid), (102, 105));
        assert_eq!(users[1].home, "/var/cache/bind");
    }

    #[test]
    fn members_are_split() {
        let groups: Vec<_> = parse_groups("a:x:5:x,y\nb:x:6:\nc:x:7\n").collect();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].members, ["x", "y"]);
        assert!(groups[1].members.is_empty());
    }

    #[test]
    fn only_a_line_feed_ends_a_line() {
        let user = parse_users("a:x:5:5::/:/bin/sh\r\n").next().unwrap();
        assert_eq!(user.shell, "/bin/sh\r");
        let group = parse_groups("a:x:5:joe\r\n").next().unwrap();
        assert_eq!(group.members, ["joe\r"]);
    }

    #[test]
    fn the_host_is_asked() {
        assert_eq!(user("root").unwrap().unwrap().uid, 0);
        assert_eq!(group("root").unwrap().unwrap().gid, 0);
        assert_eq!(user("no-such-user-here").unwrap(), None);
        assert_eq!(user("-h").unwrap(), None);
        assert_eq!(user("0").unwrap(), None);
        assert_eq!(user_by_id(0).unwrap().unwrap().name, "root");
        assert_eq!(group_by_id(0).unwrap().unwrap().name, "root");
        assert!(
            supplementary_groups("no-such-user-here")
                .unwrap()
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z:0-9,\n+-]{0,200}") {
            for user in parse_users(&text) {
                prop_assert!(!user.name.is_empty() && !user.name.contains(':'));
            }
            for group in parse_groups(&text) {
                prop_assert!(group.gid != u32::MAX);
            }
        }
    }
}
