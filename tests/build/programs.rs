//! Programs of all kinds run in the tree that was built for them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gaoler::spec::FileKind;

use crate::common::{Place, Tree, compile, file, somebody, spec_of};

fn run(tree: &Tree, program: &Path) -> String {
    let output = Command::new("/usr/sbin/chroot")
        .arg(&tree.root)
        .arg(program)
        .env_clear()
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const LIBRARY: &str = "int answer(void) { return 42; }";
const PROGRAM: &str = "#include <stdio.h>\nint answer(void);\n\
                       int main(void) { printf(\"%d\\n\", answer()); return 0; }";

#[test]
fn a_library_in_an_odd_directory_is_found_by_its_rpath() {
    let place = Place::new();
    let odd = place.path("odd");
    fs::create_dir(&odd).unwrap();
    let odd = odd.to_str().unwrap();
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libanswer.so.3"];
    compile(LIBRARY, &place.path("odd/libanswer.so.3"), &shared);
    let library = format!("{odd}/libanswer.so.3");
    let rpath = format!("-Wl,-rpath,{odd}");
    let program = place.path("program");
    compile(PROGRAM, &program, &[&library, &rpath]);
    let tree = place.build(&spec_of(&program), &somebody());
    assert!(tree.has(&library));
    assert_eq!(run(&tree, &program), "42\n");
}

#[test]
fn a_library_that_only_the_cache_knows_is_found_by_the_jails_own_cache() {
    let place = Place::new();
    let odd = place.path("odd");
    fs::create_dir(&odd).unwrap();
    let library = place.path("odd/libanswer.so.3");
    compile(
        LIBRARY,
        &library,
        &["-shared", "-fPIC", "-Wl,-soname,libanswer.so.3"],
    );
    let program = place.path("program");
    let rpath = format!("-Wl,-rpath,{}", odd.display());
    compile(PROGRAM, &program, &[library.to_str().unwrap(), &rpath]);
    let tree = place.build(&spec_of(&program), &somebody());
    assert!(tree.has("/etc/ld.so.cache"));
    // The same program without its RPATH: only the cache can lead it to the library now.
    let bare = place.path("bare");
    compile(PROGRAM, &bare, &[library.to_str().unwrap()]);
    let inside = tree.root.join(program.strip_prefix("/").unwrap());
    fs::copy(&bare, &inside).unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(run(&tree, &program), "42\n");
    fs::remove_file(tree.root.join("etc/ld.so.cache")).unwrap();
    let output = Command::new("/usr/sbin/chroot")
        .arg(&tree.root)
        .arg(&program)
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "the cache was not what made it run"
    );
}

#[test]
fn a_script_brings_its_interpreters() {
    let place = Place::new();
    let (inner, outer) = (place.path("inner"), place.path("outer"));
    script(&inner, "#!/bin/sh\necho inner \"$1\"\n");
    script(&outer, &format!("#!{} argument\n", inner.display()));
    let tree = place.build(&spec_of(&outer), &somebody());
    assert_eq!(run(&tree, &outer), "inner argument\n");
    assert!(tree.has("/bin"), "the link to usr/bin is kept");
}

#[test]
fn a_script_through_env_brings_the_program_that_env_finds() {
    let place = Place::new();
    let path = place.path("script");
    script(&path, "#!/usr/bin/env -S sh -e\necho ran\n");
    let mut spec = spec_of(&path);
    spec.service
        .environment
        .insert("PATH".into(), "/usr/bin:/bin".into());
    let tree = place.build(&spec, &somebody());
    assert!(tree.has("/usr/bin/env") && tree.has("/usr/bin/sh"));
    assert_eq!(run(&tree, &path), "ran\n");
}

#[test]
fn a_script_that_interprets_itself_is_refused() {
    let place = Place::new();
    let path = place.path("circle");
    script(&path, &format!("#!{}\n", path.display()));
    let text = place.refused(&spec_of(&path), &somebody());
    assert!(text.contains("scripts in turn"), "{text}");
}

#[test]
fn a_static_program_needs_nothing_else() {
    let place = Place::new();
    let program = place.path("program");
    compile(
        "#include <stdio.h>\nint main(void) { puts(\"alone\"); return 0; }",
        &program,
        &["-static"],
    );
    let tree = place.build(&spec_of(&program), &somebody());
    assert_eq!(run(&tree, &program), "alone\n");
    assert_eq!(tree.built.files, 1, "{:#?}", tree.manifest);
}

#[test]
fn hard_links_are_copied_as_files_of_their_own() {
    let place = Place::new();
    fs::write(place.path("one"), "same").unwrap();
    fs::hard_link(place.path("one"), place.path("two")).unwrap();
    let mut spec = spec_of("/bin/true");
    spec.files = ["one", "two"]
        .map(|name| file(place.path(name), FileKind::Data))
        .to_vec();
    let tree = place.build(&spec, &somebody());
    use std::os::unix::fs::MetadataExt;
    for name in ["one", "two"] {
        let path = place.path(name);
        let copy = fs::metadata(tree.root.join(path.strip_prefix("/").unwrap())).unwrap();
        assert_eq!(copy.nlink(), 1);
    }
}
