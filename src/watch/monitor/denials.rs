//! What the kernel's audit records say of processes of jails.

use std::collections::BTreeMap;

use crate::host::audit_records::{AVC, LANDLOCK_ACCESS, LANDLOCK_DOMAIN, Record, SECCOMP};
use crate::sys::calls;

/// The architecture whose calls have names here (`AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`).
#[cfg(target_arch = "x86_64")]
const OWN_ARCHITECTURE: &str = "c000003e";
#[cfg(target_arch = "aarch64")]
const OWN_ARCHITECTURE: &str = "c00000b7";

/// How many domains of Landlock are remembered, and how many denials of those not yet known.
const MOST_DOMAINS: usize = 4096;
const MOST_WAITING: usize = 256;

/// Something that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::watch) struct Denial {
    /// To this process of the host.
    pub(in crate::watch) pid: i32,
    /// By what, and what.
    pub(in crate::watch) detail: String,
}

/// Reads records. Those of Landlock name a domain; which process made that, another record says
/// behind the first of them, and never again.
#[derive(Debug, Default)]
pub(in crate::watch) struct Denials {
    domains: BTreeMap<String, i32>,
    waiting: Vec<(String, String)>,
}

impl Denials {
    /// What a record says was denied, if it is of that kind.
    pub(in crate::watch) fn of(&mut self, record: &Record) -> Vec<Denial> {
        self.read(record).unwrap_or_default()
    }

    fn read(&mut self, record: &Record) -> Option<Vec<Denial>> {
        let pid = || record.field("pid")?.parse::<i32>().ok();
        let one = |pid, detail| Some(vec![Denial { pid, detail }]);
        match record.kind {
            SECCOMP => one(
                pid()?,
                format!("the filter of system calls: {}", call(record)),
            ),
            AVC => {
                let denied = record.field("apparmor") == Some("DENIED")
                    || record.text.contains("avc:  denied");
                one(pid().filter(|_| denied)?, words(record, ""))
            }
            LANDLOCK_DOMAIN => {
                let domain = record.field("domain")?;
                match pid().filter(|_| record.field("status") == Some("allocated")) {
                    Some(pid) => Some(self.is_of(domain, pid)),
                    None => {
                        self.domains.remove(domain);
                        None
                    }
                }
            }
            LANDLOCK_ACCESS => {
                let domain = record.field("domain")?;
                let detail = words(record, "Landlock: ");
                if let Some(pid) = self.domains.get(domain) {
                    return one(*pid, detail);
                }
                if self.waiting.len() < MOST_WAITING {
                    self.waiting.push((domain.to_owned(), detail));
                }
                None
            }
            _ => None,
        }
    }

    /// A domain is that of a process: what has waited for that.
    fn is_of(&mut self, domain: &str, pid: i32) -> Vec<Denial> {
        if self.domains.len() < MOST_DOMAINS {
            self.domains.insert(domain.to_owned(), pid);
        }
        let waited = self.waiting.extract_if(.., |waiting| waiting.0 == domain);
        waited.map(|(_, detail)| Denial { pid, detail }).collect()
    }
}

/// What comes behind the time and the number of a record.
fn words(record: &Record, before: &str) -> String {
    let text = record.text.split_once(": ").map_or("", |(_, text)| text);
    format!("{before}{text}")
}

fn call(record: &Record) -> String {
    let number = record.field("syscall").unwrap_or("?");
    let own = record.field("arch") == Some(OWN_ARCHITECTURE);
    let name = number.parse().ok().filter(|_| own).and_then(calls::name);
    let killed = match record.field("sig") {
        None | Some("0") => String::new(),
        Some(signal) => format!(", which ends it by signal {signal}"),
    };
    match name {
        Some(name) => format!("{name}{killed}"),
        None => {
            let architecture = record.field("arch").unwrap_or("?");
            format!("call {number} of architecture {architecture}{killed}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, text: &str) -> Record {
        Record {
            kind,
            text: format!("audit(1700000000.123:456): {text}"),
        }
    }

    #[test]
    fn each_kind_of_record_names_its_process() {
        let mut denials = Denials::default();
        let mut of = |kind, text: &str| {
            let denial = denials.of(&record(kind, text)).into_iter().next();
            denial.map(|denial| (denial.pid, denial.detail))
        };
        let seccomp = format!("uid=5 pid=77 comm=\"a\" sig=31 arch={OWN_ARCHITECTURE} syscall=0");
        let (pid, detail) = of(SECCOMP, &seccomp).unwrap();
        assert_eq!(pid, 77);
        assert!(detail.ends_with(", which ends it by signal 31"), "{detail}");
        let foreign = of(SECCOMP, "pid=77 sig=0 arch=40000003 syscall=20").unwrap();
        assert!(foreign.1.ends_with("call 20 of architecture 40000003"));
        let apparmor = "apparmor=\"DENIED\" operation=\"open\" name=\"/a\" pid=8 comm=\"x\"";
        assert_eq!(of(AVC, apparmor).unwrap().0, 8);
        assert_eq!(of(AVC, "apparmor=\"STATUS\" pid=8"), None);
        let access = "domain=195ba459b blockers=fs.refer path=\"/usr/bin\" dev=\"vda2\" ino=351";
        assert_eq!(of(LANDLOCK_ACCESS, access), None);
        let made = "domain=195ba459b status=allocated mode=enforcing pid=300 uid=0 comm=\"a\"";
        for (kind, text) in [(LANDLOCK_DOMAIN, made), (LANDLOCK_ACCESS, access)] {
            let (pid, detail) = of(kind, text).unwrap();
            assert_eq!((pid, detail.starts_with("Landlock: domain=")), (300, true));
        }
        of(
            LANDLOCK_DOMAIN,
            "domain=195ba459b status=deallocated denials=1",
        );
        assert_eq!(of(LANDLOCK_ACCESS, access), None);
        assert_eq!(of(1300, "pid=8"), None);
    }
}
