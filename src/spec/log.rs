//! Where what a jail logs goes.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a jail logs, and to whom: `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Where it goes.
    pub sink: LogSink,
    /// The service speaks journald's own protocol, and finds a socket for that where journald has
    /// its (`sd_journal_send(3)`).
    pub journal: bool,
}

/// Where messages go, and how large a file of them becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSink {
    /// Who takes them.
    pub to: LogTo,
    /// How large the log file becomes before it is put aside, KiB.
    pub file_size_kib: u32,
    /// How many of those that were put aside are kept.
    pub old_files: u32,
}

impl LogSink {
    /// What a file may be limited to, KiB: at least a few messages of the longest kind.
    pub const SIZES_KIB: std::ops::RangeInclusive<u32> = 64..=1 << 20;

    /// The most files that are kept.
    pub const MOST_OLD_FILES: u32 = 99;
}

impl Default for LogSink {
    fn default() -> Self {
        Self {
            to: LogTo::Auto,
            file_size_kib: 10 << 10,
            old_files: 4,
        }
    }
}

/// Who takes the messages of a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTo {
    /// The host's journald if that is behind `/dev/log`, else `/dev/log`, else journald, else a file.
    #[default]
    Auto,
    /// The host's `/dev/log`.
    Syslog,
    /// The host's journald.
    Journal,
    /// A file of the jail's own.
    File,
    /// Standard error of whoever runs the jail.
    Stderr,
    /// A collector, over TCP (RFC 6587).
    Tcp(SocketAddr),
    /// A collector, over UDP (RFC 5426).
    Udp(SocketAddr),
}

impl LogTo {
    /// The forms that [`LogTo::read`] takes.
    pub const FORMS: &str = "auto, syslog, journal, file, stderr, tcp:ADDRESS:PORT, udp:ADDRESS:PORT, \
         with the address in numbers: who asks for a name waits, and trusts who answers";

    /// Reads one of [`LogTo::FORMS`]; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let collector = |address: &str| {
            let address = address.parse::<SocketAddr>().ok();
            address.filter(|address| address.port() != 0)
        };
        match text {
            "auto" => Some(Self::Auto),
            "syslog" => Some(Self::Syslog),
            "journal" => Some(Self::Journal),
            "file" => Some(Self::File),
            "stderr" => Some(Self::Stderr),
            _ => match text.split_once(':')? {
                ("tcp", address) => collector(address).map(Self::Tcp),
                ("udp", address) => collector(address).map(Self::Udp),
                _ => None,
            },
        }
    }
}

/// As [`LogTo::read`] takes it.
impl fmt::Display for LogTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Syslog => f.write_str("syslog"),
            Self::Journal => f.write_str("journal"),
            Self::File => f.write_str("file"),
            Self::Stderr => f.write_str("stderr"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_it_is_written() {
        let forms = [
            "auto",
            "syslog",
            "journal",
            "file",
            "stderr",
            "tcp:192.0.2.1:514",
            "udp:[2001:db8::1]:514",
        ];
        for form in forms {
            let read = LogTo::read(form).map(|to| to.to_string());
            assert_eq!(read.as_deref(), Some(form));
        }
        let wrong = [
            "",
            "tcp",
            "tcp:",
            "tcp:logs.example.org:514",
            "tcp:192.0.2.1",
            "tcp:192.0.2.1:0",
            "tcp:2001:db8::1:514",
            "tls:192.0.2.1:6514",
            "Journal",
            "/var/log/x",
        ];
        for form in wrong {
            assert_eq!(LogTo::read(form), None, "{form}");
        }
    }
}
