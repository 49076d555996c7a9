//! Findings in the Static Analysis Results Interchange Format, version 2.1.0 (OASIS): what code
//! scanning of forges reads.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::audit::{self, Finding, Severity, scan};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log.
#[derive(Serialize)]
pub(super) struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    results: Vec<Found>,
    properties: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text,
    help: Text,
    default_configuration: Configuration,
    properties: Properties,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Properties {
    /// From 0 to 10, as text: what forges sort by.
    #[serde(rename = "security-severity")]
    security_severity: String,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    status: &'static str,
    justification: String,
}

/// The findings of a jail whose spec is at `spec`, or of a scan, which has none.
pub(super) fn log(findings: &[Finding], score: f64, spec: Option<&Path>) -> Log {
    let rules = rules();
    let results = findings.iter().map(|finding| found(finding, &rules, spec));
    Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            results: results.collect(),
            properties: BTreeMap::from([("score", score)]),
            tool: Tool {
                driver: Driver {
                    name: "gaoler",
                    version: env!("CARGO_PKG_VERSION"),
                    rules,
                },
            },
        }],
    }
}

fn rules() -> Vec<Rule> {
    let rule = |id, about: &str, remedy: &str, worst| Rule {
        id,
        short_description: text(about),
        help: text(remedy),
        default_configuration: Configuration {
            level: level(worst),
        },
        properties: Properties {
            security_severity: format!("{:.1}", audit::weight(worst)),
        },
    };
    let checks = audit::checks();
    checks
        .map(|check| rule(check.id, check.about, check.remedy, check.worst))
        .chain([rule(scan::RULE, scan::ABOUT, scan::REMEDY, Severity::High)])
        .collect()
}

fn found(finding: &Finding, rules: &[Rule], spec: Option<&Path>) -> Found {
    let index = rules.iter().position(|rule| rule.id == finding.id);
    let message = format!(
        "{}: {}. Remedy: {}",
        finding.subject, finding.evidence, finding.remedy
    );
    let accepted = finding.accepted.iter().map(|risk| Suppression {
        kind: "external",
        status: "accepted",
        justification: format!("until {}: {}", risk.until, risk.because),
    });
    Found {
        rule_id: finding.id.clone(),
        rule_index: index.unwrap_or_default(),
        level: level(finding.severity),
        message: text(&message),
        locations: [Location {
            physical_location: spec.map(|path| PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(path) },
            }),
            logical_locations: [LogicalLocation {
                fully_qualified_name: finding.subject.clone(),
            }],
        }],
        partial_fingerprints: BTreeMap::from([(
            "gaoler/v1",
            format!("{}: {}", finding.id, finding.subject),
        )]),
        suppressions: accepted.collect(),
    }
}

fn text(text: &str) -> Text {
    Text {
        text: text.to_owned(),
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Low | Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// A path as a `file` URI (RFC 8089; RFC 3986, section 2.1).
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match plain(*byte) {
            true => uri.push(char::from(*byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::audit::Risk;
    use crate::spec::Date;

    /// The properties that the schema requires, and the values that it restricts.
    #[test]
    fn the_log_has_what_the_schema_requires() {
        let finding = |id: &str, severity, accepted| Finding {
            id: id.to_owned(),
            severity,
            subject: "/usr/bin/a b".to_owned(),
            evidence: "seen".to_owned(),
            remedy: "do".to_owned(),
            accepted,
        };
        let risk = Risk {
            because: "CGI".to_owned(),
            until: Date::read("2030-01-01").unwrap(),
        };
        let findings = [
            finding("live.uid", Severity::Critical, None),
            finding("tree.shell", Severity::Medium, Some(risk)),
            finding(scan::RULE, Severity::Info, None),
        ];
        let log = log(&findings, 10.0, Some(Path::new("/etc/gaoler/a b.toml")));
        let log: Value = serde_json::to_value(log).unwrap();
        assert_eq!(log["version"], "2.1.0");
        assert!(
            log["$schema"]
                .as_str()
                .unwrap()
                .ends_with("sarif-schema-2.1.0.json")
        );
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "gaoler");
        let rules = driver["rules"].as_array().unwrap();
        for rule in rules {
            assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
            let severity = rule["properties"]["security-severity"].as_str().unwrap();
            assert!((0.0..=10.0).contains(&severity.parse::<f64>().unwrap()));
        }
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for result in results {
            let level = result["level"].as_str().unwrap();
            assert!(["none", "note", "warning", "error"].contains(&level));
            assert!(result["message"]["text"].is_string());
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0];
            assert_eq!(
                place["physicalLocation"]["artifactLocation"]["uri"],
                "file:///etc/gaoler/a%20b.toml"
            );
            assert_eq!(
                place["logicalLocations"][0]["fullyQualifiedName"],
                "/usr/bin/a b"
            );
        }
        assert_eq!(results[0]["level"], "error");
        assert!(results[0].get("suppressions").is_none());
        let suppressed = &results[1]["suppressions"][0];
        assert_eq!(
            (&suppressed["kind"], &suppressed["status"]),
            (&"external".into(), &"accepted".into())
        );
        let other = self::log(&findings[2..], 1.0, None);
        let other = serde_json::to_value(other).unwrap();
        let place = &other["runs"][0]["results"][0]["locations"][0];
        assert!(place.get("physicalLocation").is_none());
    }
}
