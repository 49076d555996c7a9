//! Who asks while a jail is started again waits, and is answered.

use std::collections::BTreeSet;
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::machine::machine;

/// A question for the address of localhost (RFC 1035, 4).
fn question(id: u16) -> Vec<u8> {
    let mut text = id.to_be_bytes().to_vec();
    text.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9]);
    text.extend(b"localhost");
    text.extend([0, 0, 1, 0, 1]);
    text
}

/// Asks 500 times a second from eight ports of `address` until told to end; the questions that
/// nobody has answered within some seconds after that, and how many there were.
fn ask(address: &str, ends: &AtomicBool) -> (BTreeSet<u16>, usize) {
    let sockets: Vec<UdpSocket> = (0..8)
        .map(|_| {
            let socket = UdpSocket::bind((address, 0)).unwrap();
            socket.connect((address, 53)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut open = BTreeSet::new();
    let mut answer = [0; 512];
    let mut hear = |open: &mut BTreeSet<u16>| {
        for socket in &sockets {
            while let Ok(length) = socket.recv(&mut answer) {
                // Answered, and no failure.
                if length > 12 && answer[2] & 0x80 != 0 && answer[3] & 15 == 0 {
                    open.remove(&u16::from_be_bytes([answer[0], answer[1]]));
                }
            }
        }
    };
    let mut asked = 0_u16;
    while !ends.load(Ordering::SeqCst) {
        asked += 1;
        open.insert(asked);
        let socket = &sockets[usize::from(asked) % sockets.len()];
        // A port that nobody waits at is told with the next call.
        drop(socket.send(&question(asked)));
        hear(&mut open);
        std::thread::sleep(Duration::from_millis(2));
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while !open.is_empty() && Instant::now() < deadline {
        hear(&mut open);
        std::thread::sleep(Duration::from_millis(5));
    }
    (open, asked.into())
}

#[test]
fn no_question_is_lost_and_no_connection_refused_while_named_is_started_again() {
    machine(|m| {
        m.up();
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = ["127.0.0.1", "::1"].map(|address| {
                let ends = &ends;
                scope.spawn(move || ask(address, ends))
            });
            let connecting = scope.spawn(|| {
                let (mut made, mut refused) = (0, Vec::new());
                while !ends.load(Ordering::SeqCst) {
                    match TcpStream::connect(("127.0.0.1", 53)) {
                        Ok(_) => made += 1,
                        Err(error) => refused.push(error.to_string()),
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                (made, refused)
            });
            std::thread::sleep(Duration::from_millis(500));
            for _ in 0..3 {
                m.gaoler(&["restart", "named"]).ok();
            }
            std::thread::sleep(Duration::from_millis(500));
            ends.store(true, Ordering::SeqCst);
            for asking in asking {
                let (open, asked) = asking.join().unwrap();
                assert!(asked > 500, "{asked}");
                assert!(open.is_empty(), "{} of {asked}: {open:?}", open.len());
            }
            let (made, refused) = connecting.join().unwrap();
            assert!(made > 100, "{made}");
            assert!(refused.is_empty(), "{refused:?}");
        });
    });
}
