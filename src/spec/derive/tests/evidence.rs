//! How what is given is known.
use super::*;

#[test]
fn names_that_vary_are_one_pattern_in_the_reason() {
    let made = |name: &str| {
        let path = format!("/run/web/{name}");
        seen(&path, PathKind::Missing, &[Use::Create, Use::Delete])
    };
    let mut paths: Vec<PathSeen> = (0..17).map(|pid| made(&format!("tmp-{pid}"))).collect();
    paths.push(seen("/run/web/db", PathKind::File, &[Use::Read]));
    paths.extend((0..9).map(|pid| {
        let path = format!("/tmp/web.{pid}");
        seen(&path, PathKind::Missing, &[Use::Create])
    }));
    paths.extend((0..5).map(|pid| {
        let path = format!("/proc/sys/x{pid}");
        seen(&path, PathKind::File, &[Use::Read])
    }));
    let derived = derived(paths);
    let bind = &derived.spec.binds[0];
    assert_eq!(bind.because, "tmp-* (17 names) made and removed, db read");
    assert_eq!(bind.evidence.to_string(), "observed: start 18");
    assert_eq!(derived.spec.scratch[0].because, "web.* (9 names) made");
    assert_eq!(
        derived.notes,
        ["/proc/sys/x* (5 names) (read), not given: it belongs to the kernel"]
    );
}

#[test]
fn what_some_runs_did_not_show_says_so() {
    let mut file = seen("/etc/web/web.conf", PathKind::File, &[Use::Read]);
    file.witness.runs = 2;
    let mut trace = trace(vec![file]);
    trace.certificate.runs = 3;
    let spec = derive(&trace, None, &facts()).spec;
    assert_eq!(
        spec.binds[0].evidence.to_string(),
        "observed: start 1, runs 2 of 3"
    );
}
