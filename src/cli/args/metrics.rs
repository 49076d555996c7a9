//! What `metrics` can be told.

use std::path::PathBuf;

use clap::Args;

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler metrics\n  \
    gaoler metrics --listen 127.0.0.1:9877            for Prometheus on this machine\n  \
    gaoler metrics --listen unix:/run/gaoler-metrics/socket\n  \
    curl --unix-socket /run/gaoler-metrics/socket http://localhost/metrics\n  \
    gaoler metrics --every 15 --textfile /var/lib/prometheus/node-exporter/gaoler.prom\n\n\
    What only can be counted over a while (denials, bytes of the network) is there with --listen and\n\
    --every, and not if it looks once. The text is OpenMetrics 1.0; the file has the older format of\n\
    Prometheus, the only one that node_exporter reads. With --listen, GET /metrics is answered, to\n\
    everybody on this machine who reaches a loopback address, and to the socket's owner and group. A\n\
    unit for systemd, alert rules and a dashboard are in examples/metrics.";

/// What `metrics` can be told.
#[derive(Args, Debug)]
pub struct Metrics {
    /// The jail's name; without it, all of them.
    pub name: Option<String>,
    /// Serve them, until interrupted, at 127.0.0.1:PORT, [::1]:PORT or unix:/PATH. Other machines
    /// reach them through a reverse proxy that asks who they are.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Write them into this file, for the textfile collector of node_exporter.
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    pub textfile: Option<PathBuf>,
    /// Write it again after as many seconds, until interrupted.
    #[arg(long, value_name = "SECONDS", requires = "textfile", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: Option<u64>,
}
