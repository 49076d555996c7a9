//! gaoler's filter in the words of the runtimes, which all hand it to `libseccomp`.

use super::runtime::{Argument, Calls, Seccomp};
use crate::audit::Severity;
use crate::export::item::call;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::filter::allowed::allowed;
use crate::filter::{Action, Architecture, Rule};
use crate::plan;
use crate::{Error, Result};

/// What is not listed fails with this: EPERM.
const REFUSED: u16 = 1;

/// The filter of a spec, with what a runtime needs itself.
///
/// # Errors
/// gaoler has no table for this architecture.
pub fn of(subject: &Subject<'_>, ledger: &mut Ledger) -> Result<Seccomp> {
    let spec = subject.spec;
    let left_out: Vec<u32> = spec
        .calls
        .iter()
        .filter(|rule| subject.is_for_the_option(rule))
        .map(|rule| rule.number)
        .collect();
    let besides = OF_THE_RUNTIME.map(|name| (name, Vec::new()));
    let rules = plan::rules_for_others(spec, &left_out, &besides)?;
    for rule in &spec.calls {
        ledger.said(&Item::Call(rule.number));
        if left_out.contains(&rule.number) {
            ledger.said(&Item::StartOnly(rule.number));
        }
    }
    for item in [
        Item::NoOtherArchitecture,
        Item::NoWritableExecutable,
        Item::Arguments("clone"),
        Item::Arguments("ioctl"),
        Item::Arguments("setgroups"),
        Item::NoOtherFamily,
    ] {
        ledger.said(&item);
    }
    for rule in &spec.families {
        ledger.said(&Item::Family(rule.family));
    }
    let own = plan::rules_for_others(spec, &left_out, &[])?;
    let more = rules.iter().filter(|rule| !own.contains(rule));
    let names: Vec<String> = more.map(|rule| call(rule.call)).collect();
    match names.is_empty() {
        true => ledger.said(&Item::NoOtherCall),
        false => ledger.gap(
            [Item::NoOtherCall],
            Loss::Loosened,
            Severity::Low,
            format!(
                "a runtime executes the service under its filter, which allows what that takes: {}",
                names.join(", ")
            ),
        ),
    }
    filter(&rules)
}

/// The filter of these rules. No two rules for one call may overlap: of an allowing and a refusing
/// one `libseccomp` keeps either, and each argument can be compared once in a rule.
fn filter(rules: &[Rule]) -> Result<Seccomp> {
    let mut plain = Vec::new();
    let mut looked_at = Vec::new();
    for rule in rules {
        match (rule.alternatives.is_empty(), rule.otherwise) {
            (true, Action::Allow) => plain.push(call(rule.call)),
            (true, Action::Errno(REFUSED)) => {}
            (true, Action::Errno(number)) => looked_at.push(Calls {
                names: vec![call(rule.call)],
                action: "SCMP_ACT_ERRNO".to_owned(),
                errno_ret: Some(number.into()),
                args: Vec::new(),
            }),
            _ => looked_at.extend(cases(rule)),
        }
    }
    plain.sort();
    let mut syscalls = vec![Calls {
        names: plain,
        action: "SCMP_ACT_ALLOW".to_owned(),
        errno_ret: None,
        args: Vec::new(),
    }];
    syscalls.extend(looked_at);
    Ok(Seccomp {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        default_errno_ret: REFUSED.into(),
        architectures: vec![architecture()?.to_owned()],
        syscalls,
    })
}

/// What a runtime itself calls between the filter and the program (runc 1.1: it says that it is ready,
/// closes what is open, and executes; what its language does beside that comes with it).
const OF_THE_RUNTIME: [&str; 10] = [
    "close",
    "execve",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getdents64",
    "getpid",
    "openat",
    "write",
];

fn cases(rule: &Rule) -> impl Iterator<Item = Calls> {
    let name = call(rule.call);
    allowed(rule).into_iter().map(move |case| {
        let arguments = case.0.into_iter().map(|(index, bits)| Argument {
            index,
            value: bits.mask,
            value_two: bits.value,
            op: "SCMP_CMP_MASKED_EQ".to_owned(),
        });
        Calls {
            names: vec![name.clone()],
            action: "SCMP_ACT_ALLOW".to_owned(),
            errno_ret: None,
            args: arguments.collect(),
        }
    })
}

fn architecture() -> Result<&'static str> {
    match Architecture::native() {
        Some(Architecture::Aarch64) => Ok("SCMP_ARCH_AARCH64"),
        Some(Architecture::X86_64) => Ok("SCMP_ARCH_X86_64"),
        None => Err(Error::usage(
            "write the system call filter",
            "gaoler has no table for this architecture",
        )),
    }
}
