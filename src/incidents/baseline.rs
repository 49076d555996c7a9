//! Which restart of a jail is unusual: by how often it was started again before.

/// What is counted.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How far back a jail's own usual is looked for.
const DAYS: u64 = 30;

/// What happens by chance less often than this is unusual.
const CHANCE: f64 = 0.01;

/// Whether a jail that was started again at these times (milliseconds since 1970, the last one now),
/// for whatever reason, is so more often than it usually is.
///
/// The restarts of the last day are compared with those of the 30 days before: if they come by
/// chance as often as then (Poisson), so many in one day have a probability below 1 %. A jail that
/// never was started again has a usual of none, so that its first restart is unusual.
pub fn is_unusual(times_ms: &[u64]) -> bool {
    let Some(now) = times_ms.last() else {
        return false;
    };
    let day = now.saturating_sub(DAY_MS);
    let begin = now.saturating_sub((DAYS + 1) * DAY_MS);
    let within = |from: u64, to: u64| {
        let count = times_ms.iter().filter(|time| (from..to).contains(*time));
        u32::try_from(count.count()).unwrap_or(u32::MAX)
    };
    let (today, before) = (within(day, now + 1), within(begin, day));
    let usual = f64::from(before) / f64::from(DAYS as u32);
    at_least(today, usual) < CHANCE
}

/// The probability of `count` or more where `usual` are to be expected.
fn at_least(count: u32, usual: f64) -> f64 {
    let mut term = (-usual).exp();
    let mut fewer = 0.0;
    for number in 0..count {
        fewer += term;
        term *= usual / f64::from(number + 1);
    }
    1.0 - fewer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day and an hour of it, in milliseconds; the first day is long ago.
    fn at(day: u64, hour: u64) -> u64 {
        (20_000 + day) * DAY_MS + hour * DAY_MS / 24
    }

    #[test]
    fn the_first_is_unusual_and_what_happens_every_day_is_not() {
        assert!(!is_unusual(&[]));
        assert!(is_unusual(&[at(0, 0)]));
        // Long ago is no usual.
        assert!(is_unusual(&[at(0, 0), at(60, 0)]));
        let daily: Vec<u64> = (0..40).map(|day| at(day, 3)).collect();
        assert!(!is_unusual(&daily));
    }

    #[test]
    fn many_more_than_usual_are() {
        let mut times: Vec<u64> = (0..40).map(|day| at(day, 3)).collect();
        for (more, unusual) in [(1, false), (2, false), (3, false), (4, true), (5, true)] {
            times.push(at(39, 3 + more));
            assert_eq!(is_unusual(&times), unusual, "{more} more");
        }
    }

    #[test]
    fn chances_are_chances() {
        assert!((at_least(1, 1.0) - 0.632).abs() < 0.001);
        assert!((at_least(3, 1.0) - 0.0803).abs() < 0.001);
        assert!((at_least(0, 5.0) - 1.0).abs() < 1e-9);
        assert!(at_least(1, 0.0) < f64::EPSILON);
    }
}
