//! A registry in memory, whose answers a test can change.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use gaoler::sys::copy::hash_bytes;
use serde_json::{Value, json};

/// What came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body that are not sent, though they are announced.
    pub withheld: usize,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What a registry keeps.
#[derive(Default)]
pub struct Store {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Type and content, by tag and digest.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// What was asked.
    pub requests: Vec<Request>,
    /// It has the referrers API.
    pub lists_referrers: bool,
}

/// Answers in place of the ordinary one.
type Odd = dyn Fn(&Request, &Store) -> Option<Reply> + Send + Sync;

/// A registry.
pub struct OddRegistry {
    pub address: SocketAddr,
    pub store: Arc<Mutex<Store>>,
}

impl OddRegistry {
    pub fn start(odd: impl Fn(&Request, &Store) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = Arc::new(Mutex::new(Store::default()));
        let (odd, kept): (Arc<Odd>, _) = (Arc::new(odd), store.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (odd, store) = (odd.clone(), kept.clone());
                std::thread::spawn(move || serve(stream, &*odd, &store));
            }
        });
        Self { address, store }
    }

    /// One that behaves.
    pub fn plain() -> Self {
        Self::start(|_, _| None)
    }

    /// How often this was asked.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let store = self.store.lock().unwrap();
        let asked = store.requests.iter();
        asked.filter(|request| request.is(method, part)).count()
    }

    /// Whether a header of that name was ever sent to it.
    pub fn heard(&self, header: &str) -> bool {
        let store = self.store.lock().unwrap();
        let mut asked = store.requests.iter();
        asked.any(|request| request.headers.contains_key(header))
    }

    /// How many requests changed something.
    pub fn changes(&self) -> usize {
        ["POST", "PUT", "PATCH", "DELETE"]
            .map(|method| self.count(method, ""))
            .iter()
            .sum()
    }
}

/// One request on each connection.
fn serve(stream: TcpStream, odd: &Odd, store: &Mutex<Store>) {
    let Some(request) = read(&stream) else {
        return;
    };
    let mut store = store.lock().unwrap();
    store.requests.push(request.clone());
    let reply = odd(&request, &store).unwrap_or_else(|| ordinary(&request, &mut store));
    drop(store);
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
    let named = |name: &str| reply.headers.iter().any(|(given, _)| *given == name);
    if !named("Content-Length") {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let shown = match request.method.as_str() {
        "HEAD" => 0,
        _ => reply.body.len() - reply.withheld,
    };
    let mut stream = stream;
    // Who has heard enough hangs up.
    drop(stream.write_all(format!("{head}\r\n").as_bytes()));
    drop(stream.write_all(&reply.body[..shown]));
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(Ok(0), |it| it.parse());
    let mut body = vec![0; length.ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}

fn ordinary(request: &Request, store: &mut Store) -> Reply {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let (above, last) = path.rsplit_once('/').unwrap();
    match (request.method.as_str(), above.rsplit('/').next().unwrap()) {
        ("HEAD" | "GET", "blobs") => match store.blobs.get(last) {
            Some(blob) => Reply::status(200).body(blob.clone()),
            None => Reply::status(404),
        },
        ("POST", "uploads") => {
            Reply::status(202).with("Location", format!("{above}/1?state=a%2Fb"))
        }
        ("PUT", "uploads") => {
            let digest = query.strip_prefix("state=a%2Fb&digest=").unwrap();
            assert_eq!(digest, digest_of(&request.body));
            store.blobs.insert(digest.to_owned(), request.body.clone());
            Reply::status(201).with("Docker-Content-Digest", digest)
        }
        ("HEAD" | "GET", "manifests") => match store.manifests.get(last) {
            Some((media, bytes)) => Reply::status(200)
                .with("Content-Type", media)
                .with("Docker-Content-Digest", digest_of(bytes))
                .body(bytes.clone()),
            None => Reply::status(404).body("{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"),
        },
        ("PUT", "manifests") => put(last, request, store),
        ("GET", "referrers") if store.lists_referrers => Reply::status(200)
            .with("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(referrers(last, store).to_string()),
        _ => Reply::status(404).body("404 page not found\n"),
    }
}

fn put(by: &str, request: &Request, store: &mut Store) -> Reply {
    let digest = digest_of(&request.body);
    let kept = (
        request.headers["content-type"].clone(),
        request.body.clone(),
    );
    store.manifests.insert(by.to_owned(), kept.clone());
    store.manifests.insert(digest.clone(), kept);
    let parsed: Value = serde_json::from_slice(&request.body).unwrap();
    let reply = Reply::status(201).with("Docker-Content-Digest", digest);
    match parsed["subject"]["digest"].as_str() {
        Some(subject) if store.lists_referrers => reply.with("OCI-Subject", subject),
        _ => reply,
    }
}

fn referrers(subject: &str, store: &Store) -> Value {
    let all = store
        .manifests
        .iter()
        .filter(|(by, _)| by.starts_with("sha256:"));
    let entries = all.filter_map(|(digest, (media, bytes))| {
        let parsed: Value = serde_json::from_slice(bytes).unwrap();
        (parsed["subject"]["digest"] == subject).then(|| {
            json!({
                "mediaType": media,
                "digest": digest,
                "size": bytes.len(),
                "artifactType": parsed["artifactType"],
            })
        })
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries.collect::<Vec<_>>(),
    })
}

pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hash_bytes(bytes))
}
