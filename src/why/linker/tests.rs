use proptest::prelude::*;

use super::*;

fn one(line: &str) -> Message {
    let found = messages(line.as_bytes());
    assert_eq!(found.len(), 1, "{line}: {found:?}");
    found.into_iter().next().unwrap()
}

fn unopened(line: &str) -> (String, Cause, Option<String>) {
    let message = one(line);
    match message.problem {
        Problem::Unopened { library, cause } => (library, cause, message.loading),
        other => panic!("{line}: {other:?}"),
    }
}

fn symbol(line: &str) -> [Option<String>; 5] {
    let message = one(line);
    match message.problem {
        Problem::UndefinedSymbol {
            symbol,
            version,
            wanted_by,
            expected_in,
        } => [
            Some(symbol),
            version,
            wanted_by,
            expected_in,
            message.loading,
        ],
        other => panic!("{line}: {other:?}"),
    }
}

fn texts<const N: usize>(all: [&str; N]) -> [Option<String>; N] {
    all.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

#[test]
fn a_library_that_is_missing() {
    let absent = |library: &str, loading: &str| {
        let [loading] = texts([loading]);
        (library.to_owned(), Cause::Absent, loading)
    };
    for (line, expected) in [
        (
            "/usr/sbin/named: error while loading shared libraries: libdns-9.18.so: cannot open shared object file: No such file or directory",
            absent("libdns-9.18.so", "/usr/sbin/named"),
        ),
        (
            "./a b: error while loading shared libraries: /opt/my lib/libfoo.so.1: cannot open shared object file: No such file or directory",
            absent("/opt/my lib/libfoo.so.1", "./a b"),
        ),
        (
            "apache2: Syntax error on line 146 of /etc/apache2/apache2.conf: Syntax error on line 1 of /etc/apache2/mods-enabled/x.load: Cannot load modules/mod_x.so into server: libxyz.so.1: cannot open shared object file: No such file or directory",
            absent("libxyz.so.1", "modules/mod_x.so"),
        ),
        (
            "Nov 22 04:00:00 host login[12]: PAM unable to dlopen(pam_x.so): /lib/security/pam_x.so: cannot open shared object file: No such file or directory",
            absent("/lib/security/pam_x.so", "pam_x.so"),
        ),
        (
            "nginx: [emerg] dlopen() \"/usr/lib/nginx/modules/ngx_x.so\" failed (libxml2.so.2: cannot open shared object file: No such file or directory) in /etc/nginx/nginx.conf:3",
            absent("libxml2.so.2", "/usr/lib/nginx/modules/ngx_x.so"),
        ),
        (
            "nginx: [emerg] dlopen() \"/usr/lib/nginx/modules/ngx_x.so\" failed (/usr/lib/nginx/modules/ngx_x.so: cannot open shared object file: No such file or directory) in /etc/nginx/nginx.conf:3",
            absent("/usr/lib/nginx/modules/ngx_x.so", ""),
        ),
        (
            "Can't load '/usr/lib/perl5/auto/X/X.so' for module X: libx.so.3: cannot open shared object file: No such file or directory at /usr/lib/perl/DynaLoader.pm line 210.",
            absent("libx.so.3", "/usr/lib/perl5/auto/X/X.so"),
        ),
        (
            "ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
            absent("libpq.so.5", ""),
        ),
        (
            "2026-11-22 FATAL:  could not load library \"/usr/lib/postgresql/15/lib/x.so\": libgeos.so: cannot open shared object file: No such file or directory",
            absent("libgeos.so", "/usr/lib/postgresql/15/lib/x.so"),
        ),
        (
            "Error loading shared library libz.so.1: No such file or directory (needed by /usr/sbin/nginx)",
            absent("libz.so.1", "/usr/sbin/nginx"),
        ),
    ] {
        assert_eq!(unopened(line), expected, "{line}");
    }
}

#[test]
fn why_it_cannot_be_opened() {
    let line = |why: &str| {
        format!(
            "p: error while loading shared libraries: libx.so: cannot open shared object file: {why}"
        )
    };
    for (why, cause) in [
        ("Permission denied", Cause::Denied),
        ("Operation not permitted", Cause::Denied),
        ("Not a directory", Cause::Absent),
        ("Too many open files in system", Cause::Descriptors),
        ("Cannot allocate memory", Cause::Memory),
        ("Error 38", Cause::Other("Error 38".into())),
    ] {
        assert_eq!(unopened(&line(why)).1, cause);
    }
    let message = one("Error loading shared library libx.so: Permission denied (needed by ./p)");
    assert_eq!(message.linker, Linker::Musl);
    assert!(matches!(
        message.problem,
        Problem::Unopened {
            cause: Cause::Denied,
            ..
        }
    ));
    assert_eq!(
        unopened("libgcc_s.so.1 must be installed for pthread_cancel to work"),
        ("libgcc_s.so.1".into(), Cause::Other(String::new()), None)
    );
}

#[test]
fn a_file_that_is_no_library() {
    for (words, expected) in [
        ("file too short", Fault::Truncated),
        ("invalid ELF header", Fault::NotElf),
        ("wrong ELF class: ELFCLASS32", Fault::WrongClass),
        ("ELF file data encoding not little-endian", Fault::Foreign),
        (
            "cannot dynamically load position-independent executable",
            Fault::Program,
        ),
        ("CPU ISA level is lower than required", Fault::TooNew),
        ("ELF load command past end of file", Fault::Damaged),
    ] {
        let line = format!("p: error while loading shared libraries: /lib/libx.so.1: {words}");
        let library = "/lib/libx.so.1".to_owned();
        assert_eq!(
            one(&line).problem,
            Problem::Unusable {
                library,
                fault: expected
            }
        );
    }
    let musl = "Error loading shared library /lib/libx.so: Exec format error (needed by p)";
    assert!(matches!(
        one(musl).problem,
        Problem::Unusable {
            fault: Fault::Damaged,
            ..
        }
    ));
}

#[test]
fn what_a_protection_or_a_limit_forbids() {
    for (words, expected, cause) in [
        (
            "cannot enable executable stack as shared object requires: Permission denied",
            Refused::ExecutableStack,
            Some(Cause::Denied),
        ),
        (
            "failed to map segment from shared object: Operation not permitted",
            Refused::Map,
            Some(Cause::Denied),
        ),
        (
            "failed to map segment from shared object",
            Refused::Map,
            None,
        ),
        (
            "cannot make segment writable for relocation: Permission denied",
            Refused::Protect,
            Some(Cause::Denied),
        ),
        (
            "cannot allocate memory in static TLS block",
            Refused::Memory,
            None,
        ),
    ] {
        let line = format!("p: error while loading shared libraries: libx.so.1: {words}");
        let library = "libx.so.1".to_owned();
        assert_eq!(
            one(&line).problem,
            Problem::Unmapped {
                library,
                refused: expected,
                cause
            }
        );
    }
}

#[test]
fn a_symbol_that_no_library_has() {
    for (line, expected) in [
        (
            "./p: symbol lookup error: /usr/lib/libx.so.1: undefined symbol: frob",
            ["frob", "", "/usr/lib/libx.so.1", "", "./p"],
        ),
        (
            "./p: symbol lookup error: ./p: undefined symbol: frob, version X_2.0",
            ["frob", "X_2.0", "./p", "", "./p"],
        ),
        (
            "p: symbol lookup error: /a/libx.so: undefined symbol: _ZN3foo3barEv (fatal)",
            ["_ZN3foo3barEv", "", "/a/libx.so", "", "p"],
        ),
        (
            "apache2: Cannot load /usr/lib/apache2/modules/mod_x.so into server: /usr/lib/apache2/modules/mod_x.so: undefined symbol: ap_hook",
            ["ap_hook", "", "/usr/lib/apache2/modules/mod_x.so", "", ""],
        ),
        (
            "x: dlopen failed (/m/a.so: undefined symbol: f)",
            ["f", "", "/m/a.so", "", ""],
        ),
        (
            "p: relocation error: /lib/libx.so.1: symbol f, version V_1 not defined in file libc.so.6 with link time reference",
            ["f", "V_1", "/lib/libx.so.1", "libc.so.6", "p"],
        ),
        (
            "p: relocation error: /lib/libx.so.1: symbol f version V_1 not defined in file libc.so.6 with link time reference (no version symbols)",
            ["f", "V_1", "/lib/libx.so.1", "libc.so.6", "p"],
        ),
        (
            "Error relocating /usr/bin/p: f: symbol not found",
            ["f", "", "/usr/bin/p", "", ""],
        ),
        ("Symbol not found: f", ["f", "", "", "", ""]),
    ] {
        assert_eq!(symbol(line), texts(expected), "{line}");
    }
}

#[test]
fn a_version_that_a_library_lacks() {
    let message = one(
        "/usr/bin/p: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /usr/bin/p)",
    );
    assert_eq!(
        message.problem,
        Problem::MissingVersion {
            version: "GLIBC_2.38".into(),
            library: "/lib/x86_64-linux-gnu/libc.so.6".into(),
            wanted_by: "/usr/bin/p".into(),
        }
    );
}

#[test]
fn a_program_whose_interpreter_is_missing() {
    for (line, program, interpreter) in [
        (
            "bash: line 1: ./p: cannot execute: required file not found",
            "./p",
            "",
        ),
        (
            "/bin/bash: /usr/sbin/x: /usr/bin/perl: bad interpreter: No such file or directory",
            "/usr/sbin/x",
            "/usr/bin/perl",
        ),
    ] {
        let [interpreter] = texts([interpreter]);
        let program = program.to_owned();
        assert_eq!(
            one(line).problem,
            Problem::MissingInterpreter {
                program,
                interpreter
            }
        );
    }
}

#[test]
fn a_character_set_without_a_module() {
    for line in [
        "iconv: conversion from `ISO-8859-15' is not supported",
        "iconv: conversion from `UTF-8' to `ISO-8859-15' is not supported",
        "iconv: conversions from `ISO-8859-15' and to `UTF-8' are not supported",
        "iconv: conversion to `ISO-8859-15' is not supported",
    ] {
        let charset = "ISO-8859-15".to_owned();
        assert_eq!(one(line).problem, Problem::Charset { charset }, "{line}");
    }
}

#[test]
fn other_text_is_no_message() {
    let text = "starting BIND 9.18\nopen: /etc/named.conf: No such file or directory\n\
        symbol lookup error\nundefined symbol: \n: cannot open shared object file\n\
        version `' not found\nPAM: unsupported conversation\nconversion from is not supported\n";
    assert_eq!(messages(text.as_bytes()), []);
}

#[test]
fn a_message_is_given_once_and_the_number_is_bounded() {
    let line = "p: error while loading shared libraries: liba.so: file too short\r\n";
    assert_eq!(messages(line.repeat(5).as_bytes()).len(), 1);
    let many: String = (0..10_000)
        .map(|n| line.replace("liba", &format!("lib{n}")))
        .collect();
    assert!(messages(many.as_bytes()).len() < 1000);
}

/// A name that a library can have.
fn library() -> impl Strategy<Value = String> {
    "(/[a-z0-9_+-]{1,9}){0,3}/?[a-z0-9_+-]{1,12}\\.so(\\.[0-9]{1,2}){0,2}"
}

proptest! {
    #[test]
    fn anything_can_be_printed(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        for message in messages(&text) {
            prop_assert!(!message.problem.to_string().contains(char::is_control));
        }
    }

    /// The fixed words in any order with anything between them.
    #[test]
    fn pieces_of_messages_are_no_harm(pieces in proptest::collection::vec(prop_oneof![
        "\\PC{0,6}",
        proptest::sample::select(vec![
            ": ", "undefined symbol: ", ", version ", ": version `", "' not found (required by ",
            ": symbol ", " not defined in file ", " with link time reference", "(", ")", "\0", "é",
            ": cannot open shared object file", ": error while loading shared libraries: ",
            "Error loading shared library ", " (needed by ", "Error relocating ",
            ": symbol not found", ": bad interpreter: ", "conversion from `", "not supported",
            ": file too short", "\u{1b}[2J", "\n", " to ", "'",
        ]).prop_map(str::to_owned),
    ], 0..12)) {
        for message in messages(pieces.concat().as_bytes()) {
            let shown = message.problem.to_string();
            prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
        }
    }

    /// Whatever a program puts before it, the library that dlerror(3) names is found.
    #[test]
    fn a_quoted_message_gives_its_library(
        before in "[A-Za-z0-9 .,/_-]{0,30}", opening in "(: |: \\[|\\()", library in library(),
        after in "[)\\] ]{0,2}",
    ) {
        let line = format!("{before}{opening}{library}: cannot open shared object file: No such file or directory{after}");
        let (found, cause, _) = unopened(&line);
        prop_assert_eq!((found, cause), (library, Cause::Absent));
    }

    #[test]
    fn a_symbol_and_its_version_are_found(
        object in library(), name in "[A-Za-z_][A-Za-z0-9_.$]{0,40}", version in proptest::option::of("[A-Z]{1,8}_[0-9.]{1,6}"),
    ) {
        let tail = version.as_ref().map(|v| format!(", version {v}")).unwrap_or_default();
        let line = format!("/usr/sbin/d: symbol lookup error: {object}: undefined symbol: {name}{tail}");
        prop_assert_eq!(
            symbol(&line),
            [Some(name), version, Some(object), None, Some("/usr/sbin/d".to_owned())]
        );
    }
}
