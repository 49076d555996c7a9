//! The ports that a configuration names, found in its canonical printed form: where the service
//! waits, and where it connects to.
use std::collections::BTreeSet;

use super::ConfigPorts;
use crate::spec::{Direction, PortRule, Protocol};

/// The port on which the service described by `dump`, the output of a configuration's printing
/// command, waits for its clients; `told` is the port that its command line names.
///
/// That is the port of the first kind of `ports.listeners` that waits anywhere, or without a
/// port of its own, `told`, the configuration's default, or `fallback`. Nothing, if the
/// configuration turns all of them off.
pub fn config_port(
    dump: &str,
    ports: &ConfigPorts,
    told: Option<u16>,
    fallback: Option<u16>,
) -> Option<u16> {
    let statements = statements(dump);
    let configured = || {
        statements
            .iter()
            .filter(|statement| statement.block.is_none())
            .find_map(|statement| statement.value_of(&ports.default))
    };
    let default = told.or_else(configured).or(fallback);
    for keyword in &ports.listeners {
        let of_kind = |statement: &&Statement<'_>| {
            statement.words.first() == Some(&keyword.as_str()) && statement.block.is_some()
        };
        let mut listeners = statements.iter().filter(of_kind).peekable();
        if listeners.peek().is_none() {
            return default;
        }
        if let Some(listener) = listeners.find(|listener| listener.is_plain(ports)) {
            return port_in(&listener.words, ports).or(default);
        }
    }
    None
}

/// Rules for the ports of the other servers that the configuration names.
pub fn peer_ports(dump: &str, ports: &ConfigPorts) -> Vec<PortRule> {
    let mut found = BTreeSet::new();
    // For each open block, whether it or one around it names other servers.
    let mut within = vec![false];
    let mut words: Vec<&str> = Vec::new();
    for token in tokens(dump) {
        if !is_mark(token) {
            words.push(token);
            continue;
        }
        let names_peers = within.last().is_some_and(|within| *within)
            || words
                .first()
                .is_some_and(|first| ports.peers.iter().any(|peer| peer == first));
        if names_peers {
            found.extend(port_in(&words, ports));
        }
        words.clear();
        match token {
            "{" => within.push(names_peers),
            "}" => drop(within.pop()),
            _ => {}
        }
    }
    let rules = |port| {
        [Protocol::Tcp, Protocol::Udp].map(|protocol| PortRule {
            direction: Direction::Connect,
            protocol,
            port,
            because: ports.because.clone(),
            evidence: crate::spec::Evidence::Person,
        })
    };
    found.into_iter().flat_map(rules).collect()
}

/// The number after the keyword of a port.
fn port_in(words: &[&str], ports: &ConfigPorts) -> Option<u16> {
    words.windows(2).find_map(|pair| match pair {
        [word, port] if *word == ports.default => port.parse().ok(),
        _ => None,
    })
}

/// One statement: the words up to its end or its block, and the words in the block.
struct Statement<'a> {
    words: Vec<&'a str>,
    block: Option<Vec<&'a str>>,
}

impl Statement<'_> {
    /// The number in `KEYWORD NUMBER;`.
    fn value_of(&self, keyword: &str) -> Option<u16> {
        match self.words.as_slice() {
            [word, value] if *word == keyword => value.parse().ok(),
            _ => None,
        }
    }

    /// It waits for somebody, and speaks the service's plain protocol.
    fn is_plain(&self, ports: &ConfigPorts) -> bool {
        let is_secured = ports
            .secured
            .iter()
            .any(|word| self.words.contains(&word.as_str()));
        let waits = self
            .block
            .iter()
            .flatten()
            .any(|word| *word != ports.nobody);
        !is_secured && waits
    }
}

/// Every statement at any depth. A block's words are also statements of their own.
fn statements(dump: &str) -> Vec<Statement<'_>> {
    let tokens = tokens(dump);
    let mut statements = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if !is_mark(token) {
            words.push(token);
            continue;
        }
        let words = std::mem::take(&mut words);
        if !words.is_empty() {
            let block = (*token == "{").then(|| block(tokens.get(index + 1..).unwrap_or_default()));
            statements.push(Statement { words, block });
        }
    }
    statements
}

