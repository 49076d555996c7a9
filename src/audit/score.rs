//! One number for all findings: 0 is best, 10 is worst.

use super::{Finding, Severity};

/// The worst score.
const WORST: f64 = 10.0;

/// What one finding adds. Nothing is ever subtracted, so that granting more can only raise the
/// score.
pub fn weight(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 0.0,
        Severity::Low => 0.2,
        Severity::Medium => 1.0,
        Severity::High => 3.0,
        Severity::Critical => WORST,
    }
}

/// The sum of the weights of what is not accepted, at most 10, to one decimal.
pub fn score(findings: &[Finding]) -> f64 {
    let sum: f64 = findings
        .iter()
        .filter(|finding| finding.accepted.is_none())
        .map(|finding| weight(finding.severity))
        .sum();
    // The sum of nothing is -0.0.
    (sum.clamp(0.0, WORST) * 10.0).round() / 10.0 + 0.0
}
