//! docs/json.md has exactly the keys that the verbs print.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gaoler::learn::trace::{
    ArgumentsSeen, CapabilitySeen, Known, Phase, SocketSeen, SocketUse, Witness,
};
use gaoler::learn::{self, ExerciseRun};
use gaoler::run::log::Line;
use serde_json::Value;

use crate::{gaoler, repository};

/// A user that every Debian system has, whom nothing runs as.
const USER: &str = "games";

/// A jail of `sleep`, in directories of its own; stopped at the end.
struct Jail {
    places: tempfile::TempDir,
}

impl Jail {
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let places = self.places.path();
        let output = gaoler()
            .arg("--etc")
            .arg(places.join("etc"))
            .arg("--state")
            .arg(places.join("state"))
            .arg("--run")
            .arg(places.join("run"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            !text.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code(), text)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.command(arguments).1).unwrap()
    }

    fn spec(&self) -> PathBuf {
        self.places.path().join("etc/nap.toml")
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if self.spec().exists() {
            self.command(&["stop", "nap"]);
        }
        // Where the host has no /dev/log, the supervisor writes here.
        drop(std::fs::remove_file("/var/log/gaoler-nap.log"));
    }
}

#[test]
fn the_documented_keys_are_those_that_are_printed() {
    let jail = Jail {
        places: tempfile::tempdir().unwrap(),
    };
    for place in ["etc", "state", "run"] {
        std::fs::create_dir(jail.places.path().join(place)).unwrap();
    }
    // Nobody else's command on this machine: that would be taken for the host's own copy.
    let seconds = (100_000 + std::process::id()).to_string();
    let command = ["/bin/sleep", &seconds];
    let up = ["up", "nap", "--user", USER, "--json", "--"];
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut see = |section, value: &Value| keys(value, "", seen.entry(section).or_default());

    see("up", &jail.json(&[&up[..], &command].concat()));
    // Something to find, in every place that has findings.
    let spec = std::fs::read_to_string(jail.spec()).unwrap();
    let spec = spec.replace("[protections]", "[protections]\nuts_namespace = \"off\"");
    let null = r#"{ path = "/dev/null", device = "null", because = "for the manifest" }"#;
    let spec = spec
        + "\n[[accepted]]\ncheck = \"spec.protection\"\nsubject = \"protections.*\"\n\
                       because = \"a test\"\nuntil = \"2999-12-31\"\n";
    let spec = spec.replace("devices = []", &format!("devices = [{null}]"));
    std::fs::write(jail.spec(), spec).unwrap();
    see("up", &jail.json(&["up", "nap", "--json"]));
    let spec = jail.spec();
    let changed = std::fs::read_to_string(&spec).unwrap().replace(null, "");
    let other = jail.places.path().join("other.toml");
    std::fs::write(&other, changed).unwrap();
    let (spec, other) = (spec.to_str().unwrap(), other.to_str().unwrap());
    let (code, text) = jail.command(&["spec", "diff", spec, other, "--json"]);
    assert_eq!(code, Some(1));
    see("spec diff", &serde_json::from_str(&text).unwrap());
    see("build", &jail.json(&["build", "nap", "--json"]));
    see("plan", &jail.json(&["plan", "nap", "--json"]));
    see("check", &jail.json(&["check", "nap", "--live", "--json"]));
    let export = [
        "export",
        "nap",
        "--to",
        "systemd",
        "--systemd-version",
        "252",
        "--json",
    ];
    see("export", &jail.json(&export));
    see("apparmor", &apparmor());
    registry(&mut see);
    see("list", &jail.json(&["list", "--json"]));
    see("tree", &jail.json(&["tree", "nap", "--json"]));
    let sockets = jail.json(&["netstats", "--json"]);
    see("netstats", &with_a_socket(sockets));
    see("top", &jail.json(&["top", "nap", "--json"]));
    perms(&jail, &mut see);
    see("guard", &jail.json(&["guard", "nap", "--status", "--json"]));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    see("check without a name", &jail.json(&["check", "--json"]));
    drop(listener);
    see(
        "why",
        &jail.json(&["why", "nap", "--log", &log(&jail), "--json"]),
    );
    let missed = "\n[[exercise]]\nname = \"missed\"\ncommand = [\"true\"]\nbecause = \"a test\"\n";
    let spec = std::fs::read_to_string(jail.spec()).unwrap();
    std::fs::write(jail.spec(), spec + missed).unwrap();
    richer_trace(&jail.places.path().join("state/nap/trace.json"));
    trials(&jail, &mut see);
    see(
        "trace show",
        &jail.json(&["trace", "show", "nap", "--json"]),
    );
    see("status", &jail.json(&["restart", "nap", "--json"]));
    see("status", &jail.json(&["status", "nap", "--json"]));
    // It says nothing that there were a line of.
    let line = Line::parse("2026-11-22T11:40:20Z daemon.info nap/1/sleep[7]: a line");
    see("logs", &serde_json::to_value(line.unwrap()).unwrap());
    generations(&jail, &mut see);
    see("incidents", &crashed(&jail));
    jail.json(&["restart", "nap", "--json"]);
    let stopped = jail.json(&["stop", "nap", "--json"]);
    assert_eq!(stopped["state"], "stopped");
    see("status", &stopped);
    let manifest = jail.places.path().join("state/nap/current/manifest.json");
    for line in std::fs::read_to_string(manifest).unwrap().lines() {
        see("manifest", &serde_json::from_str(line).unwrap());
    }

    let event = gaoler::run::events::Event {
        time: String::new(),
        jail: String::new(),
        event: String::new(),
        pid: None,
        detail: String::new(),
    };
    let event = serde_json::to_value(event).unwrap();
    see("events", &event);
    see("monitor", &event);

    let documented = documented(&repository("docs/json.md"));
    for (section, keys) in &seen {
        assert_eq!(documented.get(*section), Some(keys), "section {section}");
    }
    assert_eq!(documented.len(), seen.len());
}

