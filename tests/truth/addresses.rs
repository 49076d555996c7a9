//! Socket addresses as `strace -yy -X raw` writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::strace::{integer, leads_to, string};

/// Family, address and port.
pub type Address = (u16, String, u16);

/// Every `{sa_family=...}` in a text.
pub fn texts(text: &str) -> Vec<&str> {
    text.match_indices("{sa_family=")
        .map(|(at, _)| {
            let rest = &text[at..];
            // No address has a brace in it but for its own.
            &rest[..=rest.find('}').unwrap()]
        })
        .collect()
}

/// Every address in a text.
pub fn all(text: &str) -> Vec<Address> {
    texts(text).into_iter().filter_map(address).collect()
}

/// Family, address and port; `None` if too little of it was given.
pub fn address(text: &str) -> Option<Address> {
    let field = |name: &str| {
        let value = text.split_once(&format!("{name}="))?.1;
        let end = match value.trim_start_matches('@').strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + (value.len() - quoted.len()) + 1,
            None => value.find([',', '}'])?,
        };
        Some(&value[..end])
    };
    let family = u16::try_from(integer(field("sa_family")?)?).ok()?;
    let port = |name: &str| {
        let bytes: [u8; 2] = string(field(name)?)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    let (address, port) = match family {
        1 => (unix(field("sun_path").unwrap_or("\"\"")), 0),
        2 => {
            let bytes: [u8; 4] = string(field("sin_addr")?)?.try_into().ok()?;
            (Ipv4Addr::from(bytes).to_string(), port("sin_port")?)
        }
        10 => {
            let bytes: [u8; 16] = string(field("sin6_addr")?)?.try_into().ok()?;
            (Ipv6Addr::from(bytes).to_string(), port("sin6_port")?)
        }
        _ => (String::new(), 0),
    };
    Some((family, address, port))
}

/// `"/path"`, or `@"name"` of an abstract one.
fn unix(text: &str) -> String {
    let (mark, quoted) = match text.strip_prefix('@') {
        Some(quoted) => ("@", quoted),
        None => ("", text),
    };
    let bytes = string(quoted).unwrap();
    format!("{mark}{}", String::from_utf8_lossy(&bytes))
}

/// The family of the socket that a descriptor leads to.
pub fn family_of(text: &str) -> Option<u16> {
    match leads_to(text)?.split_once(":[")?.0 {
        "TCP" | "UDP" => Some(2),
        "TCPv6" | "UDPv6" => Some(10),
        kind if kind.starts_with("UNIX") => Some(1),
        _ => None,
    }
}

/// What a descriptor's annotation says of where its socket is bound.
pub fn bound_to(text: &str) -> Address {
    let family = family_of(text).unwrap_or_else(|| panic!("{text}"));
    let (_, rest) = leads_to(text).unwrap().split_once(":[").unwrap();
    let rest = rest.strip_suffix(']').unwrap();
    if family == 1 {
        let path = rest.split_once(',').map_or("\"\"", |(_, path)| path);
        return (family, unix(path), 0);
    }
    // A socket that was not bound has only its inode here.
    let (address, port) = rest.rsplit_once(':').unwrap_or(("0.0.0.0", "0"));
    let address = address.trim_matches(['[', ']']);
    (family, address.to_owned(), port.parse().unwrap())
}
