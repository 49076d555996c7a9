//! The kernel's audit records of one jail's service, against its spec.
//!
//! Whose record it is is read from the record, and a process chooses its own name and path. So none
//! of these denials is taken over without asking ([`Denial::is_safe`]), and those that only a text
//! claims say so.

mod advice;
mod need;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use super::audit::{AppArmor, Channel, Log, Record, Seccomp, Time, Verdict, What};
use super::denial::{Denial, Remedy, Source};
use super::explain::subject;
use crate::build::Manifest;
use crate::spec::Spec;
use need::{Grant, Need};

/// The length of a program's name in `comm` (`TASK_COMM_LEN` without its end).
const COMM: usize = 15;

/// What records are held against.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// What was built of it, if it was.
    pub manifest: Option<&'a Manifest>,
    /// Older records do not count, in seconds since 1970.
    pub since: Option<u64>,
    /// What the spec has by now is left out.
    pub only_missing: bool,
}

/// What was in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Where it came from.
    pub log: String,
    /// Records of the jail's service that were taken.
    pub taken: u64,
    /// Records of the same denial that another log had, too.
    pub again: u64,
    /// Records of other programs.
    pub others: u64,
    /// Records from before.
    pub older: u64,
    /// Records of something that was granted.
    pub granted: u64,
    /// Lines that look like records and cannot be read.
    pub unreadable: u64,
    /// Records that were left out because there were too many.
    pub dropped: u64,
}

/// What records showed.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// What was denied.
    pub denials: Vec<Denial>,
    /// For each log.
    pub counts: Vec<Counts>,
}

/// Explains the records of logs, each with the name of where it came from.
pub fn explained(logs: &[(String, Log)], scope: &Scope<'_>) -> Records {
    let mut counts: Vec<Counts> = logs.iter().map(counted).collect();
    let mut records: Vec<(usize, &Record)> = logs
        .iter()
        .enumerate()
        .flat_map(|(index, (_, log))| log.records.iter().map(move |record| (index, record)))
        .collect();
    // The same record may be in several: the one that nobody can have forged counts.
    records.sort_by_key(|(_, record)| record.channel);
    let mut seen = HashSet::new();
    let mut found: Vec<Found<'_>> = Vec::new();
    for (index, record) in records {
        let Some(count) = counts.get_mut(index) else {
            continue;
        };
        if !is_denial(&record.what) {
            count.granted += 1;
        } else if !is_of(record, scope) {
            count.others += 1;
        } else if is_older(record, scope.since) {
            count.older += 1;
        } else if record.serial.is_some()
            && !seen.insert((record.time, record.serial, format!("{:?}", record.what)))
        {
            count.again += 1;
        } else {
            count.taken += 1;
            gather(&mut found, record, scope);
        }
    }
    let denials = found.into_iter().filter_map(|found| found.denial(scope));
    Records {
        denials: denials.collect(),
        counts,
    }
}

fn counted((name, log): &(String, Log)) -> Counts {
    Counts {
        log: name.clone(),
        unreadable: log.unreadable_lines,
        dropped: log.dropped,
        ..Counts::default()
    }
}

fn is_denial(what: &What) -> bool {
    use super::audit::Action;
    match what {
        What::Seccomp(seccomp) => !matches!(
            seccomp.action,
            Some(Action::Allow | Action::Trace | Action::UserNotif)
        ),
        What::AppArmor(apparmor) => matches!(
            apparmor.verdict,
            Verdict::Denied | Verdict::Allowed | Verdict::Killed
        ),
        What::Selinux(selinux) => !selinux.granted,
        What::Landlock(_) => true,
    }
}

fn is_older(record: &Record, since: Option<u64>) -> bool {
    match (record.time, since) {
        (Some(time), Some(since)) => time.seconds < since,
        _ => false,
    }
}

