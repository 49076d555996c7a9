//! Looking up libraries, symbols and versions, held to what nm(1), readelf(1) and a real
//! dlopen(3) say.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::lab::Lab;
use crate::build::elf::exports::{self, Export};
use crate::build::elf::{Definer, Resolver, Sought, Standing};

const MAP: &str = "V_1 { global: old; both; local: hidden; };\nV_2 { global: both; } V_1;\n";
const VERSIONED: &str = "
    void old(void) {} void hidden(void) {}
    void both_1(void) {} __asm__(\".symver both_1,both@V_1\");
    void both_2(void) {} __asm__(\".symver both_2,both@@V_2\");
    void wanted(void); void use(void) { wanted(); }";

fn resolver() -> Resolver {
    Resolver::new(Path::new("/")).unwrap()
}

fn versioned(lab: &Lab, style: &str) -> PathBuf {
    std::fs::write(lab.path("map"), MAP).unwrap();
    let style = format!("-Wl,--hash-style={style}");
    lab.gcc(
        VERSIONED,
        "libv.so",
        &[
            "-shared",
            "-fPIC",
            "-nostdlib",
            "-Wl,--version-script=DIR/map",
            &style,
        ],
    );
    lab.path("libv.so")
}

fn export(version: &str, hidden: bool) -> Export {
    Export {
        version: Some(version.to_owned()),
        hidden,
        baseline: version == "V_1",
        weak: false,
    }
}

#[test]
fn definitions_have_their_versions_by_either_hash_table() {
    let lab = Lab::new(&[]);
    for style in ["gnu", "sysv", "both"] {
        let path = versioned(&lab, style);
        let find = |name: &str| {
            let mut found = exports::exports(std::fs::File::open(&path).unwrap(), name).unwrap();
            found.sort_by_key(|one| one.version.clone());
            found
        };
        assert_eq!(find("old"), [export("V_1", false)], "{style}");
        assert_eq!(find("both"), [export("V_1", true), export("V_2", false)]);
        for absent in ["hidden", "wanted", "nothing", "", "both@V_1"] {
            assert_eq!(find(absent), [], "{style} {absent}");
        }
        assert_eq!(resolver().versions(&path).unwrap(), ["V_1", "V_2"]);
    }
}

/// Every symbol that nm(1) sees in the C library, with its version, and no undefined one.
#[test]
fn the_c_library_defines_what_nm_says() {
    let libc = resolver().locate("libc.so.6", &[]).unwrap().unwrap();
    let output = Command::new("nm").arg("-D").arg(&libc).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut checked = 0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (kind, name) = (fields[fields.len() - 2], fields[fields.len() - 1]);
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        let hidden = !version.starts_with('@');
        let version = version.trim_start_matches('@');
        // A: the versions themselves.
        if kind == "A" {
            continue;
        }
        let found = exports::exports(std::fs::File::open(&libc).unwrap(), name).unwrap();
        let has = found
            .iter()
            .any(|one| one.version.as_deref() == Some(version) && one.hidden == hidden);
        assert_eq!(has, kind != "U", "{line}: {found:?}");
        checked += 1;
    }
    assert!(checked > 2000, "{checked}");
}

#[test]
fn a_library_is_located_as_the_dynamic_linker_does() {
    let lab = Lab::new(&["near", "far"]);
    lab.library("far/libinner.so", &[]);
    lab.library(
        "near/libouter.so",
        &["-LDIR/far", "-linner", "-Wl,-rpath,DIR/far"],
    );
    lab.program(
        "program",
        &[
            "-LDIR/near",
            "-louter",
            "-Wl,-rpath,DIR/near",
            "-Wl,-rpath-link,DIR/far",
        ],
    );
    let (program, outer) = (lab.path("program"), lab.path("near/libouter.so"));
    let mut resolver = resolver();
    let mut locate = |name: &str, askers: &[&Path]| resolver.locate(name, askers).unwrap();
    assert_eq!(locate("libinner.so", &[]), None);
    assert_eq!(locate("libinner.so", &[&program]), None);
    assert_eq!(
        locate("libinner.so", &[&program, &outer]),
        Some(lab.path("far/libinner.so"))
    );
    assert_eq!(locate("libouter.so", &[&program]), Some(outer.clone()));
    assert_eq!(locate(outer.to_str().unwrap(), &[]), Some(outer));
    assert_eq!(locate("libinner.so", &[Path::new("/nowhere")]), None);
    lab.confirmed("program");
}

#[test]
fn what_defines_a_symbol_is_given_nearest_first() {
    let lab = Lab::new(&["own", "modules"]);
    for library in ["own/libneeded.so", "own/libbeside.so", "modules/far.so"] {
        lab.gcc(
            "void frob_the_knob(void) {}",
            library,
            &["-shared", "-fPIC", "-nostdlib"],
        );
    }
    lab.program(
        "own/program",
        &["-LDIR/own", "-l:libneeded.so", "-Wl,-rpath,DIR/own"],
    );
    let sought = Sought {
        symbol: "frob_the_knob",
        version: None,
    };
    let found = resolver().definers(sought, &[lab.path("own/program")], 9);
    let summary: Vec<_> = found
        .iter()
        .map(|one| (one.path.clone(), one.standing))
        .collect();
    assert_eq!(
        summary,
        [
            (lab.path("own/libneeded.so"), Standing::Needed),
            (lab.path("own/libbeside.so"), Standing::Beside),
        ]
    );
    let own = [lab.path("own/libbeside.so"), lab.path("own/program")];
    let found = resolver().definers(sought, &own, 1);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].path, found[0].standing),
        (&own[0], Standing::Own)
    );
}

