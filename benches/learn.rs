//! How much a service serves while it is learned. Run it as root:
//!
//! ```text
//! cargo bench --bench learn [-- ROUNDS]
//! ```
//!
//! **Compared:** BIND under dnsperf and nginx under ab: by themselves; under `strace -f`; under
//! `strace -f --seccomp-bpf` for files, processes and the network (with no such choice it stops at
//! every call, as without the option); and as gaoler learns them, in the first pass and in the
//! second.
//!
//! **Why it is fair:** one service, configuration and load for all, in a network namespace of the
//! benchmark's own, a freshly started service each time, and each round begins with another. Before
//! a pass counts, the same load has run in it for half a second, as in all others. strace writes to
//! a file, which is what it is used for.
//!
//! **How to read it:** the ratio of a row's median to that of the service by itself. Load generator,
//! service and tracer share the processors.

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gaoler::learn::trace::{CapabilitySource, Phase};
use gaoler::learn::{Request, learn};
use gaoler::spec::{Exercise, Ready};
use rustix::process::{Pid, Signal, kill_process};
use shared::named::{Named, PORT as NAMED_PORT};
use shared::{Account, Place, Result, checked, installed, quantile, quiet, say};

/// The port of nginx.
const NGINX_PORT: u16 = 22080;

/// A service, the load that is put on it, and what must come of it.
struct Subject {
    name: &'static str,
    command: Vec<String>,
    port: u16,
    ready: Vec<Ready>,
    /// A shell command that prints the rate as the last number of the last line.
    load: String,
    required: f64,
}

/// Who runs it.
const WAYS: [&str; 5] = [
    "by itself",
    "strace -f",
    "strace -f --seccomp-bpf",
    "first pass",
    "second pass",
];

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount", "--net"])? {
        return Ok(());
    }
    shared::facts(&[
        &["named", "-v"],
        &["dnsperf", "-h"],
        &["nginx", "-v"],
        &["ab", "-V"],
        &["strace", "--version"],
    ])?;
    for program in ["named", "dnsperf", "nginx", "ab", "strace"] {
        if installed(program).is_none() {
            return say(&format!("{program} is not installed: nothing to measure\n"));
        }
    }
    checked(Command::new("ip").args("link set lo up".split(' ')))?;
    let place = Place::new()?;
    for subject in [named(&place)?, nginx(&place)?] {
        compare(&place, &subject)?;
    }
    place.remove()
}

fn named(place: &Place) -> Result<Subject> {
    let named = Named::new(place, &Account::find()?)?;
    let queries = place.path().join("queries");
    fs::write(
        &queries,
        "www.example.test A\nexample.test MX\nnone.example.test A\n",
    )?;
    let dnsperf = format!(
        "dnsperf -s 127.0.0.1 -p {NAMED_PORT} -d {}",
        queries.display()
    );
    let mut command = named.command;
    // As it is started on a machine: as root, to become its user by itself.
    command.extend(["-u".to_owned(), "bind".to_owned()]);
    Ok(Subject {
        name: "BIND, queries per second",
        command,
        port: NAMED_PORT,
        ready: vec![Ready::Tcp(NAMED_PORT), Ready::Udp(NAMED_PORT)],
        load: format!(
            "{dnsperf} -l 0.5 >/dev/null; {dnsperf} -l 3 | sed -n 's/.*Queries per second: *//p'"
        ),
        required: 0.9,
    })
}

