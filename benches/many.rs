//! A thousand jails on one machine. Run it as root:
//!
//! ```text
//! cargo bench --bench many
//! cargo bench --bench many -- 100
//! ```
//!
//! **Measured:** how long it takes to start them, each by a command of its own; how long `gaoler list`
//! takes while they run; what stays in memory beside each service: its supervisor and the first process
//! of its jail. Beside it bubblewrap and firejail start as many of the same program.
//!
//! **Why it is fair:** as many are started at a time with each, and each counts as started when its
//! service runs. gaoler's start also waits for 200 ms of life, since this service shows no sign that
//! it is ready; the others do not wait.
//!
//! **How to read it:** `VmRSS` counts pages of files that all supervisors share in each of them. `Pss`
//! divides those among all, so that it can be added up.

mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shared::{Account, Place, Result, checked, quiet, say};

/// How many jails, unless another number is given.
const JAILS: usize = 1000;

/// As many starts go on at a time: most of one is waiting.
const AT_A_TIME: usize = 32;

/// What is required of a thousand jails on two processors.
const START_S: f64 = 20.0;
const LIST_MS: f64 = 50.0;
const RESIDENT_KIB: f64 = 1536.0;

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount"])? {
        return Ok(());
    }
    shared::facts(&[&["bwrap", "--version"], &["firejail", "--version"]])?;
    let jails = shared::rounds(JAILS);
    let place = Place::new()?;
    let program = daemon(&place)?;
    let command = [program.to_string_lossy().into_owned()];
    let spec = |name: &str| -> Result<String> {
        let spec = shared::spec_of(name, &command, &Account::find()?, "\"/\"");
        Ok(spec.replace("calls = [\n", PAUSE))
    };
    each(jails, |number| {
        let name = name(number);
        place.build(&name, &spec(&name)?)
    })?;
    let begun = Instant::now();
    each(jails, |number| {
        checked(place.gaoler().args(["start", &name(number)])).map(drop)
    })?;
    let start = begun.elapsed().as_secs_f64();
    say(&format!("{jails} jails started in {start:.1} s\n"))?;
    let list = list(&place)?;
    let resident = resident(&place, jails)?;
    each(jails, |number| {
        checked(place.gaoler().args(["stop", &name(number)])).map(drop)
    })?;
    peers(&program, jails, start)?;
    let thousand = 1000.0 / jails as f64;
    let required = format!("1000 jails start within {START_S} s");
    shared::requirement(&required, Some(start * thousand), |s| s <= START_S)?;
    let required = format!("list within {LIST_MS} ms");
    shared::requirement(&required, Some(list), |ms| ms <= LIST_MS)?;
    let required = format!("beside a service at most {RESIDENT_KIB} KiB (Pss)");
    shared::requirement(&required, Some(resident), |kib| kib <= RESIDENT_KIB)?;
    place.remove()
}

/// The service waits by a call that the others have no use for.
const PAUSE: &str = "calls = [\n  { call = \"pause\", because = \"a benchmark\" },\n";

fn name(number: usize) -> String {
    format!("many-{number}")
}

fn daemon(place: &Place) -> Result<PathBuf> {
    let source = place.path().join("wait.c");
    let program = place.path().join("wait");
    fs::write(
        &source,
        "#include <unistd.h>\nint main(void) { return pause(); }\n",
    )?;
    shared::compile(&source, &program)?;
    Ok(program)
}

/// Does something for each number, several at a time.
fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<String>> = Mutex::new(None);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return;
            }
            if let Err(error) = work(number) {
                next.store(count, Ordering::SeqCst);
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert(error.to_string());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(worker);
        }
    });
    let failed = failed.lock().map_err(|_| "a worker has panicked")?.take();
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// How long `gaoler list` takes, ms.
fn list(place: &Place) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        times
            .push(shared::time(quiet(shared::GAOLER).args(list_words(place)))?.as_secs_f64() * 1e3);
    }
    let median = shared::quantile(&times, 0.5);
    say(&format!("list: {median:.1} ms\n"))?;
    Ok(median)
}

fn list_words(place: &Place) -> Vec<PathBuf> {
    let mut words = Vec::new();
    for name in ["etc", "state", "run"] {
        words.push(PathBuf::from(format!("--{name}")));
        words.push(place.path().join(name));
    }
    words.push("list".into());
    words
}

/// What supervisor and first process of each jail have in memory together, KiB, on average.
fn resident(place: &Place, jails: usize) -> Result<f64> {
    let mut sums = [0u64; 2];
    for number in 0..jails {
        let path = place.path().join("run").join(name(number));
        let state: serde_json::Value = serde_json::from_slice(&fs::read(path.join("state.json"))?)?;
        for process in ["supervisor", "init"] {
            let pid = state[process]["pid"].as_i64();
            let pid = pid.ok_or_else(|| format!("{} has no {process}", name(number)))?;
            let of = Path::new("/proc").join(pid.to_string());
            sums[0] += kib(&fs::read_to_string(of.join("status"))?, "VmRSS:")?;
            sums[1] += kib(&fs::read_to_string(of.join("smaps_rollup"))?, "Pss:")?;
        }
    }
    let [rss, pss] = sums.map(|sum| sum as f64 / jails as f64);
    say(&format!(
        "supervisor and first process of one jail: VmRSS {rss:.0} KiB, Pss {pss:.0} KiB\n"
    ))?;
    Ok(pss)
}

fn kib(text: &str, field: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("no {field}"))?.parse()?)
}

/// As many of the same program under others, and the ratio to that.
fn peers(program: &Path, count: usize, own: f64) -> Result<()> {
    let bubblewrap = "--unshare-pid --unshare-ipc --unshare-uts --die-with-parent --ro-bind / / \
                      --cap-drop ALL";
    let firejail = "--quiet --noprofile --caps.drop=all --nonewprivs --seccomp";
    for (launcher, options) in [("bwrap", bubblewrap), ("firejail", firejail)] {
        if shared::installed(launcher).is_none() {
            say(&format!("{launcher}: not installed\n"))?;
            continue;
        }
        let running: Mutex<Vec<Child>> = Mutex::new(Vec::new());
        let begun = Instant::now();
        let started = each(count, |_| {
            let mut child = quiet(launcher)
                .args(options.split_whitespace())
                .arg(program)
                .spawn()?;
            let runs = wait(&mut child, program);
            running
                .lock()
                .map_err(|_| "a worker has panicked")?
                .push(child);
            runs
        });
        let took = begun.elapsed().as_secs_f64();
        for child in running
            .into_inner()
            .map_err(|_| "a worker has panicked")?
            .iter_mut()
        {
            // On SIGKILL firejail would leave what it has started.
            kill_process(Pid::from_child(child), Signal::TERM)?;
            child.wait()?;
        }
        match started {
            Ok(()) => say(&format!(
                "{launcher}: {took:.1} s; gaoler takes {:.2} of that\n",
                own / took
            ))?,
            Err(error) => say(&format!("{launcher}: {error}\n"))?,
        }
    }
    Ok(())
}

/// Until a descendant of the launcher is the program.
fn wait(launcher: &mut Child, program: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(status) = launcher.try_wait()? {
            return Err(format!("it has ended: {status}").into());
        }
        let mut pid = launcher.id();
        while let Some(child) = first_child(pid) {
            pid = child;
        }
        let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        if executable.file_name() == program.file_name() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("it does not start".into())
}

fn first_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
