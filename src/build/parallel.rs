//! Work on many files at once.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};

/// Files worked on at once: more only queue up at the disk.
const MOST_WORKERS: usize = 4;

/// Runs `work` over `items` on a few threads, in no order, and on fewer where no more can be had.
/// The first items are begun first: put those that take longest there.
///
/// # Errors
/// The first of `work`'s, which ends it.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_WORKERS);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let run = || {
        let mut results = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(item) {
                Ok(result) => results.push(result),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    if let Ok(mut failed) = failed.lock() {
                        failed.get_or_insert(error);
                    }
                }
            }
        }
        results
    };
    let results = thread::scope(|scope| {
        let handles: Vec<_> = (1..workers)
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut results = run();
        for handle in handles {
            match handle.join() {
                Ok(more) => results.extend(more),
                Err(_) => {
                    return Err(Error::new(
                        "work through the files",
                        "a worker thread ended early",
                    ));
                }
            }
        }
        Ok(results)
    })?;
    match failed.into_inner() {
        Ok(None) => Ok(results),
        Ok(Some(error)) => Err(error),
        Err(_) => Err(Error::new(
            "work through the files",
            "a worker thread ended early",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        let items: Vec<usize> = (0..1000).collect();
        let mut results = in_parallel(&items, |item| Ok(item * 2)).unwrap();
        results.sort_unstable();
        assert_eq!(results, (0..1000).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let error = in_parallel(&items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 3 {
                return Err(Error::new("work", "it is three"));
            }
            thread::sleep(std::time::Duration::from_micros(100));
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "cannot work: it is three");
        assert!(begun.into_inner() < 1000);
    }
}
