//! One denial at a time, as aa-logprof(8) asks: lines on a terminal, nothing else.

use std::io::{self, BufRead, Write};

use super::{specs, whys};
use crate::verbs::{Explained, Why};
use crate::why::{Remedy, wider};

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 256;

/// What a person answered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answers {
    /// What is to be done, by the place of the denial.
    pub taken: Vec<(usize, Remedy)>,
    /// Nothing is to be written.
    pub quit: bool,
}

enum Answer {
    Next,
    Finish,
    Quit,
}

/// Asks about each denial that a change of the spec would remedy. The end of the input is as (q)uit.
///
/// # Errors
/// As reading and writing.
pub(super) fn ask(
    why: &Why,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<Answers> {
    let mut asking = Asking {
        why,
        input,
        output,
        answers: Answers::default(),
        denied: Vec::new(),
    };
    asking.all()?;
    Ok(asking.answers)
}

struct Asking<'a, I, O> {
    why: &'a Why,
    input: &'a mut I,
    output: &'a mut O,
    answers: Answers,
    /// What is denied in this run, and not asked for again.
    denied: Vec<String>,
}

impl<I: BufRead, O: Write> Asking<'_, I, O> {
    fn all(&mut self) -> io::Result<()> {
        let why = self.why;
        let denials: Vec<(usize, &Explained)> = why
            .denials
            .iter()
            .enumerate()
            .filter(|(_, one)| one.denial.remedy != Remedy::None)
            .collect();
        let count = denials.len();
        for (asked, (index, explained)) in denials.into_iter().enumerate() {
            if self.denied.contains(&explained.denial.subject) {
                continue;
            }
            write!(self.output, "\n[{}/{count}]\n", asked + 1)?;
            write!(self.output, "{}", whys::one(&why.name, explained))?;
            match self.one(index, explained)? {
                Answer::Next => {}
                Answer::Finish => break,
                Answer::Quit => {
                    self.answers = Answers {
                        taken: Vec::new(),
                        quit: true,
                    };
                    break;
                }
            }
        }
        Ok(())
    }

    fn one(&mut self, index: usize, explained: &Explained) -> io::Result<Answer> {
        let denial = &explained.denial;
        let places = wider(&denial.remedy);
        let glob = if places.is_empty() { "" } else { "(g)lob, " };
        loop {
            let words = format!("(a)llow, (d)eny, {glob}(v)iew, (f)inish, (q)uit: ");
            let Some(answer) = self.answer(&words)? else {
                return Ok(Answer::Quit);
            };
            match answer.as_str() {
                "a" | "allow" => {
                    self.answers.taken.push((index, denial.remedy.clone()));
                    return Ok(Answer::Next);
                }
                "d" | "deny" => {
                    self.denied.push(denial.subject.clone());
                    return Ok(Answer::Next);
                }
                "g" | "glob" if !places.is_empty() => {
                    if let Some(remedy) = self.glob(&places)? {
                        self.answers.taken.push((index, remedy));
                        return Ok(Answer::Next);
                    }
                }
                "v" | "view" => write!(self.output, "{}", whys::in_full(explained))?,
                "f" | "finish" => return Ok(Answer::Finish),
                "q" | "quit" => return Ok(Answer::Quit),
                _ => writeln!(self.output, "one letter of these")?,
            }
        }
    }

    /// Which of the patterns and directories, if one.
    fn glob(&mut self, places: &[crate::why::Wider]) -> io::Result<Option<Remedy>> {
        for (index, place) in places.iter().enumerate() {
            writeln!(
                self.output,
                "  {} {}: beyond it {}",
                index + 1,
                specs::shown(&place.name),
                place.beyond
            )?;
        }
        let Some(answer) = self.answer("which number, or nothing to go back: ")? else {
            return Ok(None);
        };
        let number: Option<usize> = answer.parse().ok();
        let place = number.and_then(|number| places.get(number.checked_sub(1)?));
        Ok(place.map(|place| place.remedy.clone()))
    }

    /// A line; `None` at the end of the input.
    fn answer(&mut self, words: &str) -> io::Result<Option<String>> {
        write!(self.output, "{words}")?;
        self.output.flush()?;
        let mut line = String::new();
        let read = io::Read::take(&mut *self.input, LONGEST).read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim().to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests;
