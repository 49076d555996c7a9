//! What the verbs that look at running jails can be told.

use clap::Args;

/// Shown below the help of `list`.
pub const LIST_EXAMPLES: &str = "Examples:\n  gaoler list\n  \
    gaoler list --running           leave out those that are only known by their spec\n  \
    gaoler list --json | jq -r '.jails[] | select(.state == \"failed\").name'\n\n\
    The score is that of the last check of what is built; it is not shown if there was none, or if\n\
    the spec has been changed since.";

/// Shown below the help of `tree`.
pub const TREE_EXAMPLES: &str = "Examples:\n  gaoler tree\n  gaoler tree named\n\n\
    A line has the pid on the host, the pid in the jail if that is another one, the user, and the\n\
    command line as the process has it. gaoler's own processes are marked.";

/// Shown below the help of `netstats`.
pub const NETSTATS_EXAMPLES: &str = "Examples:\n  gaoler netstats\n  gaoler netstats named\n  \
    gaoler netstats --json | jq '.jails[].sockets[] | select(.allowed == false)'\n\n\
    ALLOWED says whether the spec of the generation that runs has the port. Bytes are those of\n\
    connections that are open now, as the kernel counts them for each.";

/// Shown below the help of `top`.
pub const TOP_EXAMPLES: &str = "Examples:\n  gaoler top\n  gaoler top named --every 1\n  \
    gaoler top --once                 as text, without a page\n  \
    gaoler top --json                 the same for machines\n\n\
    Memory and processor time of a jail are those of its cgroup where it has one, and the sum over\n\
    its processes elsewhere. On the page: q ends it, up and down move, s and S sort by the next or\n\
    the last column, r turns the order, / filters, p hides the processes, + and - change the\n\
    interval, space pauses.";

/// Shown below the help of `monitor`.
pub const MONITOR_EXAMPLES: &str = "Examples:\n  gaoler monitor\n  gaoler monitor named\n  \
    gaoler monitor --json | jq -r 'select(.event == \"denial\").detail'\n\n\
    A line has the time, the jail, what happened, the process on the host, and more of it. It runs\n\
    until it is interrupted, or its reader has gone. As root on the host itself, the kernel tells of\n\
    every process; elsewhere they are looked for once a second, and the first line says so. New\n\
    sockets are looked for once a second.";

/// What `list` can be told.
#[derive(Args, Debug)]
pub struct List {
    /// Only jails that run.
    #[arg(long)]
    pub running: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// One jail or all that run, and how to print.
#[derive(Args, Debug)]
pub struct Observed {
    /// The jail's name; without it, all that run.
    pub name: Option<String>,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What `top` can be told.
#[derive(Args, Debug)]
pub struct Top {
    /// The jail's name; without it, all that run.
    pub name: Option<String>,
    /// How often to look, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub every: u64,
    /// Look for a second, and print what was seen; so it is without a terminal, too.
    #[arg(long)]
    pub once: bool,
    /// Print JSON, for machines; implies --once.
    #[arg(long)]
    pub json: bool,
}
