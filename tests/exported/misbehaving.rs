//! `push` and `pull` with registries that fail, ask who one is, send one elsewhere, or lie.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::{Answer, DONE, FAILED, GAOLER};
use crate::odd::{OddRegistry, Reply, Request, Store, digest_of};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const BILL: &str = "application/vnd.cyclonedx+json";

/// `me:secret`, as a header has it.
const BASIC: &str = "Basic bWU6c2VjcmV0";

/// A directory for layouts and accounts.
pub struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// With an image and its bill of materials in a layout.
    pub fn new() -> Self {
        let bench = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(bench.layout().join("blobs/sha256")).unwrap();
        let layer = bench.add("layer", &[b'x'; 300_000]);
        let config = bench.add("config", b"{\"os\":\"linux\"}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer],
        });
        let mut image = bench.add(IMAGE, manifest.to_string().as_bytes());
        let bill = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": BILL, "subject": image,
            "config": bench.add("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [bench.add(BILL, b"{\"bomFormat\":\"CycloneDX\"}")],
        });
        let bill = bench.add(IMAGE, bill.to_string().as_bytes());
        image["annotations"] = json!({"org.opencontainers.image.ref.name": "web"});
        let index = json!({"schemaVersion": 2, "manifests": [image, bill]});
        fs::write(bench.layout().join("index.json"), index.to_string()).unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn layout(&self) -> PathBuf {
        self.path("layout")
    }

    fn pulled(&self) -> PathBuf {
        self.path("pulled")
    }

    fn add(&self, media: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        let path = self.layout().join("blobs").join(digest.replace(':', "/"));
        fs::write(path, bytes).unwrap();
        json!({"mediaType": media, "digest": digest, "size": bytes.len()})
    }

    /// Accounts, as `podman login` writes them.
    fn accounts(&self, registry: &OddRegistry) -> PathBuf {
        let file = self.path("auth.json");
        let auth = BASIC.strip_prefix("Basic ").unwrap();
        let accounts = json!({"auths": {registry.address.to_string(): {"auth": auth}}});
        fs::write(&file, accounts.to_string()).unwrap();
        file
    }

    fn gaoler(&self, words: &[&str], more: &[&str]) -> Answer {
        let mut command = Command::new(GAOLER);
        command
            .args(words)
            .arg("--plain-http")
            .args(more)
            .env_clear()
            .env("HOME", self.directory.path());
        Answer::of(command.output().unwrap())
    }

    fn push(&self, registry: &OddRegistry, more: &[&str]) -> Answer {
        let reference = format!("{}/team/web:1", registry.address);
        let layout = self.layout();
        let words = [
            "push",
            "web",
            &reference,
            "--layout",
            layout.to_str().unwrap(),
        ];
        self.gaoler(&words, more)
    }

    fn pull(&self, registry: &OddRegistry, more: &[&str]) -> Answer {
        let reference = format!("{}/team/web:1", registry.address);
        let pulled = self.pulled();
        let words = ["pull", &reference, "-o", pulled.to_str().unwrap()];
        self.gaoler(&words, more)
    }

    /// Every blob of the layout came back, and nothing else.
    #[track_caller]
    fn came_back(&self) {
        let listed = |layout: PathBuf| {
            let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap();
            let mut all: Vec<(PathBuf, Vec<u8>)> = entries
                .map(|entry| entry.unwrap())
                .map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()))
                .collect();
            all.sort();
            all
        };
        assert!(listed(self.layout()) == listed(self.pulled()));
        assert!(self.pulled().join("index.json").exists());
    }

    /// A pull that has failed has left no image, and no blob that is not what its name says.
    #[track_caller]
    fn has_nothing_wrong(&self) {
        assert!(!self.pulled().join("index.json").exists());
        let Ok(entries) = fs::read_dir(self.pulled().join("blobs/sha256")) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            assert_eq!(digest_of(&bytes), format!("sha256:{name}"));
        }
    }
}

/// Pushes to a registry that behaves, and then has it misbehave.
fn filled(
    odd: impl Fn(&Request, &Store) -> Option<Reply> + Send + Sync + 'static,
) -> (Bench, OddRegistry) {
    let bench = Bench::new();
    let good = OddRegistry::plain();
    bench.push(&good, &[]).is(DONE, &["uploaded     4 blobs"]);
    let bad = OddRegistry::start(odd);
    {
        let (mut from, mut to) = (good.store.lock().unwrap(), bad.store.lock().unwrap());
        to.blobs.append(&mut from.blobs);
        to.manifests.append(&mut from.manifests);
    }
    (bench, bad)
}

fn is_layer(request: &Request) -> bool {
    let layer = digest_of(&[b'x'; 300_000]);
    request.is("GET", &layer)
}

