//! From what was seen to denials. Pure.

use std::path::{Path, PathBuf};

use super::calls::{self, Refusal, refused_calls};
use super::decides::{self, Decider, Inside};
use super::denial::{Denial, Remedy, Source};
use super::limits::{self, HostLimits};
use super::places::Places;
use crate::learn::trace::{PathKind, Phase, SocketUse, Use};
use crate::learn::{Refused, Trace};
use crate::run::{ComplaintRecord, Reached};
use crate::spec::{Allowance, Direction, PortRule, Protocol, Spec};
use crate::sys::{abi, caps, errno};

/// What there is to go by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// What the policy would be if all that was refused had been granted.
    pub wanted: &'a Spec,
    /// The run in the jail; `None` if there was none.
    pub run: Option<&'a Trace>,
    /// Its paths that are there outside.
    pub refused: &'a [Refused],
    /// What is wrong with the tree: path in the jail, what.
    pub drift: &'a [(String, String)],
    /// What was written down in complain mode.
    pub complaints: Option<&'a ComplaintRecord>,
    /// What the service said, explained ([`super::said`]).
    pub said: &'a [Denial],
    /// The functions that refused calls were made in.
    pub places: &'a Places,
    /// How the jail was made; `None` if nothing was run in it.
    pub inside: Option<Inside<'a>>,
    /// How often limits of its cgroups were reached.
    pub reached: Reached,
    /// The limits that it inherits.
    pub host: HostLimits,
}

/// Why a path is not proposed.
pub const NEVER_GIVEN: &str =
    "not given to jails: it belongs to the kernel, is shared, or says too much";

/// The mark of what was missing at first, beside what the run showed of it.
const DENIED: &str = "it was denied in the jail";

/// Everything that was denied, what is surest first.
pub fn explain(evidence: &Evidence<'_>) -> Vec<Denial> {
    let mut denials = drifted(evidence.drift);
    let refusals = refused_calls(evidence);
    let mut explained: Vec<&Path> = Vec::new();
    for allowance in missing(evidence) {
        let seen = paths_of(evidence, &allowance);
        explained.extend(seen.iter().map(|refused| refused.host.as_path()));
        if let Some((source, cause)) = cause(evidence, &allowance, &seen, &refusals) {
            let subject = subject(&allowance);
            denials.push(match mounted_over(evidence, &seen) {
                Some(decider) => Denial::new(source, subject, cause, Remedy::None)
                    .advise(decider.advice(evidence.spec)),
                None => Denial::new(
                    source,
                    subject,
                    cause,
                    Remedy::Allow(vec![allowance.also_because(DENIED)]),
                ),
            });
        }
    }
    let others = calls::others(evidence, &refusals).into_iter();
    let others: Vec<Denial> = others
        .filter(|other| denials.iter().all(|known| known.subject != other.subject))
        .collect();
    denials.extend(others);
    denials.extend(limits::reached(evidence));
    let news = evidence
        .said
        .iter()
        .filter(|said| !is_known(&denials, said));
    denials.extend(news.cloned().collect::<Vec<_>>());
    let left_out = evidence.refused.iter().filter(|refused| {
        let in_drift = |(path, _): &(String, String)| refused.host.starts_with(path);
        !explained.contains(&refused.host.as_path())
            && !evidence.drift.iter().any(in_drift)
            && !was_missing_there_too(evidence.spec, refused)
    });
    denials.extend(left_out.filter_map(|refused| left_alone(evidence, refused)));
    denials
}

/// Beneath a bind the jail sees the host's own files: what was missing was missing for everybody,
/// and is there by now because the service has made it since.
fn was_missing_there_too(spec: &Spec, refused: &Refused) -> bool {
    let mut failures = refused.failures.iter();
    failures.all(|(_, number)| *number == abi::ENOENT)
        && spec
            .binds
            .iter()
            .any(|bind| refused.host.starts_with(&bind.path))
}

/// A bind lies over the place, so that nothing of the tree is seen there: its flags, or who owns
/// the host's file, decide.
fn mounted_over(evidence: &Evidence<'_>, seen: &[&Refused]) -> Option<Decider> {
    let decider = decider(evidence, seen.first()?)?;
    let decides = match decider {
        Decider::NoDevices(_) | Decider::NoExecution(_) => true,
        Decider::Mode { .. }
        | Decider::Owner { .. }
        | Decider::ReadOnlyBind(_)
        | Decider::ReadOnlyRoot
        | Decider::Landlock(_) => false,
    };
    decides.then_some(decider)
}

