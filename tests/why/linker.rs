//! Programs whose library is taken away, cut off, replaced by an older one; what they print goes
//! through the parser, and the file that is found on the host makes them run again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gaoler::build::elf::{Resolver, Standing};
use gaoler::why::linker::{
    Candidate, Cause, Fault, Message, Problem, Reason, Refused, candidates, messages,
};

use super::lab::Lab;

const PROGRAM: &str = "void frob(void); int main(void) { frob(); return 0; }";
const LIBRARY: &str = "void frob(void) {}";
const OTHER: &str = "void other(void) {}";
const MODULE: &str = "
    #include <dlfcn.h>
    #include <stdio.h>
    int main(int c, char **v) {
        void *m = dlopen(v[1], RTLD_NOW);
        if (m) return 0;
        fprintf(stderr, \"httpd: Syntax error on line 1 of x: Cannot load %s into server: %s\\n\", v[1], dlerror());
        return 1; }";

/// `program`, which needs `lib/libfrob.so.1`, found through its `DT_RUNPATH`; `host` has a whole
/// copy of that directory.
fn program(source: &str, linking: &[&str]) -> Lab {
    let lab = Lab::new();
    for directory in ["lib", "host"] {
        std::fs::create_dir(lab.path(directory)).unwrap();
    }
    library(&lab, "lib/libfrob.so.1", source, linking);
    let rpath = format!("-Wl,-rpath,{}", lab.path("lib").display());
    lab.gcc(PROGRAM, "program", &["lib/libfrob.so.1", &rpath]);
    std::fs::copy(lab.path("lib/libfrob.so.1"), lab.path("host/libfrob.so.1")).unwrap();
    assert!(runs(&lab));
    lab
}

fn library(lab: &Lab, output: &str, source: &str, linking: &[&str]) {
    let always = ["-shared", "-fPIC", "-Wl,-soname,libfrob.so.1"];
    lab.gcc(source, output, &[&always[..], linking].concat());
}

fn runs(lab: &Lab) -> bool {
    Command::new(lab.path("program"))
        .output()
        .unwrap()
        .status
        .success()
}

fn only(text: &[u8]) -> Message {
    let found = messages(text);
    let text = String::from_utf8_lossy(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    found.into_iter().next().unwrap()
}

fn said(lab: &Lab) -> Message {
    only(&lab.stderr(&lab.path("program"), &[]))
}

fn on_host(message: &Message, own: &[PathBuf]) -> Vec<Candidate> {
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    candidates(&mut resolver, message, own)
}

fn frob() -> String {
    "libfrob.so.1".to_owned()
}

#[test]
fn a_library_that_is_taken_away_is_found_and_mends_it() {
    let lab = program(LIBRARY, &[]);
    std::fs::remove_file(lab.path("lib/libfrob.so.1")).unwrap();
    let message = said(&lab);
    let cause = Cause::Absent;
    assert_eq!(
        message.problem,
        Problem::Unopened {
            library: frob(),
            cause
        }
    );
    assert_eq!(message.loading.as_deref(), lab.path("program").to_str());
    assert_eq!(on_host(&message, &[lab.path("program")]), []);
    // The host has it in the directory that the program searches.
    std::fs::copy(lab.path("host/libfrob.so.1"), lab.path("lib/libfrob.so.1")).unwrap();
    let path = lab.path("lib/libfrob.so.1");
    let expected = Candidate {
        path,
        reason: Reason::Searched,
    };
    assert_eq!(on_host(&message, &[lab.path("program")]), [expected]);
    assert!(runs(&lab));
}

#[test]
fn files_that_are_no_library_are_told_apart() {
    let lab = program(LIBRARY, &[]);
    let whole = std::fs::read(lab.path("host/libfrob.so.1")).unwrap();
    let mut narrow = whole.clone();
    narrow[4] = 1;
    let mut foreign = whole.clone();
    foreign[5] = 2;
    for (content, fault) in [
        (&b""[..], Fault::Truncated),
        (&[b'x'; 4096], Fault::NotElf),
        (&narrow, Fault::WrongClass),
        (&foreign, Fault::Foreign),
    ] {
        let path = lab.path("lib/libfrob.so.1");
        std::fs::write(&path, content).unwrap();
        let message = said(&lab);
        let library = match &message.problem {
            Problem::Unusable {
                library,
                fault: found,
            } if *found == fault => library.clone(),
            // ld.so passes over a library of another width, and then misses it.
            Problem::Unopened { library, .. } if fault == Fault::WrongClass => library.clone(),
            other => panic!("{fault:?}: {other:?}"),
        };
        let expected = path.to_str().unwrap();
        assert!(library == expected || library == frob(), "{library}");
    }
}

#[test]
fn a_symbol_is_found_in_the_library_that_defines_it() {
    let lab = program(LIBRARY, &[]);
    library(&lab, "lib/libfrob.so.1", OTHER, &[]);
    let message = said(&lab);
    let program = lab.path("program");
    assert_eq!(
        message.problem,
        Problem::UndefinedSymbol {
            symbol: "frob".into(),
            version: None,
            wanted_by: program.to_str().map(str::to_owned),
            expected_in: None,
        }
    );
    // The jail's copy is old; the host's libraries define it.
    let own = [program, lab.path("host/libfrob.so.1")];
    let reason = Reason::Defines {
        standing: Standing::Own,
        version: None,
    };
    let expected = Candidate {
        path: own[1].clone(),
        reason,
    };
    assert_eq!(on_host(&message, &own), std::slice::from_ref(&expected));
    std::fs::copy(expected.path, lab.path("lib/libfrob.so.1")).unwrap();
    assert!(runs(&lab));
}

#[test]
fn a_version_is_found_in_the_library_that_has_it() {
    let lab = Lab::new();
    std::fs::write(lab.path("new"), "FROB_2 { global: frob; local: *; };").unwrap();
    std::fs::write(lab.path("old"), "FROB_1 { global: frob; local: *; };").unwrap();
    for directory in ["lib", "host"] {
        std::fs::create_dir(lab.path(directory)).unwrap();
        let output = format!("{directory}/libfrob.so.1");
        library(&lab, &output, LIBRARY, &["-Wl,--version-script=new"]);
    }
    let rpath = format!("-Wl,-rpath,{}", lab.path("lib").display());
    lab.gcc(PROGRAM, "program", &["lib/libfrob.so.1", &rpath]);
    library(
        &lab,
        "lib/libfrob.so.1",
        LIBRARY,
        &["-Wl,--version-script=old"],
    );
    let message = said(&lab);
    let Problem::MissingVersion {
        version,
        library,
        wanted_by,
    } = &message.problem
    else {
        panic!("{message:?}");
    };
    assert_eq!(version, "FROB_2");
    assert_eq!(Path::new(library), lab.path("lib/libfrob.so.1"));
    assert_eq!(Path::new(wanted_by), lab.path("program"));
    assert_eq!(on_host(&message, &[lab.path("program")]), []);
    std::fs::copy(lab.path("host/libfrob.so.1"), lab.path("lib/libfrob.so.1")).unwrap();
    let found = on_host(&message, &[lab.path("program")]);
    let path = lab.path("lib/libfrob.so.1");
    assert_eq!(
        found,
        [Candidate {
            path,
            reason: Reason::HasVersion
        }]
    );
    assert!(runs(&lab));
}

/// The version is still there, the symbol in it is not.
#[test]
fn a_symbol_of_a_version_is_looked_for_with_the_version() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("lib")).unwrap();
    std::fs::write(lab.path("map"), "FROB_1 { global: *; };").unwrap();
    let script = ["-Wl,--version-script=map"];
    library(&lab, "lib/libfrob.so.1", LIBRARY, &script);
    let rpath = format!("-Wl,-rpath,{}", lab.path("lib").display());
    lab.gcc(
        PROGRAM,
        "program",
        &["lib/libfrob.so.1", &rpath, "-Wl,-z,now"],
    );
    std::fs::rename(lab.path("lib/libfrob.so.1"), lab.path("whole.so")).unwrap();
    library(&lab, "lib/libfrob.so.1", OTHER, &script);
    let message = said(&lab);
    let Problem::UndefinedSymbol {
        symbol, version, ..
    } = &message.problem
    else {
        panic!("{message:?}");
    };
    assert_eq!(
        (symbol.as_str(), version.as_deref()),
        ("frob", Some("FROB_1"))
    );
    let found = on_host(&message, &[lab.path("program")]);
    assert_eq!(found[0].path, lab.path("whole.so"));
}

