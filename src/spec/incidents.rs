//! What becomes of an incident: what may be an attack on a jail, or the end of one.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentKind {
    /// A file of its tree is another one than was built.
    Changed,
    /// A signal ended the service that a mistake in its memory brings: SEGV, BUS, ILL, FPE, ABRT.
    Crash,
    /// Something was denied that no exercise has met.
    Denial,
    /// Something else in the jail is not as it was started.
    Drift,
    /// The filter of system calls killed a process.
    Kill,
    /// It listens at a port that its spec does not have.
    Port,
    /// It runs a program that its spec does not have.
    Program,
    /// It was started again more often than it usually is.
    Restart,
}

impl IncidentKind {
    /// All, by name.
    pub const ALL: [Self; 8] = [
        IncidentKind::Changed,
        IncidentKind::Crash,
        IncidentKind::Denial,
        IncidentKind::Drift,
        IncidentKind::Kill,
        IncidentKind::Port,
        IncidentKind::Program,
        IncidentKind::Restart,
    ];

    /// In one word, as in a spec.
    pub fn name(self) -> &'static str {
        match self {
            IncidentKind::Changed => "changed",
            IncidentKind::Crash => "crash",
            IncidentKind::Denial => "denial",
            IncidentKind::Drift => "drift",
            IncidentKind::Kill => "kill",
            IncidentKind::Port => "port",
            IncidentKind::Program => "program",
            IncidentKind::Restart => "restart",
        }
    }
}

/// What is done when there is one: `[incidents]`. That it is written down, and that syslog or
/// journald is told, does not depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incidents {
    /// After these the jail is stopped in its tracks, and not started again.
    pub freeze: Vec<IncidentKind>,
    /// Run on the host, with the incident as JSON at its standard input. Empty: there is none.
    pub command: Vec<String>,
    /// Where the same JSON is sent by POST.
    pub webhook: Option<Webhook>,
}

/// An address that takes JSON by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Who listens. No name: nothing is looked up while there may be an attack.
    pub address: SocketAddr,
    /// The path, with its first slash, and the query.
    pub path: String,
}

impl Webhook {
    /// The forms that [`Webhook::read`] takes.
    pub const FORMS: &str = "as in \"http://127.0.0.1:8080/path\", with an address and no name; for \
                             https, give a command that sends it";

    /// Reads `http://ADDRESS:PORT/PATH`; `None` if it is not that.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (address, path) = rest.split_at(end);
        let path = if path.is_empty() { "/" } else { path };
        // What may stand in a request line (RFC 9112, 3).
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let address = address
            .parse()
            .or_else(|_| address.parse().map(|ip| SocketAddr::new(ip, 80)))
            .ok()?;
        plain.then(|| Self {
            address,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.address, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_an_address_and_a_path() {
        for (text, shown) in [
            ("http://127.0.0.1:80/x?y=1", "http://127.0.0.1:80/x?y=1"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("http://192.0.2.1/a", "http://192.0.2.1:80/a"),
        ] {
            assert_eq!(Webhook::read(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "https://127.0.0.1/",
            "http://name/",
            "http://127.0.0.1:80/a b",
            "http://127.0.0.1:80/\r\nHost: x",
            "http://127.0.0.1:99999/",
        ] {
            assert_eq!(Webhook::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_kind_has_its_name_and_they_are_sorted() {
        let names = IncidentKind::ALL.map(IncidentKind::name);
        assert!(names.is_sorted());
        for kind in IncidentKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