/// Whether a record is one of the jail's programs: by the program, or where the record does not
/// have it by the profile, the domain or the name.
fn is_of(record: &Record, scope: &Scope<'_>) -> bool {
    let Some(program) = scope.spec.service.command.first().map(Path::new) else {
        return false;
    };
    if let Some(exe) = &record.process.exe {
        return is_program(exe, program, scope);
    }
    let Some(name) = program.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let comm = record.process.comm.as_ref();
    let is_comm = comm.is_some_and(|comm| *comm == *name.get(..COMM).unwrap_or(name));
    let by_policy = match &record.what {
        What::AppArmor(apparmor) => apparmor
            .profile
            .as_deref()
            .is_some_and(|profile| is_profile(profile, program, name)),
        What::Selinux(selinux) => {
            let domain = selinux.scontext.split(':').nth(2);
            domain.and_then(|domain| domain.strip_suffix("_t")) == Some(name)
        }
        What::Seccomp(_) | What::Landlock(_) => false,
    };
    is_comm || by_policy
}

/// The service's program, by whatever link it was called, or another one in its jail.
fn is_program(exe: &Path, program: &Path, scope: &Scope<'_>) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let merged = |path: &Path| match path.strip_prefix("/usr") {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => path.to_owned(),
    };
    let mut programs = scope.spec.files.iter().filter(|rule| is_run(rule.kind));
    merged(exe) == merged(program)
        || exe == real(program)
        || programs.any(|rule| rule.path == exe)
        || scope.manifest.is_some_and(|manifest| {
            let entry = manifest.entry(exe);
            let mode = entry.and_then(|entry| entry.mode_bits());
            mode.is_some_and(|mode| mode & 0o111 != 0)
                && entry.is_some_and(|entry| entry.kind == crate::build::EntryKind::File)
        })
}

fn is_run(kind: crate::spec::FileKind) -> bool {
    kind == crate::spec::FileKind::Program
}

/// A profile is named by the program's path or a name of its own; behind `//` is a part of it
/// (apparmor.d(5)).
fn is_profile(profile: &str, program: &Path, name: &str) -> bool {
    let whole = profile.split("//").next().unwrap_or(profile);
    Path::new(whole) == program
        || whole == name
        || (whole.starts_with('/') && Path::new(whole).file_name() == program.file_name())
}

/// Records of the same denial.
struct Found<'a> {
    need: Need,
    grant: Grant,
    first: &'a Record,
    last: Option<Time>,
    count: u64,
}

fn gather<'a>(found: &mut Vec<Found<'a>>, record: &'a Record, scope: &Scope<'_>) {
    for need in need::of(record) {
        let grant = need.grant(scope);
        let same =
            |known: &&mut Found<'_>| layer(known.first) == layer(record) && known.need == need;
        match found.iter_mut().find(same) {
            Some(known) => {
                known.count += 1;
                known.last = known.last.max(record.time);
            }
            None => found.push(Found {
                need,
                grant,
                first: record,
                last: record.time,
                count: 1,
            }),
        }
    }
}

fn layer(record: &Record) -> &'static str {
    match record.what {
        What::Seccomp(_) => "seccomp",
        What::AppArmor(_) => "AppArmor",
        What::Selinux(_) => "SELinux",
        What::Landlock(_) => "Landlock",
    }
}

impl Found<'_> {
    fn denial(self, scope: &Scope<'_>) -> Option<Denial> {
        let is_missing = !matches!(self.grant, Grant::Has);
        // What another layer of the host refuses matters whatever the spec says.
        let is_ours = matches!(self.first.what, What::Seccomp(_) | What::Landlock(_));
        if scope.only_missing && is_ours && !is_missing {
            return None;
        }
        let claimed = self.first.channel == Channel::Text;
        let says = if claimed {
            "a line of text claims that"
        } else {
            "the kernel says that"
        };
        let times = match self.count {
            1 => String::new(),
            count => format!(" {count} times"),
        };
        let mut cause = format!(
            "{says} {} {}{times}{}",
            who(self.first),
            did(self.first, &self.need),
            self.stamp()
        );
        let (subject, remedy) = match &self.grant {
            Grant::Give(allowance) => {
                cause += ": the spec does not have it";
                let subject = subject(allowance);
                (subject, Remedy::Allow(vec![(**allowance).clone()]))
            }
            Grant::Has => {
                cause += match self.first.what {
                    What::Seccomp(_) => {
                        ": the spec has the call, so this was another filter, an older spec, or an \
                         argument that no jail may use"
                    }
                    What::Landlock(_) => ": the spec has it, so this was an older spec",
                    What::AppArmor(_) | What::Selinux(_) => {
                        ": the spec has it, the host's own policy does not"
                    }
                };
                (self.need.name(), Remedy::None)
            }
            Grant::Never(why) => {
                cause += &format!(": {why}");
                (self.need.name(), Remedy::None)
            }
        };
        let mut denial = Denial::new(Source::Audit, subject, cause, remedy)
            .advise(advice::advice(self.first, scope.spec));
        denial.claimed = claimed;
        Some(denial)
    }

    /// As people look for it in a log.
    fn stamp(&self) -> String {
        let time = |time: Time| format!("{}.{:03}", time.seconds, time.milliseconds);
        match (self.first.time, self.first.serial, self.count) {
            (Some(first), Some(serial), 1) => format!(", audit({}:{serial})", time(first)),
            (Some(_), _, _) => match self.last {
                Some(last) => format!(", last at {}", time(last)),
                None => String::new(),
            },
            (None, _, _) => format!(", line {}", self.first.line),
        }
    }
}

