//! A service that stays root and changes to several users by itself.
use super::*;

fn stays_root() -> Facts {
    Facts {
        user: "root".to_owned(),
        group: "root".to_owned(),
        uid: 0,
        gid: 0,
        start_as_root: true,
        accounts: vec!["reader".to_owned(), "web".to_owned()],
        ..facts()
    }
}

#[test]
fn it_keeps_what_root_needs_and_knows_the_users_by_name() {
    let mut trace = trace(Vec::new());
    trace.capabilities = vec![CapabilitySeen {
        capability: 7,
        call: "setresuid(500, 500, 500)".to_owned(),
        phase: Phase::Serve,
        count: 1,
        known: Known::Asked,
        refused: false,
        user: 0,
        witness: counted(Phase::Serve, 1),
    }];
    trace.calls = vec![CallSeen {
        number: crate::sys::calls::number("setresuid").unwrap(),
        name: "setresuid".to_owned(),
        phase: Phase::Serve,
        count: 1,
        witness: counted(Phase::Serve, 1),
    }];
    let as_user = derive(&trace, None, &facts());
    assert!(as_user.spec.capabilities.is_empty());
    let reason = |derived: &Derived| {
        let seen = |rule: &&crate::spec::CallRule| rule.because.starts_with("called");
        derived
            .spec
            .calls
            .iter()
            .find(seen)
            .unwrap()
            .because
            .clone()
    };
    assert!(reason(&as_user).contains("already"), "{as_user:?}");

    let derived = derive(&trace, None, &stays_root());
    let service = &derived.spec.service;
    assert!(service.start_as_root);
    assert_eq!(service.accounts, ["reader", "web"]);
    let kept: Vec<u8> = derived
        .spec
        .capabilities
        .iter()
        .map(|rule| rule.capability)
        .collect();
    assert_eq!(
        (kept, derived.notes.len()),
        (vec![7], 0),
        "{:?}",
        derived.notes
    );
    assert!(!reason(&derived).contains("already"));
    let text = to_toml(&derived.spec);
    assert_eq!(parse(&text, "web.toml").unwrap(), derived.spec, "{text}");
}

#[test]
fn what_a_part_makes_its_root_is_that_part_s_alone() {
    let paths = || {
        vec![
            seen("/run/web", PathKind::Directory, &[Use::Enter, Use::Root]),
            seen(
                "/var/lib/web",
                PathKind::Directory,
                &[Use::Change, Use::Root],
            ),
            seen(
                "/var/lib/web/queue",
                PathKind::Missing,
                &[Use::Create, Use::Delete],
            ),
        ]
    };
    let derived = derive(&trace(paths()), None, &stays_root());
    assert_eq!(files(&derived), [("/run/web", FileKind::Directory)]);
    assert_eq!(binds(&derived), [("/var/lib/web", true)]);
}