#[test]
fn a_version_has_to_match_where_there_are_versions() {
    let lab = Lab::new(&["none"]);
    let path = versioned(&lab, "gnu");
    lab.gcc(
        "void both(void) {}",
        "none/libn.so",
        &["-shared", "-fPIC", "-nostdlib"],
    );
    let own = [path.clone(), lab.path("none/libn.so")];
    let paths = |symbol, version| {
        let found = resolver().definers(Sought { symbol, version }, &own, 9);
        let name = |one: Definer| one.path.file_name().unwrap().to_str().unwrap().to_owned();
        found.into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(paths("both", Some("V_1")), ["libv.so", "libn.so"]);
    assert_eq!(paths("both", Some("V_9")), ["libn.so"]);
    assert_eq!(paths("both", None), ["libv.so", "libn.so"]);
    assert_eq!(paths("old", Some("V_2")), Vec::<String>::new());
}

/// What the loop over nm(1) that administrators write finds (UnixReview, "Securing Systems with
/// chroot"): a name that new programs cannot link to, and old ones want.
#[test]
fn an_old_function_is_found_in_the_hosts_libraries() {
    for version in [None, Some("GLIBC_2.2.5")] {
        let sought = Sought {
            symbol: "res_gethostbyname",
            version,
        };
        let found = resolver().definers(sought, &[], 64);
        let names: Vec<_> = found
            .iter()
            .map(|one| one.path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["libresolv.so.2"]);
    }
    let nowhere = Sought {
        symbol: "no_library_has_this_symbol_",
        version: None,
    };
    assert_eq!(resolver().definers(nowhere, &[], 64), []);
}

#[test]
fn a_converter_is_found_by_its_plain_name() {
    let found = resolver().converter("iso_8859-15//TRANSLIT").unwrap();
    assert!(
        found.ends_with("gconv/ISO8859-15.so"),
        "{}",
        found.display()
    );
    assert_eq!(resolver().converter("KLINGON"), None);
}

#[test]
fn a_damaged_library_defines_nothing_and_does_no_harm() {
    let lab = Lab::new(&[]);
    let path = versioned(&lab, "both");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let read = std::io::Cursor::new(bytes);
            if let Ok(found) = exports::exports(read, "both") {
                assert!(found.len() < 1 << 13);
            }
        }
        let cut = std::io::Cursor::new(whole[..at].to_vec());
        if let Ok(found) = exports::exports(cut, "no such") {
            assert_eq!(found, []);
        }
    }
}
