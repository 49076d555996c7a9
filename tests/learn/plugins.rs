//! Modules that a library loads by itself: those of one use of PAM are all seen, also those that
//! only other uses need.

use std::fs;

use gaoler::learn::trace::Use;

use crate::common::*;

/// Asks whether somebody may log in, and no more.
const PROGRAM: &str = r#"
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
struct conversation { int (*ask)(int, const void **, void **, void *); void *data; };
static int ask(int count, const void **questions, void **answers, void *data) { return 19; }
int main(int argc, char **argv) {
    void *pam = dlopen("libpam.so.0", RTLD_NOW);
    if (!pam) return 3;
    int (*start)(const char *, const char *, const struct conversation *, const char *, void **)
        = dlsym(pam, "pam_start_confdir");
    int (*authenticate)(void *, int) = dlsym(pam, "pam_authenticate");
    struct conversation conversation = { ask, 0 };
    void *handle;
    if (start("daemon", "root", &conversation, argv[1], &handle)) return 4;
    if (authenticate(handle, 0)) return 5;
    for (;;) pause();
}
"#;

/// What each use takes (`pam.conf(5)`).
const RULES: &str = "auth required pam_permit.so\n\
    account required pam_nologin.so\n\
    password required pam_deny.so\n\
    session required pam_limits.so\n";

#[test]
fn one_login_shows_all_modules_of_pam() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let program = compile(base, PROGRAM);
    fs::write(base.join("daemon"), RULES).unwrap();
    let words = [program.to_str().unwrap(), base.to_str().unwrap()];
    let trace = learned(request(&words, base));
    assert_complete(&trace);
    for module in ["permit", "nologin", "deny", "limits"] {
        let name = format!("pam_{module}.so");
        let loaded = |seen: &&gaoler::learn::trace::PathSeen| {
            seen.host.ends_with(&name) && seen.uses.contains(&Use::Map)
        };
        assert!(trace.paths.iter().any(|seen| loaded(&seen)), "{name}");
    }
}