#[test]
fn a_module_that_needs_what_is_missing_is_understood_through_the_programs_words() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("modules")).unwrap();
    lab.gcc(MODULE, "program", &[]);
    library(&lab, "modules/libfrob.so.1", LIBRARY, &[]);
    let module = lab.path("modules/mod_x.so");
    lab.gcc(
        "void frob(void); void hook(void) { frob(); }",
        "modules/mod_x.so",
        &["-shared", "-fPIC", "modules/libfrob.so.1"],
    );
    let argument = module.to_str().unwrap();
    let message = only(&lab.stderr(&lab.path("program"), &[argument]));
    let cause = Cause::Absent;
    assert_eq!(
        message.problem,
        Problem::Unopened {
            library: frob(),
            cause
        }
    );
    assert_eq!(message.loading.as_deref(), Some(argument));
    // No search path leads there, but it lies beside the module.
    let path = lab.path("modules/libfrob.so.1");
    let expected = Candidate {
        path,
        reason: Reason::Beside,
    };
    assert_eq!(
        on_host(&message, &[lab.path("program"), module.clone()]),
        [expected]
    );
    // The module itself is missing in the jail, and on the host it is where it was asked for.
    let away = lab.path("away.so");
    std::fs::rename(&module, &away).unwrap();
    let message = only(&lab.stderr(&lab.path("program"), &[argument]));
    std::fs::rename(&away, &module).unwrap();
    let expected = Candidate {
        path: module,
        reason: Reason::SamePath,
    };
    assert_eq!(on_host(&message, &[lab.path("program")]), [expected]);
}

