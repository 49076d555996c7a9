//! A jail that answers on a port, and gaoler under the tracer.

use std::cell::OnceCell;
use std::fmt;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use gaoler::build::{drift, state_of};
use gaoler::sys::calls;

use crate::common::{Answer, DONE, GAOLER, Place, port, programs};

/// What the tracer ends with when it has killed everything.
pub const KILLED: i32 = 137;
/// What it ends with when it could not do its work.
const NO_TRACER: i32 = 99;
/// What it ends with when gaoler hangs.
const HANGS: i32 = 98;

static TRACER: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tracer");
    programs::compile(include_str!("tracer.c"), &path, &[]);
    path
});

/// Which call is meant, from 1.
#[derive(Clone, Copy, Debug)]
pub enum Nth {
    /// Of those that change something.
    Changing(usize),
    /// Of all.
    Any(usize),
    /// Of those that only read, and can lack a descriptor.
    Taking(usize),
}

/// What is done at it.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Every process of gaoler is killed, before the call.
    Before,
    /// The same, after the call.
    After,
    /// Only the process that calls is killed, before the call.
    Alone,
    /// The call is not made, and fails with this.
    Error(i32),
}

/// A system call that the tracer has seen.
#[derive(Clone, Debug)]
pub struct Call {
    /// Something is different after it, outside of the process that made it.
    pub changes: bool,
    pub name: &'static str,
}

/// What came of gaoler under the tracer.
pub struct Traced {
    pub answer: Answer,
    pub calls: Vec<Call>,
    /// The call was reached.
    pub hit: bool,
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.calls.iter().rfind(|call| call.changes);
        let last = last.map_or("none", |call| call.name);
        write!(
            f,
            "{:?} {:?}, hit {}, ",
            self.answer.code, self.answer.error, self.hit
        )?;
        write!(f, "{} calls, last {last}", self.calls.len())
    }
}

/// How many starts are measured: their supervisors do more or less until `start` is over.
const MEASURES: usize = 5;

/// The jail.
pub struct Lab {
    pub place: Place,
    /// What is known of its packages, once it was built.
    packages: OnceCell<String>,
    port: u16,
}

impl Lab {
    /// One that is built.
    pub fn new() -> Self {
        let lab = Self::unbuilt();
        lab.first_builds();
        lab
    }

    /// One whose service says hello on a port.
    pub fn unbuilt() -> Self {
        let port = port();
        let mut place = Place::new(&["serve", &port.to_string()]);
        let data = place.path("data");
        place.text.service = format!("ready = [\"tcp:{port}\"]\n");
        place.text.tables += &format!(
            "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\n\
             because = \"a test\"\n\
             [[tree.files]]\npath = {data:?}\nkind = \"data\"\nbecause = \"a test\"\n"
        );
        place.write();
        Self {
            place,
            packages: OnceCell::new(),
            port,
        }
    }

    /// The fourth and later builds also remove an old generation.
    pub fn first_builds(&self) {
        for number in 0..4 {
            self.change(&format!("generation {number}"));
            self.must("build");
        }
    }

    /// Gives the next build something to do.
    pub fn change(&self, content: &str) {
        fs::write(self.place.path("data"), content).unwrap();
    }

    #[track_caller]
    pub fn must(&self, verb: &str) {
        self.place.verb(verb).is(DONE, &[]);
    }

    /// `gaoler VERB NAME` under the tracer.
    pub fn traced(&self, verb: &str, at: Option<(Nth, What)>) -> Traced {
        let log = self.place.path("calls");
        let place = match at {
            None => "0".to_owned(),
            Some((Nth::Changing(number), _)) => format!("c{number}"),
            Some((Nth::Any(number), _)) => format!("a{number}"),
            Some((Nth::Taking(number), _)) => format!("d{number}"),
        };
        let what = match at {
            None | Some((_, What::Before)) => "before".to_owned(),
            Some((_, What::After)) => "after".to_owned(),
            Some((_, What::Alone)) => "alone".to_owned(),
            Some((_, What::Error(errno))) => errno.to_string(),
        };
        // A file, not a pipe: what stays in the background must not keep the test waiting.
        let said = |name: &str| fs::File::create(self.place.path(name)).unwrap();
        let status = Command::new(&*TRACER)
            .args([&place, &what])
            .arg(&log)
            .arg(GAOLER)
            .args(self.place.arguments(&[verb, &self.place.name]))
            .stdin(std::process::Stdio::null())
            .stdout(said("out"))
            .stderr(said("error"))
            .status()
            .unwrap();
        let answer = Answer {
            code: status.code(),
            out: fs::read_to_string(self.place.path("out")).unwrap(),
            error: fs::read_to_string(self.place.path("error")).unwrap(),
        };
        assert_ne!(answer.code, Some(NO_TRACER), "{answer:?}");
        assert_ne!(answer.code, Some(HANGS), "{verb} {at:?} hangs: {answer:?}");
        let log = fs::read_to_string(log).unwrap();
        Traced {
            answer,
            hit: log.lines().any(|line| line == "hit"),
            calls: log.lines().filter_map(call).collect(),
        }
    }

