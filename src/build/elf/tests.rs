//! Small programs and libraries, built here, whose closures the dynamic linker itself confirms.

use std::os::unix::fs::symlink;

use super::*;

mod lab;
mod lookup;

use lab::{Lab, paths};

/// A program in `bin` that needs `liba.so`, which needs `libb.so`, both in `lib`.
fn chain(dynamic_tags: &str) -> Lab {
    let lab = Lab::new(&["bin", "lib", "links"]);
    lab.library("lib/libb.so", &[]);
    lab.library("lib/liba.so", &["DIR/lib/libb.so"]);
    lab.program(
        "bin/p",
        &["DIR/lib/liba.so", dynamic_tags, "-Wl,-rpath,$ORIGIN/../lib"],
    );
    lab
}

#[test]
fn rpath_is_inherited_also_through_a_symlink() {
    let lab = chain("-Wl,--disable-new-dtags");
    symlink("../bin/p", lab.path("links/p")).unwrap();
    let expected = [
        lab.text("bin/../lib/liba.so"),
        lab.text("bin/../lib/libb.so"),
    ];
    assert_eq!(lab.confirmed("bin/p"), expected);
    assert_eq!(lab.confirmed("links/p"), expected);
}

#[test]
fn runpath_is_not_inherited() {
    let lab = chain("-Wl,--enable-new-dtags");
    let error = lab.confirmed_missing("bin/p", "libb.so");
    assert!(error.contains("bin/../lib/liba.so needs"), "{error}");
    assert!(
        error.contains("/etc/ld.so.cache") && error.contains("/usr/lib/"),
        "{error}"
    );
}

#[test]
fn the_closure_says_who_needs_what() {
    let lab = chain("-Wl,--disable-new-dtags");
    let objects = lab.closure("bin/p").unwrap();
    assert_eq!(objects[0].name, machine::NATIVE.interpreter);
    assert_eq!(objects[0].needed_by, lab.path("bin/p"));
    let b = objects
        .iter()
        .find(|object| object.name == "libb.so")
        .unwrap();
    assert_eq!(b.needed_by, lab.path("bin/../lib/liba.so"));
}

#[test]
fn a_variant_for_this_cpu_comes_before_the_plain_library() {
    let levels = machine::levels();
    let lab = Lab::new(&["lib", "lib/glibc-hwcaps/x86-64-v9"]);
    lab.library("lib/liba.so", &[]);
    lab.library("lib/glibc-hwcaps/x86-64-v9/liba.so", &[]);
    lab.program("p", &["DIR/lib/liba.so", "-Wl,-rpath,DIR/lib"]);
    assert_eq!(lab.confirmed("p"), [lab.text("lib/liba.so")]);
    for level in levels.iter().rev() {
        let directory = format!("lib/glibc-hwcaps/{level}");
        std::fs::create_dir_all(lab.path(&directory)).unwrap();
        lab.library(&format!("{directory}/liba.so"), &[]);
        assert_eq!(
            lab.confirmed("p"),
            [lab.text(&format!("{directory}/liba.so"))]
        );
    }
}

#[test]
fn a_name_with_a_slash_is_a_path() {
    let lab = Lab::new(&["lib", "elsewhere"]);
    lab.gcc("", "lib/plain.so", &["-shared", "-nostdlib"]);
    lab.program("p", &["DIR/lib/plain.so", "-Wl,-rpath,DIR/elsewhere"]);
    assert_eq!(lab.confirmed("p"), [lab.text("lib/plain.so")]);
    std::fs::rename(lab.path("lib/plain.so"), lab.path("elsewhere/plain.so")).unwrap();
    lab.confirmed_missing("p", &lab.text("lib/plain.so"));
}

#[test]
fn tokens_stand_for_directories() {
    let lab = Lab::new(&["o", "x"]);
    let layout = Layout::of(&HostRoot::new(Path::new("/")).unwrap());
    let (lib, platform) = (
        format!("x/{}", layout.lib),
        format!("x/{}", layout.platform),
    );
    for (directory, name) in [(&lib, "libl.so"), (&platform, "libp.so")] {
        std::fs::create_dir_all(lab.path(directory)).unwrap();
        lab.library(&format!("{directory}/{name}"), &[]);
    }
    lab.gcc(
        "",
        "o/libo.so",
        &["-shared", "-nostdlib", "-Wl,-soname,${ORIGIN}/o/libo.so"],
    );
    let (l, p) = (
        format!("DIR/{lib}/libl.so"),
        format!("DIR/{platform}/libp.so"),
    );
    let rpath = "-Wl,-rpath,DIR/x/$LIB:DIR/x/${PLATFORM}";
    lab.program("p", &[&l, &p, "DIR/o/libo.so", rpath]);
    let expected = [
        lab.text(&lib) + "/libl.so",
        lab.text(&platform) + "/libp.so",
        lab.text("o/libo.so"),
    ];
    assert_eq!(lab.confirmed("p"), expected);
}

