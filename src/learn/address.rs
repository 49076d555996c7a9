//! Socket addresses as a process passes them: `struct sockaddr` of `ip(7)`, `ipv6(7)`,
//! `unix(7)`. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::sys::abi;

/// As long as an address can be: `struct sockaddr_storage`.
pub const LONGEST: usize = 128;

/// A socket address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// `AF_` number.
    pub family: u16,
    /// The internet address, the path, or `@NAME`; empty for other families and unnamed sockets.
    pub text: String,
    /// The port, 0 for none.
    pub port: u16,
    /// The path of a UNIX socket, as given.
    pub path: Option<Vec<u8>>,
}

/// Reads an address; `None` if the bytes are too few for their family.
pub fn parse(bytes: &[u8]) -> Option<Address> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let family = u16::from_ne_bytes(*family);
    let address = Address {
        family,
        ..Address::default()
    };
    match i32::from(family) {
        abi::AF_INET => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let octets = rest.first_chunk::<4>()?;
            let text = Ipv4Addr::from(*octets).to_string();
            Some(Address {
                text,
                port: u16::from_be_bytes(*port),
                ..address
            })
        }
        abi::AF_INET6 => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let octets = rest.get(4..)?.first_chunk::<16>()?;
            let text = Ipv6Addr::from(*octets).to_string();
            Some(Address {
                text,
                port: u16::from_be_bytes(*port),
                ..address
            })
        }
        abi::AF_UNIX => Some(unix(address, rest)),
        _ => Some(address),
    }
}

fn unix(address: Address, name: &[u8]) -> Address {
    match name.split_first() {
        None => address,
        Some((0, name)) => Address {
            text: format!("@{}", String::from_utf8_lossy(name)),
            ..address
        },
        Some(_) => {
            let path: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
            let text = String::from_utf8_lossy(&path).into_owned();
            Address {
                text,
                path: Some(path),
                ..address
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_parse() {
        let v4 = parse(&[2, 0, 0, 53, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((v4.text.as_str(), v4.port), ("127.0.0.1", 53));
        let mut v6 = vec![10, 0, 1, 0, 0, 0, 0, 0];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        v6.extend([0; 4]);
        let v6 = parse(&v6).unwrap();
        assert_eq!((v6.text.as_str(), v6.port), ("::1", 256));
        let path = parse(b"\x01\0/run/x\0rest").unwrap();
        assert_eq!(
            (path.text.as_str(), path.path.as_deref()),
            ("/run/x", Some(b"/run/x".as_slice()))
        );
        assert_eq!(parse(b"\x01\0\0name").unwrap().text, "@name");
        assert_eq!(parse(b"\x01\0").unwrap().text, "");
        assert_eq!(parse(&[2, 0, 0]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0u8.., 0..LONGEST)) {
            proptest::prop_assert_eq!(parse(&bytes).is_some(), bytes.len() >= 2 && match bytes[0] {
                2 if bytes[1] == 0 => bytes.len() >= 8,
                10 if bytes[1] == 0 => bytes.len() >= 24,
                _ => true,
            });
        }
    }
}
