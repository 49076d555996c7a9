//! What a service prints when it cannot load something, and what nobody would do because of it.

use gaoler::build::elf::Resolver;
use std::path::Path;

use super::jail::Jail;

/// Loads the module that it is told, and says why it cannot.
const LOADER: &str = "
    #include <dlfcn.h>
    int main(int c, char **v) {
        if (!dlopen(v[1], RTLD_NOW)) { fprintf(stderr, \"%s\\n\", dlerror()); return 1; }
        for (;;) pause(); }";

/// Says what it is told, and waits.
const SPEAKER: &str = "
    int main(int c, char **v) {
        for (int i = 1; i < c; i++) fprintf(stderr, \"%s\\n\", v[i]);
        for (;;) pause(); }";

/// Where the host's dynamic linker finds it.
fn on_host(library: &str) -> String {
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    let found = resolver.locate(library, &[]).unwrap();
    found.unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_symbol_leads_to_the_library_that_defines_it() {
    let mut jail = Jail::new(LOADER, &[]);
    let module = "extern int deflate(void *, int); int use(void) { return deflate(0, 0); }";
    jail.lab.gcc(module, "module.so", &["-shared", "-fPIC"]);
    let module = jail.text("module.so");
    jail.words.push(module.clone());
    jail.table(
        "tree.files",
        &format!("path = {module:?}\nkind = \"library\""),
    );
    jail.write();
    let found = jail.why(&[]);
    let subject = format!("file {}", on_host("libz.so.1"));
    let denial = found.says(&subject, &["deflate", "module.so", "defines it"]);
    assert_eq!(denial["source"], "output");
    assert_eq!(denial["safe"], false);
    assert_eq!(denial["patch"][0]["item"], subject.as_str());
    // Not by itself, but by its name.
    let after = jail.why(&["--apply"]);
    assert_eq!(after.about(&subject)["applied"], false);
    let after = jail.why(&["--allow", &subject]);
    assert_eq!(after.about(&subject)["applied"], true);
    assert!(
        std::fs::read_to_string(jail.spec())
            .unwrap()
            .contains("libz.so.1")
    );
}

#[test]
fn a_library_that_the_run_showed_is_told_once() {
    let mut jail = Jail::new(LOADER, &[]);
    jail.words.push("libz.so.1".to_owned());
    jail.write();
    let found = jail.why(&[]);
    let of_z: Vec<_> = found
        .denials()
        .iter()
        .filter(|one| one["subject"].as_str().unwrap().contains("libz.so"))
        .collect();
    assert_eq!(of_z.len(), 1, "{found:#?}");
    assert_eq!(of_z[0]["source"], "run");
    assert_eq!(of_z[0]["safe"], true);
}

#[test]
fn a_library_that_is_gone_from_the_tree_is_told_once() {
    let jail = Jail::new(
        "int deflate(); int main(int c, char **v) { if (c > 9) deflate(); for (;;) pause(); }",
        &["-lz"],
    );
    jail.write();
    assert!(jail.gaoler(&["build", &jail.name]).status.success());
    let library = Path::new(&on_host("libz.so.1")).canonicalize().unwrap();
    std::fs::remove_file(jail.inside(&library)).unwrap();
    let found = jail.why(&["--apply"]);
    let denial = found.about(library.to_str().unwrap());
    assert_eq!(
        (&denial["source"], &denial["remedy"]),
        (&"tree".into(), &"rebuild".into())
    );
    let output: Vec<_> = found
        .denials()
        .iter()
        .filter(|one| one["source"] == "output")
        .collect();
    assert!(output.is_empty(), "{output:#?}");
    assert_eq!(jail.why(&[]).0["works"], true);
}

#[test]
fn what_a_jail_says_is_never_done_by_itself() {
    let mut jail = Jail::new(SPEAKER, &[]);
    let absent = "error while loading shared libraries";
    let opens = "cannot open shared object file: No such file or directory";
    for name in [
        "/etc/shadow",
        "/etc/gaoler",
        "../../etc/shadow",
        "/root/.ssh/id_rsa",
        "libz.so.1",
    ] {
        jail.words
            .push(format!("service: {absent}: {name}: {opens}"));
    }
    jail.words.push(format!(
        "service: {absent}: lib\u{1b}[2J\u{202e}x.so: {opens}"
    ));
    jail.words.push(
        "service: symbol lookup error: service: undefined symbol: \u{1b}]0;x\u{7}y".to_owned(),
    );
    jail.write();
    let before = std::fs::read_to_string(jail.spec()).unwrap();
    let found = jail.why(&["--apply"]);
    let said = |denial: &&serde_json::Value| denial["source"] == "output";
    assert!(
        found.denials().iter().filter(said).count() >= 5,
        "{found:#?}"
    );
    for denial in found.denials().iter().filter(said) {
        assert_eq!(denial["safe"], false, "{denial:#?}");
        assert_eq!(denial["applied"], false, "{denial:#?}");
        let is_library = denial["subject"].as_str().unwrap().contains("libz.so.1");
        assert_eq!(denial["remedy"] == "allow", is_library, "{denial:#?}");
    }
    assert_eq!(std::fs::read_to_string(jail.spec()).unwrap(), before);
    let text = jail.gaoler(&["why", &jail.name]).stdout;
    let text = String::from_utf8(text).unwrap();
    let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(odd), "{text:?}");
    assert!(text.contains("/etc/shadow"), "{text}");
}

/// No linker runs then: the kernel says ENOENT of a program that is there.
#[test]
fn a_missing_interpreter_is_named() {
    let jail = Jail::new("int main(void) { for (;;) pause(); }", &[]);
    jail.write();
    assert!(jail.gaoler(&["build", &jail.name]).status.success());
    let interpreter = Path::new("/lib64/ld-linux-x86-64.so.2")
        .canonicalize()
        .unwrap();
    std::fs::remove_file(jail.inside(&interpreter)).unwrap();
    let found = jail.why(&[]);
    assert_eq!(
        found.about(interpreter.to_str().unwrap())["remedy"],
        "rebuild"
    );
    assert_eq!(found.0["works"], false);
}
