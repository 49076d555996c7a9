//! `push` and `pull` with Debian's docker-registry, on loopback.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Answer, DONE, FAILED, GAOLER, Place, eventually, port};
use crate::misbehaving::Bench;
use crate::started::{curious, export};

/// `me` with the password `secret`, as `htpasswd -nbB -C 4 me secret` prints it.
const ACCOUNT: &str = "me:$2y$04$OPUpnGB.gyzKl15.X5D3euo4d57p531CwgEcPQokVuKlM6YLLR9Cu\n";

/// A registry that runs.
struct Registry {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Registry {
    /// `more` goes into its configuration: indented by two is what belongs to `http`.
    fn start(directory: &Path, more: &str) -> Self {
        fs::create_dir(directory).unwrap();
        let port = port();
        let (config, log) = (directory.join("config.yml"), directory.join("log"));
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{more}",
            directory.join("data").display()
        );
        fs::write(&config, text).unwrap();
        let written = File::create(&log).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(written.try_clone().unwrap())
            .stderr(written)
            .spawn()
            .unwrap();
        eventually("the registry listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port, log }
    }

    /// What an image is called there.
    fn image(&self, host: &str, tag: &str) -> String {
        format!("{host}:{}/team/web:{tag}", self.port)
    }

    /// How many requests have changed something, by its own log.
    fn changes(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap();
        let changing = ["\"POST ", "\"PUT ", "\"PATCH "];
        let lines = log.lines();
        lines
            .filter(|line| changing.iter().any(|method| line.contains(method)))
            .count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Without accounts of whoever runs the test.
fn without_accounts(mut command: Command, home: &Path) -> Answer {
    command
        .env("HOME", home)
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("REGISTRY_AUTH_FILE");
    Answer::of(command.output().unwrap())
}

fn gaoler(place: &Place, words: &[&str]) -> Answer {
    without_accounts(place.command(words), place.directory.path())
}

/// Pushes the image in the layout of a bench.
fn push(bench: &Bench, image: &str, more: &[&str]) -> Answer {
    let mut command = Command::new(GAOLER);
    command.args(["push", "web", image, "--layout"]);
    command.arg(bench.layout()).args(more);
    without_accounts(command, &bench.path(""))
}

fn json_of(answer: &Answer) -> Value {
    answer.is(DONE, &[]);
    serde_json::from_str(&answer.out).unwrap()
}

fn skopeo(words: &[&str]) -> String {
    let told = Command::new("skopeo").args(words).output().unwrap();
    assert!(told.status.success(), "{words:?} {told:?}");
    String::from_utf8(told.stdout).unwrap()
}

/// Everything in a layout.
fn content(layout: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let blobs = blobs.map(|entry| entry.unwrap().path());
    let files = ["index.json", "oci-layout"].map(|name| layout.join(name));
    let mut all: Vec<(PathBuf, Vec<u8>)> = blobs
        .chain(files)
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path.strip_prefix(layout).unwrap().to_owned(), bytes)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn an_image_goes_there_once_is_read_by_others_and_comes_back_the_same() {
    let place = curious();
    let exported = export(&place, "oci").join(format!("{}.oci", place.name));
    let registry = Registry::start(&place.path("registry"), "");
    let image = registry.image("localhost", &place.name);
    let words = ["push", &place.name, &image, "--plain-http", "--json"];
    let pushed = json_of(&gaoler(&place, &words));
    assert_eq!(pushed["uploaded"]["blobs"], 4, "{pushed:#}");
    // The image, its bill of materials, and the list of what is attached.
    assert_eq!(pushed["uploaded"]["manifests"], 3, "{pushed:#}");
    let index: Value =
        serde_json::from_slice(&fs::read(exported.join("index.json")).unwrap()).unwrap();
    assert_eq!(pushed["digest"], index["manifests"][0]["digest"]);
    assert_eq!(pushed["attached"], json!([index["manifests"][1]["digest"]]));
    let left = fs::read_dir(place.state()).unwrap().flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(names, [place.name.as_str()]);

    let before = registry.changes();
    assert!(before > 0);
    let again = json_of(&gaoler(&place, &words));
    let nothing = json!({"blobs": 0, "bytes": 0, "manifests": 0});
    assert_eq!(again["uploaded"], nothing);
    assert_eq!(again["skipped"]["blobs"], 4);
    assert_eq!(registry.changes(), before);

    let remote = format!("docker://{image}");
    let read = skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &remote,
    ]);
    assert_eq!(pushed["digest"], read.trim());
    let copy = format!("oci:{}:x", place.path("copy").display());
    skopeo(&["copy", "--quiet", "--src-tls-verify=false", &remote, &copy]);

