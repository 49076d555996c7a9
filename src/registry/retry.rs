//! Trying again: what may be over in a moment, a few times, and nothing else.

use std::time::Duration;

use crate::{Error, Result};

/// The first wait; each one more is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// The longest, whatever a registry asks for.
const LONGEST: Duration = Duration::from_secs(30);

/// What did not work.
#[derive(Debug)]
pub enum Failed {
    /// It may work in a moment; the registry may have said when (`Retry-After`).
    Again(Error, Option<Duration>),
    /// It will not.
    Finally(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Finally(error)
    }
}

/// Tries until it works, or will not, or was tried `retries` times more. Each time that it is tried
/// again is told, in words.
///
/// # Errors
/// What was wrong the last time.
pub fn until_done<T>(
    retries: u32,
    tell: &dyn Fn(String),
    mut attempt: impl FnMut() -> Result<T, Failed>,
) -> Result<T> {
    let mut made = 0;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Failed::Finally(error)) => return Err(error),
            Err(Failed::Again(error, _)) if made == retries => return Err(error),
            Err(Failed::Again(error, asked)) => {
                let wait = wait(made, asked);
                made += 1;
                tell(format!(
                    "{error}; again in {:.1} s ({made} of {retries})",
                    wait.as_secs_f64()
                ));
                std::thread::sleep(wait);
            }
        }
    }
}

/// How long to wait when that many attempts more were made.
fn wait(made: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(made));
    asked.unwrap_or(doubled).min(LONGEST)
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3). A date is for a clock that agrees.
pub fn after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn again() -> Failed {
        Failed::Again(Error::new("ask", "busy"), Some(Duration::ZERO))
    }

    /// What comes of it, and what was told.
    fn tried(retries: u32, mut answers: Vec<Result<u8, Failed>>) -> (Result<u8>, Vec<String>) {
        let told = RefCell::new(Vec::new());
        answers.reverse();
        let done = until_done(retries, &|text| told.borrow_mut().push(text), || {
            answers.pop().unwrap()
        });
        (done, told.into_inner())
    }

    #[test]
    fn what_passes_is_tried_again_and_told() {
        let (done, told) = tried(2, vec![Err(again()), Err(again()), Ok(7)]);
        assert_eq!(done.unwrap(), 7);
        assert_eq!(
            told,
            [
                "cannot ask: busy; again in 0.0 s (1 of 2)",
                "cannot ask: busy; again in 0.0 s (2 of 2)",
            ]
        );
    }

    #[test]
    fn what_lasts_is_not_and_nothing_for_ever() {
        let wrong = Failed::Finally(Error::new("ask", "no"));
        let (done, told) = tried(9, vec![Err(wrong)]);
        assert_eq!((done.unwrap_err().why(), told.len()), ("no", 0));
        let (done, told) = tried(1, vec![Err(again()), Err(again())]);
        assert_eq!((done.unwrap_err().why(), told.len()), ("busy", 1));
        let (done, told) = tried(0, vec![Err(again())]);
        assert!(done.is_err() && told.is_empty());
    }

    #[test]
    fn waits_grow_and_end() {
        let waits = [0, 1, 2, 6, 40].map(|made| wait(made, None).as_millis());
        assert_eq!(waits, [500, 1000, 2000, 30_000, 30_000]);
        assert_eq!(wait(0, after("7")), Duration::from_secs(7));
        assert_eq!(wait(0, after(&u64::MAX.to_string())), LONGEST);
        for header in ["", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(after(header), None, "{header}");
        }
    }
}
