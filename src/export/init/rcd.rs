//! A script for rc.subr(8) of FreeBSD and NetBSD: a plain chroot(8), without gaoler.
//!
//! It starts and stops the service by functions of its own, because rc.subr puts a command together
//! as text and has the shell read it again, and knows neither the whole environment nor, on NetBSD, a
//! umask and limits.

mod gaps;

use super::heading;
use super::text::{bare, fill};
use crate::export::sh::{assignment, path, word, words};
use crate::export::{Item, Ledger, Subject};
use crate::spec::{Reload, Service, signal_name};
use crate::{Error, Result};

/// How the service begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// As its user, from before its first instruction.
    AsUser,
    /// As root, until it becomes its user by its own option, because it needs root for its ports.
    UntilOption,
    /// As root: its spec says so.
    AsRoot,
}

impl Beginning {
    /// A user has no capabilities there, and su(1) or chroot(8) cannot give any.
    fn of(subject: &Subject<'_>) -> Self {
        let spec = subject.spec;
        let has_option = subject.command_as_user().len() < spec.service.command.len();
        match spec.service.start_as_root {
            true => Self::AsRoot,
            false if has_option && !spec.capabilities.is_empty() => Self::UntilOption,
            false => Self::AsUser,
        }
    }
}

/// What the script's variables begin with: a name that a shell takes.
pub fn identifier(name: &str) -> String {
    let plain = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    match plain.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{plain}"),
        false => plain,
    }
}

/// The signal, if it is called the same there; its number is another one.
fn portable(signal: i32) -> Option<String> {
    let name = signal_name(signal);
    name.chars()
        .all(|c| c.is_ascii_uppercase() || c == '1' || c == '2')
        .then_some(name)
}

/// Writes it, with the account of what it says.
///
/// # Errors
/// Something that a script or rc.subr cannot hold.
pub fn script(subject: Subject<'_>) -> Result<(String, Ledger)> {
    let spec = subject.spec;
    let service = &spec.service;
    let name = bare(&spec.name)?;
    let id = identifier(name);
    let beginning = Beginning::of(&subject);
    let mut ledger = Ledger::new(spec);
    let (limits, lower) = limits(&subject, &id, &mut ledger);
    let values = [
        ("id", id.clone()),
        ("name", name.to_owned()),
        ("heading", heading(name, "rc.d", &what(name))),
        ("defaults", defaults(&subject, beginning, &id)?),
        ("pidfile", pid_file(service, &id)?),
        ("reload", reload(service, &id)),
        ("lower", lower),
        ("limits", limits),
        ("environment", environment(service)?),
        ("identity", identity(beginning, &id)),
        ("start", start(service, &id)),
        ("signal", signal(beginning, &id)),
        ("timeout", service.stop_timeout_s.to_string()),
        ("stop", stop(service, &id)?),
        ("reload_command", reload_command(service, &id)?),
    ];
    ledger.said(&Item::Command);
    ledger.said(&Item::Umask);
    ledger.said(&Item::Environment);
    ledger.said(&Item::Stop);
    gaps::account(&subject, beginning, &mut ledger);
    Ok((fill(include_str!("rcd.sh"), &values), ledger))
}

fn what(name: &str) -> Vec<String> {
    let lines = [
        "gaoler does not run there, and neither do the Linux programs of the tree that it has built: make",
        "a tree of this system's own programs. Umask, limits, environment and user are those of the spec;",
        "calls, capabilities, ports and what else a plain chroot knows nothing of are not refused.",
    ];
    let first = format!("{name} in a chroot: for rc.subr(8) of FreeBSD and NetBSD.");
    let rest = lines.into_iter().map(str::to_owned);
    [first].into_iter().chain(rest).collect()
}