/// Something in every place of it: this host may have no AppArmor.
fn apparmor() -> Value {
    use gaoler::audit::scan::Socket;
    use gaoler::verbs::{AppArmorStatus, Confined, Profiled, Unconfined};
    let (name, path) = (String::new, PathBuf::new);
    let found = AppArmorStatus {
        jails: vec![Profiled {
            name: name(),
            file: None,
            mode: None,
            program: path(),
            processes: vec![Confined {
                pid: 0,
                name: name(),
                apparmor: None,
            }],
            problems: Vec::new(),
            changed: Vec::new(),
        }],
        unconfined: vec![Unconfined {
            pid: 0,
            name: name(),
            executable: None,
            sockets: vec![Socket {
                protocol: name(),
                address: name(),
                port: None,
            }],
            instead: None,
        }],
    };
    serde_json::to_value(found).unwrap()
}

/// There is none here: `tests/exported` has one.
fn registry(see: &mut dyn FnMut(&'static str, &Value)) {
    use gaoler::verbs::{Moved, Pulled, Pushed};
    let pushed = Pushed {
        reference: String::new(),
        digest: String::new(),
        attached: vec![String::new()],
        uploaded: Moved::default(),
        skipped: Moved::default(),
    };
    see("push", &serde_json::to_value(pushed).unwrap());
    let pulled = Pulled {
        reference: String::new(),
        digest: String::new(),
        name: String::new(),
        attached: vec![String::new()],
        downloaded: Moved::default(),
        skipped: Moved::default(),
    };
    see("pull", &serde_json::to_value(pulled).unwrap());
}

/// What is known when a signal has ended it.
fn crashed(jail: &Jail) -> Value {
    let pid = jail.json(&["status", "nap", "--json"])["pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-SEGV", &pid])
        .status();
    assert!(killed.unwrap().success());
    loop {
        let found = jail.json(&["incidents", "nap", "--json"]);
        if found["incidents"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            return found;
        }
    }
}

