//! Requests and their answers: who is told who asks, which redirect is followed, and what a status
//! means.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::{Body, SendBody};

use super::blobs::Source;
use super::client;
use super::retry::{self, Failed};
use super::url::Url;
use super::{Digest, Registry};
use crate::Error;
use crate::host::command;

/// As many redirects are followed, one after the other.
const REDIRECTS: usize = 5;

/// As much is read of what a registry says of an error.
const LONGEST_WORDS: u64 = 8 << 10;

/// How long what fits into memory may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request.
pub(super) struct Asked<'a> {
    /// What it is for, in messages.
    pub(super) doing: &'a str,
    pub(super) method: Method,
    pub(super) url: Url,
    /// Which types of content are wanted.
    pub(super) accept: Option<&'a str>,
    pub(super) content: Content<'a>,
}

/// What goes with it.
pub(super) enum Content<'a> {
    None,
    /// Of this type.
    Bytes(&'a str, &'a [u8]),
    Blob(&'a Source<'a>),
}

/// What comes back.
pub(super) struct Answer {
    doing: String,
    response: Response<Body>,
}

impl Registry<'_> {
    /// Asks, and once more with who asks if the registry wants to know that.
    ///
    /// # Errors
    /// It cannot be reached; it does not let us in. Other answers are the caller's to judge.
    pub(super) fn ask(&self, asked: &Asked<'_>) -> Result<Answer, Failed> {
        let first = self.once(asked)?;
        if first.status() != StatusCode::UNAUTHORIZED || !self.is_own(&asked.url) {
            return Ok(first);
        }
        self.log_in(&first)?;
        let second = self.once(asked)?;
        match second.status() {
            StatusCode::UNAUTHORIZED => Err(self.not_let_in(second)),
            _ => Ok(second),
        }
    }

    /// The same, also where the registry sends its clients to.
    ///
    /// # Errors
    /// It sends them on and on, or to where whoever is between could read and change what is said.
    pub(super) fn follow(&self, mut asked: Asked<'_>) -> Result<Answer, Failed> {
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&asked)?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            asked.url = self.location(&asked, &answer)?;
        }
        let why = format!("it redirects more than {REDIRECTS} times");
        Err(Error::new(asked.doing, why).into())
    }

    /// Where an answer sends us to.
    ///
    /// # Errors
    /// Nowhere, or to where there is no TLS.
    pub(super) fn location(&self, asked: &Asked<'_>, answer: &Answer) -> Result<Url, Failed> {
        let text = answer.header("location").unwrap_or_default();
        let Some(url) = asked.url.join(text) else {
            let why = format!("it sends us to {text:?}, which is no address");
            return Err(Error::new(asked.doing, why).into());
        };
        if url.origin().secure || !self.root.origin().secure {
            return Ok(url);
        }
        let why = format!("it sends us from https to {}, without TLS", url.origin());
        let hint = "a registry behind a proxy has to be told that it is reached by https";
        Err(Error::new(asked.doing, why).hint(hint).into())
    }

    /// Whether the registry itself answers there: who asks is said to nobody else.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
    }

    fn once(&self, asked: &Asked<'_>) -> Result<Answer, Failed> {
        let mut request = Request::builder()
            .method(asked.method.clone())
            .uri(asked.url.uri());
        if let Some(types) = asked.accept {
            request = request.header(ACCEPT, types);
        }
        if let Some(value) = self.authorization.borrow().as_ref()
            && self.is_own(&asked.url)
        {
            request = request.header(AUTHORIZATION, value);
        }
        let wrong = |error: ureq::http::Error| client::failed(asked.doing, error.into());
        let sent = match &asked.content {
            Content::None => {
                let request = request.body(SendBody::none()).map_err(wrong)?;
                self.agent.run(request)
            }
            Content::Bytes(media, bytes) => {
                let request = request.header(CONTENT_TYPE, *media);
                self.agent.run(request.body(*bytes).map_err(wrong)?)
            }
            Content::Blob(source) => {
                let mut reader = source.open(self.listener)?;
                let request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, source.size)
                    .body(SendBody::from_reader(&mut reader))
                    .map_err(wrong)?;
                let sent = self.agent.run(request);
                reader.check()?;
                sent
            }
        };
        let response = sent.map_err(|error| client::failed(asked.doing, error))?;
        Ok(Answer {
            doing: asked.doing.to_owned(),
            response,
        })
    }
}

