//! How a prober ended, and what that means.

use crate::run::Ended;
use crate::run::attempt::Attempt;

/// The prober's exit codes, as `prober/main.rs` has them; those below are error numbers.
const LEFT: i32 = 238;
const NOTHING: i32 = 239;
const THROUGH: i32 = 240;
const NOT_TRIED: i32 = 241;

/// The highest error number (`errno(3)`).
const HIGHEST_ERRNO: i32 = 133;

/// What a shell, and launchers that behave like one, add to the number of a signal.
const BY_SIGNAL: i32 = 128;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It got through, and what it gained.
    Through(String),
    /// The kernel refused, with this error number; the call with its arguments, if it was told.
    Refused {
        /// The error number.
        errno: u16,
        /// The call's number and its arguments.
        call: Option<[u64; 7]>,
        /// What was being done.
        step: String,
    },
    /// A signal killed it.
    Killed(i32),
    /// Everything was answered, and nothing was gained.
    Nothing(String),
    /// What it needs was not there.
    NotTried(String),
    /// It left something for the host, which has not been taken in by it.
    Left(String),
    /// It did not end.
    TimedOut,
    /// It, or what was to start it, failed in another way.
    Failed(i32),
}

impl Answer {
    /// The answer of an attempt in a jail.
    pub fn of(attempt: &Attempt) -> Self {
        match attempt.ended {
            None | Some(Ended::Unseen) => Self::TimedOut,
            Some(Ended::Killed(signal)) => Self::Killed(signal),
            Some(Ended::Exited(code)) => Self::of_code(code, &attempt.words),
        }
    }

    /// The answer of an attempt under a launcher, whose own failure has an exit code too: an error
    /// number counts only if the prober said that it was refused.
    pub fn under(attempt: &Attempt) -> Self {
        let answer = Self::of(attempt);
        match answer {
            Self::Refused { call: None, .. } => match attempt.ended {
                Some(Ended::Exited(code)) => Self::Failed(code),
                _ => answer,
            },
            answer => answer,
        }
    }

    /// The answer by exit code, and what it printed.
    pub fn of_code(code: i32, words: &str) -> Self {
        // A launcher may have something to say besides.
        let line = words.lines().rev().find(|line| is_answer(line));
        let line = line.unwrap_or_default();
        let after = |what: &str| {
            let words = line
                .strip_prefix(what)
                .and_then(|rest| rest.strip_prefix(": "));
            words.unwrap_or_default().to_owned()
        };
        match code {
            THROUGH => Self::Through(after("through")),
            NOTHING => Self::Nothing(after("nothing")),
            NOT_TRIED => Self::NotTried(after("not-tried")),
            LEFT => Self::Left(after("left")),
            1..=HIGHEST_ERRNO => {
                let (call, step) = refused(line).unwrap_or_default();
                Self::Refused {
                    errno: u16::try_from(code).unwrap_or_default(),
                    call,
                    step,
                }
            }
            _ if code > BY_SIGNAL && code <= BY_SIGNAL + 64 => Self::Killed(code - BY_SIGNAL),
            _ => Self::Failed(code),
        }
    }

    /// Whether it got through.
    pub fn is_through(&self) -> bool {
        matches!(self, Self::Through(_))
    }

    /// In words.
    pub fn evidence(&self) -> String {
        let or = |words: &str, otherwise: &str| match words {
            "" => otherwise.to_owned(),
            words => words.to_owned(),
        };
        match self {
            Self::Through(gained) => or(gained, "it got through"),
            Self::Nothing(words) => or(words, "nothing was gained"),
            Self::NotTried(words) => or(words, "there is nothing to try it on"),
            Self::Left(words) => or(words, "the host was not taken in"),
            Self::Refused { errno, step, .. } => {
                let errno = crate::sys::errno::name(*errno)
                    .map_or_else(|| format!("error {errno}"), str::to_owned);
                match step.as_str() {
                    "" => errno,
                    step => format!("{step}: {errno}"),
                }
            }
            Self::Killed(signal) => format!("signal {signal} killed it"),
            Self::TimedOut => "it did not end".to_owned(),
            Self::Failed(code) => format!("it ended with code {code}"),
        }
    }
}

/// Whether a line is the prober's.
fn is_answer(line: &str) -> bool {
    let beginnings = [
        "through: ",
        "nothing: ",
        "not-tried: ",
        "left: ",
        "refused ",
    ];
    beginnings
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// `refused ERRNO CALL ARGUMENT... : WORDS`, numbers in hexadecimal.
fn refused(line: &str) -> Option<(Option<[u64; 7]>, String)> {
    let (numbers, words) = line.strip_prefix("refused ")?.split_once(": ")?;
    let mut parsed = numbers
        .split(' ')
        .map(|number| u64::from_str_radix(number, 16).ok());
    parsed.next()??;
    let mut call = [0; 7];
    for place in &mut call {
        *place = parsed.next()??;
    }
    Some((Some(call), words.to_owned()))
}
