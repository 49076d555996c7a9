//! Objects for a cluster: held against the published schemas, and played by podman.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gaoler::build::Manifest;
use gaoler::export::Subject;
use gaoler::export::kubernetes::{self, Configuration, Content, Held, Options};
use gaoler::spec::parse;

use crate::common::{GID, Place, UID};
use crate::started::export;

/// The schemas of every version up to its own, as the project publishes them.
const VALIDATOR: &str = "kubernetes-validate==1.37.0";

/// The three that the project keeps up, and one without all fields.
const VERSIONS: [(u32, u32); 4] = [(1, 30), (1, 35), (1, 36), (1, 37)];

/// The program that validates, installed if it was not before; why not, if it cannot be.
fn validator() -> Result<PathBuf, String> {
    let cache = std::env::var_os("GAOLER_TEST_CACHE");
    let cache = cache.map_or_else(|| PathBuf::from("/var/cache/gaoler-tests"), PathBuf::from);
    fs::create_dir_all(&cache).unwrap();
    let directory = cache.join(VALIDATOR);
    let program = directory.join("bin/kubernetes-validate");
    // Of two at once, one waits.
    let lock = File::create(cache.join("validator.lock")).unwrap();
    lock.lock().unwrap();
    if program.exists() {
        return Ok(program);
    }
    let done = |command: &mut Command| {
        let told = command.output().map_err(|error| error.to_string())?;
        let last = String::from_utf8_lossy(&told.stderr)
            .lines()
            .last()
            .map(str::to_owned);
        told.status
            .success()
            .then_some(())
            .ok_or(last.unwrap_or_default())
    };
    // Without a pip of its own: that would take ten seconds more.
    let environment = ["-m", "venv", "--without-pip"];
    done(Command::new("python3").args(environment).arg(&directory))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--python"])
        .arg(directory.join("bin/python"));
    let quickly = ["--quiet", "--no-cache-dir", "--no-compile"];
    let installed = done(pip.arg("install").args(quickly).arg(VALIDATOR));
    installed.inspect_err(|_| fs::remove_dir_all(&directory).unwrap())?;
    Ok(program)
}

/// `--strict`: a field that is not in the schema is a mistake.
fn validate(program: &Path, version: (u32, u32), file: &Path) -> Output {
    let version = format!("{}.{}", version.0, version.1);
    Command::new(program)
        .args(["--strict", "--kubernetes-version", &version])
        .arg(file)
        .output()
        .unwrap()
}

/// A service with state, configuration, a key, low ports and a place in memory.
fn objects(version: (u32, u32)) -> String {
    let spec = parse(include_str!("../docs/example.toml"), "example.toml").unwrap();
    let manifest = Manifest::default();
    let subject = Subject {
        spec: &spec,
        manifest: &manifest,
        tree: Path::new("/var/lib/gaoler/example/current/root"),
        uid: 995,
        gid: 995,
        groups: &[44],
        user_option: None,
        other_groups: &[],
    };
    let place = PathBuf::from("/etc/example");
    let files = BTreeMap::from([
        (
            place.join("conf"),
            Content::Text("yes: no\n# 1e3\n".to_owned()),
        ),
        (place.join("key"), Content::Secret),
    ]);
    let options = Options {
        version: Some(version),
        configuration: Configuration {
            binds: BTreeMap::from([(place, Held::Files(files))]),
            ..Configuration::default()
        },
        ..Options::default()
    };
    let exported = kubernetes::export(subject, &options).unwrap();
    exported.files[0].text.clone()
}