fn nginx(place: &Place) -> Result<Subject> {
    let directory = place.path().join("nginx");
    fs::create_dir(&directory)?;
    let at = directory.display();
    fs::write(directory.join("index.html"), "x".repeat(1024))?;
    let configuration = directory.join("nginx.conf");
    fs::write(
        &configuration,
        format!(
            "user www-data;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log {at}/access; client_body_temp_path {at}/body;\n\
             proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi; keepalive_requests 1000000;\n\
             server {{ listen 127.0.0.1:{NGINX_PORT}; root {at}; }} }}\n"
        ),
    )?;
    let ab = format!("ab -q -k -c 16 http://127.0.0.1:{NGINX_PORT}/index.html");
    let (warm, timed) = (
        ab.replacen("-q", "-q -t 1 -n 2000", 1),
        ab.replacen("-q", "-q -t 3 -n 10000000", 1),
    );
    Ok(Subject {
        name: "nginx, requests per second",
        command: ["/usr/sbin/nginx", "-g", "daemon off;", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([configuration.display().to_string()])
            .collect(),
        port: NGINX_PORT,
        ready: vec![Ready::Tcp(NGINX_PORT)],
        load: format!(
            "{warm} >/dev/null; {timed} | sed -n 's/^Requests per second: *\\([0-9.]*\\).*/\\1/p'"
        ),
        required: 0.8,
    })
}

fn compare(place: &Place, subject: &Subject) -> Result<()> {
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..shared::rounds(5) {
        // The passes come together, in their order.
        for turn in 0..WAYS.len() - 1 {
            let way = WAYS[(round + turn) % (WAYS.len() - 1)];
            let measured = match way {
                "by itself" => vec![(way, plain(subject, &[])?)],
                "strace -f" => vec![(way, plain(subject, &strace(place, &[]))?)],
                "strace -f --seccomp-bpf" => {
                    let chosen = ["--seccomp-bpf", "-e", "trace=%file,%process,%network"];
                    vec![(way, plain(subject, &strace(place, &chosen))?)]
                }
                _ => passes(place, subject)?,
            };
            for (way, rate) in measured {
                rates.entry(way).or_default().push(rate);
            }
        }
    }
    let median = |way: &str| {
        rates
            .get(way)
            .map_or(f64::NAN, |rates| quantile(rates, 0.5))
    };
    say(&format!("{}\n", subject.name))?;
    for way in WAYS {
        let all = rates.get(way).map_or(&[][..], Vec::as_slice);
        say(&format!(
            "  {way:24} {:>9.0}  ({:.0}..{:.0})  x {:.2}\n",
            median(way),
            quantile(all, 0.0),
            quantile(all, 1.0),
            median(way) / median("by itself"),
        ))?;
    }
    let bare = median("by itself");
    let text = format!("second pass >= {} x by itself", subject.required);
    shared::requirement(&text, Some(median("second pass") / bare), |ratio| {
        ratio >= subject.required
    })?;
    let ratio = median("first pass") / median("strace -f");
    shared::requirement("first pass >= 1 x strace -f", Some(ratio), |ratio| {
        ratio >= 1.0
    })
}

fn strace(place: &Place, options: &[&str]) -> Vec<String> {
    let output = place.path().join("strace.out").display().to_string();
    let words = ["strace", "-f", "-qq", "-o", &output];
    words
        .iter()
        .chain(options)
        .map(|word| (*word).to_owned())
        .collect()
}

/// Starts the service under a launcher, loads it, stops it.
fn plain(subject: &Subject, launcher: &[String]) -> Result<f64> {
    let words: Vec<&String> = launcher.iter().chain(&subject.command).collect();
    let Some((program, arguments)) = words.split_first() else {
        return Err("no command".into());
    };
    let mut server = quiet(program.as_str()).args(arguments).spawn()?;
    let rate = ready(&mut server, subject.port).and_then(|()| load(subject));
    // strace passes no signal on to what it traces: what it has started is told itself.
    let service = children(server.id()).first().copied();
    let told = service.filter(|_| !launcher.is_empty());
    let pid = told
        .and_then(Pid::from_raw)
        .unwrap_or(Pid::from_child(&server));
    match kill_process(pid, Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(errno.into()),
    }
    server.wait()?;
    rate
}

fn children(process: u32) -> Vec<i32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn ready(server: &mut Child, port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = server.try_wait()? {
            return Err(format!("it ended with {status} before it was ready").into());
        }
        if begun.elapsed() > Duration::from_secs(20) {
            return Err("it is not ready after 20 s".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn load(subject: &Subject) -> Result<f64> {
    let output = checked(Command::new("sh").args(["-c", &subject.load]))?;
    rate(&String::from_utf8_lossy(&output.stdout))
}

fn rate(text: &str) -> Result<f64> {
    let last = text.split_whitespace().next_back();
    last.and_then(|word| word.parse().ok())
        .ok_or_else(|| format!("the load generator says {text:?}").into())
}

/// Learns the service with the load as its exercise.
fn passes(place: &Place, subject: &Subject) -> Result<Vec<(&'static str, f64)>> {
    let rates: PathBuf = place.path().join("rates");
    fs::write(&rates, "")?;
    let load = format!("({}) >> {}", subject.load, rates.display());
    let request = Request {
        command: subject.command.clone(),
        environment: BTreeMap::from([("PATH".into(), "/usr/sbin:/usr/bin:/bin".into())]),
        workdir: Path::new("/").to_owned(),
        ids: None,
        ready: subject.ready.clone(),
        ready_timeout: Duration::from_secs(20),
        exercises: vec![Exercise {
            name: "load".into(),
            command: ["sh", "-c", &load].map(str::to_owned).to_vec(),
            expect: 0,
            output: String::new(),
            phase: Phase::Serve,
            because: String::new(),
        }],
        serve_for: Duration::ZERO,
        stop_command: Vec::new(),
        stop_timeout: Duration::from_secs(10),
        output: OwnedFd::from(fs::File::create("/dev/null")?),
        passes: 2,
        capabilities: CapabilitySource::KernelEvent,
        unfinished: None,
        notifications: None,
    };
    let trace = learn(request, &|_| {})?;
    if !trace.certificate.complete || trace.certificate.passes != 2 {
        return Err(format!("the trace: {:?}", trace.certificate).into());
    }
    let text = fs::read_to_string(&rates)?;
    match text.lines().collect::<Vec<_>>().as_slice() {
        [first, second] => Ok(vec![
            ("first pass", rate(first)?),
            ("second pass", rate(second)?),
        ]),
        _ => Err(format!("two rates are expected, not {text:?}").into()),
    }
}
