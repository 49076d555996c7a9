//! As much of HTTP/1.1 as it takes to hand out one page (RFC 9110, RFC 9112): the head of a request, and
//! the answer. Whoever asks is not trusted.

use std::rc::Rc;

use crate::watch::metrics::CONTENT_TYPE;

/// No head of a request may be longer, bytes.
pub const LONGEST_HEAD: usize = 8 * 1024;

/// The longest method that is read: longer than any that there is.
const LONGEST_METHOD: usize = 32;

/// Where the metrics are.
const PATH: &str = "/metrics";

/// What a request, as far as it has come, asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its head is not there to its end.
    Unfinished,
    /// The metrics.
    Metrics {
        /// The text too, and not only its head.
        with_text: bool,
    },
    /// Something else, which has this for an answer.
    Refused(Status),
}

/// The status of an answer that has no metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 400: it is no HTTP/1.
    BadRequest,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 431: its head is longer than [`LONGEST_HEAD`].
    HeadTooLarge,
    /// 500: the metrics cannot be had.
    Failed,
}

impl Asked {
    /// Reads the head of a request.
    pub fn read(bytes: &[u8]) -> Self {
        // A client may send an empty line first (RFC 9112, section 2.2).
        let bytes = match bytes {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            bytes => bytes,
        };
        let bytes = bytes.get(..LONGEST_HEAD).unwrap_or(bytes);
        let end = end_of_head(bytes);
        let head = end.and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        // Somebody who speaks another protocol need not be waited for.
        if head.iter().any(|byte| is_control(*byte)) {
            return Self::Refused(Status::BadRequest);
        }
        match end {
            Some(_) => parse(head).unwrap_or(Self::Refused(Status::BadRequest)),
            None if bytes.len() >= LONGEST_HEAD => Self::Refused(Status::HeadTooLarge),
            None => Self::Unfinished,
        }
    }
}

/// But for those that separate lines and words. Above ASCII are bytes of field values.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !b"\r\n\t".contains(&byte)
}

/// Where the empty line is. A line may end in a line feed alone (RFC 9112, section 2.2).
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut ends = feeds.map(|(at, _)| at);
    ends.find(|at| matches!(bytes.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}

/// A head without its end; nothing if it is malformed.
fn parse(head: &[u8]) -> Option<Asked> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !is_token(method) || method.len() > LONGEST_METHOD {
        return None;
    }
    let needs_host = match version {
        b"HTTP/1.0" => false,
        b"HTTP/1.1" => true,
        _ => return None,
    };
    let mut hosts = 0;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = line.get(..colon)?;
        // Neither a name with space behind it nor a line that goes on is valid any more.
        if !is_token(name) || line.contains(&b'\r') {
            return None;
        }
        hosts += usize::from(name.eq_ignore_ascii_case(b"host"));
    }
    if needs_host && hosts != 1 {
        return None;
    }
    let path = path(target)?;
    Some(match method {
        b"GET" | b"HEAD" if path != PATH.as_bytes() => Asked::Refused(Status::NotFound),
        b"GET" => Asked::Metrics { with_text: true },
        b"HEAD" => Asked::Metrics { with_text: false },
        _ => Asked::Refused(Status::MethodNotAllowed),
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}

/// The path of a target in origin or absolute form (RFC 9112, section 3.2), without its query. Another
/// form has none that could be found here.
fn path(target: &[u8]) -> Option<&[u8]> {
    let origin = match target.strip_prefix(b"http://") {
        Some(rest) => match rest.iter().position(|byte| *byte == b'/') {
            Some(slash) => rest.get(slash..)?,
            None => b"/",
        },
        None => target,
    };
    let end = origin.iter().position(|byte| *byte == b'?');
    let path = origin.get(..end.unwrap_or(origin.len()))?;
    (!target.is_empty()).then_some(path)
}

/// What is sent, in its two parts.
#[derive(Debug)]
pub(super) struct Answer {
    head: String,
    /// Shared by all who ask at the same time.
    text: Rc<str>,
}

impl Answer {
    /// The metrics, or only the head of that.
    pub(super) fn metrics(text: &Rc<str>, with_text: bool) -> Self {
        Self {
            head: head("200 OK", CONTENT_TYPE, text.len(), ""),
            text: match with_text {
                true => Rc::clone(text),
                false => Rc::from(""),
            },
        }
    }

    /// What is refused.
    pub(super) fn refusal(status: Status) -> Self {
        let (line, text, more) = match status {
            Status::BadRequest => ("400 Bad Request", "This is no request of HTTP/1.1.\n", ""),
            Status::NotFound => ("404 Not Found", "The metrics are at /metrics.\n", ""),
            Status::MethodNotAllowed => (
                "405 Method Not Allowed",
                "Only GET and HEAD are done here.\n",
                "Allow: GET, HEAD\r\n",
            ),
            Status::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "The head of a request has 8 KiB at most.\n",
                "",
            ),
            Status::Failed => (
                "500 Internal Server Error",
                "The metrics cannot be had now: gaoler metrics says why in its messages.\n",
                "",
            ),
        };
        Self {
            head: head(line, "text/plain; charset=utf-8", text.len(), more),
            text: Rc::from(text),
        }
    }

    /// What is still to be sent, or the first part of that; empty at the end.
    pub(super) fn rest(&self, sent: usize) -> &[u8] {
        let (head, text) = (self.head.as_bytes(), self.text.as_bytes());
        match sent.checked_sub(head.len()) {
            Some(of_text) => text.get(of_text..).unwrap_or_default(),
            None => head.get(sent..).unwrap_or_default(),
        }
    }
}

