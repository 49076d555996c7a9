use super::*;

#[test]
fn every_name_of_the_table_is_a_system_call_of_some_architecture() {
    let known: BTreeSet<&str> = known().map(|call| call.name()).collect();
    let names = paths::PATHS
        .iter()
        .map(|(name, _)| *name)
        .chain(resources::ALWAYS.iter().map(|(name, _)| *name))
        .chain(resources::BEFORE.iter().map(|(name, _)| *name))
        .chain(ids::change_ids());
    let after = AFTER
        .iter()
        .flat_map(|part| part.iter().map(|(name, _)| *name));
    let wrong: Vec<&str> = names
        .chain(after)
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn no_call_has_two_rules_for_its_return() {
    let mut seen = BTreeSet::new();
    for part in AFTER {
        for (name, _) in part {
            assert!(
                seen.insert(*name),
                "{name}: the second rule would hide the first"
            );
        }
    }
}

#[test]
fn unknown_numbers_have_a_name() {
    assert_eq!(name(39), Sysno::new(39).unwrap().name());
    assert_eq!(name(99_999), "syscall_99999");
    assert!(shape(99_999).is_none());
}
