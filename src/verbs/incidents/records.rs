//! What the kernel has written down of denials, kills and faults, as far as nobody else can have
//! written it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::attest::time;
use super::gather::Subject;
use crate::Result;
use crate::host::{kernel_log, process};
use crate::watch::processes::of_jails;
use crate::why::audit::{self, Action, Channel, Origin, Record, Sources, Verdict, What};
use crate::why::symbols::Address;

/// Those of this host, each once.
pub(super) struct Records {
    /// By their numbers.
    records: BTreeMap<u64, Record>,
    /// `NAME[PID]: segfault at ... ip ...`
    faults: Vec<String>,
}

/// Something that was denied a process of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) serial: u64,
    pub(super) time: String,
    pub(super) pid: Option<i32>,
    /// The call's name, if a filter of calls refused it.
    pub(super) call: Option<String>,
    /// It has killed the process.
    pub(super) kills: bool,
    /// What it is about.
    pub(super) subject: String,
    pub(super) detail: String,
    /// The program, by its path in the jail.
    pub(super) program: Option<PathBuf>,
    /// The instruction behind the call, or the one at fault.
    pub(super) address: Option<Address>,
}

impl Records {
    /// Reads them. A log that cannot be read has none.
    pub(super) fn read() -> Self {
        let mut records = BTreeMap::new();
        for source in audit::sources().found {
            let Ok(log) = source.read() else { continue };
            // A line of text can be anybody's.
            let own = log
                .records
                .into_iter()
                .filter(|it| it.channel != Channel::Text);
            records.extend(own.filter_map(|record| Some((record.serial?, record))));
        }
        let messages = kernel_log::messages().unwrap_or_default();
        Self {
            records,
            faults: messages
                .into_iter()
                .filter(|line| line.contains(" ip ") || line.contains(" ip:"))
                .collect(),
        }
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.records.keys().next_back().copied().unwrap_or(0)
    }

    /// What was denied processes of this jail since then, the oldest first.
    ///
    /// # Errors
    /// `/proc` not readable.
    pub(super) fn of(&self, subject: &Subject<'_>, since: &str) -> Result<Vec<Denied>> {
        let alive = match &subject.state {
            Some(state) => of_jails(std::slice::from_ref(state))?.concat(),
            None => Vec::new(),
        };
        let alive: Vec<i32> = alive.iter().map(|process| process.pid).collect();
        let records = self.records.values();
        Ok(records
            .filter(|record| when(record).as_str() >= since && is_of(record, subject, &alive))
            .filter_map(denied)
            .collect())
    }

    /// By which a filter has killed this process.
    pub(super) fn of_process(&self, pid: i32) -> Option<Denied> {
        let records = self.records.values().rev();
        records
            .filter_map(denied)
            .find(|denied| denied.kills && denied.pid == Some(pid))
    }

    /// What the kernel says of a process that a signal has ended because of a mistake.
    pub(super) fn fault(&self, pid: i32) -> Option<Denied> {
        let mut faults = self.faults.iter().rev();
        let (line, address) = faults.find_map(|line| fault(line, pid))?;
        Some(Denied {
            serial: 0,
            time: String::new(),
            pid: Some(pid),
            call: None,
            kills: true,
            subject: String::new(),
            detail: line,
            program: None,
            address: Some(Address::At(address)),
        })
    }
}

/// Where nothing has what the kernel itself has written down: that, and why.
pub(super) fn unheard(sources: &Sources) -> Option<String> {
    let is_own = |origin: Origin| matches!(origin, Origin::AuditFile | Origin::Kmsg);
    if sources.found.iter().any(|source| is_own(source.origin)) {
        return None;
    }
    let refused: String = sources
        .refused
        .iter()
        .map(|why| format!("; {why}"))
        .collect();
    Some(format!(
        "no kill and no denial is seen: neither auditd's file nor /dev/kmsg can be read{refused}"
    ))
}

/// What the kernel says of it, without the name, which a program chooses, and the address.
fn fault(line: &str, pid: i32) -> Option<(String, u64)> {
    // The last one: what the program has chosen to be called stands before it.
    let (_, rest) = line.rsplit_once(&format!("[{pid}]"))?;
    let (_, after) = rest
        .split_once(" ip ")
        .or_else(|| rest.split_once(" ip:"))?;
    let digits = after.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    let address = u64::from_str_radix(digits, 16).ok()?;
    let text = rest.trim_start_matches(':').trim();
    Some((text.split(" likely on").next()?.to_owned(), address))
}

fn when(record: &Record) -> String {
    time(record.time.map_or(0, |time| time.seconds))
}