/// The variables that rc.conf can replace.
fn defaults(subject: &Subject<'_>, beginning: Beginning, id: &str) -> Result<String> {
    let service = &subject.spec.service;
    let mut lines: Vec<String> = match beginning {
        Beginning::AsUser => None,
        Beginning::UntilOption => Some(
            "# It begins as root, because it needs that for what the spec gives it as capabilities, and\n\
             # becomes its user by its own option.",
        ),
        Beginning::AsRoot => Some("# It begins as root, as the spec has it."),
    }
    .map(str::to_owned)
    .into_iter()
    .collect();
    let mut set = |variable: &str, value: &str| -> Result<()> {
        let quoted = word(value)?;
        lines.push(match value.is_empty() || quoted == value {
            true => format!(": \"${{{id}_{variable}:={value}}}\""),
            false => format!("[ -n \"${{{id}_{variable}+set}}\" ] || {id}_{variable}={quoted}"),
        });
        Ok(())
    };
    // Where packages are installed is another place there.
    let program = service.command.first().map_or("", String::as_str);
    set("program", bare(program)?)?;
    if beginning == Beginning::AsUser {
        let groups: Result<Vec<&str>> = service.groups.iter().map(|it| account(it)).collect();
        set("user", account(&service.user)?)?;
        set("group", account(&service.group)?)?;
        set("groups", &groups?.join(","))?;
    }
    let command = match beginning {
        Beginning::AsUser => subject.command_as_user(),
        Beginning::UntilOption | Beginning::AsRoot => {
            service.command.iter().map(String::as_str).collect()
        }
    };
    set("flags", &words(command.into_iter().skip(1))?)?;
    set("umask", &format!("{:04o}", service.umask))?;
    Ok(lines.join("\n"))
}

/// The name of a user or group, of which chroot(8) takes several with commas between them.
fn account(name: &str) -> Result<&str> {
    let refused = |c: char| c == ',' || c.is_whitespace() || c.is_control();
    match name.is_empty() || name.starts_with('-') || name.contains(refused) {
        true => Err(Error::usage(
            format!("give {name:?} to chroot(8)"),
            "it takes no such name of a user or group",
        )),
        false => Ok(name),
    }
}

fn pid_file(service: &Service, id: &str) -> Result<String> {
    Ok(match (service.forks, &service.pid_file) {
        (false, _) => format!("pidfile=/var/run/{id}.pid"),
        (true, Some(file)) => {
            path(file)?;
            let file = file.to_string_lossy();
            format!("pidfile=${id}_chrootdir{}", bare(&file)?)
        }
        (true, None) => {
            "# It says nowhere which process it is: rc.subr goes by the name.".to_owned()
        }
    })
}

fn reload(service: &Service, id: &str) -> String {
    match &service.reload {
        Some(Reload::Command(_)) => format!("extra_commands=reload\nreload_cmd={id}_reload"),
        Some(Reload::Signal(number)) => match portable(*number) {
            Some(name) => format!("extra_commands=reload\nsig_reload={name}"),
            None => "# The signal by which it reloads is Linux's own.".to_owned(),
        },
        None => "# Its spec knows no way to reload.".to_owned(),
    }
}

/// Words of a command on the host; `$PID` is the service.
fn command(line: &[String]) -> Result<String> {
    let quoted = |text: &String| match text.as_str() {
        "$PID" => Ok("\"$rc_pid\"".to_owned()),
        text => word(text),
    };
    let words: Result<Vec<String>> = line.iter().map(quoted).collect();
    Ok(words?.join(" "))
}

fn reload_command(service: &Service, id: &str) -> Result<String> {
    Ok(match &service.reload {
        Some(Reload::Command(line)) => format!(
            "\n{id}_reload()\n{{\n\tif [ -z \"$rc_pid\" ]; then\n\t\techo \"$name is not running?\" >&2\n\t\t\
             return 1\n\tfi\n\t{}\n}}\n",
            command(line)?
        ),
        _ => String::new(),
    })
}

