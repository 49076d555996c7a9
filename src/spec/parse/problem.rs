//! What is wrong with a file, shown where it is wrong.
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::spec::names::nearest;
use crate::{Error, Result};

/// More than this many mistakes are counted, not shown.
const SHOWN: usize = 20;

/// One mistake.
struct Problem {
    span: Range<usize>,
    title: String,
    hint: Option<String>,
}

/// The mistakes found so far in one file. All are collected, so that a person can mend them in
/// one go.
pub(in crate::spec) struct Problems<'a> {
    text: &'a str,
    origin: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// None yet, in `text` that came from `origin`.
    pub fn new(text: &'a str, origin: &'a str) -> Self {
        Self {
            text,
            origin,
            found: Vec::new(),
        }
    }

    /// Notes a mistake.
    pub fn add(&mut self, span: Range<usize>, title: impl Into<String>) {
        self.found.push(Problem {
            span,
            title: title.into(),
            hint: None,
        });
    }

    /// Notes a mistake and what to write instead.
    pub fn add_with_hint(
        &mut self,
        span: Range<usize>,
        title: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.found.push(Problem {
            span,
            title: title.into(),
            hint: Some(hint.into()),
        });
    }

    /// The line that a place in the text is on, from 1.
    pub fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset);
        let before = before.unwrap_or(self.text.as_bytes());
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    /// Reads the text as TOML of the shape `T`.
    ///
    /// # Errors
    /// The first mistake in syntax or shape: nothing after it can be trusted.
    pub fn read<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            match meant(error.message()) {
                Some(name) => {
                    self.add_with_hint(span, error.message(), format!("did you mean `{name}`?"));
                }
                None => self.add(span, error.message()),
            }
            self.error()
        })
    }

    /// `value`, if there was no mistake.
    ///
    /// # Errors
    /// The mistakes.
    pub fn finish<T>(self, value: T) -> Result<T> {
        if self.found.is_empty() {
            Ok(value)
        } else {
            Err(self.error())
        }
    }

    fn error(&self) -> Error {
        let mut shown: Vec<String> = self
            .found
            .iter()
            .take(SHOWN)
            .map(|problem| self.render(problem))
            .collect();
        if let Some(more) = self.found.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            shown.push(format!("and {more} more"));
        }
        Error::usage(format!("read {}", self.origin), shown.join("\n\n"))
    }

    /// The mistake's line with a caret, as `rustc` shows it, without colour.
    fn render(&self, problem: &Problem) -> String {
        let mut place = AnnotationKind::Primary.span(self.visible(&problem.span));
        if let Some(hint) = &problem.hint {
            place = place.label(hint.as_str());
        }
        let snippet = Snippet::source(self.text)
            .path(self.origin)
            .annotation(place);
        let report = Level::ERROR
            .no_name()
            .primary_title(problem.title.as_str())
            .element(snippet);
        Renderer::plain().render(&[report])
    }

    /// A span inside the text, on character boundaries, that ends on the line it starts on.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let line = self.text.get(start..end).unwrap_or_default();
        start..start + line.find('\n').unwrap_or(line.len())
    }

    fn boundary(&self, offset: usize) -> usize {
        (0..=offset.min(self.text.len()))
            .rev()
            .find(|offset| self.text.is_char_boundary(*offset))
            .unwrap_or(0)
    }
}

/// The name that was meant, from serde's "unknown field `x`, expected one of `y`, `z`".
fn meant(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown "))?;
    nearest(unknown, quoted)
}