#[test]
fn the_schemas_of_each_version_take_the_objects() {
    let program = match validator() {
        Ok(program) => program,
        Err(why) => {
            println!("skipped: {VALIDATOR} cannot be installed: {why}");
            return;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("objects.yaml");
    for version in VERSIONS {
        let text = objects(version);
        for kind in ["ConfigMap", "NetworkPolicy", "Service", "StatefulSet"] {
            assert!(text.contains(&format!("kind: {kind}\n")), "{text}");
        }
        fs::write(&file, &text).unwrap();
        let told = validate(&program, version, &file);
        assert!(told.status.success(), "{version:?} {told:?}\n{text}");
    }
    // What is there is of the last, and the first does not have all of its fields.
    let told = validate(&program, VERSIONS[0], &file);
    assert!(!told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("supplementalGroupsPolicy"), "{told}");
}

/// A high one: podman 4.3 leaves out the sysctl that opens a low one.
const PORT: u16 = 8080;

/// Plays the objects in a network of its own, asks the service in its pod, and takes everything down.
/// Prints the service's status, its answer, and what it has printed.
const PLAY: &str = r#"
set -eu
export CONTAINERS_CONF=$1/containers.conf
podman() {
    command podman --root "$DIR/store" --runroot "$DIR/run" --tmpdir "$DIR/tmp" --storage-driver vfs \
        --runtime runc --cgroup-manager cgroupfs --events-backend file "$@"
}
DIR=$1 NAME=$2
mkdir -p "$DIR"
# A limit that the host does not have cannot be raised.
printf '[containers]\ndefault_ulimits = []\n' >"$CONTAINERS_CONF"
ip link set lo up
podman tag "$(cd "$DIR/.." && podman pull --quiet "oci:exported/$NAME.oci:$NAME")" "localhost/$NAME"
objects=$DIR/../exported/$NAME/$NAME.yaml
podman kube play --seccomp-profile-root "$DIR/../exported/$NAME/seccomp/operator" "$objects" >/dev/null
pod=$(podman pod inspect --format '{{.ID}}' "$NAME-pod-0")
end() {
    podman kube down "$objects" >/dev/null
    # podman leaves the pod's, empty, and its own.
    find /sys/fs/cgroup -depth -path "*/libpod_parent/$pod*" -type d -exec rmdir {} +
    rmdir /sys/fs/cgroup/libpod_parent /sys/fs/cgroup/*/libpod_parent 2>/dev/null || true
}
trap end EXIT
service=$NAME-pod-0-$NAME
pid=$(podman inspect --format '{{.State.Pid}}' "$service")
cat "/proc/$pid/status" || {
    podman logs "$service" >&2
    exit 1
}
tries=0
until nsenter --target "$pid" --net bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0; cat <&3' "$3" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || break
    sleep 0.1
done
podman logs "$service"
"#;

#[test]
fn podman_plays_the_objects() {
    let mut place = Place::new(&["ids", "try", "24", "make", "/made"]);
    let configuration = place.bind("configuration", false);
    fs::write(configuration.join("conf"), "a line\n").unwrap();
    // It is the first process of its container: TERM does nothing.
    place.text.service = "stop_timeout_s = 1\n".into();
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {PORT}\nbecause = \"a test\"\n"
    );
    let file = configuration.join("conf").to_str().unwrap().to_owned();
    let port = PORT.to_string();
    let words = ["read", &file, "serve", &port].map(str::to_owned);
    place.text.command.extend(words);
    export(&place, "oci");
    let directory = export(&place, "kubernetes");
    assert_eq!(directory, place.path("exported"));
    let podman = place.path("podman");
    let played = Command::new("unshare")
        // Of mounts too: podman leaves one on /run/netns.
        .args(["--net", "--mount", "sh", "-c", PLAY, "sh"])
        .args([podman.to_str().unwrap(), &place.name, &port])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&played.stdout);
    assert!(played.status.success(), "{played:?}");
    for line in [
        &format!("Uid:\t{UID}\t{UID}\t{UID}\t{UID}"),
        &format!("Gid:\t{GID}\t{GID}\t{GID}\t{GID}"),
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "hello",
        // sched_yield(2), which podman's own filter allows.
        "call 24: Operation not permitted",
        "make /made: Read-only file system",
        &format!("read {file}: done"),
    ] {
        assert!(told.lines().any(|it| it == line), "{line}\n{played:?}");
    }
    place.nothing_runs();
}
