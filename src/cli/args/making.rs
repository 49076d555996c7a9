//! What makes a jail: what `up`, `learn`, `build`, `spec` and `trace` can be told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Named;

/// What `up` can be told.
#[derive(Args, Debug)]
pub struct Up {
    /// As `learn`.
    #[command(flatten)]
    pub learn: Learn,
}

/// What `learn` can be told.
#[derive(Args, Clone, Debug)]
pub struct Learn {
    /// The jail's name; a service that gaoler knows needs no command.
    pub name: String,
    /// A command that shows that the service works; may be given more than once. The word $PID
    /// stands for the service's process, as in 'kill -HUP $PID' for one that reloads. One that
    /// fails is a warning: the service is learned without what it should have reached.
    #[arg(long, value_name = "COMMAND")]
    pub exercise: Vec<String>,
    /// A command that belongs to its start: run in every start once it shows that it is ready, and
    /// the start is not over before it has passed. What only this makes it do, as a first request
    /// that fills a cache, counts as starting.
    #[arg(long, value_name = "COMMAND")]
    pub start_exercise: Vec<String>,
    /// How long to watch after the exercises, in seconds.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 1)]
    pub serve_for: u64,
    /// When it is ready: udp:PORT, tcp:PORT, file:PATH, log:REGEX (a line that it prints, and in
    /// the jail also one that it logs), notify (it says so itself, as sd_notify(3)) or
    /// quiet:MILLISECONDS.
    #[arg(long, value_name = "SIGN")]
    pub ready: Vec<String>,
    /// The user it shall run as; needed if it does not change to one by itself.
    #[arg(long)]
    pub user: Option<String>,
    /// Make the service's own system user, named as the jail, if it has none.
    #[arg(long, conflicts_with = "start_as_root")]
    pub create_user: bool,
    /// Run it in its jail afterwards with its exercises, and take into the spec what is safe of
    /// what it is denied there, until that changes nothing.
    #[arg(long)]
    pub heal: bool,
    /// Run it as that user while it is learned, too, as it will in its jail: for a service that
    /// refuses to be started by root. The spec remembers it: `refuses_root`.
    #[arg(long, requires = "user")]
    pub as_user: bool,
    /// Learn it from its command alone, without what gaoler knows about the program.
    #[arg(long, requires = "command")]
    pub unaided: bool,
    /// Leave the change of users to the service: for one that needs several, as a mail or login
    /// server does. Its first process is root in the jail, and `check` says what follows from it.
    #[arg(long, conflicts_with_all = ["as_user", "user", "group"])]
    pub start_as_root: bool,
    /// How often the service is run: 2 stops at every call, and then again at nearly full speed
    /// at what is new, for as long as --for says; 1 stops at every call all the time, for a
    /// service that cannot be started twice.
    #[arg(long, value_name = "1|2", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub passes: u32,
    /// The group it shall have, in place of that user's own: for a user whose group others share.
    #[arg(long)]
    pub group: Option<String>,
    /// Learn again, in place of the spec that is there (kept as NAME.toml.old).
    #[arg(long)]
    pub again: bool,
    /// Learn more: unite what is seen now with what was seen before. What you wrote, changed or
    /// took out of the spec stays so (the old one is kept as NAME.toml.old).
    #[arg(long, conflicts_with = "again")]
    pub merge: bool,
    /// Make a spec of an incomplete trace, too: something may be missing from it, and `check` says
    /// so.
    #[arg(long)]
    pub accept_incomplete: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
    /// The service's program and arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What `build` can be told.
#[derive(Args, Debug)]
pub struct Build {
    /// The jail's name.
    pub name: String,
    /// Make a tree that is complete in itself, for plain chroot, in this empty directory.
    #[arg(long, value_name = "DIR")]
    pub standalone: Option<PathBuf>,
    /// Build a spec that was made from an incomplete trace, too.
    #[arg(long)]
    pub accept_incomplete: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with specs.
#[derive(Debug, Subcommand)]
pub enum Spec {
    /// Show what differs between two specs, by meaning: the most costly first. Exit code 0 if
    /// nothing does, 1 if something does, 2 if that cannot be told, as of diff(1).
    #[command(
        after_help = "Examples:\n  gaoler spec diff named              what learning again has changed\n  \
        gaoler spec diff named ./named.toml  a jail's spec and a file\n  \
        gaoler spec diff --verbose a b       with the reasons"
    )]
    Diff(Diff),
    /// Print a spec as it is understood.
    Show {
        /// The jail's name, or a file.
        name: String,
    },
}

/// What `spec diff` can be told.
#[derive(Args, Debug)]
pub struct Diff {
    /// A jail's name or, with a slash or the ending .toml or .old, a file.
    pub one: String,
    /// Another; without it, the jail's spec from before it was learned again (NAME.toml.old) is
    /// compared with the present one.
    pub other: Option<String>,
    /// Show the reasons, and how they are known.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with traces.
#[derive(Debug, Subcommand)]
pub enum Trace {
    /// Show what a trace has, and what its run did not reach.
    #[command(after_help = "Examples:\n  gaoler trace show named\n  \
        gaoler trace show named --json | jq '.calls[] | select(.phase == \"serve\").name'")]
    Show(Named),
}
