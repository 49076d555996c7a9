//! The system call filter. bubblewrap takes a compiled one on a descriptor, which is what gaoler makes.

use super::script::Script;
use crate::Result;
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject, launched};
use crate::plan::{Besides, filter_for_others};
use crate::spec::Demand;
use crate::sys::calls;

/// The descriptor of the filter.
const DESCRIPTOR: u32 = 9;

/// What bubblewrap itself does behind the filter: its first process waits and tells how the service
/// ended, the other executes it.
const OF_BUBBLEWRAP: [&str; 3] = ["execve", "wait4", "write"];

/// What setpriv asks of prctl(2): `PR_SET_KEEPCAPS`, `PR_CAPBSET_READ`, `PR_CAPBSET_DROP`,
/// `PR_GET_SECUREBITS`, `PR_GET_NO_NEW_PRIVS`, `PR_CAP_AMBIENT` (`linux/prctl.h`).
const OF_PRCTL: [u32; 6] = [8, 23, 24, 27, 39, 47];

/// What is allowed besides the spec.
pub fn besides(subject: &Subject<'_>) -> Vec<Besides<'static>> {
    let whole = |name: &&'static str| (*name, Vec::new());
    let mut all: Vec<Besides<'_>> = OF_BUBBLEWRAP.iter().map(whole).collect();
    all.extend(launched::OF_LOADER.iter().map(whole));
    all.extend(launched::OF_SETPRIV.iter().map(whole));
    let options = OF_PRCTL.iter();
    all.push(("prctl", options.map(|option| vec![(0, *option)]).collect()));
    if !subject.spec.service.start_as_root {
        let same = (0..3).map(|id| (id, subject.uid)).collect();
        all.push(("setresuid", vec![same]));
    }
    all
}

/// Has the filter at a descriptor when bubblewrap starts.
///
/// # Errors
/// It cannot be compiled.
pub fn install(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let spec = subject.spec;
    if spec.protections.seccomp == Demand::Off {
        return Ok(());
    }
    let besides = besides(subject);
    let left_out: Vec<u32> = launched::left_out(subject)
        .map(|rule| rule.number)
        .collect();
    let program = filter_for_others(spec, &left_out, &besides)?;
    script.because("the filter of the spec, compiled: each call that it allows, with the arguments that it allows");
    script.line("base64 -d >\"$stage/filter\" <<'END'");
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|it| {
            let [code, code_high] = it.code.to_ne_bytes();
            let [k0, k1, k2, k3] = it.k.to_ne_bytes();
            [code, code_high, it.jt, it.jf, k0, k1, k2, k3]
        })
        .collect();
    script.text += &base64(&bytes);
    script.line("END");
    script.blank();
    said(ledger, subject, &besides);
    Ok(())
}

/// What opens it.
pub fn arguments(subject: &Subject<'_>) -> (String, String) {
    match subject.spec.protections.seccomp {
        Demand::Off => (String::new(), String::new()),
        Demand::Prefer | Demand::Require => (
            format!("--seccomp {DESCRIPTOR} "),
            format!(" {DESCRIPTOR}<\"$stage/filter\""),
        ),
    }
}

fn said(ledger: &mut Ledger, subject: &Subject<'_>, besides: &[Besides<'_>]) {
    let spec = subject.spec;
    launched::phases(ledger, subject);
    for rule in &spec.calls {
        ledger.said(&Item::Call(rule.number));
    }
    for rule in &spec.families {
        ledger.said(&Item::Family(rule.family));
    }
    for item in [
        Item::NoOtherFamily,
        Item::NoOtherArchitecture,
        Item::NoWritableExecutable,
        Item::Arguments("clone"),
        Item::Arguments("ioctl"),
        Item::Arguments("setgroups"),
    ] {
        ledger.said(&item);
    }
    let listed = |name: &str| {
        let mut rules = spec.calls.iter();
        rules.any(|rule| {
            calls::number(name) == Some(rule.number) && !subject.is_for_the_option(rule)
        })
    };
    let names = besides
        .iter()
        .filter(|(name, _)| !listed(name) && calls::number(name).is_some());
    let names: Vec<String> = names
        .map(|(name, ways)| match ways.is_empty() {
            true => (*name).to_owned(),
            false => format!("{name} with some arguments"),
        })
        .collect();
    if names.is_empty() {
        ledger.said(&Item::NoOtherCall);
        return;
    }
    ledger.gap(
        [Item::NoOtherCall],
        Loss::Loosened,
        Severity::Low,
        format!(
            "the filter is there before the service is, so it also allows what bubblewrap and setpriv do \
             until then: {}",
            names.join(", ")
        ),
    );
}

/// RFC 4648, section 4, in lines of 76.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, three) in bytes.chunks(3).enumerate() {
        if index > 0 && index.is_multiple_of(19) {
            text.push('\n');
        }
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            match digit > three.len() {
                true => text.push('='),
                false => text.extend(DIGITS.get(value as usize).map(|it| char::from(*it))),
            }
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, expected) in [
            ("f", "Zg==\n"),
            ("fo", "Zm8=\n"),
            ("foo", "Zm9v\n"),
            ("foobar", "Zm9vYmFy\n"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0; 58]).lines().map(str::len).max(), Some(76));
    }
}