#[test]
fn a_soname_that_is_loaded_is_not_searched_again() {
    let lab = Lab::new(&["lib", "other"]);
    lab.library("lib/libd.so.1", &[]);
    lab.library("other/libd.so.1", &[]);
    lab.library(
        "lib/liba.so",
        &["DIR/other/libd.so.1", "-Wl,-rpath,DIR/other"],
    );
    lab.program(
        "p",
        &["DIR/lib/libd.so.1", "DIR/lib/liba.so", "-Wl,-rpath,DIR/lib"],
    );
    assert_eq!(
        lab.confirmed("p"),
        [lab.text("lib/libd.so.1"), lab.text("lib/liba.so")]
    );
}

#[test]
fn one_file_under_two_names_is_loaded_once() {
    let lab = Lab::new(&["lib"]);
    lab.gcc("", "lib/one.so", &["-shared", "-nostdlib"]);
    symlink("one.so", lab.path("lib/two.so")).unwrap();
    lab.program(
        "p",
        &["-LDIR/lib", "-l:one.so", "-l:two.so", "-Wl,-rpath,DIR/lib"],
    );
    assert_eq!(lab.confirmed("p"), [lab.text("lib/one.so")]);
}

#[test]
fn libraries_that_need_each_other_are_loaded_once() {
    let lab = Lab::new(&["lib"]);
    lab.library("lib/liba.so", &[]);
    lab.library("lib/libb.so", &["DIR/lib/liba.so", "-Wl,-rpath,DIR/lib"]);
    lab.library("lib/liba.so", &["DIR/lib/libb.so", "-Wl,-rpath,DIR/lib"]);
    lab.program("p", &["DIR/lib/liba.so", "-Wl,-rpath,DIR/lib"]);
    assert_eq!(
        lab.confirmed("p"),
        [lab.text("lib/liba.so"), lab.text("lib/libb.so")]
    );
}

#[test]
fn a_library_of_another_machine_is_passed_over() {
    for (offset, value) in [(18, 183), (4, 1)] {
        let lab = Lab::new(&["wrong", "right"]);
        lab.library("right/liba.so", &[]);
        let mut bytes = std::fs::read(lab.path("right/liba.so")).unwrap();
        bytes[offset] = value;
        std::fs::write(lab.path("wrong/liba.so"), bytes).unwrap();
        lab.program(
            "p",
            &["DIR/right/liba.so", "-Wl,-rpath,DIR/wrong:DIR/right"],
        );
        assert_eq!(lab.confirmed("p"), [lab.text("right/liba.so")]);
    }
}

#[test]
fn a_damaged_library_ends_the_search() {
    let lab = Lab::new(&["wrong", "right"]);
    lab.library("right/liba.so", &[]);
    std::fs::write(lab.path("wrong/liba.so"), "INPUT(liba.so.1)").unwrap();
    lab.program(
        "p",
        &["DIR/right/liba.so", "-Wl,-rpath,DIR/wrong:DIR/right"],
    );
    let error = lab.closure("p").unwrap_err();
    assert_eq!(error.why(), "it is not an ELF file");
    assert!(lab.traced("p").0.is_empty());
}

#[test]
fn without_default_directories_their_cache_entries_are_barred() {
    let lab = Lab::new(&[]);
    lab.program("p", &["-Wl,-z,nodefaultlib"]);
    let error = lab.confirmed_missing("p", "libc.so.6");
    assert!(!error.contains("/usr/lib/"), "{error}");
}

#[test]
fn filters_are_loaded_and_auxiliary_ones_may_be_missing() {
    let lab = Lab::new(&["lib"]);
    lab.library("lib/libn.so", &[]);
    lab.library("lib/libf.so", &["DIR/lib/libn.so", "-Wl,-rpath,DIR/lib"]);
    let rpath = "-Wl,-rpath,DIR/lib";
    lab.library(
        "lib/liba.so",
        &["-Wl,-F,libf.so", "-Wl,-f,libgone.so", rpath],
    );
    lab.program("p", &["DIR/lib/liba.so", rpath]);
    let expected = ["lib/libf.so", "lib/liba.so", "lib/libn.so"].map(|path| lab.text(path));
    assert_eq!(lab.confirmed_but("p", &["libgone.so"]), expected);
}

