//! What runs a jail: what `run`, `start`, `logs` and a supervisor can be told.

use clap::Args;

use crate::plan::Mode;

/// What `run` can be told.
#[derive(Args, Debug)]
pub struct Run {
    /// The jail's name.
    pub name: String,
    /// Become the service: no process stays in between, and there is no pid namespace.
    #[arg(long)]
    pub exec: bool,
    /// Let run what the system call filter would refuse, and write it down for `why`.
    #[arg(long, conflicts_with = "exec")]
    pub complain: bool,
}

impl Run {
    /// How the jail is run.
    pub fn mode(&self) -> Mode {
        match (self.exec, self.complain) {
            (true, _) => Mode::Exec,
            (false, true) => Mode::Complaining,
            (false, false) => Mode::Supervised,
        }
    }
}

/// What `start` can be told.
#[derive(Args, Debug)]
pub struct Start {
    /// The jail's name.
    pub name: String,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
    /// Let run what the system call filter would refuse, and write it down for `why`.
    #[arg(long)]
    pub complain: bool,
}

/// What `logs` can be told.
#[derive(Args, Debug)]
pub struct Logs {
    /// The jail's name.
    pub name: String,
    /// Show as many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 50)]
    pub lines: usize,
    /// Go on with what comes, also when the jail is restarted.
    #[arg(short, long)]
    pub follow: bool,
    /// Print a JSON object on each line, for machines.
    #[arg(long)]
    pub json: bool,
}

/// How a supervisor is started.
#[derive(Args, Debug)]
pub struct Beside {
    /// The jail's name.
    pub name: String,
    /// Let run what the system call filter would refuse.
    #[arg(long)]
    pub complain: bool,
    /// Hold the service until a line is read.
    #[arg(long, conflicts_with = "complain")]
    pub traced: bool,
    /// Stay beside a jail that runs already, and whose supervisor was killed.
    #[arg(long, conflicts_with_all = ["complain", "traced", "sockets"])]
    pub take_over: bool,
    /// Take the sockets that come on standard input.
    #[arg(long, conflicts_with = "traced")]
    pub sockets: bool,
}

impl Beside {
    /// How the jail is run.
    pub fn mode(&self) -> Mode {
        match (self.complain, self.traced) {
            (true, _) => Mode::Complaining,
            (false, true) => Mode::Traced,
            (false, false) => Mode::Supervised,
        }
    }
}