/// Whether another source has the same file already.
fn is_known(denials: &[Denial], said: &Denial) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let files = |denial: &Denial| -> Vec<PathBuf> {
        let given = denial.remedy.allowances().iter();
        let given = given.filter_map(|allowance| match allowance {
            Allowance::File(rule) => Some(real(&rule.path)),
            Allowance::Bind(rule) => Some(real(&rule.path)),
            _ => None,
        });
        let of_tree = (denial.source == Source::Tree).then(|| real(Path::new(&denial.subject)));
        given.chain(of_tree).collect()
    };
    let own: Vec<PathBuf> = match said.remedy {
        // The subject is the file that has to be built again.
        Remedy::Rebuild => vec![real(Path::new(&said.subject))],
        _ => files(said),
    };
    let mut known = denials.iter().flat_map(files);
    known.any(|known| own.iter().any(|own| own.starts_with(&known)))
        || denials.iter().any(|denial| denial.subject == said.subject)
}

fn drifted(drift: &[(String, String)]) -> Vec<Denial> {
    let denial = |(path, what): &(String, String)| {
        let cause = format!("the tree is not as it was built: {what}");
        Denial::new(Source::Tree, path, cause, Remedy::Rebuild)
    };
    drift.iter().map(denial).collect()
}

/// What the policy would have and has not, or has weaker.
fn missing(evidence: &Evidence<'_>) -> Vec<Allowance> {
    let has = Allowance::all_of(evidence.spec);
    let all = Allowance::all_of(evidence.wanted).into_iter();
    all.filter(|wanted| {
        let same = has.iter().find(|one| one.name() == wanted.name());
        same.is_none_or(|one| is_less(one, wanted)) && !is_covered(evidence.spec, wanted)
    })
    .collect()
}

fn is_less(has: &Allowance, wanted: &Allowance) -> bool {
    match (has, wanted) {
        (Allowance::Bind(has), Allowance::Bind(wanted)) => wanted.writable && !has.writable,
        (Allowance::Call(has), Allowance::Call(wanted)) => has.start_only && !wanted.start_only,
        (Allowance::File(has), Allowance::File(wanted)) => has.kind != wanted.kind,
        (Allowance::Device(has), Allowance::Device(wanted)) => has.device != wanted.device,
        _ => false,
    }
}

/// A bind of the spec brings the path already.
fn is_covered(spec: &Spec, wanted: &Allowance) -> bool {
    let (path, writes) = match wanted {
        Allowance::File(rule) => (&rule.path, false),
        Allowance::Bind(rule) => (&rule.path, rule.writable),
        _ => return false,
    };
    let mut binds = spec.binds.iter();
    binds.any(|bind| path.starts_with(&bind.path) && (bind.writable || !writes))
}

/// The refused paths that an allowance is about.
fn paths_of<'a>(evidence: &Evidence<'a>, allowance: &Allowance) -> Vec<&'a Refused> {
    let at = |path: &Path, refused: &Refused| {
        let links = refused.links.iter().map(|(link, _)| link.as_path());
        let mut names = links.chain([refused.host.as_path(), refused.asked.as_path()]);
        names.any(|name| name == path)
    };
    let is_about = |refused: &&Refused| match allowance {
        Allowance::File(rule) => at(&rule.path, refused),
        Allowance::Device(rule) => at(&rule.path, refused),
        Allowance::Bind(rule) => {
            refused.host.starts_with(&rule.path) && (rule.writable || !refused.writes())
        }
        Allowance::Scratch(rule) => refused.host.starts_with(&rule.path),
        _ => false,
    };
    evidence.refused.iter().filter(is_about).collect()
}

/// Where a need of the allowance was seen, and how; `None` if it was not.
fn cause(
    evidence: &Evidence<'_>,
    allowance: &Allowance,
    paths: &[&Refused],
    refusals: &[Refusal],
) -> Option<(Source, String)> {
    if let Some(first) = paths.first() {
        return Some((Source::Run, path_cause(evidence, first, paths.len())));
    }
    let about = |refusal: &&Refusal| refusal.is_about(allowance);
    if let Some(refusal) = refusals.iter().find(about) {
        return Some((refusal.source, refusal.in_words()));
    }
    let run = evidence.run?;
    let cause = match allowance {
        // The kernel asks for these where mode bits refuse: those of the tree are to be mended first.
        Allowance::Capability(rule)
            if !evidence.drift.is_empty()
                && caps::name(rule.capability).is_some_and(|name| name.starts_with("DAC_")) =>
        {
            return None;
        }
        Allowance::Capability(rule) => {
            let mut seen = run.capabilities.iter().filter(|seen| seen.refused);
            let seen = seen.find(|seen| seen.capability == rule.capability)?;
            let name = caps::name(rule.capability).unwrap_or("unknown");
            format!(
                "{} failed for want of CAP_{name}, {}",
                seen.call,
                when(seen.phase)
            )
        }
        Allowance::Port(rule) => port_cause(run, rule)?,
        _ => return None,
    };
    Some((Source::Run, cause))
}