#[test]
fn a_static_program_needs_nothing() {
    let lab = Lab::new(&[]);
    lab.program("fixed", &["-static"]);
    lab.program("moved", &["-static-pie"]);
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    for program in ["fixed", "moved"] {
        assert_eq!(lab.closure(program).unwrap(), []);
        match resolver.inspect(&lab.path(program)).unwrap() {
            Inspected::Elf(info) => assert!(info.statically_linked, "{program}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_program_is_refused_in_words() {
    let lab = Lab::new(&["directory"]);
    lab.program("p", &[]);
    let bytes = std::fs::read(lab.path("p")).unwrap();
    let mut foreign = bytes.clone();
    foreign[18] = 40;
    std::fs::write(lab.path("foreign"), foreign).unwrap();
    std::fs::write(lab.path("short"), &bytes[..100]).unwrap();
    std::fs::write(lab.path("text"), "words").unwrap();
    std::fs::write(lab.path("script"), "#!/bin/sh -e\n").unwrap();
    let cases = [
        ("foreign", "another machine (ARM, 64 bits)"),
        ("short", "truncated"),
        ("text", "not an ELF file"),
        ("script", "a script, which /bin/sh runs"),
        ("directory", "not a regular file"),
        ("absent", "No such file"),
    ];
    for (program, words) in cases {
        let error = lab.closure(program).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(&lab.text(program)),
            "{error}"
        );
    }
    let relative = Resolver::new(Path::new("/"))
        .unwrap()
        .closure(Path::new("bin/true"));
    assert!(relative.unwrap_err().to_string().contains("not absolute"));
}

#[test]
fn another_interpreter_is_refused() {
    let lab = Lab::new(&[]);
    lab.library("ld-other.so.1", &[]);
    lab.program("p", &["-Wl,--dynamic-linker,DIR/ld-other.so.1"]);
    lab.program("q", &["-Wl,--dynamic-linker,DIR/absent.so.1"]);
    let error = lab.closure("p").unwrap_err().to_string();
    assert!(
        error.contains("is not the dynamic linker of glibc"),
        "{error}"
    );
    let error = lab.closure("q").unwrap_err().to_string();
    assert!(error.contains("absent.so.1"), "{error}");
}

#[test]
fn hardening_is_read_from_the_file() {
    let lab = Lab::new(&[]);
    let source = "#include <string.h>\n#include <stdio.h>\n\
        int main(int c, char **v) { char b[64]; strcpy(b, v[c - 1]); return puts(b); }";
    let hard = [
        "-O2",
        "-D_FORTIFY_SOURCE=2",
        "-fstack-protector-strong",
        "-pie",
        "-fPIE",
    ];
    lab.gcc(
        source,
        "hard",
        &[hard.as_slice(), &["-Wl,-z,relro,-z,now"]].concat(),
    );
    let soft = [
        "-O0",
        "-U_FORTIFY_SOURCE",
        "-fno-stack-protector",
        "-no-pie",
    ];
    lab.gcc(
        source,
        "soft",
        &[soft.as_slice(), &["-Wl,-z,norelro,-z,lazy,-z,execstack"]].concat(),
    );
    lab.library("lib.so", &[]);
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    let mut info = |name| match resolver.inspect(&lab.path(name)).unwrap() {
        Inspected::Elf(info) => info,
        other => panic!("{other:?}"),
    };
    let (hard, soft, library) = (info("hard"), info("soft"), info("lib.so"));
    assert!(hard.relro && hard.bind_now && hard.stack_not_executable && hard.stack_protector);
    assert!(hard.position_independent && !hard.dlopen_able && !hard.statically_linked);
    assert_eq!(hard.fortified, ["__strcpy_chk"]);
    assert_eq!(hard.needed, ["libc.so.6"]);
    assert!(!soft.relro && !soft.bind_now && !soft.stack_not_executable && !soft.stack_protector);
    assert!(!soft.position_independent && soft.fortified.is_empty());
    assert!(library.dlopen_able && !library.statically_linked);
    assert_eq!(library.soname.as_deref(), Some("lib.so"));
}

#[test]
fn a_tree_is_searched_beneath_its_own_root() {
    let lab = Lab::new(&["root/bin", "root/lib64", "root/opt", "root/etc"]);
    let interpreter = machine::NATIVE.interpreter;
    std::fs::create_dir_all(lab.path("root/lib")).unwrap();
    std::fs::copy(interpreter, lab.path(&format!("root/{interpreter}"))).unwrap();
    lab.library("root/opt/liba.so", &[]);
    lab.program(
        "root/bin/p",
        &[
            "-nostdlib",
            "-shared",
            "-Wl,-soname,p",
            "DIR/root/opt/liba.so",
        ],
    );
    let mut resolver = Resolver::new(&lab.path("root")).unwrap();
    assert!(resolver.closure(Path::new("/bin/p")).is_err());
    // A link that would lead out leads to the same place within.
    symlink("/opt", lab.path("root/usr")).unwrap();
    symlink("/../../../../opt/liba.so", lab.path("root/lib64/liba.so")).unwrap();
    let mut resolver = Resolver::new(&lab.path("root")).unwrap();
    let objects = resolver.closure(Path::new("/bin/p")).unwrap();
    assert_eq!(paths(&objects), ["/lib64/liba.so"]);
}
