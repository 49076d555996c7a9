//! Where a service writes its pid.
use std::path::{Path, PathBuf};

use crate::learn::Trace;
use crate::learn::trace::{PathSeen, Use};
use crate::spec::{BindRule, Knowledge};

/// The known one if the run made it; else the one that it made, if that can be told and the jail
/// makes it in the same place: a file that stays behind from another run is no sign of anything.
/// Else the known one.
pub(super) fn pid_file(
    trace: &Trace,
    knowledge: Option<&Knowledge>,
    binds: &[BindRule],
) -> Option<PathBuf> {
    let known = knowledge.and_then(|known| known.pid_file.as_ref());
    let is_made = |path: &PathSeen| path.uses.contains(&Use::Create);
    let mut made = trace.paths.iter().filter(|path| is_made(path));
    if !trace.certificate.forked && known.is_none()
        || known.is_some_and(|known| made.any(|path| path.host == *known))
    {
        return known.cloned();
    }
    let is_outside = |path: &Path| {
        let mut writable = binds.iter().filter(|bind| bind.writable);
        writable.any(|bind| path.starts_with(&bind.path))
    };
    let mut likely = trace
        .paths
        .iter()
        .filter(|path| is_made(path) && has_the_name_of_one(&path.host) && is_outside(&path.host));
    match (likely.next(), likely.next()) {
        (Some(only), None) => Some(only.host.clone()),
        _ => known.cloned(),
    }
}

fn has_the_name_of_one(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "pid")
        || path.extension().is_some_and(|extension| extension == "pid")
}

#[cfg(test)]
mod tests {
    use super::super::tests::seen;
    use super::*;
    use crate::learn::trace::PathKind;

    fn found(forked: bool, made: &[&str], known: Option<&str>) -> Option<PathBuf> {
        let mut trace = Trace::default();
        trace.certificate.forked = forked;
        let paths = made
            .iter()
            .map(|path| seen(path, PathKind::Missing, &[Use::Create, Use::Write]));
        trace.paths = paths.collect();
        let read = seen("/srv/other.pid", PathKind::File, &[Use::Read]);
        trace.paths.push(read);
        let knowledge = known.map(|path| Knowledge {
            pid_file: Some(path.into()),
            ..crate::spec::shipped("named").unwrap().unwrap()
        });
        let bind = |path: &str, writable| BindRule {
            path: path.into(),
            writable,
            because: String::new(),
            evidence: crate::spec::Evidence::Person,
        };
        let binds = [bind("/srv", true), bind("/etc/own", false)];
        pid_file(&trace, knowledge.as_ref(), &binds)
    }

    #[test]
    fn the_one_that_was_made_is_it() {
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(
            found(true, &["/srv/a.pid", "/srv/a.log"], None),
            some("/srv/a.pid")
        );
        assert_eq!(
            found(true, &["/srv/state/pid"], Some("/run/a.pid")),
            some("/srv/state/pid")
        );
        assert_eq!(
            found(true, &["/run/a.pid", "/srv/b.pid"], Some("/run/a.pid")),
            some("/run/a.pid")
        );
        assert_eq!(
            found(false, &["/srv/state/pid"], Some("/run/a.pid")),
            some("/srv/state/pid")
        );
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        assert_eq!(found(true, &[], None), None);
        assert_eq!(found(true, &["/srv/a.pid", "/srv/b.pid"], None), None);
        assert_eq!(
            found(false, &["/srv/a.pid"], None),
            None,
            "it stays in the foreground"
        );
        // The jail has another /run: what lies in the host's is of another time.
        assert_eq!(found(true, &["/run/a.pid"], None), None);
        assert_eq!(found(true, &["/etc/own/a.pid"], None), None);
        let known = Some("/run/a.pid");
        assert_eq!(found(true, &[], known), known.map(PathBuf::from));
    }
}
