//! What was made in a run and cannot be seen, in words.

use std::collections::BTreeMap;

use super::Trace;

/// As many numbers of calls are named.
const NAMED: usize = 8;

impl Trace {
    /// What the service did that no stop shows, a sentence each: what runs inside a ring
    /// (`io_uring(7)`), and what calls through another architecture's entry name. Neither makes
    /// the trace incomplete: it has all stops.
    pub fn unseen(&self) -> Vec<String> {
        let ring = "io_uring was used: what ran inside a ring was not seen".to_owned();
        let mut calls: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (architecture, number) in &self.foreign_calls {
            calls.entry(architecture).or_default().push(*number);
        }
        let rings = self.blind.then_some(ring).into_iter();
        rings
            .chain(calls.iter().map(|(from, numbers)| foreign(from, numbers)))
            .collect()
    }
}

/// Calls through the entry of one architecture, by their numbers there.
fn foreign(architecture: &str, numbers: &[u32]) -> String {
    let first = numbers.iter().take(NAMED).map(u32::to_string);
    let list = first.collect::<Vec<_>>().join(", ");
    let more = match numbers.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "called {list}{more} of {architecture}, not given: only native calls are; what they name \
         was not seen"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_and_foreign_calls_are_told_an_architecture_each() {
        let mut trace = Trace::default();
        assert_eq!(trace.unseen(), Vec::<String>::new());
        trace.blind = true;
        trace.foreign_calls = (1..=10).map(|number| ("i386".to_owned(), number)).collect();
        trace.foreign_calls.push(("x32".to_owned(), 39));
        let [ring, i386, x32] = trace.unseen().try_into().unwrap();
        assert!(ring.starts_with("io_uring was used"), "{ring}");
        assert!(x32.starts_with("called 39 of x32, not given"), "{x32}");
        let several = "called 1, 2, 3, 4, 5, 6, 7, 8 and 2 more of i386, not given";
        assert!(i386.starts_with(several), "{i386}");
    }
}