/// Two generations that differ in their spec, in the tree and in the packages of it.
fn generations(jail: &Jail, see: &mut dyn FnMut(&'static str, &Value)) {
    let text = std::fs::read_to_string(jail.spec()).unwrap();
    let data = r#"{ path = "/etc/debian_version", kind = "data", because = "a test" }"#;
    let changed = match text.contains("files = []") {
        true => text.replace("files = []", &format!("files = [{data}]")),
        false => text.replace("files = [\n", &format!("files = [\n    {data},\n")),
    };
    assert_ne!(text, changed, "{text}");
    std::fs::write(jail.spec(), changed).unwrap();
    jail.command(&["build", "nap", "--json"]);
    let found = jail.json(&["generations", "nap", "--json"]);
    see("generations", &without_spec(found, "generations"));
    let (code, text) = jail.command(&["upgrade", "nap", "--check", "--json"]);
    assert_eq!(code, Some(3), "what runs is not what is current: {text}");
    let mut found: Value = serde_json::from_str(&text).unwrap();
    // What only an upgrade has that finds something.
    let one = &mut found["jails"][0];
    for (list, keys) in [
        ("packages", &["name", "from", "to"][..]),
        ("altered", &["path", "change"]),
        ("grown", &["subject", "cause"]),
        ("asked", &["subject", "cause"]),
    ] {
        let fields = keys.iter().map(|key| ((*key).to_owned(), "x".into()));
        one[list] = Value::Array(vec![Value::Object(fields.collect())]);
    }
    see("upgrade", &found);
    let found = jail.json(&["rollback", "nap", "--json"]);
    see("rollback", &without_spec(found, ""));
}

/// What `spec diff` has is documented there.
fn without_spec(mut found: Value, list: &str) -> Value {
    if list.is_empty() {
        found["spec"] = Value::Array(Vec::new());
    }
    let lists = found.get_mut(list).and_then(Value::as_array_mut);
    for one in lists.into_iter().flatten() {
        one["spec"] = Value::Array(Vec::new());
    }
    found
}

/// `sleep` has none.
fn with_a_socket(mut value: Value) -> Value {
    use gaoler::watch::sockets::{Activity, Socket};
    let socket = Socket {
        protocol: "tcp",
        activity: Activity::Listening,
        address: None,
        port: None,
        peer_address: None,
        peer_port: None,
        peer_pid: None,
        received: None,
        sent: None,
        allowed: None,
        pids: Vec::new(),
    };
    let sockets = &mut value["jails"][0]["sockets"];
    *sockets = serde_json::to_value([socket]).unwrap();
    value
}

/// The permission plan with something to set, something to report and a place.
fn perms(jail: &Jail, see: &mut dyn FnMut(&'static str, &Value)) {
    let place = jail.places.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let unchanged = std::fs::read_to_string(jail.spec()).unwrap();
    let rule = format!("{{ path = {place:?}, writable = true, because = \"a test\" }}");
    let changed = unchanged.replace("binds = []", &format!("binds = [{rule}]"));
    assert_ne!(unchanged, changed);
    std::fs::write(jail.spec(), changed).unwrap();
    let tree = jail.places.path().join("state/nap/current/root");
    let looser = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(tree.join("etc"), looser).unwrap();
    std::fs::write(tree.join("more"), "").unwrap();
    let (code, text) = jail.command(&["perms", "nap", "--fix", "--json"]);
    assert_eq!(code, Some(3));
    see("perms", &serde_json::from_str(&text).unwrap());
    std::fs::remove_file(tree.join("more")).unwrap();
    std::fs::write(jail.spec(), unchanged).unwrap();
}

/// A record of something that `check` would call unwise.
fn log(jail: &Jail) -> String {
    let path = jail.places.path().join("kernel.log");
    let record = "[ 40.1] audit: type=1400 audit(1700000000.123:456): apparmor=\"DENIED\" \
                  operation=\"capable\" profile=\"sleep\" pid=8 comm=\"sleep\" capability=21 \
                  capname=\"sys_admin\"\n";
    // And one whose change has fields.
    let file = record
        .replace(
            "operation=\"capable\"",
            "operation=\"open\" name=\"/srv/a\" denied_mask=\"r\"",
        )
        .replace(" capability=21", "")
        .replace(" capname=\"sys_admin\"", "")
        .replace(":456", ":457");
    std::fs::write(&path, [record, &file].concat()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What `bisect` and `minimize` print, of a jail with two faults, of one thing that is needed, one
/// that is not, and one that is not tried.
fn trials(jail: &Jail, see: &mut dyn FnMut(&'static str, &Value)) {
    let of_sleep = |words: &str| format!("P=$(pgrep -nx sleep) && {words}");
    let both = of_sleep(
        "grep -q '^Groups:.*[0-9]' /proc/$P/status && grep -q '^Seccomp:.0' /proc/$P/status",
    );
    let attacked = jail.json(&["attack", "nap", "--without", "seccomp", "--json"]);
    see("attack", &attacked);
    let found = jail.json(&["bisect", "nap", "--json", "--", "sh", "-c", &both]);
    assert_eq!(found["with"].as_array().map(Vec::len), Some(1), "{found:#}");
    see("bisect", &found);
    let text = std::fs::read_to_string(jail.spec()).unwrap();
    let null = "because = \"for the manifest\" }";
    let zero = r#"{ path = "/dev/zero", device = "zero", because = "nothing" }"#;
    let spec = text.replace(null, &format!("{null}, {zero}"));
    assert_ne!(spec, text);
    let needs = of_sleep("test -c /proc/$P/root/dev/null");
    let exercise = format!(
        "\n[[exercise]]\nname = \"null\"\ncommand = [\"sh\", \"-c\", {needs:?}]\nbecause = \"a test\"\n"
    );
    std::fs::write(jail.spec(), spec + &exercise).unwrap();
    let words = [
        "minimize", "nap", "--only", "device", "--only", "file", "--json",
    ];
    let found = jail.json(&words);
    assert_eq!(found["proven"][0]["exercise"], "null", "{found:#}");
    see("minimize", &found);
    std::fs::write(jail.spec(), text).unwrap();
}

/// Puts one of everything into a trace that `sleep` has nothing of.
fn richer_trace(path: &Path) {
    let mut trace = learn::load(path).unwrap();
    trace.certificate.exercises.push(ExerciseRun {
        name: "asked".to_owned(),
        command: vec!["true".to_owned()],
        exit: Some(1),
        passed: false,
        pass: 1,
        phase: Phase::Serve,
    });
    trace.sockets.push(SocketSeen {
        action: SocketUse::Bind,
        family: 2,
        kind: 1,
        protocol: 0,
        address: "127.0.0.1".to_owned(),
        port: 80,
        phase: Phase::Start,
        witness: Witness::default(),
    });
    trace.capabilities.push(CapabilitySeen {
        capability: 10,
        call: "bind(127.0.0.1:80)".to_owned(),
        phase: Phase::Start,
        count: 1,
        known: Known::Asked,
        refused: false,
        user: 0,
        witness: Witness::default(),
    });
    trace.arguments.push(ArgumentsSeen {
        number: 41,
        name: "socket".to_owned(),
        phase: Phase::Start,
        values: vec![2, 1, 0],
        count: 1,
    });
    learn::save(&trace, path).unwrap();
}

/// Every key, with the way to it: `findings[].id`.
fn keys(value: &Value, way: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let way = if way.is_empty() {
                    key.clone()
                } else {
                    format!("{way}.{key}")
                };
                found.insert(way.clone());
                keys(value, &way, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                keys(item, &format!("{way}[]"), found);
            }
        }
        _ => {}
    }
}

/// The keys in the tables of the page, by the section they are in: `` | `key` | … ``.
fn documented(page: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in std::fs::read_to_string(page).unwrap().lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.to_owned();
        }
        if let Some((key, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            sections
                .entry(section.clone())
                .or_default()
                .insert(key.to_owned());
        }
    }
    sections
}
