//! One line about what happened, put together without allocating.

use crate::raw::{self, Refused};
use crate::{Stop, Tried, numbers};

/// A line that is cut when it is full.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, number: usize) {
        let digits = (1..=16)
            .rev()
            .find(|digit| number >> ((digit - 1) * 4) != 0);
        for digit in (0..digits.unwrap_or(1)).rev() {
            let digit = number >> (digit * 4) & 15;
            self.text(&"0123456789abcdef"[digit..=digit]);
        }
    }
}

/// `through: WORDS`, `nothing: WORDS`, `not-tried: WORDS`, `left: WORDS`, or `refused ERRNO CALL
/// ARGUMENT... : WORDS` with numbers in hexadecimal.
pub fn tell(tried: &Tried) {
    let mut line = Line {
        bytes: [0; 512],
        length: 0,
    };
    match tried {
        Ok(gained) => say(&mut line, "through", gained),
        Err(Stop::Nothing(words)) => say(&mut line, "nothing", words),
        Err(Stop::NotTried(words)) => say(&mut line, "not-tried", words),
        Err(Stop::Left(words)) => say(&mut line, "left", words),
        Err(Stop::Refused(step, Refused { errno, call })) => {
            line.text("refused ");
            line.number(usize::from(*errno));
            for word in call {
                line.text(" ");
                line.number(*word);
            }
            say(&mut line, "", step);
        }
    }
    line.text("\n");
    let bytes = &line.bytes[..line.length];
    // Who does not hear it knows the exit code.
    match raw::call(numbers::WRITE, [1.into(), bytes.into(), bytes.len().into()]) {
        Ok(_) | Err(_) => {}
    }
}

fn say(line: &mut Line, what: &str, words: &str) {
    line.text(what);
    line.text(": ");
    line.text(words);
}