#[test]
fn what_passes_is_tried_again_and_told() {
    let failures = AtomicUsize::new(0);
    let busy = move |request: &Request, _: &Store| {
        let fails = request.is("PUT", "uploads") && failures.fetch_add(1, Ordering::SeqCst) < 2;
        fails.then(|| {
            Reply::status(503)
                .with("Retry-After", 0)
                .body("busy\u{1b}[2J")
        })
    };
    let bench = Bench::new();
    let registry = OddRegistry::start(busy);
    let answer = bench.push(&registry, &["--retries", "2"]);
    answer.is(DONE, &["uploaded     4 blobs"]);
    let warned = |text: &str| answer.error.matches(text).count();
    assert_eq!(
        warned("it answers 503 Service Unavailable: busy#033[2J; again in 0.0 s"),
        2
    );

    let registry = OddRegistry::start(|_, _| Some(Reply::status(429).with("Retry-After", 0)));
    bench
        .push(&registry, &["--retries", "3"])
        .is(FAILED, &["429 Too Many Requests"]);
    assert_eq!(registry.count("HEAD", ""), 4);

    let registry = OddRegistry::start(|_, _| Some(Reply::status(403)));
    bench.push(&registry, &[]).is(FAILED, &["403 Forbidden"]);
    assert_eq!(registry.count("HEAD", ""), 1);
}

#[test]
fn an_unchanged_image_uploads_nothing_with_and_without_the_referrers_api() {
    for lists_referrers in [false, true] {
        let bench = Bench::new();
        let registry = OddRegistry::plain();
        registry.store.lock().unwrap().lists_referrers = lists_referrers;
        bench
            .push(&registry, &[])
            .is(DONE, &["uploaded     4 blobs"]);
        let tags = registry.count("PUT", "manifests/sha256-");
        assert_eq!(tags, usize::from(!lists_referrers));
        let before = registry.changes();
        bench
            .push(&registry, &[])
            .is(DONE, &["uploaded     nothing"]);
        assert_eq!(registry.changes(), before);
        bench
            .pull(&registry, &[])
            .is(DONE, &["attached     sha256:"]);
        bench.came_back();
    }
}

#[test]
fn a_password_becomes_a_token_that_goes_to_the_registry_alone() {
    let elsewhere = OddRegistry::plain();
    let there = elsewhere.address;
    let odd = move |request: &Request, _: &Store| {
        let sent = request.headers.get("authorization").map(String::as_str);
        let own = &request.headers["host"];
        if request.target.starts_with("/token") {
            let scope = if request.target.contains("push") {
                "push"
            } else {
                "pull"
            };
            let token = json!({"token": format!("for-{scope}")}).to_string();
            return Some(match sent {
                Some(BASIC) => Reply::status(200).body(token),
                _ => Reply::status(401),
            });
        }
        let needed = if matches!(request.method.as_str(), "GET" | "HEAD") {
            "pull"
        } else {
            "push"
        };
        let enough = matches!(sent, Some("Bearer for-push"))
            || sent == Some(&format!("Bearer for-{needed}"));
        if !enough {
            let scope = if needed == "push" {
                "pull,push"
            } else {
                "pull"
            };
            let challenge = format!(
                "Bearer realm=\"http://{own}/token\",service=\"s&x\",scope=\"repository:team/web:{scope}\""
            );
            return Some(Reply::status(401).with("WWW-Authenticate", challenge));
        }
        // Content lies elsewhere, and so does the place for it.
        match (request.method.as_str(), request.target.contains("/blobs/")) {
            ("GET", true) => Some(
                Reply::status(307).with("Location", format!("http://{there}{}", request.target)),
            ),
            ("POST", true) => Some(Reply::status(202).with(
                "Location",
                format!("http://{there}/v2/x/blobs/uploads/1?state=a%2Fb"),
            )),
            _ => None,
        }
    };
    let bench = Bench::new();
    let registry = OddRegistry::start(odd);
    let accounts = bench.accounts(&registry);
    let named = ["--auth-file", accounts.to_str().unwrap()];
    bench
        .push(&registry, &named)
        .is(DONE, &["uploaded     4 blobs"]);
    assert_eq!(elsewhere.store.lock().unwrap().blobs.len(), 4);
    assert!(
        registry.count(
            "GET",
            "/token?service=s%26x&scope=repository%3Ateam%2Fweb%3Apull%2Cpush"
        ) == 1
    );
    bench.pull(&registry, &named).is(DONE, &[]);
    bench.came_back();
    assert!(!elsewhere.heard("authorization"));

    let answer = bench.push(&registry, &[]);
    answer.is(
        FAILED,
        &["none are known for it", "podman login", "--auth-file"],
    );
}

