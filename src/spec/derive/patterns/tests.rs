use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn shown(paths: &[&str]) -> Vec<String> {
    patterns(paths.iter().map(Path::new))
        .iter()
        .map(|pattern| pattern.below(Path::new("/run")))
        .collect()
}

/// Whether a name is the pattern with each `*` replaced by characters of words.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let word = rest.len() - rest.trim_start_matches(is_word).len();
            (0..=word).any(|end| matches(after, &rest[end..]))
        }),
    }
}

#[test]
fn pids_dates_counters_hashes_and_temporary_names() {
    let cases: [(&[&str], &str); 7] = [
        (
            &["/run/web.17", "/run/web.4211", "/run/web.9"],
            "web.* (3 names)",
        ),
        (
            &[
                "/run/l-2025-12-30",
                "/run/l-2025-12-31",
                "/run/l-2026-01-01",
            ],
            "l-*-*-* (3 names)",
        ),
        (
            &["/run/w1.sock", "/run/w2.sock", "/run/w30.sock"],
            "w*.sock (3 names)",
        ),
        (
            &["/run/tmpA3kq0Z", "/run/tmpx9ZZ1b", "/run/tmp7kq2mP"],
            "tmp* (3 names)",
        ),
        (
            &[
                "/run/.conf.aB3xYz",
                "/run/.conf.QqWeRt",
                "/run/.conf.1aZ9bb",
            ],
            ".conf.* (3 names)",
        ),
        (
            &[
                "/run/3f786850e3.key",
                "/run/89e6c98d92.key",
                "/run/2b66fd261e.key",
            ],
            "*.key (3 names)",
        ),
        (
            &["/run/a.3.7", "/run/a.3.8", "/run/a.3.9"],
            "a.3.* (3 names)",
        ),
    ];
    for (paths, expected) in cases {
        assert_eq!(shown(paths), [expected], "{paths:?}");
    }
}

#[test]
fn a_temporary_name_without_digits_goes_with_the_others() {
    let paths = [
        "/run/upload-list",
        "/run/upload7kq2mP",
        "/run/uploadA3kq0Z",
        "/run/uploadIskTFS",
        "/run/uploadktDZbq",
        "/run/uploads",
        "/run/uploadx9ZZ1b",
    ];
    let mut shown = shown(&paths);
    shown.sort();
    assert_eq!(shown, ["upload* (5 names)", "upload-list", "uploads"]);
}

#[test]
fn names_that_mean_something_stay() {
    for paths in [
        &["/run/db.alpha", "/run/db.beta", "/run/db.gamma"][..],
        &["/run/web.1", "/run/web.2"],
        &["/run/server1", "/run/worker1", "/run/client1"],
        &["/run/a/1", "/run/b/1", "/run/c/1"],
        &["/run/README", "/run/CHANGES", "/run/LICENSE"],
    ] {
        let own: Vec<&str> = paths
            .iter()
            .map(|path| path.strip_prefix("/run/").unwrap())
            .collect();
        let mut shown = shown(paths);
        shown.sort();
        let mut own: Vec<String> = own.into_iter().map(str::to_owned).collect();
        own.sort();
        assert_eq!(shown, own);
    }
}

fn path() -> impl Strategy<Value = PathBuf> {
    let name = prop_oneof![
        "[a-c]{1,2}[.-]?[0-9]{1,3}",
        "tmp[a-zA-Z0-9]{6}",
        "[a-f0-9]{8,12}[.]x",
        "[a-c*.]{1,4}",
    ];
    (select(vec!["/", "/a", "/a/b1", "/a/b2", "/c*"]), name)
        .prop_map(|(directory, name)| Path::new(directory).join(name))
}

proptest! {
    #[test]
    fn every_path_is_in_one_pattern_of_its_directory(paths in vec(path(), 0..40)) {
        let found = patterns(paths.iter().map(PathBuf::as_path));
        for pattern in &found {
            let name = pattern.pattern.file_name().map(|name| name.to_str().unwrap());
            for observed in &pattern.observed {
                prop_assert_eq!(observed.parent(), pattern.pattern.parent());
                if observed != &pattern.pattern {
                    let own = observed.file_name().unwrap().to_str().unwrap();
                    prop_assert!(matches(name.unwrap(), own), "{:?} {}", pattern, own);
                }
            }
        }
        let mut covered: Vec<&Path> = found.iter().flat_map(|pattern| pattern.observed.clone()).collect();
        covered.sort();
        let all: BTreeSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        prop_assert_eq!(covered, all.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn fewer_than_three_never_collapse(paths in btree_set(path(), 0..40)) {
        for pattern in patterns(paths.iter().map(PathBuf::as_path)) {
            let count = pattern.observed.len();
            prop_assert!(count == 1 || count >= FEWEST);
            prop_assert!(count > 1 || pattern.pattern == pattern.observed[0]);
        }
    }
}
