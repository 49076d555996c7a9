//! A datagram as it came: IP and UDP with the sender's address (RFC 791, RFC 8200, RFC 768). Pure, but
//! for the socket.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;

use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

/// The longest datagram, bytes.
pub(super) const LONGEST: usize = 65_535;

/// The length of UDP's header.
const HEADER: u16 = 8;

const HOPS: u8 = 64;

/// UDP, in a header of IP.
const UDP: u8 = 17;

/// A socket that sends what begins with the header of IP (`raw(7)`).
///
/// # Errors
/// As `socket(2)`: `EPERM` without CAP_NET_RAW.
pub(super) fn sender(to: &SocketAddr) -> Result<OwnedFd> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::RAW, flags, Some(ipproto::RAW))
}

/// The packet; `None` if it would be too long, or the addresses are not of one kind.
pub(super) fn of(from: &SocketAddr, to: &SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => of_four(from, to, data),
        (SocketAddr::V6(from), SocketAddr::V6(to)) => of_six(from, to, data),
        _ => None,
    }
}

fn of_four(from: &SocketAddrV4, to: &SocketAddrV4, data: &[u8]) -> Option<Vec<u8>> {
    let udp = udp_length(data)?;
    let whole = udp.checked_add(20)?;
    let mut packet = vec![0x45, 0];
    packet.extend(whole.to_be_bytes());
    // No identification and no fragments; the kernel fills the checksum in (raw(7)).
    packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    // Without a checksum, which UDP over IPv4 may have.
    packet.extend(header(from.port(), to.port(), udp, 0));
    packet.extend(data);
    Some(packet)
}

fn of_six(from: &SocketAddrV6, to: &SocketAddrV6, data: &[u8]) -> Option<Vec<u8>> {
    let udp = udp_length(data)?;
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(udp.to_be_bytes());
    packet.extend([UDP, HOPS]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let checksum = checksum(
        from.ip(),
        to.ip(),
        &header(from.port(), to.port(), udp, 0),
        data,
    );
    packet.extend(header(from.port(), to.port(), udp, checksum));
    packet.extend(data);
    Some(packet)
}

fn udp_length(data: &[u8]) -> Option<u16> {
    u16::try_from(data.len()).ok()?.checked_add(HEADER)
}

fn header(from: u16, to: u16, length: u16, checksum: u16) -> [u8; 8] {
    let [a, b] = from.to_be_bytes();
    let [c, d] = to.to_be_bytes();
    let [e, f] = length.to_be_bytes();
    let [g, h] = checksum.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Over the addresses, the length, the kind, and all of it (RFC 8200, 8.1).
fn checksum(from: &Ipv6Addr, to: &Ipv6Addr, header: &[u8; 8], data: &[u8]) -> u16 {
    let [_, _, _, _, high, low, _, _] = *header;
    let pseudo = [0, 0, high, low, 0, 0, 0, UDP];
    let all = [&from.octets()[..], &to.octets(), &pseudo, header, data];
    // Each but the last has an even length.
    let words = all
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match u16::try_from(sum).unwrap_or(0) {
        // What would be 0 is sent as its other form: 0 means none.
        0xffff => 0xffff,
        sum => !sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_datagram_of_ipv4_is_written_as_rfc_791_has_it() {
        let packet = of(&address("192.0.2.1:1025"), &address("127.0.0.1:53"), b"abc").unwrap();
        let expected = [
            0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 127, 0, 0, 1, // IP
            4, 1, 0, 53, 0, 11, 0, 0, b'a', b'b', b'c',
        ];
        assert_eq!(packet, expected);
    }

    #[test]
    fn one_of_ipv6_has_a_checksum_that_adds_up() {
        let (from, to) = (address("[2001:db8::1]:1025"), address("[::1]:53"));
        for data in [&b"abc"[..], b"abcd", b"", &[0xff; 1001]] {
            let packet = of(&from, &to, data).unwrap();
            assert_eq!(packet.len(), 48 + data.len());
            let (ip, udp) = packet.split_at(40);
            assert_eq!(
                ip[..8],
                [
                    0x60,
                    0,
                    0,
                    0,
                    udp.len().to_be_bytes()[6],
                    udp.len().to_be_bytes()[7],
                    17,
                    64
                ]
            );
            // Over everything, the checksum included, it is all ones.
            let mut words = ip[8..].to_vec();
            words.extend((udp.len() as u32).to_be_bytes());
            words.extend([0, 0, 0, 17]);
            words.extend(udp);
            if words.len() % 2 == 1 {
                words.push(0);
            }
            let mut sum: u64 = words
                .chunks(2)
                .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]))
                .sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff, "{} bytes", data.len());
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let (four, six) = (address("192.0.2.1:1"), address("[::1]:1"));
        assert_eq!(of(&four, &six, b""), None);
        assert_eq!(of(&four, &four, &vec![0; 65_508]), None);
        assert!(of(&four, &four, &vec![0; 65_507]).is_some());
        assert_eq!(of(&six, &six, &vec![0; 65_528]), None);
    }
}