/// How a path failed that is there on the host, and what decided that.
fn path_cause(evidence: &Evidence<'_>, refused: &Refused, count: usize) -> String {
    let path = refused.asked.display();
    let failure = telling(refused);
    let what = match failure.0 {
        Use::Execute => "executing",
        Use::Map => "mapping",
        Use::Read => "reading",
        Use::Write => "writing",
        Use::Create => "making",
        Use::Delete => "removing",
        Use::Change => "changing",
        Use::List => "listing",
        Use::Look => "looking at",
        Use::Enter => "entering",
        Use::Root => "changing root to",
        Use::Connect => "connecting to",
    };
    let more = match count {
        0 | 1 => String::new(),
        count => format!(", and {} more there", count - 1),
    };
    let by: Vec<&str> = refused
        .witness
        .programs
        .iter()
        .map(String::as_str)
        .collect();
    let decided = match decider(evidence, refused) {
        Some(decider) => decider.to_string(),
        None if failure.1 == abi::ENOENT && refused.kind == PathKind::Missing => {
            "the jail does not have the directory, the host has".to_owned()
        }
        None => "it is there on the host".to_owned(),
    };
    format!(
        "{what} {path} failed with {} in the jail, by {} {}: {decided}{more}",
        errno_name(failure.1),
        by.join(", "),
        when(refused.phase)
    )
}

/// The failure that says most: what was to be done with it, rather than that it was looked at.
fn telling(refused: &Refused) -> (Use, i32) {
    let mut failures = refused.failures.iter().copied();
    let uses = failures.clone().find(|(used, _)| *used != Use::Look);
    uses.or_else(|| failures.next()).unwrap_or((Use::Look, 0))
}

fn decider(evidence: &Evidence<'_>, refused: &Refused) -> Option<Decider> {
    let inside = evidence.inside.as_ref()?;
    decides::decider(evidence.spec, inside, refused, telling(refused))
}

fn port_cause(run: &Trace, rule: &PortRule) -> Option<String> {
    // No layer looks at the ports of UDP, and Landlock answers EACCES (landlock(7)).
    if rule.protocol != Protocol::Tcp {
        return None;
    }
    let is_about = |action: &SocketUse, port: u16| match (rule.direction, action) {
        (Direction::Bind, SocketUse::BindFailed(abi::EACCES))
        | (Direction::Connect, SocketUse::Connect) => [0, port].contains(&rule.port),
        _ => false,
    };
    let mut sockets = run.sockets.iter();
    let socket = sockets.find(|socket| is_about(&socket.action, socket.port))?;
    let call = match rule.direction {
        Direction::Bind => "bind",
        Direction::Connect => "connect",
    };
    let mut failed = run.failed.iter();
    let failed = failed.find(|failed| failed.name == call && failed.errno == abi::EACCES)?;
    Some(format!(
        "{call} to {} port {} failed with {}, {}: Landlock allows only the ports of the spec",
        socket.address,
        socket.port,
        errno_name(failed.errno),
        when(socket.phase)
    ))
}

/// Something that is there on the host, and that the spec is not asked for: nobody would give it a
/// jail, or something else than the spec decides.
fn left_alone(evidence: &Evidence<'_>, refused: &Refused) -> Option<Denial> {
    if refused.count == 0 {
        return None;
    }
    let subject = refused.host.display().to_string();
    let cause = path_cause(evidence, refused, 1);
    Some(match decider(evidence, refused) {
        Some(decider) => Denial::new(Source::Run, subject, cause, Remedy::None)
            .advise(decider.advice(evidence.spec)),
        None => Denial::new(
            Source::Run,
            subject,
            format!("{cause}; {NEVER_GIVEN}"),
            Remedy::None,
        ),
    })
}

pub(super) fn subject(allowance: &Allowance) -> String {
    match allowance {
        Allowance::Capability(rule) => {
            format!("CAP_{}", caps::name(rule.capability).unwrap_or("unknown"))
        }
        other => other.name(),
    }
}

/// In words.
pub(super) fn when(phase: Phase) -> &'static str {
    match phase {
        Phase::Start => "at start",
        Phase::Serve => "while it served",
    }
}

/// `ENOENT`, or the number.
pub(super) fn errno_name(number: i32) -> String {
    let name = u16::try_from(number).ok().and_then(errno::name);
    name.map_or_else(|| format!("error {number}"), str::to_owned)
}