    let pulled = place.path("pulled");
    let pull = |image: &str| {
        let words = [
            "pull",
            image,
            "--plain-http",
            "--json",
            "-o",
            pulled.to_str().unwrap(),
        ];
        json_of(&gaoler(&place, &words))
    };
    let first = pull(&image);
    assert_eq!(
        (&first["digest"], &first["attached"]),
        (&pushed["digest"], &pushed["attached"])
    );
    assert!(content(&pulled) == content(&exported));
    // What is there is not fetched again, unless it is damaged.
    let manifest = pulled
        .join("blobs")
        .join(digest(&index["manifests"][0]).replace(':', "/"));
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let layer = digest(&manifest["layers"][0]).replace(':', "/");
    fs::write(pulled.join("blobs").join(layer), "damaged").unwrap();
    assert_eq!(pull(&image)["downloaded"]["blobs"], 1);
    let (repository, _) = image.rsplit_once(':').unwrap();
    let exactly = format!("{repository}@{}", digest(&pushed));
    assert_eq!(pull(&exactly)["downloaded"]["blobs"], 0);
    let other = format!("{repository}@sha256:{}", "0".repeat(64));
    let words = [
        "pull",
        &other,
        "--plain-http",
        "-o",
        pulled.to_str().unwrap(),
    ];
    gaoler(&place, &words).is(FAILED, &["the registry has no such image"]);
}

fn digest(value: &Value) -> &str {
    value["digest"].as_str().unwrap()
}

#[test]
fn a_registry_with_passwords_gets_the_right_one() {
    let bench = Bench::new();
    let accounts = bench.path("htpasswd");
    fs::write(&accounts, ACCOUNT).unwrap();
    let auth = format!(
        "auth:\n  htpasswd: {{realm: a test, path: {}}}\n",
        accounts.display()
    );
    let registry = Registry::start(&bench.path("registry"), &auth);
    let image = registry.image("127.0.0.1", "1");
    push(&bench, &image, &["--plain-http"]).is(FAILED, &["none are known for it", "podman login"]);
    let file = bench.path("auth.json");
    let push = |encoded: &str| {
        let name = format!("127.0.0.1:{}", registry.port);
        let text = json!({"auths": {name: {"auth": encoded}}}).to_string();
        fs::write(&file, text).unwrap();
        let named = ["--plain-http", "--auth-file", file.to_str().unwrap()];
        push(&bench, &image, &named)
    };
    // me:wrong
    let wrong = push("bWU6d3Jvbmc=");
    wrong.is(
        FAILED,
        &["does not take this user and password", "auth.json"],
    );
    assert!(!wrong.error.contains("again in"), "{wrong:#?}");
    // me:secret
    push("bWU6c2VjcmV0").is(DONE, &["uploaded     4 blobs"]);
}

/// An authority, and a certificate of its for this machine's loopback.
fn certificates(directory: &Path) {
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        let told = command
            .args(words.split(' '))
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -subj /CN=authority -days 2 -keyout ca.key -out ca.pem"
    ));
    openssl(&format!(
        "req {key} -subj /CN=server -keyout server.key -out server.csr"
    ));
    let names = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    fs::write(directory.join("names"), names).unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem",
    );
}

#[test]
fn a_certificate_is_asked_for_and_compared() {
    let bench = Bench::new();
    certificates(&bench.path(""));
    let file = |name: &str| bench.path(name).display().to_string();
    let tls = format!(
        "  tls: {{certificate: {}, key: {}}}\n",
        file("server.pem"),
        file("server.key")
    );
    let registry = Registry::start(&bench.path("registry"), &tls);
    let push = |registry: &Registry, host: &str, more: &[&str]| {
        push(&bench, &registry.image(host, "1"), more)
    };
    let ca = file("ca.pem");
    let unknown = push(&registry, "127.0.0.1", &[]);
    unknown.is(FAILED, &["TLS: ", "UnknownIssuer", "--ca FILE"]);
    let other = push(&registry, "localhost", &["--ca", &ca]);
    other.is(FAILED, &["not one for this name"]);
    let in_the_clear = push(&registry, "127.0.0.1", &["--plain-http"]);
    in_the_clear.is(FAILED, &["it answers 400 Bad Request"]);
    push(&registry, "127.0.0.1", &["--ca", &ca]).is(DONE, &["uploaded     4 blobs"]);
    let plain = Registry::start(&bench.path("plain"), "");
    push(&plain, "127.0.0.1", &[]).is(FAILED, &["TLS: ", "--plain-http"]);
    assert_eq!(plain.changes(), 0);
}