/// Whether a process of the jail did it: one that is there; or one that has ended, of the jail's
/// user, and with a program of its tree. No log says it for certain then.
fn is_of(record: &Record, subject: &Subject<'_>, alive: &[i32]) -> bool {
    let Some(pid) = record.process.pid.and_then(|pid| i32::try_from(pid).ok()) else {
        return false;
    };
    let exe = record.process.exe.as_deref();
    // Its launch, which tries whether the filter is there.
    if exe.is_some_and(|exe| std::env::current_exe().is_ok_and(|own| own == exe)) {
        return false;
    }
    if alive.contains(&pid) {
        return true;
    }
    if process::start_time(pid).is_ok() {
        return false;
    }
    let of_tree = |exe: &Path| subject.manifest.entry(exe).is_some();
    subject
        .uid
        .is_some_and(|uid| record.process.uid == Some(uid))
        && exe.is_some_and(of_tree)
}

fn denied(record: &Record) -> Option<Denied> {
    let (call, kills, subject, detail, address) = match &record.what {
        What::Seccomp(seccomp) => {
            if matches!(seccomp.action, Some(Action::Allow)) {
                return None;
            }
            let number = seccomp
                .call
                .number
                .map_or("?".to_owned(), |it| it.to_string());
            let native = seccomp.call.arch.is_none_or(|arch| arch.is_native());
            let call = match &seccomp.call.name {
                Some(name) if native => name.clone(),
                Some(name) => format!("{name} of another architecture"),
                None => format!("call {number} of another architecture"),
            };
            let kills = seccomp.signal.is_some_and(|signal| signal != 0);
            let detail = match kills {
                true => format!("the filter of system calls has killed it at {call}"),
                false => format!("the filter of system calls refuses {call}"),
            };
            let known = native.then(|| seccomp.call.name.clone()).flatten();
            let address = seccomp.instruction_pointer.map(Address::After);
            (known, kills, call, detail, address)
        }
        What::AppArmor(apparmor) => {
            if !matches!(apparmor.verdict, Verdict::Denied | Verdict::Killed) {
                return None;
            }
            let what = format!(
                "AppArmor: {}",
                words(&apparmor.operation, apparmor.name.as_deref().map(Path::new))
            );
            (None, false, what.clone(), what, None)
        }
        What::Selinux(selinux) if selinux.granted => return None,
        What::Selinux(selinux) => {
            let what = format!(
                "SELinux: {} {}",
                selinux.permissions.join(" "),
                selinux.tclass
            );
            (None, false, what.clone(), what, None)
        }
        What::Landlock(landlock) => {
            let path = landlock.object.path.as_deref();
            let what = format!("Landlock: {}", words(&landlock.blockers.join(" "), path));
            (None, false, what.clone(), what, None)
        }
    };
    Some(Denied {
        serial: record.serial.unwrap_or(0),
        time: when(record),
        pid: record.process.pid.and_then(|pid| i32::try_from(pid).ok()),
        call,
        kills,
        subject,
        detail,
        program: record.process.exe.clone(),
        address,
    })
}

fn words(what: &str, path: Option<&Path>) -> String {
    match path {
        Some(path) => format!("{what} {}", path.display()),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::audit::sources_under;

    #[test]
    fn a_host_without_the_kernel_s_log_is_told_of() {
        let host = tempfile::tempdir().unwrap();
        let unheard = || unheard(&sources_under(host.path()));
        let log = host.path().join("var/log");
        std::fs::create_dir_all(log.join("audit")).unwrap();
        std::fs::write(log.join("syslog"), "").unwrap();
        assert!(unheard().unwrap().contains("no kill and no denial"));
        std::os::unix::fs::symlink("../syslog", log.join("audit/audit.log")).unwrap();
        assert!(unheard().unwrap().contains("symbolic link"));
        std::fs::remove_file(log.join("audit/audit.log")).unwrap();
        std::fs::write(log.join("audit/audit.log"), "").unwrap();
        assert_eq!(unheard(), None);
    }

    #[test]
    fn a_fault_is_told_without_the_name_that_the_program_has_chosen() {
        let forged =
            "x[17] ip 2 [17]: segfault at 0 ip 0000557a47707132 sp 00007ffe4f399f60 error 6";
        assert_eq!(fault(forged, 17).unwrap().1, 0x557a_4770_7132);
        assert_eq!(fault(forged, 18), None);
        let plain = "s[17]: segfault at 0 ip 0000557a47707132 sp 00007ffe4f399f60 error 6 in \
                     s[1132,557a47707000+1000] likely on CPU 1 (core 1, socket 0)";
        let (text, address) = fault(plain, 17).unwrap();
        assert_eq!(address, 0x557a_4770_7132);
        assert!(text.starts_with("segfault at 0 ip "), "{text}");
        assert!(!text.contains("CPU"), "{text}");
        let trap = "traps: s[17] trap invalid opcode ip:557a47707132 sp:7ffe4f399f60 error:0 in s";
        assert_eq!(fault(trap, 17).unwrap().1, 0x557a_4770_7132);
    }
}
