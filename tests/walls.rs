//! The walls between the modules: which may use which, where `unsafe` and `libc` are allowed, and
//! who prints. The sources themselves are read, without their comments, strings and tests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use of the others. `error` is everybody's. The table in CONTRIBUTING.md is
/// this one.
const WALLS: [(&str, &[&str]); 19] = [
    ("error", &[]),
    ("sys", &[]),
    ("filter", &["sys"]),
    ("host", &["spec", "sys"]),
    ("guard", &["host", "sys"]),
    ("learn", &["filter", "host", "spec", "sys"]),
    ("spec", &["learn", "sys"]),
    ("build", &["host", "spec", "sys"]),
    ("plan", &["build", "filter", "host", "spec", "sys"]),
    ("run", &["host", "plan", "sys"]),
    ("attack", &["filter", "plan", "run", "spec", "sys"]),
    ("audit", &["build", "host", "plan", "run", "spec", "sys"]),
    (
        "export",
        &["audit", "build", "filter", "plan", "spec", "sys"],
    ),
    ("incidents", &["spec"]),
    ("registry", &["export", "host", "sys"]),
    ("watch", &["host", "run", "spec", "sys"]),
    ("why", &["audit", "build", "learn", "run", "spec", "sys"]),
    (
        "verbs",
        &[
            "attack",
            "audit",
            "build",
            "export",
            "guard",
            "host",
            "incidents",
            "learn",
            "plan",
            "registry",
            "run",
            "spec",
            "sys",
            "watch",
            "why",
        ],
    ),
    (
        "cli",
        &[
            "attack",
            "audit",
            "build",
            "export",
            "incidents",
            "learn",
            "plan",
            "registry",
            "run",
            "spec",
            "sys",
            "verbs",
            "watch",
            "why",
        ],
    ),
];

/// Names that `lib.rs` gives at the root and that come from `error`.
const OF_ERROR: [&str; 3] = ["Doing", "Error", "Result"];

/// One file of the program.
struct Source {
    /// The module at the root that it belongs to.
    module: String,
    path: PathBuf,
    code: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Mark(char),
}

impl Token {
    fn is(&self, text: &str) -> bool {
        match self {
            Token::Word(word) => word == text,
            Token::Mark(mark) => text.len() == 1 && text.starts_with(*mark),
        }
    }
}

