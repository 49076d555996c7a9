//! How many queries named answers outside and inside the jail. Run it as root:
//!
//! ```text
//! cargo bench --bench throughput [-- PAIRS]
//! ```
//!
//! **Compared:** the same named, the same configuration and zone, the same user: started plainly,
//! and by `gaoler run` with all layers (supervisor, namespaces, Landlock, system call filter).
//!
//! **Why it is fair:** dnsperf asks from the same machine over the loopback of a network
//! namespace of the benchmark's own, so nothing else answers or disturbs. The runs come in pairs,
//! outside and inside by turns first (A B, B A, ...); each has a freshly started server, so that
//! where its memory happens to lie does not favour one side for the whole benchmark.
//!
//! **How to read it:** the ratio of the medians is the result; the ratios of the pairs show how
//! far to trust it. With few processors dnsperf and named compete for them.

mod shared;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shared::named::{Named, PORT, PROGRAM};
use shared::{Account, Place, Result, checked, quantile, quiet, say};

/// Seconds of queries in each run.
const SECONDS: &str = "3";

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount", "--net"])? {
        return Ok(());
    }
    shared::facts(&[&["named", "-v"], &["dnsperf", "-h"]])?;
    for program in [PROGRAM, "dnsperf"] {
        if shared::installed(program).is_none() && !Path::new(program).exists() {
            return say(&format!("{program} is not installed: nothing to measure\n"));
        }
    }
    checked(Command::new("ip").args("link set lo up".split(' ')))?;
    let place = Place::new()?;
    let account = Account::find()?;
    let named = Named::new(&place, &account)?;
    place.build("bench", &named.spec("bench", &account))?;
    let queries = place.path().join("queries");
    fs::write(
        &queries,
        "www.example.test A\nexample.test MX\nnone.example.test A\n",
    )?;
    let outside = || {
        let mut command = quiet(PROGRAM);
        command.args(named.command.iter().skip(1)).env_clear();
        command.uid(account.uid).gid(account.gid);
        command
    };
    let inside = || {
        let mut command = place.gaoler();
        command.args(["run", "bench"]);
        command
    };
    let mut pairs = Vec::new();
    say("pair  outside q/s   inside q/s   ratio\n")?;
    for pair in 1..=shared::rounds(5) {
        let (out, within) = if pair % 2 == 1 {
            let out = measure(outside(), &queries)?;
            (out, measure(inside(), &queries)?)
        } else {
            let within = measure(inside(), &queries)?;
            (measure(outside(), &queries)?, within)
        };
        say(&format!(
            "{pair:>4} {out:>12.0} {within:>12.0}  {:>6.3}\n",
            within / out
        ))?;
        pairs.push((out, within));
    }
    report(&pairs)?;
    place.remove()
}

fn report(pairs: &[(f64, f64)]) -> Result<()> {
    let (out, within): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ratios: Vec<f64> = pairs.iter().map(|(out, within)| within / out).collect();
    let (out, within) = (quantile(&out, 0.5), quantile(&within, 0.5));
    say(&format!(
        "medians {out:.0} and {within:.0}; median of the pairs' ratios {:.3}, all {:.3}..{:.3}\n",
        quantile(&ratios, 0.5),
        quantile(&ratios, 0.0),
        quantile(&ratios, 1.0),
    ))?;
    shared::requirement("inside >= 0.98 x outside", Some(within / out), |r| {
        r >= 0.98
    })
}

/// Starts a server, asks for some seconds, stops it. Answers with queries per second.
fn measure(mut server: Command, queries: &Path) -> Result<f64> {
    let mut server = server.spawn()?;
    let answered = ready(&mut server).and_then(|()| ask(queries));
    let pid = Pid::from_child(&server);
    match kill_process(pid, Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(errno.into()),
    }
    server.wait()?;
    answered
}

fn ready(server: &mut Child) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err() {
        if let Some(status) = server.try_wait()? {
            return Err(format!("named ended with {status} before it was ready").into());
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("named is not ready after 10 s".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its other threads, too, have what they need.
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn ask(queries: &Path) -> Result<f64> {
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", "127.0.0.1", "-p", &PORT.to_string(), "-l", SECONDS]);
    let output = checked(dnsperf.arg("-d").arg(queries))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (rate, lost) = (value("Queries per second:"), value("Queries lost:"));
    match (rate, lost) {
        (Some(rate), Some(0.0)) => Ok(rate),
        _ => Err(format!("dnsperf says:\n{text}").into()),
    }
}
