//! What a spec allows and no run has shown: the policy is looser there than the trace.

use std::path::Path;

use crate::audit::facts::Unseen;
use crate::learn::Trace;
use crate::learn::trace::{SocketUse, Use};
use crate::spec::{Allowance, Direction, Evidence, Spec};

/// How writing shows.
const WRITES: [Use; 4] = [Use::Write, Use::Create, Use::Delete, Use::Change];

/// The allowances of the spec that the trace does not show. What comes with something else, or was
/// proven to be needed, is not among them.
pub(super) fn of(spec: &Spec, trace: &Trace) -> Vec<Unseen> {
    let all = Allowance::all_of(spec).into_iter();
    all.filter_map(|allowance| {
        let (_, evidence) = allowance.reason()?;
        let evidence = evidence.clone();
        let by_person = match evidence.origin() {
            Evidence::Imported(_) | Evidence::Person => true,
            Evidence::Rule(_) => false,
            Evidence::Closure(_)
            | Evidence::Observed(_)
            | Evidence::Proven(_)
            | Evidence::Unproven(_) => return None,
        };
        (!is_seen(&allowance, trace)).then(|| Unseen {
            item: allowance.name(),
            weighty: by_person && is_weighty(&allowance),
            evidence: evidence.to_string(),
        })
    })
    .collect()
}

/// Reading and empty places give nothing away that was not there.
fn is_weighty(allowance: &Allowance) -> bool {
    match allowance {
        Allowance::Bind(rule) => rule.writable,
        Allowance::Call(_) | Allowance::Capability(_) | Allowance::Family(_) => true,
        Allowance::Device(_)
        | Allowance::File(_)
        | Allowance::Group(_)
        | Allowance::Port(_)
        | Allowance::Scratch(_)
        | Allowance::WritableExecutable => false,
    }
}

/// Whether a trace shows the service using what this allows.
pub(super) fn is_seen(allowance: &Allowance, trace: &Trace) -> bool {
    match allowance {
        Allowance::Bind(rule) if rule.writable => uses(trace, &rule.path, &WRITES),
        Allowance::Bind(rule) => touches(trace, &rule.path),
        Allowance::Call(rule) => trace.calls.iter().any(|seen| seen.number == rule.number),
        Allowance::Capability(rule) => {
            let mut seen = trace.capabilities.iter();
            seen.any(|seen| seen.capability == rule.capability)
        }
        Allowance::Device(rule) => touches(trace, &rule.path),
        Allowance::Family(rule) => {
            let mut seen = trace.sockets.iter();
            seen.any(|seen| seen.family == rule.family)
        }
        Allowance::File(rule) => touches(trace, &rule.path),
        Allowance::Port(rule) => trace.sockets.iter().any(|seen| {
            let action = match rule.direction {
                Direction::Bind => matches!(seen.action, SocketUse::Bind | SocketUse::Listen),
                Direction::Connect => matches!(seen.action, SocketUse::Connect),
            };
            action && (rule.port == 0 || seen.port == rule.port)
        }),
        Allowance::Scratch(rule) => touches(trace, &rule.path),
        Allowance::WritableExecutable => trace.writable_executable,
        // Who needs a group is not seen.
        Allowance::Group(_) => true,
    }
}

/// Whether something was done at or below a path.
fn touches(trace: &Trace, path: &Path) -> bool {
    trace.paths.iter().any(|seen| {
        let asked = seen.asked.iter().any(|asked| asked.starts_with(path));
        let links = seen.links.iter().any(|(link, _)| link.starts_with(path));
        asked || links || seen.host.starts_with(path)
    })
}

fn uses(trace: &Trace, path: &Path, wanted: &[Use]) -> bool {
    let mut below = trace.paths.iter().filter(|seen| {
        seen.host.starts_with(path) || seen.asked.iter().any(|asked| asked.starts_with(path))
    });
    below.any(|seen| wanted.iter().any(|wanted| seen.uses.contains(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::trace::{CallSeen, PathKind, PathSeen, Phase, Witness};
    use crate::spec::{BindRule, CallRule};
    use crate::sys::calls;

    fn call(name: &str, evidence: Evidence) -> CallRule {
        CallRule {
            number: calls::number(name).unwrap(),
            start_only: false,
            because: "a test".to_owned(),
            evidence,
        }
    }

    #[test]
    fn what_nobody_saw_is_named() {
        let mut trace = Trace::default();
        trace.calls.push(CallSeen {
            number: calls::number("read").unwrap(),
            name: "read".to_owned(),
            phase: Phase::Serve,
            count: 1,
            witness: Witness::default(),
        });
        trace.paths.push(PathSeen {
            host: "/srv/web/page".into(),
            asked: Default::default(),
            links: Vec::new(),
            kind: PathKind::File,
            device: None,
            uses: [Use::Read].into(),
            failures: Default::default(),
            phase: Phase::Serve,
            count: 1,
            witness: Witness::default(),
        });
        let bind = |writable| BindRule {
            path: "/srv/web".into(),
            writable,
            because: "pages".to_owned(),
            evidence: Evidence::Person,
        };
        let mut spec = Spec {
            calls: vec![
                call("read", Evidence::Person),
                call("ptrace", Evidence::Person),
                call("uname", Evidence::built_in()),
                call("sync", Evidence::Proven("soa".to_owned())),
                call("vhangup", Evidence::Closure("libc".to_owned())),
            ],
            binds: vec![bind(false)],
            ..Spec::default()
        };
        let items = |spec: &Spec| -> Vec<(String, bool)> {
            let found = of(spec, &trace).into_iter();
            found.map(|unseen| (unseen.item, unseen.weighty)).collect()
        };
        let known = [("call ptrace", true), ("call uname", false)];
        let mut known = known
            .map(|(item, weighty)| (item.to_owned(), weighty))
            .to_vec();
        assert_eq!(items(&spec), known);
        // It was read, never written.
        spec.binds = vec![bind(true)];
        known.insert(0, ("bind /srv/web".to_owned(), true));
        assert_eq!(items(&spec), known);
    }
}