    /// The calls that every start makes: those of the shortest of some.
    pub fn calls_of_start(&self, verb: &str) -> Vec<Call> {
        let measures = (0..MEASURES).map(|_| {
            let measure = self.traced(verb, None);
            assert_eq!(measure.answer.code, Some(DONE), "{measure:?}");
            self.must("stop");
            measure.calls
        });
        measures.min_by_key(Vec::len).unwrap()
    }

    /// The current generation is as its manifest says.
    #[track_caller]
    pub fn is_whole(&self, when: &str) {
        let state = state_of(&self.place.state(), &self.place.name);
        let state = state.unwrap().unwrap();
        let current = state.current().unwrap().unwrap();
        let manifest = state.manifest(current).unwrap();
        let differences = drift(&state.root(current), &manifest).unwrap();
        assert_eq!(differences, [], "{when}");
        // Its files have not changed, and so neither have their packages.
        let beside = state.root(current).with_file_name("packages.json");
        let packages = fs::read_to_string(beside).unwrap();
        assert_eq!(
            self.packages.get_or_init(|| packages.clone()),
            &packages,
            "{when}"
        );
        // And it is one of those that can be started: a file that came last is in it.
        assert!(manifest.entry(&self.place.path("data")).is_some(), "{when}");
    }

    /// It starts, answers and stops, and leaves nothing behind.
    #[track_caller]
    pub fn works(&self, when: &str) {
        let started = self.place.verb("start");
        assert_eq!(started.code, Some(DONE), "{when}: {started:?}");
        assert_eq!(self.hello(), "hello\n", "{when}");
        let stopped = self.place.verb("stop");
        assert_eq!(stopped.code, Some(DONE), "{when}: {stopped:?}");
        self.place.nothing_runs();
    }

    /// What the service says to somebody who connects; nothing if nobody listens.
    pub fn hello(&self) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return String::new();
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Nothing of it is mounted on the host, and nobody answers; processes have ended.
    #[track_caller]
    pub fn nothing_is_up(&self, when: &str) {
        crate::common::eventually(&format!("{when}: everything ends"), || {
            self.place.processes().is_empty()
        });
        let own = self.place.directory.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(own), "{when}: mounts are left: {mounts}");
        assert_eq!(self.hello(), "", "{when}");
    }

    /// What is in the state directory under a name that is no generation's and no file's that
    /// stays.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let state = self.place.state().join(&self.place.name);
        let inside = |directory: &PathBuf| -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let generations = inside(&state.join("generations"));
        let beside = generations.iter().flat_map(inside);
        let mut all: Vec<PathBuf> = inside(&state).into_iter().chain(beside).collect();
        all.extend(generations);
        let known = [
            "current",
            "generations",
            "lock",
            "manifest.json",
            "packages.json",
            "ready",
            "root",
            "spec.toml",
        ];
        all.retain(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let plan = name.starts_with("plan") && name.ends_with(".json");
            !known.contains(&name) && !plan && name.parse::<u64>().is_err()
        });
        all
    }
}

/// Does it for each place, and tells of every one that fails.
pub fn each<T: fmt::Debug>(places: &[T], mut one: impl FnMut(usize, &T)) {
    let mut wrong = Vec::new();
    for (count, place) in places.iter().enumerate() {
        if catch_unwind(AssertUnwindSafe(|| one(count, place))).is_err() {
            wrong.push(place);
        }
        assert!(wrong.len() < 20, "too many: {wrong:?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:?}",
        wrong.len(),
        places.len()
    );
}

/// Timing makes a run need some calls less than the measure, and no more than that.
#[track_caller]
pub fn assert_most(reached: usize, places: usize) {
    assert!(reached * 20 >= places * 19, "{reached} of {places}");
}

/// A line of the tracer's log.
fn call(line: &str) -> Option<Call> {
    let mut words = line.split(' ');
    let changes = words.next()? == "1";
    let number: u32 = words.next()?.parse().ok()?;
    Some(Call {
        changes,
        name: calls::name(number).unwrap_or("?"),
    })
}

/// Whether every place is to be tried, and not only as many as a test has time for.
pub fn exhaustive() -> bool {
    std::env::var("GAOLER_ROBUST").is_ok_and(|what| what == "all")
}