/// Its own way, which has as long as TERM has after it.
fn stop(service: &Service, id: &str) -> Result<String> {
    Ok(match service.stop.is_empty() {
        true => String::new(),
        false => format!("\t{} &\n\t{id}_ends && return 0\n", command(&service.stop)?),
    })
}

fn environment(service: &Service) -> Result<String> {
    let mut text = String::new();
    for (name, value) in &service.environment {
        text += &format!(" {}", assignment(name, value)?);
    }
    Ok(text)
}

/// Without `-G` chroot(8) leaves the groups of root.
fn identity(beginning: Beginning, id: &str) -> String {
    match beginning {
        Beginning::AsUser => format!(
            " -u \"${id}_user\" -g \"${id}_group\" \\\n\t    -G \"${id}_group${{{id}_groups:+,${id}_groups}}\""
        ),
        Beginning::UntilOption | Beginning::AsRoot => String::new(),
    }
}

/// One that goes to the background by itself is waited for; another one is put there, and what it
/// prints goes to syslogd.
fn start(service: &Service, id: &str) -> String {
    if service.forks {
        return format!("\t( {id}_execute \"$@\" </dev/null )");
    }
    format!(
        "\t{{\n\t\t{id}_execute \"$@\" </dev/null 3>&- &\n\t\techo $! >&3\n\t}} 3>\"$pidfile\" 2>&1 | \
         logger -p daemon.info -t \"$name\" >/dev/null 2>&1 &\n\tsleep 1\n\t\
         if [ -z \"$(check_pidfile \"$pidfile\" \"$command\" \"$command_interpreter\")\" ]; then\n\t\t\
         warn \"$name has ended at once: see the log\"\n\t\treturn 1\n\tfi"
    )
}

fn signal(beginning: Beginning, id: &str) -> String {
    match beginning {
        Beginning::AsUser => format!("\t# With the rights of its user: what is in a pid file may be the service's word.\n\tsu -m \"${id}_user\" -c \"kill -$1 $rc_pid\""),
        Beginning::UntilOption | Beginning::AsRoot => {
            "\t# Some of its processes may be root's, and there may be several.\n\t# shellcheck disable=SC2086\n\tkill \"-$1\" $rc_pid".to_owned()
        }
    }
}

/// The block in which a shell counts the sizes of files (`ulimit`).
const BLOCK: u64 = 512;

/// No process is held by a limit beyond this: it is infinity there (`RLIM_INFINITY`, getrlimit(2)).
const INFINITY: u64 = i64::MAX.unsigned_abs();

/// The lines that lower limits, and the function that does. A size between two blocks is rounded
/// down: less is allowed then than the spec does.
fn limits(subject: &Subject<'_>, id: &str, ledger: &mut Ledger) -> (String, String) {
    let limits = &subject.spec.limits;
    let mut lines = String::new();
    for (name, letter, limit, unit) in [
        ("core", 'c', limits.core, BLOCK),
        ("descriptors", 'n', limits.descriptors, 1),
        ("file_size", 'f', limits.file_size, BLOCK),
    ] {
        let Some(limit) = limit else { continue };
        if limit < INFINITY {
            lines += &format!("\t{id}_lower -{letter} {} || exit 1\n", limit / unit);
        }
        match limit >= INFINITY || limit % unit == 0 {
            true => ledger.said(&Item::Limit(name)),
            false => gaps::rounded(ledger, name),
        }
    }
    let lower = match lines.is_empty() {
        true => String::new(),
        false => fill(LOWER, &[("id", id.to_owned())]),
    };
    (lines, lower)
}

const LOWER: &str = "
# Lowers both limits; one that is lower already stays.
@{id}_lower()
{
	for kind in -S -H; do
		now=$(ulimit \"$kind\" \"$1\")
		if [ \"$now\" = unlimited ] || [ \"$now\" -gt \"$2\" ]; then
			ulimit \"$kind\" \"$1\" \"$2\" || return 1
		fi
	done
}
";
