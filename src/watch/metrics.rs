//! What is known of the jails as metrics, in the two text formats that Prometheus and what belongs to
//! it read: docs/decisions/0025-metrics.md.

mod families;

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::standing::Condition;
use crate::host::sock_diag::Traffic;
use crate::run::log::Counts;
use crate::spec::IncidentKind;
use crate::{Error, Result};
use families::{FAMILIES, Family, Number};

/// The content type of [`open_metrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A jail. What cannot be seen is `None`, and is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Jail {
    /// Its name, which is all that is known of it that becomes a label.
    pub name: String,
    /// How it stands.
    pub condition: Condition,
    /// When its service was started, seconds since 1970.
    pub started_s: Option<f64>,
    /// The generation that runs, or that would.
    pub generation: Option<u64>,
    /// What the last check of that generation found.
    pub score: Option<f64>,
    /// How often it was started again.
    pub restarts: u64,
    /// How much differs in it from what was started.
    pub drift: Option<u64>,
    /// For how many reasons it is behind its host.
    pub stale: Option<u64>,
    /// How often something was seen in it that may be an attack.
    pub incidents: Option<BTreeMap<IncidentKind, u64>>,
    /// What became of its messages in this run, or in the last one.
    pub log: Option<Counts>,
    /// What it uses, while it runs.
    pub usage: Option<Usage>,
}

/// What a running jail uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time since its service was started, seconds.
    pub cpu_s: f64,
    /// Memory in RAM, bytes.
    pub memory_bytes: u64,
    /// How much of that is of files or shared, bytes.
    pub shared_bytes: u64,
    /// How much memory it may use, bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Processes.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Connections.
    pub connections: Option<u64>,
    /// What went through its TCP connections since it was watched.
    pub traffic: Option<Traffic>,
    /// What was denied it since it was watched.
    pub denials: Option<u64>,
    /// How often its memory was short.
    pub memory_reached: Option<u64>,
    /// How often it was refused a process.
    pub processes_reached: Option<u64>,
    /// Processes that were killed because its memory was short.
    pub memory_kills: Option<u64>,
}

/// These jails in the text format of OpenMetrics 1.0, to its end.
///
/// # Errors
/// None that a text in memory could have.
pub fn open_metrics(jails: Vec<Jail>) -> Result<String> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition(jails)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Error::new("write the metrics", error))?;
    Ok(text)
}

/// A text of [`open_metrics`] in the older text format of Prometheus (version 0.0.4), in which a
/// family is called as its samples are, and no type is an info, a unit or an end.
pub fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::new();
    let mut help = "";
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(said)) => help = said,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                text.push_str(&format!("# HELP {name}{ending} {help}\n"));
                text.push_str(&format!("# TYPE {name}{ending} {kind}\n"));
            }
            _ => {}
        }
    }
    text
}

/// All of it, in the order of the table.
#[derive(Debug)]
struct Exposition(Vec<Jail>);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Which gaoler this is";
        encoder
            .encode_descriptor("gaoler_build", help, None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        for family in &FAMILIES {
            self.encode_family(family, &mut encoder)?;
        }
        Ok(())
    }
}

impl Exposition {
    /// One that no jail has a sample of is left out.
    fn encode_family(&self, family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Family {
            name,
            unit,
            kind,
            help,
            samples,
        } = family;
        let of_jail = |jail| {
            (samples)(jail)
                .into_iter()
                .map(move |sample| (jail, sample))
        };
        let all: Vec<(&Jail, families::Sample)> = self.0.iter().flat_map(of_jail).collect();
        if all.is_empty() {
            return Ok(());
        }
        let mut encoder = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
        for (jail, (label, number)) in all {
            let labels: Vec<(&str, &str)> = std::iter::once(("jail", jail.name.as_str()))
                .chain(label)
                .collect();
            encode_number(encoder.encode_family(&labels)?, *kind, number)?;
        }
        Ok(())
    }
}

fn encode_number(mut encoder: MetricEncoder<'_>, kind: MetricType, number: Number) -> fmt::Result {
    match (kind, number) {
        (MetricType::Counter, Number::Whole(number)) => {
            encoder.encode_counter::<NoLabelSet, u64, f64>(&number, None)
        }
        (MetricType::Counter, Number::Fraction(number)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(&number, None)
        }
        (_, Number::Whole(number)) => encoder.encode_gauge(&number),
        (_, Number::Fraction(number)) => encoder.encode_gauge(&number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jails() -> Vec<Jail> {
        let stopped = Jail {
            name: "off".to_owned(),
            condition: Condition::Stopped,
            started_s: None,
            generation: None,
            score: None,
            restarts: 0,
            drift: None,
            stale: None,
            incidents: None,
            log: None,
            usage: None,
        };
        let unknown = Jail {
            name: "odd-1_2.x".to_owned(),
            condition: Condition::Unknown,
            ..stopped.clone()
        };
        let seen = Jail {
            name: "named".to_owned(),
            condition: Condition::Running,
            started_s: Some(1_795_000_000.25),
            generation: Some(3),
            score: Some(0.2),
            restarts: 2,
            drift: Some(0),
            stale: Some(1),
            incidents: Some([(IncidentKind::Denial, 3)].into()),
            log: Some(Counts {
                received: 10,
                forwarded: 7,
                dropped: 2,
                truncated: 1,
            }),
            usage: Some(Usage {
                cpu_s: 12.345_678,
                memory_bytes: 57_344_000,
                shared_bytes: 20_480,
                memory_limit_bytes: Some(1 << 30),
                processes: 2,
                threads: 9,
                descriptors: Some(40),
                connections: Some(3),
                traffic: Some(Traffic {
                    received: 1 << 40,
                    sent: 77,
                }),
                denials: Some(5),
                memory_reached: Some(6),
                processes_reached: Some(0),
                memory_kills: Some(1),
            }),
        };
        let rootless = Jail {
            name: "small".to_owned(),
            condition: Condition::Starting,
            usage: Some(Usage::default()),
            ..stopped.clone()
        };
        vec![seen, unknown, stopped, rootless]
    }

    #[test]
    fn the_text_of_open_metrics() {
        insta::assert_snapshot!(open_metrics(jails()).unwrap());
    }

    #[test]
    fn the_text_of_prometheus() {
        insta::assert_snapshot!(prometheus_text(&open_metrics(jails()).unwrap()));
    }

    #[test]
    fn without_a_jail_there_is_nothing_but_the_version() {
        let text = open_metrics(Vec::new()).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_table_keeps_to_the_rules_of_names() {
        let mut names = std::collections::BTreeSet::new();
        for Family { name, help, .. } in &FAMILIES {
            assert!(names.insert(*name), "{name} is there twice");
            let fine = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.starts_with("gaoler_") && name.chars().all(fine));
            // The format's own endings, which the types add, and units, which are added from theirs.
            let endings = ["_total", "_info", "_count", "_sum", "_bucket", "_created"];
            let units = ["_seconds", "_bytes"];
            let ending = endings.iter().chain(&units).find(|it| name.ends_with(**it));
            assert_eq!(ending, None, "{name}");
            assert!(!help.contains(['\\', '\n', '"']), "{name}: {help}");
        }
    }
}
