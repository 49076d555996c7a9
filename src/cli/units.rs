//! Numbers for people.

/// What stands where something is not known or there is none.
pub(super) fn or_none(known: Option<String>) -> String {
    known.unwrap_or_else(|| "-".to_owned())
}

/// So many seconds, in the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// So many bytes, in decimal units, to one decimal from a thousand on.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    for unit in ["kB", "MB", "GB", "TB"] {
        if tenths < 10_000 || unit == "TB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1000;
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 90_000].map(duration);
        let wanted = ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d01h"];
        assert_eq!(shown, wanted.map(str::to_owned));
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let shown = [0, 999, 1000, 999_999, 1_000_000, 12_345_678_901].map(bytes);
        let wanted = ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "12.3 GB"];
        assert_eq!(shown, wanted.map(str::to_owned));
        assert!(bytes(u64::MAX).ends_with(" TB"));
    }
}
