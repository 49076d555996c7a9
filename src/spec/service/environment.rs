//! Files of variables in shell style, as Debian keeps them in `/etc/default`: read, never run.
//! Quotes, backslashes, comments and `export` are understood; substitutions are refused,
//! because nothing but a shell knows what they give.
use std::iter::Peekable;
use std::str::Chars;

/// Why a file cannot be read, and on which line.
#[derive(Debug, PartialEq)]
pub(in crate::spec) struct Unreadable {
    /// From 1.
    pub line: usize,
    /// What is there.
    pub why: &'static str,
}

/// The last value of `name` in the file.
pub(super) fn value_of(text: &str, name: &str) -> Result<Option<String>, Unreadable> {
    let mut scanner = Scanner::new(text);
    let mut value = None;
    while let Some((variable, word)) = scanner.assignment()? {
        if variable == name {
            value = Some(word);
        }
    }
    Ok(value)
}

/// The words of a value, split as a shell would.
pub(in crate::spec) fn words(text: &str) -> Result<Vec<String>, Unreadable> {
    let mut scanner = Scanner::new(text);
    let mut words = Vec::new();
    loop {
        while scanner.next_if(char::is_whitespace).is_some() {}
        match scanner.word()? {
            Some(word) => words.push(word),
            None => return Ok(words),
        }
    }
}

/// The words of a command that may have the word `$PID` in it, which stays as it is.
pub(in crate::spec) fn words_with_pid(text: &str) -> Result<Vec<String>, Unreadable> {
    let mut scanner = Scanner::new(text);
    let mut words = Vec::new();
    loop {
        while scanner.next_if(char::is_whitespace).is_some() {}
        if scanner.skip_pid() {
            words.push(PID.to_owned());
            continue;
        }
        match scanner.word()? {
            Some(word) => words.push(word),
            None => return Ok(words),
        }
    }
}

/// Stands for the service's process in an exercise: [`crate::spec::Exercise::command_for`].
const PID: &str = "$PID";

struct Scanner<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            line: 1,
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = *self.rest.peek()?;
        if wanted(next) { self.next() } else { None }
    }

    /// Goes on after `$PID`, if that is the next word.
    fn skip_pid(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        let is_pid = ahead.by_ref().take(PID.len()).eq(PID.chars())
            && ahead.peek().is_none_or(|c| c.is_whitespace());
        if is_pid {
            self.rest = ahead;
        }
        is_pid
    }

    fn refuse<T>(&self, why: &'static str) -> Result<T, Unreadable> {
        Err(Unreadable {
            line: self.line,
            why,
        })
    }

    /// The next `NAME=VALUE`.
    fn assignment(&mut self) -> Result<Option<(String, String)>, Unreadable> {
        self.skip_to_statement();
        if self.rest.peek().is_none() {
            return Ok(None);
        }
        let mut name = self.name();
        if name == "export" && self.blanks() {
            name = self.name();
        }
        if name.is_empty() || self.next_if(|c| c == '=').is_none() {
            return self.refuse("this is not NAME=VALUE");
        }
        let value = self.word()?.unwrap_or_default();
        self.end_of_statement()?;
        Ok(Some((name, value)))
    }

    fn skip_to_statement(&mut self) {
        loop {
            while self.next_if(|c| c.is_whitespace() || c == ';').is_some() {}
            if self.rest.peek() != Some(&'#') {
                return;
            }
            self.skip_comment();
        }
    }

    fn skip_comment(&mut self) {
        while self.next_if(|c| c != '\n').is_some() {}
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.next_if(|c| c.is_ascii_alphanumeric() || c == '_') {
            name.push(c);
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            String::new()
        } else {
            name
        }
    }

    fn blanks(&mut self) -> bool {
        let mut any = false;
        while self
            .next_if(|c| c == ' ' || c == '\t' || c == '\r')
            .is_some()
        {
            any = true;
        }
        any
    }

    fn end_of_statement(&mut self) -> Result<(), Unreadable> {
        let blanks = self.blanks();
        match self.rest.peek() {
            None | Some('\n' | ';') => Ok(()),
            Some('#') if blanks => {
                self.skip_comment();
                Ok(())
            }
            Some(_) => {
                self.refuse("something follows the value (a value with spaces needs quotes)")
            }
        }
    }

    /// One word: quoted and unquoted pieces up to a blank; none if there is nothing.
    fn word(&mut self) -> Result<Option<String>, Unreadable> {
        let mut word = None;
        while let Some(c) = self.next_if(|c| !c.is_whitespace() && c != ';') {
            let word = word.get_or_insert_with(String::new);
            match c {
                '\'' => self.single_quoted(word)?,
                '"' => self.double_quoted(word)?,
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(escaped) => word.push(escaped),
                    None => return self.refuse("a backslash at the end"),
                },
                '$' | '`' => return self.refuse("a substitution, which only a shell can make"),
                '&' | '|' | '<' | '>' | '(' | ')' => {
                    return self.refuse("a shell operator without quotes");
                }
                _ => word.push(c),
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), Unreadable> {
        while let Some(c) = self.next() {
            if c == '\'' {
                return Ok(());
            }
            word.push(c);
        }
        self.refuse("a quote that is not closed")
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), Unreadable> {
        while let Some(c) = self.next() {
            match c {
                '"' => return Ok(()),
                '$' | '`' => return self.refuse("a substitution, which only a shell can make"),
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(escaped @ ('$' | '`' | '"' | '\\')) => word.push(escaped),
                    Some(other) => word.extend(['\\', other]),
                    None => break,
                },
                _ => word.push(c),
            }
        }
        self.refuse("a quote that is not closed")
    }
}