#[test]
fn modules_use_only_what_they_may() {
    let walls: BTreeMap<&str, &[&str]> = WALLS.into_iter().collect();
    let mut broken = Vec::new();
    for source in sources() {
        if source.module == "main" || source.module == "lib" {
            continue;
        }
        let allowed = walls
            .get(source.module.as_str())
            .unwrap_or_else(|| panic!("{} has no line in the table", source.module));
        for used in used_modules(&source.code) {
            let fine = used == source.module || used == "error" || allowed.contains(&&*used);
            if !fine {
                broken.push(format!("{} uses crate::{used}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_line_of_the_table_is_idle() {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        seen.entry(source.module)
            .or_default()
            .extend(used_modules(&source.code));
    }
    for (module, allowed) in WALLS {
        for used in allowed {
            let is_used = seen.get(module).is_some_and(|names| names.contains(*used));
            assert!(is_used, "{module} may use {used} and does not");
        }
    }
}

#[test]
fn unsafe_and_libc_stay_in_sys() {
    for source in sources().iter().filter(|source| source.module != "sys") {
        let path = source.path.display();
        assert!(
            !source.code.iter().any(|token| token.is("unsafe")),
            "{path} has unsafe"
        );
        let uses_libc = source
            .code
            .windows(3)
            .any(|three| three[0].is("libc") && three[1].is(":") && three[2].is(":"));
        assert!(!uses_libc, "{path} uses libc");
    }
}

#[test]
fn every_module_but_sys_forbids_unsafe_code() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, _) in WALLS.iter().filter(|(module, _)| *module != "sys") {
        let directory = source.join(module).join("mod.rs");
        let path = if directory.exists() {
            directory
        } else {
            source.join(format!("{module}.rs"))
        };
        let text = fs::read_to_string(&path).unwrap();
        let forbids = text.lines().any(|line| line == "#![forbid(unsafe_code)]");
        assert!(forbids, "{}", path.display());
    }
}

#[test]
fn only_cli_prints() {
    let printing = [
        "print", "println", "eprint", "eprintln", "dbg", "stdout", "Stdout",
    ];
    for source in sources().iter().filter(|source| source.module != "cli") {
        for pair in source.code.windows(2) {
            let [Token::Word(word), next] = pair else {
                continue;
            };
            let call = printing.contains(&word.as_str()) && (next.is("!") || next.is("("));
            // A service's standard output is set up with methods of that name.
            let set_up = word == "stdout" && next.is("(") && source.sets_up(word);
            assert!(
                !call || set_up,
                "{} prints with {word}",
                source.path.display()
            );
        }
    }
}

#[test]
fn every_module_has_its_line_in_the_table() {
    let modules: BTreeSet<String> = sources()
        .into_iter()
        .map(|source| source.module)
        .filter(|module| module != "main" && module != "lib")
        .collect();
    let table: BTreeSet<String> = WALLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(modules, table);
}

#[test]
fn the_reader_sees_uses_and_skips_what_is_no_code() {
    let code = tokens(
        "use crate::{Doing, host::{self, users}, sys};\n// crate::cli\nlet text = \"crate::run\"; \
         let c = '\"'; fn f<'a>() { crate::plan::x() } /* crate::learn */ r#\"crate::audit\"#",
    );
    let used: Vec<String> = used_modules(&code).into_iter().collect();
    assert_eq!(used, ["error", "host", "plan", "sys"]);
    let cut = tokens("fn a() {}\n#[cfg(test)]\nmod tests { use crate::cli; }");
    assert!(!cut.iter().any(|token| token.is("cli")));
}

impl Source {
    /// `Command::new(…).stdout(Stdio::…)`: a method, not `io::stdout()`.
    fn sets_up(&self, method: &str) -> bool {
        self.code
            .windows(2)
            .filter(|pair| pair[1].is(method))
            .all(|pair| pair[0].is(".") || pair[0].is("fn"))
    }
}

/// The modules that are named by `crate::`, also in a list of uses.
fn used_modules(code: &[Token]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (index, _) in code
        .iter()
        .enumerate()
        .filter(|(_, token)| token.is("crate"))
    {
        let rest = &code[index + 1..];
        let [first, second, next, ..] = rest else {
            continue;
        };
        if !(first.is(":") && second.is(":")) {
            continue;
        }
        match next {
            Token::Word(name) => {
                used.insert(root_of(name));
            }
            Token::Mark(_) => used.extend(listed(&rest[3..]).iter().map(|name| root_of(name))),
        }
    }
    used
}

/// The first names of a list in braces whose opening brace has been read.
fn listed(code: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut first = true;
    for token in code {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            Token::Mark(',') if depth == 1 => first = true,
            Token::Word(name) if depth == 1 && first => {
                names.push(name.clone());
                first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn root_of(name: &str) -> String {
    if OF_ERROR.contains(&name) {
        "error".to_owned()
    } else {
        name.to_owned()
    }
}

/// Every source file but tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap();
            let first = relative.components().next().unwrap().as_os_str();
            let module = first.to_str().unwrap().trim_end_matches(".rs").to_owned();
            let code = tokens(&fs::read_to_string(&path).unwrap());
            found.push(Source { module, path, code });
        }
    }
    assert!(found.len() > 50, "the sources are not where they were");
    found
}

/// The words and marks of a source, up to its tests.
fn tokens(text: &str) -> Vec<Token> {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        let rest = &chars[at..];
        at += match here {
            '/' if rest.starts_with(&['/', '/']) => until(rest, "\n"),
            '/' if rest.starts_with(&['/', '*']) => until(rest, "*/"),
            '"' => string(rest),
            'r' if rest.starts_with(&['r', '"']) => 1 + until(&rest[1..], "\""),
            'r' if rest.starts_with(&['r', '#', '"']) => until(rest, "\"#"),
            '\'' => quote(rest),
            _ if here.is_alphanumeric() || here == '_' => {
                let length = rest
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .count();
                found.push(Token::Word(rest[..length].iter().collect()));
                length
            }
            _ => {
                if !here.is_whitespace() {
                    found.push(Token::Mark(here));
                }
                1
            }
        };
    }
    found
}

/// How many characters there are up to and with `end`, which is not at the very beginning.
fn until(text: &[char], end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (1..text.len())
        .find(|&at| text[at..].starts_with(&end))
        .map_or(text.len(), |at| at + end.len())
}

/// The length of a string literal with escapes.
fn string(text: &[char]) -> usize {
    let mut at = 1;
    while let Some(&here) = text.get(at) {
        match here {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a character literal, or of the mark before a lifetime.
fn quote(text: &[char]) -> usize {
    match text {
        [_, '\\', ..] => 2 + until(&text[2..], "'"),
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
}
