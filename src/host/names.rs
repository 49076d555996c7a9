//! The addresses of a host, as everything else on this machine finds them: `/etc/hosts`, DNS, what
//! `nsswitch.conf(5)` has. As for [users](super::users), `getent(1)` looks, in a process of its own.

use std::net::IpAddr;
use std::time::Duration;

use super::command;
use super::users::GETENT;
use crate::error::{Error, Result};

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest name (RFC 1035, 2.3.4).
const LONGEST: usize = 253;

/// The addresses of `name`, in the order in which they are to be tried (RFC 6724); none if nobody
/// knows it.
///
/// # Errors
/// It could be no host's name; `getent(1)` is not there, does not answer in time, or fails.
pub fn addresses(name: &str) -> Result<Vec<IpAddr>> {
    let doing = || format!("look up the host {name:?}");
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > LONGEST || name.starts_with('-') || !name.bytes().all(good) {
        return Err(Error::new(doing(), "that is no host's name"));
    }
    let words = [GETENT, "ahosts", name].map(str::to_owned);
    let outcome = command::run(&words, PATIENCE)?;
    match outcome.exit {
        Some(0) => Ok(parse(&outcome.output)),
        // getent(1): "one or more supplied key could not be found".
        Some(2) => Ok(Vec::new()),
        Some(code) => Err(Error::new(doing(), format!("getent ends with {code}"))),
        None => Err(Error::new(doing(), "it takes too long")
            .hint("does this machine reach its name servers?")),
    }
}

/// `192.0.2.1       STREAM host.example`, once for each kind of socket.
fn parse(text: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let first = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for address in first.filter_map(|word| word.parse().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_there_once_and_in_order() {
        let text = "2001:db8::1     STREAM r.example\n2001:db8::1     DGRAM\n\
                    192.0.2.1       STREAM\nfe80::1%eth0 STREAM\nodd\n\n";
        let expected: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn the_host_is_asked() {
        let found = addresses("localhost").unwrap();
        assert!(
            !found.is_empty() && found.iter().all(IpAddr::is_loopback),
            "{found:?}"
        );
        for name in ["", "-h", "a b", "a/b", "\u{e9}", &"a".repeat(254)] {
            assert!(addresses(name).is_err(), "{name}");
        }
    }
}
