use super::*;
use crate::spec::{Allowance, BindRule, CallRule, Evidence, FileKind, FileRule};
use crate::why::{Denial, Source};

fn explained(subject: &str, remedy: Remedy) -> Explained {
    Explained {
        denial: Denial::new(Source::Run, subject, "a cause with \u{1b}[2J", remedy),
        patch: Vec::new(),
        cost: 0.0,
        unwise: Vec::new(),
        applied: false,
    }
}

fn call(number: u32) -> Remedy {
    Remedy::Allow(vec![Allowance::Call(CallRule {
        number,
        start_only: false,
        because: String::new(),
        evidence: Evidence::default(),
    })])
}

fn file(path: &str) -> Remedy {
    Remedy::Allow(vec![Allowance::File(FileRule {
        path: path.into(),
        kind: FileKind::Data,
        because: String::new(),
        evidence: Evidence::default(),
    })])
}

fn why(denials: Vec<Explained>) -> Why {
    Why {
        name: "named".to_owned(),
        denials,
        failures: Vec::new(),
        last_words: Vec::new(),
        logs: Vec::new(),
        ran: true,
    }
}

fn answered(why: &Why, input: &str) -> (Answers, String) {
    let mut output = Vec::new();
    let answers = ask(why, &mut input.as_bytes(), &mut output).unwrap();
    (answers, String::from_utf8(output).unwrap())
}

fn three() -> Why {
    why(vec![
        explained("call a", call(1)),
        explained("left", Remedy::None),
        explained("call b", call(2)),
        explained("call b", call(3)),
    ])
}

#[test]
fn what_is_allowed_is_taken_and_what_is_denied_is_not_asked_again() {
    let (answers, text) = answered(&three(), "a\nx\nv\nd\n");
    assert_eq!(answers.taken, [(0, call(1))]);
    assert!(!answers.quit);
    assert!(
        text.contains("[2/3]\ndenied   call b") && !text.contains("[3/3]"),
        "{text}"
    );
    assert!(text.contains("one letter of these") && text.contains("safe     --apply would"));
    assert!(
        !text.contains('\u{1b}') && !text.contains("left"),
        "{text:?}"
    );
}

#[test]
fn finish_keeps_and_quit_forgets() {
    assert_eq!(answered(&three(), "a\nf\n").0.taken.len(), 1);
    for input in ["a\nq\n", "a\n", ""] {
        let (answers, _) = answered(&three(), input);
        assert!(answers.quit && answers.taken.is_empty(), "{input:?}");
    }
}

#[test]
fn a_directory_is_offered_with_what_it_gives_beyond() {
    let directory = tempfile::Builder::new().tempdir_in("/var/lib").unwrap();
    let below = directory.path().join("below");
    std::fs::create_dir(&below).unwrap();
    for name in ["wanted", "other", "third"] {
        std::fs::write(below.join(name), "").unwrap();
    }
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(below.join("third"), private).unwrap();
    let wanted = below.join("wanted");
    let why = why(vec![explained("file", file(wanted.to_str().unwrap()))]);
    let (answers, text) = answered(&why, "g\n\ng\n2\n");
    assert!(
        text.contains("2 other files and directories, 1 of which"),
        "{text}"
    );
    assert!(!text.contains("directory /var/lib:"), "{text}");
    let [(0, Remedy::Allow(allowed))] = &answers.taken[..] else {
        panic!("{answers:?}");
    };
    let [
        Allowance::Bind(BindRule {
            path,
            writable: false,
            ..
        }),
    ] = &allowed[..]
    else {
        panic!("{allowed:?}");
    };
    assert_eq!(*path, below);
    // A call has no directory.
    assert!(!answered(&three(), "g\nq\n").1.contains("(g)lob"));
}

#[test]
fn a_pattern_stands_for_the_files_that_it_matches_now() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.db", "b.db", "c.db", "d.txt", ".hidden.db"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let wanted = directory.path().join("b.db");
    let why = why(vec![explained("file", file(wanted.to_str().unwrap()))]);
    let names = |number: &str| -> Vec<String> {
        let (answers, text) = answered(&why, &format!("g\n{number}\n"));
        assert!(
            text.contains("/*.db: beyond it 2 other files")
                && text.contains("/*: beyond it 3 other"),
            "{text}"
        );
        let [(0, Remedy::Allow(allowed))] = &answers.taken[..] else {
            panic!("{answers:?}");
        };
        let name = |one: &Allowance| match one {
            Allowance::File(rule) => rule.path.file_name().unwrap().display().to_string(),
            other => panic!("{other:?}"),
        };
        allowed.iter().map(name).collect()
    };
    assert_eq!(names("1"), ["b.db", "a.db", "c.db"]);
    assert_eq!(names("2"), ["b.db", "a.db", "c.db", "d.txt"]);
}
