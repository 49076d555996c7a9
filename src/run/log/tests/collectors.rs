//! Messages to a collector elsewhere, which is one of this test's own on loopback.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::*;

/// Reads one message with its length before it (RFC 6587); `None` at the end.
fn frame(stream: &mut impl BufRead) -> Option<String> {
    let mut head = Vec::new();
    stream.read_until(b' ', &mut head).ok()?;
    let length = str::from_utf8(head.strip_suffix(b" ")?).unwrap();
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

/// Lets the relay work until this holds.
fn work(relay: &mut Relay, until: &dyn Fn(&Relay) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !until(relay) {
        assert!(Instant::now() < deadline, "{:?}", relay.counts());
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        };
        let mut watched: Vec<_> = relay.watched().collect();
        poll(&mut watched, Some(&moment)).unwrap();
        relay.pump().unwrap();
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn udp_carries_a_message_in_each_datagram() {
    let scene = Scene::new();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    let mut relay = scene.relay_to(scene.sink_to(LogTo::Udp(address)));
    scene.client().send(b"<28>named[1]: up]\"").unwrap();
    relay.printed(&[b'x'; 9000], "named", 7);
    relay.pump().unwrap();
    let receive = || {
        let mut buffer = [0; 4096];
        let length = collector.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let long = receive();
    assert!(
        long.len() <= 2048 && long.ends_with("x [truncated]"),
        "{}",
        long.len()
    );
    let host = rustix::system::uname();
    let (me, host) = (me(), host.nodename().to_str().unwrap());
    let short = receive();
    let expected = format!(
        " {host} dns/named {me} - [gaoler@32473 jail=\"dns\" generation=\"3\" pid=\"{me}\"] up]\""
    );
    assert!(
        short.starts_with("<28>1 2") && short.ends_with(&expected),
        "{short}"
    );
    assert_eq!(relay.counts().forwarded, 2);
}

#[test]
fn tcp_carries_messages_with_their_lengths() {
    let scene = Scene::new();
    let (listener, address) = listener();
    let mut relay = scene.relay_to(scene.sink_to(LogTo::Tcp(address)));
    scene.client().send(b"<28>named[1]: one\ntwo").unwrap();
    work(&mut relay, &|relay| relay.counts().received == 1);
    let (stream, _) = listener.accept().unwrap();
    let mut stream = BufReader::new(stream);
    work(&mut relay, &|relay| relay.counts().forwarded == 1);
    let message = frame(&mut stream).unwrap();
    assert!(message.ends_with("] one#012two"), "{message}");
}

#[test]
fn a_collector_that_restarts_gets_what_it_has_missed() {
    let scene = Scene::new();
    let (listener, address) = listener();
    let mut relay = scene.relay_to(scene.sink_to(LogTo::Tcp(address)));
    relay.printed(b"one", "named", 7);
    work(&mut relay, &|relay| relay.counts().forwarded == 1);
    let (stream, _) = listener.accept().unwrap();
    let mut first = BufReader::new(stream);
    assert!(frame(&mut first).unwrap().ends_with("] one"));
    drop((first, listener));
    // The first of these are sent into the closed connection.
    for number in 2..=50 {
        relay.printed(format!("{number}").as_bytes(), "named", 7);
        relay.pump().unwrap();
    }
    assert_eq!(relay.counts().forwarded, 1);
    let listener = TcpListener::bind(address).unwrap();
    work(&mut relay, &|relay| relay.counts().forwarded == 50);
    let (stream, _) = listener.accept().unwrap();
    let mut second = BufReader::new(stream);
    for number in 2..=50 {
        let message = frame(&mut second).unwrap();
        assert!(message.ends_with(&format!("] {number}")), "{message}");
    }
    assert_eq!(relay.counts().dropped, 0);
}

#[test]
fn a_collector_that_is_away_or_reads_nothing_costs_messages_and_no_time() {
    for away in [true, false] {
        let scene = Scene::new();
        let (listener, address) = listener();
        // What the collector's kernel takes for it while it reads nothing.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 64 << 10).unwrap();
        let listener = (!away).then_some(listener);
        let mut relay = scene.relay_to(scene.sink_to(LogTo::Tcp(address)));
        let filler = [b'x'; 4000];
        // More than that and the queue have room for.
        for _ in 0..500 {
            relay.printed(&filler, "named", 7);
            if relay.counts().received.is_multiple_of(64) {
                relay.pump().unwrap();
            }
        }
        let Counts { dropped, .. } = relay.counts();
        assert!(dropped > 0);
        // At the end nothing is on its way any more.
        if let Some(listener) = listener {
            let read = std::thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = BufReader::new(stream);
                let (mut read, mut told) = (0, 0);
                while let Some(message) = frame(&mut stream) {
                    match message.contains("messages were lost") {
                        true => told += 1,
                        false => read += 1,
                    }
                }
                (read, told)
            });
            relay.finish().unwrap();
            let counts = relay.counts();
            drop(relay);
            let (read, told) = read.join().unwrap();
            assert_eq!(read, counts.forwarded);
            assert!(told > 0);
            assert_eq!(counts.forwarded + counts.dropped, 500);
        } else {
            relay.finish().unwrap();
            let counts = relay.counts();
            assert_eq!((counts.forwarded, counts.dropped), (0, 500));
        }
    }
}

#[test]
fn a_collector_that_hangs_up_is_dialled_again_with_patience() {
    let scene = Scene::new();
    let (listener, address) = listener();
    let mut relay = scene.relay_to(scene.sink_to(LogTo::Tcp(address)));
    let begun = Instant::now();
    let dialled = std::thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        let mut dialled = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            match listener.accept() {
                Ok((stream, _)) => {
                    dialled += 1;
                    hang_up(stream);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        dialled
    });
    while begun.elapsed() < Duration::from_secs(3) {
        relay.printed(b"x", "named", 7);
        let before = relay.counts();
        work(&mut relay, &|relay| {
            relay.counts() != before || begun.elapsed().as_secs() >= 3
        });
    }
    let dialled = dialled.join().unwrap();
    assert!(
        (1..=7).contains(&dialled),
        "{dialled} times in three seconds"
    );
}

/// Closes at once, with a reset.
fn hang_up(stream: TcpStream) {
    let now = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&stream, now).unwrap();
}
