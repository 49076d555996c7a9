//! Socket families by name (`AF_` in `linux/socket.h`, `address_families(7)`).
#![forbid(unsafe_code)]

/// The families in the order of their numbers, from 0, without `AF_`.
const NAMES: [&str; 46] = [
    "unspec",
    "unix",
    "inet",
    "ax25",
    "ipx",
    "appletalk",
    "netrom",
    "bridge",
    "atmpvc",
    "x25",
    "inet6",
    "rose",
    "decnet",
    "netbeui",
    "security",
    "key",
    "netlink",
    "packet",
    "ash",
    "econet",
    "atmsvc",
    "rds",
    "sna",
    "irda",
    "pppox",
    "wanpipe",
    "llc",
    "ib",
    "mpls",
    "can",
    "tipc",
    "bluetooth",
    "iucv",
    "rxrpc",
    "isdn",
    "phonet",
    "ieee802154",
    "caif",
    "alg",
    "nfc",
    "vsock",
    "kcm",
    "qipcrtr",
    "smc",
    "xdp",
    "mctp",
];

/// Other names (`sys/socket.h`).
const ALIASES: [(&str, u16); 3] = [("file", 1), ("local", 1), ("route", 16)];

/// The name of a family, in lower case and without `AF_`, as in `inet6`.
pub fn name(number: u16) -> Option<&'static str> {
    NAMES.get(usize::from(number)).copied()
}

/// The number of a family; its name may have `AF_` before it and be in either case.
pub fn number(name: &str) -> Option<u16> {
    let bare = match name.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case("af_") => name.get(3..)?,
        _ => name,
    };
    let alias = ALIASES
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(bare));
    if let Some((_, number)) = alias {
        return Some(*number);
    }
    let index = NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(bare))?;
    u16::try_from(index).ok()
}

/// All names, in the order of their numbers.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (index, text) in names().enumerate() {
            assert_eq!(number(text).map(usize::from), Some(index));
        }
        let sample = [
            ("unix", libc::AF_UNIX),
            ("AF_LOCAL", libc::AF_LOCAL),
            ("inet", libc::AF_INET),
            ("Af_Inet6", libc::AF_INET6),
            ("netlink", libc::AF_NETLINK),
            ("route", libc::AF_ROUTE),
            ("packet", libc::AF_PACKET),
            ("can", libc::AF_CAN),
            ("alg", libc::AF_ALG),
            ("vsock", libc::AF_VSOCK),
            ("xdp", libc::AF_XDP),
        ];
        for (name, expected) in sample {
            assert_eq!(number(name).map(i32::from), Some(expected), "{name}");
        }
        assert_eq!(name(45), Some("mctp"));
        assert_eq!(name(46), None);
        for wrong in ["", "af_", "inet7", "é_inet", "af_af_inet"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
