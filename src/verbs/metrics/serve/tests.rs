//! The server against clients that are slow, talk too much, talk nonsense, or are many.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown as End, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::event::{Timespec, poll};

use super::*;

/// More than a socket takes at once.
const LONG: usize = 32 << 20;

/// Long enough for whatever the test's own machine does meanwhile.
const LONG_TIME: Duration = Duration::from_secs(60);

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server of this text, or of an error, and how often it was made.
struct Served {
    address: SocketAddr,
    made: AtomicUsize,
    /// How many connections there are.
    open: AtomicUsize,
    ends: AtomicBool,
}

/// Ends the server, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(LONG_TIME)).unwrap();
        client
    }

    /// What is answered to these bytes.
    fn ask(&self, bytes: &[u8]) -> String {
        let mut client = self.connect();
        client.write_all(bytes).unwrap();
        rest(&mut client)
    }
}

fn rest(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether the server has ended this connection, with or without an answer.
fn is_ended(client: &mut TcpStream) -> bool {
    match client.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => is_ended(client),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn serving(patience: Duration, text: Option<&str>, test: impl FnOnce(&Served)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let served = Served {
        address: listener.local_addr().unwrap(),
        made: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
        ends: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut server = Server::new(patience);
            let page = text.map(Rc::<str>::from);
            while !served.ends.load(Ordering::SeqCst) {
                // As often as it takes to see its end.
                let due = server
                    .due()
                    .unwrap_or(Instant::now() + Duration::from_secs(1));
                let due = due
                    .saturating_duration_since(Instant::now())
                    .min(Duration::from_millis(50));
                let due = Timespec::try_from(due).unwrap();
                poll(&mut server.descriptors(&listener), Some(&due)).unwrap();
                server.turn(&listener, &mut || {
                    served.made.fetch_add(1, Ordering::SeqCst);
                    page.clone().ok_or_else(|| Error::new("look", "no"))
                });
                let open = server.connections.len();
                assert!(open <= MOST_CONNECTIONS);
                served.open.store(open, Ordering::SeqCst);
            }
        });
        let _ends = Ends(&served.ends);
        test(&served);
    });
}

#[test]
fn who_asks_is_answered_and_the_connection_ends() {
    serving(LONG_TIME, Some("a 1\n# EOF\n"), |served| {
        let answer = served.ask(GET);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\na 1\n# EOF\n"), "{answer}");
        let head = served.ask(b"HEAD /metrics HTTP/1.0\r\n\r\n");
        assert!(head.ends_with("close\r\n\r\n"), "{head}");
        for (request, status) in [
            (&b"GET / HTTP/1.0\r\n\r\n"[..], "404"),
            (b"DELETE /metrics HTTP/1.0\r\n\r\n", "405"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", "400"),
            (b"SSH-2.0-x\r\n\r\n", "400"),
        ] {
            let answer = served.ask(request);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
        // One that has said all that it will say, and only then reads.
        let mut client = served.connect();
        client.write_all(GET).unwrap();
        client.shutdown(End::Write).unwrap();
        assert!(rest(&mut client).ends_with("# EOF\n"));
        assert_eq!(served.made.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn what_cannot_be_had_is_said() {
    serving(LONG_TIME, None, |served| {
        let answer = served.ask(GET);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    serving(LONG_TIME, Some("a 1\n"), |served| {
        let mut client = served.connect();
        client.set_nodelay(true).unwrap();
        for byte in GET {
            client.write_all(&[*byte]).unwrap();
        }
        assert!(rest(&mut client).ends_with("a 1\n"));
    });
}

#[test]
fn a_long_answer_reaches_a_slow_reader() {
    let text = "a 1\n".repeat(LONG / 4);
    serving(LONG_TIME, Some(&text), |served| {
        let mut slow = served.connect();
        slow.write_all(GET).unwrap();
        // Meanwhile it has time for others.
        assert_eq!(served.ask(GET).len(), rest(&mut slow).len());
    });
}

#[test]
fn who_says_too_much_gets_an_answer_and_is_cut_off() {
    serving(LONG_TIME, Some("a 1\n"), |served| {
        let mut client = served.connect();
        client.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
        let line = [b"X-Filler: ".as_slice(), &[b'x'; 500], b"\r\n"].concat();
        let mut said = 0;
        while said < 64 << 20 && client.write_all(&line).is_ok() {
            said += line.len();
        }
        assert!(said < 64 << 20, "it was never cut off");
        // A body is not read, and the answer comes all the same.
        let mut posted =
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n".to_vec();
        posted.resize(posted.len() + 30_000, b'x');
        assert!(served.ask(&posted).starts_with("HTTP/1.1 405 "));
        assert_eq!(served.made.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn nobody_is_waited_for_without_end() {
    let text = "a 1\n".repeat(LONG / 4);
    serving(Duration::from_millis(200), Some(&text), |served| {
        // Silent; in the middle of a request; one who does not read.
        let mut clients = [served.connect(), served.connect(), served.connect()];
        clients[1].write_all(b"GET /metrics HTT").unwrap();
        clients[2].write_all(GET).unwrap();
        assert!(clients[..2].iter_mut().all(is_ended));
        while served.open.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        // What was sent is there, and then it is over: the answer is not whole.
        let mut answer = Vec::new();
        match clients[2].read_to_end(&mut answer) {
            Ok(_) | Err(_) => assert!(answer.len() < LONG, "it was waited for"),
        }
        // One who goes on talking has no more time.
        let mut talking = served.connect();
        let begun = Instant::now();
        while talking.write_all(b"\t").is_ok() {
            assert!(begun.elapsed() < LONG_TIME, "it may talk for ever");
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn however_many_wait_the_next_one_is_answered() {
    serving(LONG_TIME, Some("a 1\n"), |served| {
        let mut waiting: Vec<TcpStream> = (0..3 * MOST_CONNECTIONS)
            .map(|_| {
                let mut client = served.connect();
                client.write_all(b"GET ").unwrap();
                client
            })
            .collect();
        for _ in 0..10 {
            assert!(served.ask(GET).ends_with("a 1\n"));
        }
        // The oldest had to go.
        assert!(is_ended(&mut waiting[0]));
    });
}
