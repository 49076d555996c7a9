//! Addresses: the registry's own, and those that it sends its clients to.

use std::fmt;

use ureq::http::Uri;

/// An absolute address of HTTP, without a user in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Uri);

/// Who answers at an address (RFC 6454): what is told one is not told another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// With TLS.
    pub secure: bool,
    /// In lower case.
    pub host: String,
    /// The usual one of the scheme if none is named.
    pub port: u16,
}

impl Url {
    /// An address, if it is one that can be followed.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        let authority = uri.authority()?;
        let known = scheme == "https" || scheme == "http";
        // A user before the host would be sent there, and makes one host look like another.
        let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        // One that is no number would be taken for the usual one, and for another origin.
        let port = authority.as_str().strip_prefix(authority.host())?;
        let port_is_fine = port.is_empty() || authority.port_u16().is_some();
        (known && plain && port_is_fine).then_some(Self(uri))
    }

    /// Where the header `Location` of an answer from here leads (RFC 9110, 10.2.2).
    pub fn join(&self, location: &str) -> Option<Self> {
        let names_scheme =
            |(before, _): (&str, &str)| before.bytes().all(|byte| byte.is_ascii_alphabetic());
        if location.split_once("://").is_some_and(names_scheme) {
            return Self::parse(location);
        }
        let (scheme, authority) = (self.0.scheme_str()?, self.0.authority()?);
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let path = self.0.path();
        let whole = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            Some(_) => {
                let directory = path.rsplit_once('/').map_or("", |(above, _)| above);
                format!("{directory}/{location}")
            }
            None => return None,
        };
        Self::parse(&format!("{scheme}://{authority}{whole}"))
    }

    /// The same with one more pair in its query.
    pub fn with(&self, pair: &str) -> Option<Self> {
        let mark = if self.0.query().is_some() { '&' } else { '?' };
        Self::parse(&format!("{}{mark}{pair}", self.0))
    }

    /// Who answers there.
    pub fn origin(&self) -> Origin {
        let secure = self.0.scheme_str() == Some("https");
        let usual = if secure { 443 } else { 80 };
        Origin {
            secure,
            host: self.0.host().unwrap_or_default().to_ascii_lowercase(),
            port: self.0.port_u16().unwrap_or(usual),
        }
    }

    /// As the client takes it.
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(location: &str) -> Option<String> {
        let base = Url::parse("https://r.example:5000/v2/a/blobs/uploads/?x=1").unwrap();
        base.join(location).map(|url| url.to_string())
    }

    #[test]
    fn a_location_may_be_absolute_or_relative() {
        for (location, expected) in [
            ("https://other.example/u?s=1", "https://other.example/u?s=1"),
            ("//other.example/u", "https://other.example/u"),
            ("/v2/u?s=1", "https://r.example:5000/v2/u?s=1"),
            (
                "/v2/u?to=http://x",
                "https://r.example:5000/v2/u?to=http://x",
            ),
            ("7?s=1", "https://r.example:5000/v2/a/blobs/uploads/7?s=1"),
            (
                "7?to=http://x",
                "https://r.example:5000/v2/a/blobs/uploads/7?to=http://x",
            ),
            ("?s=1", "https://r.example:5000/v2/a/blobs/uploads/?s=1"),
        ] {
            assert_eq!(joined(location).as_deref(), Some(expected), "{location}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_not_an_address() {
        for location in [
            "",
            "file:///etc/passwd",
            "ftp://x/",
            "https://user@r.example/",
            "https://r.example:99999/",
            "https://r.example:/",
            "https://[::1]:x/",
            "https://",
            "/with space",
            "/line\r\nHost: x",
        ] {
            assert_eq!(joined(location), None, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Url::parse(text).unwrap().origin();
        assert_eq!(
            origin("https://R.example/a"),
            origin("https://r.example:443/b")
        );
        for other in [
            "http://r.example/",
            "https://r.example:444/",
            "https://r.example.org/",
            "http://r.example:443/",
        ] {
            assert_ne!(origin("https://r.example/"), origin(other));
        }
    }

    #[test]
    fn a_pair_is_added_to_the_query_that_is_there() {
        let with = |text: &str| {
            Url::parse(text)
                .unwrap()
                .with("d=sha256:0")
                .unwrap()
                .to_string()
        };
        assert_eq!(with("http://h/u"), "http://h/u?d=sha256:0");
        assert_eq!(with("http://h/u?s=1"), "http://h/u?s=1&d=sha256:0");
    }

    proptest! {
        #[test]
        fn a_path_stays_with_who_sent_it(location in "[a-z0-9?&=%_-][a-z0-9/?&=%._-]{0,30}") {
            let base = Url::parse("https://r.example:5000/v2/").unwrap();
            if let Some(url) = base.join(&location) {
                prop_assert_eq!(url.origin(), base.origin());
            }
        }
    }
}