/// The process, as far as the record names it.
fn who(record: &Record) -> String {
    let process = &record.process;
    let exe = process.exe.as_ref().map(|exe| exe.display().to_string());
    let comm = process.comm.as_ref().map(|comm| comm.to_string_lossy());
    let named = match (exe, comm) {
        (Some(exe), Some(comm)) => format!("{exe} (thread {comm})"),
        (Some(exe), None) => exe,
        (None, Some(comm)) => comm.into_owned(),
        (None, None) => "a process".to_owned(),
    };
    match process.pid {
        Some(pid) => format!("{named}, pid {pid},"),
        None => named,
    }
}

/// What it did, and who refused.
fn did(record: &Record, need: &Need) -> String {
    match &record.what {
        What::Seccomp(seccomp) => {
            let how = seccomp_answer(seccomp);
            let at = seccomp.instruction_pointer;
            let at = at.map_or_else(String::new, |at| format!(" at {at:#x}"));
            format!("made the {}{at}, and seccomp {how}", need.name())
        }
        What::AppArmor(apparmor) => of_apparmor(apparmor, need),
        What::Selinux(selinux) => {
            let let_through = selinux.permissive == Some(true);
            let denied = if let_through {
                "would be denied"
            } else {
                "was denied"
            };
            format!(
                "{denied} {} on {} of class {} by SELinux ({} to {})",
                selinux.permissions.join(" "),
                need.name(),
                selinux.tclass,
                selinux.scontext,
                selinux.tcontext
            )
        }
        What::Landlock(landlock) => format!(
            "was denied {} on {} by Landlock",
            landlock.blockers.join(", "),
            need.name()
        ),
    }
}

fn seccomp_answer(seccomp: &Seccomp) -> String {
    use super::audit::Action;
    let signal = match seccomp.signal {
        Some(31) => " (SIGSYS)",
        _ => "",
    };
    match seccomp.action {
        Some(Action::KillProcess | Action::KillThread) => format!("killed it{signal}"),
        Some(Action::Trap) => "sent it SIGSYS".to_owned(),
        Some(Action::Errno(_)) => "refused it".to_owned(),
        Some(Action::Log) => "let it run and wrote it down".to_owned(),
        Some(Action::Other(code)) => format!("answered {code:#x}"),
        // The oldest records have none; those that are there kill.
        _ if seccomp.signal.is_some_and(|signal| signal != 0) => format!("killed it{signal}"),
        _ => "refused it".to_owned(),
    }
}

fn of_apparmor(apparmor: &AppArmor, need: &Need) -> String {
    let verdict = match apparmor.verdict {
        Verdict::Allowed => "would be denied",
        Verdict::Killed => "was killed for",
        _ => "was denied",
    };
    let mask = apparmor.denied.as_deref().or(apparmor.requested.as_deref());
    let mask = mask.map_or_else(String::new, |mask| format!(" ({mask})"));
    let profile = apparmor.profile.as_deref().unwrap_or("unknown");
    format!(
        "{verdict} {}{mask} of {} by AppArmor's profile {profile}",
        apparmor.operation,
        need.name()
    )
}