/// The words directly in the block that begins here.
fn block<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let inside = tokens.iter().take_while(|token| **token != "}");
    inside.copied().filter(|token| !is_mark(token)).collect()
}

fn is_mark(token: &str) -> bool {
    matches!(token, "{" | "}" | ";")
}

/// Words, the texts of strings, and marks. The canonical form has no comments in a line.
fn tokens(dump: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = dump.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '"' => {
                let inside = rest.get(1..).unwrap_or_default();
                inside.split_once('"').unwrap_or((inside, ""))
            }
            '{' | '}' | ';' => rest.split_at(1),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
                rest.split_at(rest.find(ends).unwrap_or(rest.len()))
            }
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ports() -> ConfigPorts {
        super::super::shipped("named")
            .unwrap()
            .unwrap()
            .config_ports
            .unwrap()
    }

    fn port(options: &str, told: Option<u16>) -> Option<u16> {
        let dump = format!("options {{\n{options}\n}};\n");
        config_port(&dump, &ports(), told, Some(53))
    }

    #[test]
    fn the_first_plain_listener_has_the_port() {
        assert_eq!(port("", None), Some(53));
        assert_eq!(port("listen-on { \"any\"; };", None), Some(53));
        assert_eq!(
            port("listen-on port 5353 { 127.0.0.1/32; };", None),
            Some(5353)
        );
        assert_eq!(port("listen-on-v6 port 5353 { \"any\"; };", None), Some(53));
        let off = "listen-on { \"none\"; };";
        assert_eq!(
            port(&format!("{off} listen-on-v6 port 54 {{ \"any\"; }};"), None),
            Some(54)
        );
        assert_eq!(port(off, None), Some(53), "IPv6 waits by default");
        assert_eq!(
            port(&format!("{off} listen-on-v6 {{ \"none\"; }};"), None),
            None
        );
    }

    #[test]
    fn tls_and_http_are_other_protocols() {
        let secure = "listen-on port 853 tls \"x\" { \"any\"; };";
        let http = "listen-on port 443 tls \"x\" http \"default\" { \"any\"; };";
        let plain = "listen-on port 5300 { \"any\"; };";
        assert_eq!(port(&format!("{secure}{http}{plain}"), None), Some(5300));
    }

    #[test]
    fn the_default_can_be_told_and_configured() {
        assert_eq!(port("port 5353;", None), Some(5353));
        assert_eq!(port("port 5353;", Some(54)), Some(54));
        assert_eq!(
            port("listen-on port 55 { \"any\"; }; port 5353;", Some(54)),
            Some(55)
        );
        let elsewhere = "also-notify port 99 { 192.0.2.1; }; notify-source 192.0.2.1 port 98;";
        assert_eq!(port(elsewhere, None), Some(53));
    }

    #[test]
    fn other_servers_have_ports() {
        let dump = "options { listen-on port 1 { \"any\"; }; also-notify port 2 { 192.0.2.1; };
            forwarders { 192.0.2.1 port 3; 192.0.2.2; }; };
            primaries \"list\" port 4 { 192.0.2.1 port 5 key \"k\"; };
            controls { inet 127.0.0.1 port 6 allow { \"any\"; }; };
            view \"v\" { zone \"x\" { primaries { 2001:db8::1 port 7; }; }; };
            server 192.0.2.1/32 { transfer-source 192.0.2.9 port 8; };";
        let rules = peer_ports(dump, &ports());
        let tcp: Vec<u16> = rules
            .iter()
            .filter(|rule| rule.protocol == Protocol::Tcp)
            .map(|rule| rule.port)
            .collect();
        assert_eq!(tcp, [2, 3, 4, 5, 7]);
        assert_eq!(rules.len(), 10);
        assert_eq!(peer_ports("}}}} primaries { port", &ports()), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(dump in "[a-z0-9{};\" é\n-]{0,80}") {
            config_port(&dump, &ports(), None, Some(53));
            peer_ports(&dump, &ports());
        }
    }
}
