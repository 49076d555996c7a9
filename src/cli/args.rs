//! The command line: one definition for parsing, help, man pages and completions.

mod apparmor;
mod attack;
mod export;
mod generations;
mod guard;
mod incidents;
mod making;
mod metrics;
mod perms;
mod registry;
mod running;
mod sbom;
mod trials;
mod upgrade;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::verbs::Places;
pub use apparmor::{AppArmor, AppArmorVerb, Load};
pub use attack::Attack;
pub use export::Export;
pub use generations::{Generations, Rollback};
pub use guard::Guard;
pub use incidents::{Incidents, IncidentsVerb};
pub use making::{Build, Diff, Learn, Spec, Trace, Up};
pub use metrics::Metrics;
pub use perms::Perms;
pub use registry::{Pull, Push};
pub use running::{Beside, Logs, Run, Start};
pub use sbom::Sbom;
pub use trials::{Bisect, Check, Minimize, TrialWorker, Why};
pub use upgrade::Upgrade;
pub use watch::{List, Observed, Top};

/// Puts a network service in the smallest jail it can work in, keeps it there, and proves that
/// the jail holds.
#[derive(Debug, Parser)]
#[command(
    name = "gaoler",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Examples:\n  gaoler up named                     jail this machine's BIND and start it\n  \
        gaoler check named --live           look at the running jail from outside\n  \
        gaoler up web -- /usr/sbin/nginx -g 'daemon off;'\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage, 3 findings above the threshold,\n\
        125 the jail could not be set up and nothing was started; run and an exec'd service\n\
        answer with the service's own."
)]
pub struct Arguments {
    /// Where the specs are: /etc/gaoler; for an ordinary user $XDG_CONFIG_HOME/gaoler.
    #[arg(long, global = true, value_name = "DIR")]
    pub etc: Option<PathBuf>,
    /// Where the root trees are: /var/lib/gaoler; for an ordinary user $XDG_STATE_HOME/gaoler.
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Where running jails are known: /run/gaoler; for an ordinary user $XDG_RUNTIME_DIR/gaoler.
    #[arg(long, global = true, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Arguments {
    /// The places that were named, the usual ones for the rest.
    pub fn places(&self) -> Places {
        let usual = Places::default();
        let named = |named: &Option<PathBuf>, usual| named.clone().unwrap_or(usual);
        Places {
            etc: named(&self.etc, usual.etc),
            state: named(&self.state, usual.state),
            run: named(&self.run, usual.run),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Learn a service if there is no spec, build its jail, start it, check it: the main job.
    #[command(after_help = "Examples:\n  gaoler up named\n  \
        gaoler up cache --user memcache -- /usr/bin/memcached -p 11311\n  \
        gaoler up web --create-user -- /opt/web/httpd -f")]
    Up(Up),
    /// Run a service under a tracer and write the spec of what it needs.
    #[command(after_help = "Examples:\n  gaoler learn named\n  \
        gaoler learn web --ready tcp:8080 --exercise 'curl -sf http://127.0.0.1:8080/' -- /opt/web/httpd -f\n  \
        gaoler learn web --merge --exercise 'curl -sf http://127.0.0.1:8080/search?q=x'")]
    Learn(Learn),
    /// Build the root tree of a spec.
    #[command(after_help = "Examples:\n  gaoler build named\n  \
        gaoler build named --standalone /srv/chroot/named")]
    Build(Build),
    /// Show how the jail will be set up, step by step, with the reason of each.
    Plan(Named),
    /// Run the service in its jail, in the foreground.
    #[command(after_help = "Examples:\n  gaoler run named\n  \
        gaoler run named --exec      no process of gaoler's stays in between\n  \
        gaoler run named --complain  what the filter would refuse runs and is written down")]
    Run(Run),
    /// Start the service in its jail.
    Start(Start),
    /// Stop it: its own way first, then TERM, then KILL.
    Stop(Named),
    /// Stop and start.
    Restart(Named),
    /// Test the configuration, then have the service read it again.
    Reload(Named),
    /// Whether it runs (exit code 0) or not (3).
    Status(Named),
    /// Show what the jail has printed and logged, wherever its messages go.
    ///
    /// The last lines, each with its time, priority, jail, generation, program and true process id.
    /// Control characters are shown as # and three octal digits.
    #[command(after_help = "Examples:\n  gaoler logs named\n  \
        gaoler logs named -f -n 0            what it says from now on, until Ctrl-C\n  \
        gaoler logs named -n 1000 --json | jq 'select(.severity == \"err\")'")]
    Logs(Logs),
    /// Bring what the host's package manager has replaced into a jail.
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(Upgrade),
    /// List what was built for a jail, what differs, and remove what is old.
    #[command(after_help = generations::EXAMPLES)]
    Generations(Generations),
    /// Go back to an earlier generation, with its spec, and start the jail anew from it.
    #[command(after_help = generations::ROLLBACK_EXAMPLES)]
    Rollback(Rollback),
    /// Print a bill of materials: every file in the jail, with its package, version and hash.
    #[command(after_help = sbom::EXAMPLES)]
    Sbom(Sbom),
    /// Say the jail's policy in the words of another enforcer, and what it has no words for.
    #[command(after_help = export::EXAMPLES)]
    Export(Export),
    /// Load the profile of a jail into AppArmor, and show what has none.
    #[command(name = "apparmor", after_help = apparmor::EXAMPLES)]
    AppArmor(AppArmor),
    /// Send a jail's image, with its bill of materials, to a registry.
    #[command(after_help = registry::PUSH_EXAMPLES)]
    Push(Push),
    /// Fetch an image, with its bill of materials, from a registry into an image layout.
    #[command(after_help = registry::PULL_EXAMPLES)]
    Pull(Pull),
    /// Show every jail: whether it runs, as whom, its generation and its score.
    #[command(after_help = watch::LIST_EXAMPLES)]
    List(List),
    /// Show the processes of the jails as trees.
    #[command(after_help = watch::TREE_EXAMPLES)]
    Tree(Observed),
    /// Show what the jails and their processes use, on a page that is drawn again and again.
    #[command(after_help = watch::TOP_EXAMPLES)]
    Top(Top),
    /// Show the sockets of the jails: who listens, who is connected, and what went through.
    #[command(after_help = watch::NETSTATS_EXAMPLES)]
    Netstats(Observed),
    /// Tell what happens in the jails, as it happens.
    #[command(after_help = watch::MONITOR_EXAMPLES)]
    Monitor(Observed),
    /// Show what may have been an attack, and what went before it.
    ///
    /// A kill by the filter, a denial that no exercise has met, a crash, an unusual restart, a changed
    /// file, a program or a listening port that the spec does not have. Running jails are looked at
    /// first.
    #[command(after_help = incidents::EXAMPLES)]
    Incidents(Incidents),
    /// Stop every process of a jail where it is, for a look.
    #[command(after_help = incidents::FREEZE_EXAMPLES)]
    Freeze(Named),
    /// Let a frozen jail go on.
    Thaw(Named),
    /// Print what the jails do and use for Prometheus, keep it in a file, or serve it.
    #[command(after_help = metrics::EXAMPLES)]
    Metrics(Metrics),
    /// Look for weaknesses: in the spec and the tree, and with --live in the running jail.
    #[command(after_help = "Examples:\n  gaoler check named --live\n  \
        gaoler check named --exercise        does it do in the jail what it did when it was learned?\n  \
        gaoler check named --live --json --fail-above 2\n  \
        gaoler check named --sarif > named.sarif\n  \
        gaoler check                         what listens on this machine, and what confines it\n  \
        gaoler check --unix --json --fail-above 5")]
    Check(Check),
    /// Say what the jail denied its service, and the smallest change for each.
    ///
    /// Runs the service in its jail under a tracer, with its exercises. What fails there and would
    /// not have failed outside is shown with what decided it, and what the kernel's audit records
    /// have of it since the machine started. A jail that runs in complain mode is not run: what it
    /// was let do is explained.
    #[command(after_help = "Examples:\n  gaoler why named\n  \
        gaoler why named --apply                            take over what is safe\n  \
        gaoler why named --allow CAP_NET_BIND_SERVICE       and this, which is for a person to say\n  \
        gaoler why named --log audit.log                    what another machine denied it\n  \
        journalctl -k | gaoler why named --log -\n  \
        journalctl -o json | gaoler why named --log -\n\n\
        Exit codes: 0 everything works, 3 something was denied that matters.")]
    Why(Why),
    /// Try to break out of the real jail, and show what stops each attempt.
    #[command(after_help = attack::EXAMPLES)]
    Attack(Attack),
    /// Show owner and mode of everything in the jail, each with its reason, or repair them.
    #[command(after_help = perms::EXAMPLES)]
    Perms(Perms),
    /// Keep the host's own copy of a service from being started by accident, or undo that.
    #[command(after_help = guard::EXAMPLES)]
    Guard(Guard),
    /// Turn protections off by halves until a test passes, and name what breaks it.
    #[command(
        after_help = "Examples:\n  gaoler bisect named -- dig @127.0.0.1 -p 53 example.org SOA +tries=1\n  \
        gaoler bisect web --exercise upload   an exercise of the spec is the test\n  \
        gaoler bisect web --in-place -- curl -sf http://192.0.2.7/\n\n\
        The test passes if its exit code is 0; without one, the exercises of the spec are it.\n\
        It runs in a network of its own, of just the loopback interface, and on copies of what\n\
        the service writes, so the running jail is not disturbed. If the test fails there with\n\
        everything off, or with --in-place, the jail is stopped meanwhile and started again.\n\
        Exit code 0 if something was found or the test passes in the full jail, 3 if it fails\n\
        without the jail too."
    )]
    Bisect(Bisect),
    /// Take away each thing that a spec allows, and keep what some exercise fails without.
    #[command(
        after_help = "Examples:\n  gaoler minimize named               what is needed gets a proof, the rest is listed\n  \
        gaoler minimize web --remove        what no exercise needs leaves the spec\n  \
        gaoler minimize web --jobs 1 --in-place\n\n\
        Something counts as needed if an exercise fails twice without it, so what the exercises do\n\
        not reach looks superfluous: gaoler trace show NAME says what that is. It is tried out in\n\
        a network of its own, of just the loopback interface, and on copies of what the service\n\
        writes, so the running jail is not disturbed; where the exercises do not pass there, or\n\
        with --in-place, the jail is stopped meanwhile and started again. A run that was\n\
        interrupted keeps what it knows, and the same command goes on from there. The old spec\n\
        stays as NAME.toml.old."
    )]
    Minimize(Minimize),
    /// Show specs, and what differs between two.
    #[command(subcommand)]
    Spec(Spec),
    /// Show what was seen when a service was learned.
    #[command(subcommand)]
    Trace(Trace),
    /// Print the completions of a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory.
    #[command(hide = true)]
    Man {
        /// Where to.
        directory: PathBuf,
    },
    /// The process in which variants of a spec are tried out.
    #[command(hide = true)]
    TrialWorker(TrialWorker),
    /// Who starts a jail again that was stopped to try variants of its spec out, if the command that
    /// did is killed.
    #[command(hide = true)]
    TrialKeeper {
        /// The jail's name.
        name: String,
    },
    /// The process that starts the jails of an attack.
    #[command(hide = true)]
    AttackWorker,
    /// Compare a running jail with what was started: what its supervisor has done now and then.
    #[command(hide = true)]
    Attest {
        /// The jail's name.
        name: String,
    },
    /// What `start` leaves running beside a jail.
    #[command(hide = true)]
    Supervise(Beside),
}

/// A jail, and how to print.
#[derive(Args, Clone, Debug)]
pub struct Named {
    /// The jail's name.
    pub name: String,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