fn head(status: &str, content_type: &str, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{more}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked = Asked::Metrics { with_text: true };

    fn read(text: &str) -> Asked {
        Asked::read(text.as_bytes())
    }

    #[test]
    fn what_clients_send_is_understood() {
        let prometheus = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9877\r\n\
            User-Agent: Prometheus/2.42.0\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\
            Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";
        for text in [
            prometheus,
            "GET /metrics HTTP/1.0\r\n\r\n",
            "GET /metrics HTTP/1.0\n\n",
            "\r\nGET /metrics HTTP/1.0\r\n\r\n",
            "GET /metrics?name=a&b HTTP/1.1\r\nhost:\r\n\r\n",
            "GET http://localhost:9877/metrics HTTP/1.1\r\nHost: localhost:9877\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Name: na\u{ef}ve\tvalue\r\n\r\nwhat follows\0",
        ] {
            assert_eq!(read(text), GET, "{text}");
        }
        let head = read("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(head, Asked::Metrics { with_text: false });
    }

    #[test]
    fn anything_else_is_refused_as_what_it_is() {
        let http = |line: &str| format!("{line}\r\nHost: x\r\n\r\n");
        for (line, status) in [
            ("GET / HTTP/1.1", Status::NotFound),
            ("GET /metrics/ HTTP/1.1", Status::NotFound),
            ("GET /metrics/../metrics HTTP/1.1", Status::NotFound),
            ("GET http://localhost HTTP/1.1", Status::NotFound),
            ("POST /metrics HTTP/1.1", Status::MethodNotAllowed),
            ("OPTIONS * HTTP/1.1", Status::MethodNotAllowed),
            ("CONNECT localhost:1 HTTP/1.1", Status::MethodNotAllowed),
            ("GET /metrics", Status::BadRequest),
            ("GET  /metrics HTTP/1.1", Status::BadRequest),
            ("GET /metrics HTTP/1.1 ", Status::BadRequest),
            ("GET /metrics HTTP/2.0", Status::BadRequest),
            ("GET /metrics HTTP/1.12", Status::BadRequest),
            ("G(T /metrics HTTP/1.1", Status::BadRequest),
            (" GET /metrics HTTP/1.1", Status::BadRequest),
        ] {
            assert_eq!(read(&http(line)), Asked::Refused(status), "{line}");
        }
        let method = "A".repeat(LONGEST_METHOD + 1);
        let long = read(&http(&format!("{method} /metrics HTTP/1.1")));
        assert_eq!(long, Asked::Refused(Status::BadRequest));
    }

    #[test]
    fn fields_that_are_none_are_refused() {
        for fields in [
            "",
            "Host: a\r\nHost: b\r\n",
            "Host : a\r\n",
            "Host: a\r\n folded\r\n",
            "Host: a\r\nno colon\r\n",
            "Host: a\r\n: empty\r\n",
            "Host: a\rX: b\r\n",
        ] {
            let text = format!("GET /metrics HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(read(&text), Asked::Refused(Status::BadRequest), "{text:?}");
        }
    }

    #[test]
    fn another_protocol_is_told_at_its_first_byte() {
        for bytes in [&b"\x16\x03\x01"[..], b"\0", b"GET /\x1b[2J", b"\x7f"] {
            assert_eq!(Asked::read(bytes), Asked::Refused(Status::BadRequest));
        }
    }

    #[test]
    fn a_head_is_waited_for_up_to_its_limit() {
        let whole = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Asked::Unfinished, "{end}");
        }
        let start = "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ";
        let filled = |length: usize| format!("{start}{}", "x".repeat(length - start.len()));
        assert_eq!(read(&filled(LONGEST_HEAD - 1)), Asked::Unfinished);
        for length in [LONGEST_HEAD, LONGEST_HEAD + 4] {
            let refused = Asked::Refused(Status::HeadTooLarge);
            assert_eq!(read(&(filled(length) + "\r\n\r\n")), refused);
        }
        assert_eq!(read(&(filled(LONGEST_HEAD - 4) + "\r\n\r\n")), GET);
    }

    /// All that is sent, if some bytes go at a time.
    fn sent(answer: &Answer) -> String {
        let mut all = Vec::new();
        while let [first, ..] = answer.rest(all.len()) {
            all.push(*first);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn an_answer_says_how_long_it_is() {
        let page = Rc::from("a 1\n# EOF\n");
        let whole = sent(&Answer::metrics(&page, true));
        let (head, text) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Length: 10\r\n"), "{head}");
        assert!(head.contains(CONTENT_TYPE) && *text == *page);
        let only_head = sent(&Answer::metrics(&page, false));
        assert_eq!(only_head, format!("{head}\r\n\r\n"));
        let refused = sent(&Answer::refusal(Status::MethodNotAllowed));
        assert!(
            refused.contains("\r\nAllow: GET, HEAD\r\n\r\nOnly"),
            "{refused}"
        );
    }
}
