//! A jail of the service of these tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::common::{Place, port};

/// The service, which is its own client.
static SERVICE: LazyLock<PathBuf> = LazyLock::new(|| {
    use std::io::Write;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bisect");
    std::fs::create_dir_all(&directory).unwrap();
    let output = directory.join("service");
    let mut gcc = Command::new("gcc")
        .args(["-O1", "-static", "-x", "c", "-", "-o"])
        .arg(&output)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let source = include_str!("service.c");
    let mut input = gcc.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(gcc.wait().unwrap().success());
    output
});

/// What the service calls in any case.
const CALLS: &str = "\
    accept arch_prctl bind brk close exit_group futex getrandom listen mprotect newfstatat \
    prlimit64 read readlinkat readlink rseq rt_sigaction rt_sigprocmask set_robust_list \
    set_tid_address setsockopt socket write";

/// A jail of the service, and its port. `words` are more words of its command line.
pub fn subject(words: &[String]) -> (Place, u16) {
    let mut place = Place::new(&[]);
    let own = place.path("answerer");
    std::fs::copy(&*SERVICE, &own).unwrap();
    let port = port();
    place.text.command = vec![
        own.to_str().unwrap().to_owned(),
        "serve".into(),
        port.to_string(),
    ];
    place.text.command.extend(words.iter().cloned());
    place.text.calls = CALLS.split_whitespace().collect();
    place.text.service = format!("ready = [\"tcp:{port}\"]\n");
    place.text.tables = format!(
        "[[allow.families]]\nfamily = \"INET\"\nbecause = \"a test\"\n\
         [[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    (place, port)
}

/// The client's command.
pub fn client(port: u16, request: &str) -> [String; 3] {
    [
        SERVICE.to_str().unwrap().to_owned(),
        port.to_string(),
        request.to_owned(),
    ]
}

/// Whether the service can do it.
pub fn says_yes(words: &[String; 3]) -> bool {
    let [program, port, request] = words;
    let asked = Command::new(program).args([port, request]).status();
    asked.unwrap().success()
}
