//! A real server in a bare chroot with all that ld.so loads for it, but for one library at a time:
//! each time the message has to lead back to just that file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gaoler::build::elf::Resolver;
use gaoler::why::linker::{
    Candidate, Cause, Fault, Linker, Message, Problem, Reason, candidates, messages,
};

const PROGRAM: &str = "/usr/sbin/named";

struct Jail {
    root: tempfile::TempDir,
    resolver: Resolver,
    /// The program, its interpreter, and its libraries, by their paths on the host.
    own: Vec<PathBuf>,
}

impl Jail {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut resolver = Resolver::new(Path::new("/")).unwrap();
        let closure = resolver.closure(Path::new(PROGRAM)).unwrap();
        let mut own = vec![PathBuf::from(PROGRAM)];
        own.extend(closure.into_iter().map(|object| object.path));
        let jail = Self {
            root,
            resolver,
            own,
        };
        for path in &jail.own {
            std::fs::create_dir_all(jail.inside(path).parent().unwrap()).unwrap();
            std::fs::copy(path, jail.inside(path)).unwrap();
        }
        jail
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.root.path().join(path.strip_prefix("/").unwrap())
    }

    fn run(&self) -> Output {
        Command::new("/usr/sbin/chroot")
            .arg(self.root.path())
            .args([PROGRAM, "-v"])
            .env_clear()
            .output()
            .unwrap()
    }

    /// The message of the only failure.
    fn said(&self) -> Message {
        let output = self.run();
        assert!(!output.status.success());
        let found = messages(&output.stderr);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found.into_iter().next().unwrap()
    }

    fn answer(&mut self, message: &Message) -> Vec<Candidate> {
        candidates(&mut self.resolver, message, &self.own)
    }
}

#[test]
fn whichever_library_is_taken_away_is_the_one_that_is_proposed() {
    let mut jail = Jail::new();
    assert!(jail.run().status.success());
    let libraries = jail.own[2..].to_vec();
    assert!(libraries.len() > 20, "{libraries:?}");
    for path in libraries {
        std::fs::remove_file(jail.inside(&path)).unwrap();
        let message = jail.said();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            matches!(&message.problem, Problem::Unopened { library, cause: Cause::Absent } if library == name),
            "{name}: {message:?}"
        );
        let found = jail.answer(&message);
        assert_eq!(found[0].path, path);
        assert_eq!(found[0].reason, Reason::Searched);

        std::fs::write(jail.inside(&path), "").unwrap();
        let message = jail.said();
        let fault = Fault::Truncated;
        let library = path.to_str().unwrap().to_owned();
        assert_eq!(message.problem, Problem::Unusable { library, fault });
        let found = jail.answer(&message);
        assert_eq!(found[0].path, path);

        std::fs::copy(&path, jail.inside(&path)).unwrap();
    }
    assert!(jail.run().status.success());
}

/// No linker runs then, so nobody says anything but the kernel, by ENOENT.
#[test]
fn the_interpreter_is_known_from_the_program() {
    let mut jail = Jail::new();
    let interpreter = jail.own[1].clone();
    std::fs::remove_file(jail.inside(&interpreter)).unwrap();
    let output = jail.run();
    assert!(!output.status.success());
    assert_eq!(messages(&output.stderr), []);
    let message = Message {
        linker: Linker::Glibc,
        problem: Problem::MissingInterpreter {
            program: PROGRAM.to_owned(),
            interpreter: None,
        },
        loading: None,
    };
    let reason = Reason::Interpreter;
    let path = interpreter;
    assert_eq!(jail.answer(&message), [Candidate { path, reason }]);
}