#[test]
fn a_password_is_told_to_nobody_else_without_tls() {
    let thief = OddRegistry::plain();
    let realm = format!("Bearer realm=\"http://{}/token\"", thief.address);
    let challenged = move |_: &Request, _: &Store| {
        Some(Reply::status(401).with("WWW-Authenticate", realm.clone()))
    };
    let bench = Bench::new();
    let registry = OddRegistry::start(challenged);
    let accounts = bench.accounts(&registry);
    let answer = bench.pull(&registry, &["--auth-file", accounts.to_str().unwrap()]);
    answer.is(FAILED, &["no address with TLS"]);
    assert!(thief.store.lock().unwrap().requests.is_empty());
    assert!(!registry.heard("authorization"));
}

#[test]
fn what_is_not_what_its_digest_says_is_not_kept() {
    type Change = fn(Vec<u8>) -> Reply;
    let changes: [(&str, Change); 4] = [
        ("with the digest sha256:", |mut blob| {
            blob[7] ^= 1;
            Reply::status(200).body(blob)
        }),
        ("more comes than", |mut blob| {
            blob.push(b'x');
            Reply::status(200).body(blob)
        }),
        ("what comes are 299999 bytes", |mut blob| {
            blob.pop();
            Reply::status(200).body(blob)
        }),
        ("it hangs up before it is done", |blob| Reply {
            withheld: 1,
            ..Reply::status(200).body(blob)
        }),
    ];
    for (told, change) in changes {
        let (bench, registry) = filled(move |request, store| {
            let digest = request.target.rsplit('/').next().unwrap();
            is_layer(request).then(|| change(store.blobs[digest].clone()))
        });
        bench
            .pull(&registry, &["--retries", "0"])
            .is(FAILED, &[told]);
        bench.has_nothing_wrong();
        // What was whole is not fetched again, and what was not is.
        let good = OddRegistry::plain();
        bench.push(&good, &[]).is(DONE, &[]);
        bench.pull(&good, &[]).is(DONE, &["fetched      3 blobs"]);
        bench.came_back();
    }
}

#[test]
fn a_body_that_breaks_off_is_fetched_again() {
    let cuts = AtomicUsize::new(0);
    let (bench, registry) = filled(move |request, store| {
        let first = is_layer(request) && cuts.fetch_add(1, Ordering::SeqCst) == 0;
        let digest = request.target.rsplit('/').next().unwrap();
        first.then(|| Reply {
            withheld: 100_000,
            ..Reply::status(200).body(store.blobs[digest].clone())
        })
    });
    let answer = bench.pull(&registry, &[]);
    answer.is(DONE, &["fetched      4 blobs"]);
    assert_eq!(answer.error.matches("again in 0.5 s (1 of 5)").count(), 1);
    bench.came_back();
}

#[test]
fn hostile_manifests_and_redirects_end() {
    let digest = |text: &str| digest_of(text.as_bytes());
    let manifest = move |blob: &str, size: u64| {
        let config = json!({"mediaType": "x", "digest": digest("c"), "size": 1});
        let layer = json!({"mediaType": "x", "digest": blob, "size": size});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer],
        });
        Reply::status(200)
            .with("Content-Type", IMAGE)
            .body(manifest.to_string())
    };
    let up = "sha256:../../../../../../../../../../../../../../tmp/escaped-from-layout-0000";
    let nested = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
    });
    for (reply, told) in [
        (manifest(up, 1), "64 hexadecimal digits"),
        (manifest(&digest("a"), u64::MAX), "there is room for"),
        (
            manifest(&digest("a"), 1).with("Docker-Content-Digest", digest("b")),
            "it should be sha256:",
        ),
        (
            Reply::status(200).body(vec![b' '; 5 << 20]),
            "more than the 4194304 bytes",
        ),
        (Reply::status(200).body("<html>"), "it cannot be read"),
        (
            Reply::status(200).body(nested.to_string()),
            "and not for linux/",
        ),
        (
            Reply::status(302).with("Location", "?again"),
            "redirects more than 5 times",
        ),
        (
            Reply::status(302).with("Location", "file:///etc/shadow"),
            "which is no address",
        ),
        (Reply::status(404), "no such image"),
    ] {
        let bench = Bench::new();
        let registry = OddRegistry::start(move |_, _| Some(reply.clone()));
        bench
            .pull(&registry, &["--retries", "0"])
            .is(FAILED, &[told]);
        bench.has_nothing_wrong();
    }
}

#[test]
fn a_layout_that_is_damaged_is_not_sent_as_whole() {
    let bench = Bench::new();
    let layer = digest_of(&[b'x'; 300_000]).replace(':', "/");
    fs::write(bench.layout().join("blobs").join(layer), [b'y'; 300_000]).unwrap();
    // One that takes whatever comes.
    let registry =
        OddRegistry::start(|request, _| request.is("PUT", "uploads").then(|| Reply::status(201)));
    bench
        .push(&registry, &[])
        .is(FAILED, &["another content", "export it again"]);
    assert_eq!(registry.count("PUT", "manifests"), 0);
}