#[test]
fn a_module_with_an_undefined_symbol_names_itself() {
    let lab = Lab::new();
    lab.gcc(MODULE, "program", &[]);
    lab.gcc(
        "double cos(double); double f(double x) { return cos(x); }",
        "mod_x.so",
        &["-shared", "-fPIC", "-fno-builtin"],
    );
    let module = lab.path("mod_x.so");
    let argument = module.to_str().unwrap();
    let message = only(&lab.stderr(&lab.path("program"), &[argument]));
    let Problem::UndefinedSymbol {
        symbol, wanted_by, ..
    } = &message.problem
    else {
        panic!("{message:?}");
    };
    assert_eq!(
        (symbol.as_str(), wanted_by.as_deref()),
        ("cos", Some(argument))
    );
    // The second document's loop over nm(1): the mathematics library defines it.
    let found = on_host(&message, &[lab.path("program"), module.clone()]);
    let name = found[0].path.file_name().unwrap();
    assert_eq!(name, "libm.so.6", "{found:?}");
}

#[test]
fn a_library_that_may_not_be_mapped_needs_no_file() {
    let lab = program(LIBRARY, &[]);
    // 40 megabytes of address space: the library asks for more.
    library(
        &lab,
        "lib/libfrob.so.1",
        "char large[1 << 28]; void frob(void) {}",
        &[],
    );
    let shell = format!("ulimit -v 40000; exec {}", lab.path("program").display());
    let message = only(&lab.stderr(Path::new("/bin/sh"), &["-c", &shell]));
    let Problem::Unmapped { refused, .. } = &message.problem else {
        panic!("{message:?}");
    };
    assert!(matches!(refused, Refused::Map | Refused::Memory));
    assert_eq!(on_host(&message, &[lab.path("program")]), []);
}

#[test]
fn an_interpreter_that_is_missing_is_named_by_the_hosts_program() {
    let lab = Lab::new();
    lab.gcc(
        PROGRAM.replace("frob", "sync").as_str(),
        "jailed",
        &["-Wl,--dynamic-linker=/gone/ld.so"],
    );
    let shell = format!("{}; exit 127", lab.path("jailed").display());
    let bash = lab.stderr(Path::new("/bin/bash"), &["-c", &shell]);
    let message = only(&bash);
    assert!(matches!(
        &message.problem,
        Problem::MissingInterpreter {
            interpreter: None,
            ..
        }
    ));
    assert_eq!(on_host(&message, &[lab.path("jailed")]), []);
    // The host's program of that name is run by a linker that is there.
    std::fs::create_dir(lab.path("host")).unwrap();
    lab.gcc(PROGRAM.replace("frob", "sync").as_str(), "host/jailed", &[]);
    let found = on_host(&message, &[lab.path("host/jailed")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].path.to_str().unwrap().contains("/ld-linux"),
        "{found:?}"
    );
    // A script says so itself.
    std::fs::write(lab.path("script"), "#!/gone/perl\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(lab.path("script"), mode).unwrap();
    let shell = format!("{}; exit 127", lab.path("script").display());
    let message = only(&lab.stderr(Path::new("/bin/bash"), &["-c", &shell]));
    let Problem::MissingInterpreter { program, .. } = &message.problem else {
        panic!("{message:?}");
    };
    assert_eq!(Path::new(program), lab.path("script"));
}

#[test]
fn a_path_in_a_message_does_not_fetch_what_is_no_library() {
    for path in [
        "/etc/shadow",
        "/etc/passwd",
        "/etc",
        "/nowhere/libx.so",
        "/dev/null",
        // A linker script, where a compiler is installed.
        "libm.so",
    ] {
        let line = format!(
            "p: error while loading shared libraries: {path}: cannot open shared object file: No such file or directory"
        );
        assert_eq!(
            on_host(&only(line.as_bytes()), &["/usr/bin/gcc".into()]),
            [],
            "{path}"
        );
    }
}

/// In the words of iconv(1) before glibc 2.32; since then it does not say which one is missing.
#[test]
fn a_converter_is_found_for_a_character_set() {
    let message = only(b"iconv: conversion from `iso-8859-15' is not supported");
    let found = on_host(&message, &[]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reason, Reason::Converter);
    assert!(found[0].path.ends_with("gconv/ISO8859-15.so"), "{found:?}");
}