impl Answer {
    pub(super) fn of(doing: &str, response: Response<Body>) -> Self {
        let doing = doing.to_owned();
        Self { doing, response }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header, if it is there and can be read.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All headers of this name that can be read.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.response.headers().get_all(name).into_iter();
        all.filter_map(|value| value.to_str().ok())
    }

    /// The digest that the registry says its content has, if it is one that can be checked.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.header("docker-content-digest")?.parse().ok()
    }

    /// What was being done.
    pub(super) fn doing(&self) -> &str {
        &self.doing
    }

    /// Its content as it comes.
    pub(super) fn reader(self) -> impl Read {
        self.response.into_body().into_reader()
    }

    /// Its content, of which there may be that much.
    ///
    /// # Errors
    /// There is more, or it does not come.
    pub(super) fn bytes(self, limit: u64) -> Result<Vec<u8>, Failed> {
        let doing = self.doing.clone();
        let bytes = self.first_bytes(limit + 1)?;
        match bytes.len() as u64 > limit {
            true => {
                let why = format!("it sends more than the {limit} bytes that there may be");
                Err(Error::new(doing, why).into())
            }
            false => Ok(bytes),
        }
    }

    /// As much of its content as that, in time: one byte a minute is no answer.
    fn first_bytes(self, most: u64) -> Result<Vec<u8>, Failed> {
        let doing = self.doing.clone();
        let until = Instant::now() + PATIENCE;
        let mut reader = self.reader().take(most);
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
        loop {
            let read = reader
                .read(&mut buffer)
                .map_err(|error| client::failed(&doing, error.into()))?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes.extend(buffer.get(..read).unwrap_or_default());
            if Instant::now() > until {
                return Err(Failed::Again(Error::new(doing, "it takes too long"), None));
            }
        }
    }

    /// What an answer means that is not the one that was wanted.
    pub(super) fn unexpected(self) -> Failed {
        let status = self.status();
        let doing = self.doing.clone();
        let after = self.header("retry-after").and_then(retry::after);
        let mut why = format!("it answers {status}");
        let words = self.words();
        if !words.is_empty() {
            why += &format!(": {words}");
        }
        let error = Error::new(doing, why);
        match status.as_u16() {
            429 | 500..=599 => Failed::Again(error, after),
            _ => Failed::Finally(error),
        }
    }

    /// What the registry says of an error ("Error Codes"), fit for a terminal; nothing if it does not
    /// come: what is already known is what matters.
    fn words(self) -> String {
        self.first_bytes(LONGEST_WORDS)
            .map_or_else(|_| String::new(), |text| words(&text))
    }
}

/// `{"errors":[{"code":"DENIED","message":"..."}]}`, or its first line if it is something else.
fn words(body: &[u8]) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let first = &parsed["errors"][0];
    let said: Vec<&str> = ["code", "message"]
        .iter()
        .filter_map(|key| first[key].as_str())
        .collect();
    let text = match said.is_empty() {
        true => String::from_utf8_lossy(body).into_owned(),
        false => said.join(": "),
    };
    let line = text.lines().next().unwrap_or_default();
    command::last_lines(line, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_of_an_error_is_one_plain_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[2J\nmore","detail":{}}]}"#;
        assert_eq!(words(body), "DENIED: no#033[2J");
        let other = b"Client sent an HTTP request to an HTTPS server.\n<p>";
        assert_eq!(
            words(other),
            "Client sent an HTTP request to an HTTPS server."
        );
        assert_eq!(words(b""), "");
        assert!(words(&[b'a'; 5000]).len() < 1100);
    }
}
