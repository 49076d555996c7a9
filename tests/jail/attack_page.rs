//! `docs/attack.md`: what each layer of a jail stops, and what other launchers do.
//! `GAOLER_BLESS=1 cargo test --test jail attack_page` writes it anew, as root, in some ten minutes;
//! without that, some rows are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::machine::{Done, Machine, machine};

const BEGIN: &str = include_str!("attack_page.md");

const LAYERS: [&str; 12] = [
    "root",
    "ids",
    "capabilities",
    "no_new_privs",
    "landlock",
    "seccomp",
    "pid_namespace",
    "ipc_namespace",
    "uts_namespace",
    "session",
    "limits",
    "host",
];

/// Those that are looked at each time.
const LOOKED_AT: [&str; 4] = ["ids", "landlock", "limits", "host"];

const REMOVED: &str = "## Without one layer";
const ALONE: &str = "## One layer alone";
const LAUNCHERS: &str = "## Other launchers";

/// A launcher: what it is called, how it tells its version, and its command.
const COMMANDS: [(&str, &[&str], &str); 7] = [
    ("nothing", &[], "env"),
    (
        "firejail, its profile for servers",
        &["firejail", "--version"],
        "firejail --quiet --profile=server",
    ),
    (
        "firejail, with more of its options",
        &["firejail", "--version"],
        "firejail --quiet --private --caps.drop=all --seccomp --nonewprivs --net=none",
    ),
    (
        "bubblewrap",
        &["bwrap", "--version"],
        "bwrap --ro-bind /usr /usr --symlink usr/lib64 /lib64 --ro-bind {} {} --proc /proc --dev \
         /dev --unshare-all --new-session --die-with-parent",
    ),
    (
        "systemd-nspawn",
        &["systemd-nspawn", "--version"],
        "systemd-nspawn --quiet --pipe --register=no --keep-unit -D /srv/root --bind-ro={}",
    ),
    (
        "systemd-nspawn, with users, network and privileges of its own",
        &["systemd-nspawn", "--version"],
        "systemd-nspawn --quiet --pipe --register=no --keep-unit -D /srv/root --bind-ro={} \
         --private-users=pick --private-network --no-new-privileges=yes",
    ),
    (
        "runc, by `runc spec`",
        &["runc", "--version"],
        "sh /srv/runc.sh /srv/bundle",
    ),
];

fn bless() -> bool {
    std::env::var_os("GAOLER_BLESS").is_some()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/attack.md")
}

/// The sections of a page, by their headings.
fn sections(page: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut heading = String::new();
    for line in page.lines() {
        if line.starts_with("## ") {
            line.clone_into(&mut heading);
        }
        *all.entry(heading.clone()).or_default() += &format!("{line}\n");
    }
    all
}

fn page(sections: &BTreeMap<String, String>) -> String {
    let mut page = BEGIN.to_owned();
    for heading in [REMOVED, ALONE, LAUNCHERS] {
        if let Some(section) = sections.get(heading) {
            page += &format!("\n{}\n", section.trim_end());
        }
    }
    page
}

fn write(heading: &str, text: &str) {
    // Others write theirs.
    let lock = fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
    lock.lock().unwrap();
    let mut all = sections(&fs::read_to_string(path()).unwrap_or_default());
    all.insert(heading.to_owned(), format!("{heading}\n\n{text}"));
    fs::write(path(), page(&all)).unwrap();
}

/// The probes of each outcome.
fn outcomes(done: &Done) -> BTreeMap<String, BTreeSet<String>> {
    let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for probe in report["probes"].as_array().unwrap() {
        let word = |key: &str| probe[key].as_str().unwrap().to_owned();
        all.entry(word("outcome")).or_default().insert(word("id"));
    }
    all
}

fn escaped(done: &Done) -> BTreeSet<String> {
    outcomes(done).remove("escaped").unwrap_or_default()
}

fn listed(ids: &BTreeSet<String>) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    ids.join(", ")
}

fn without<'a>(layers: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut arguments = vec!["attack", "named", "--json"];
    for layer in layers {
        arguments.extend(["--without", layer]);
    }
    arguments
}

/// What has to go with a layer, which needs it or is needed by it.
fn removed(m: &Machine, layer: &str) -> String {
    let with: &[&str] = match layer {
        "no_new_privs" => &["seccomp", "landlock"],
        _ => &[],
    };
    let layers = [&[layer], with].concat();
    let ids = escaped(&m.gaoler(&without(layers.iter().copied())));
    let name = layers.join("`, `");
    format!("| `{name}` | {} | {} |\n", ids.len(), listed(&ids))
}

#[test]
fn without_each_layer() {
    machine(|m| {
        m.up();
        if bless() {
            let mut text = "| Without | Escape | Which |\n|---|---|---|\n".to_owned();
            for layer in LAYERS {
                text += &removed(m, layer);
            }
            write(REMOVED, &text);
        } else {
            let page = fs::read_to_string(path()).unwrap();
            for layer in LOOKED_AT {
                let row = removed(m, layer);
                assert!(page.contains(&row), "{row}");
            }
        }
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

#[test]
fn each_layer_alone() {
    machine(|m| {
        if !bless() {
            return;
        }
        m.up();
        fs::copy(env!("CARGO_BIN_EXE_gaoler"), "/opt/gaoler").unwrap();
        let run = |keep: &[&str]| {
            let script = include_str!("overlaid.sh");
            let mut command = vec![
                "unshare",
                "--mount",
                "sh",
                "-c",
                script,
                "sh",
                "/opt/gaoler",
            ];
            let off = LAYERS.iter().filter(|layer| !keep.contains(layer));
            command.extend(without(off.copied()));
            escaped(&m.run(&command))
        };
        let free = run(&[]);
        let mut text = format!(
            "Without any of them {} of the probes escape. With one alone, this many fewer:\n\n\
             | Layer | Stops |\n|---|---|\n",
            free.len()
        );
        for layer in LAYERS {
            let keep: &[&str] = match layer {
                "seccomp" | "landlock" => &[layer, "no_new_privs"],
                _ => &[layer],
            };
            let stopped = free.difference(&run(keep)).count();
            text += &format!("| `{}` | {stopped} |\n", keep.join("`, with `"));
        }
        write(ALONE, &text);
        m.gaoler(&["stop", "named"]).ok();
    });
}

/// A launcher's row, and what gets through.
fn launched(m: &Machine, name: &str, command: &str) -> (String, String) {
    // firejail takes itself for confined where it sees no thread of the kernel, and does nothing; the
    // others look for their cgroup by its whole path.
    let script = "cp /bin/sleep /srv/kthreadd; /srv/kthreadd 1000 & \
                  for place in $(awk '/gaoler-test/ { print $5 }' /proc/self/mountinfo); do \
                  umount \"$place\"; done; \"$@\"; exit $?";
    let gaoler = env!("CARGO_BIN_EXE_gaoler");
    let inside = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
    ];
    let attack = [script, "sh", gaoler, "attack", "--json", "--under", command];
    let done = m.run(&[&inside[..], &attack].concat());
    let shown = format!("| {name} | `{command}` |");
    if done.code != 3 && done.code != 0 {
        let message = done
            .err
            .lines()
            .next()
            .unwrap_or_default()
            .replace('|', "/");
        return (format!("{shown} {message} | | |\n"), String::new());
    }
    let all = outcomes(&done);
    let count = |outcome: &str| all.get(outcome).map_or(0, BTreeSet::len);
    let row = format!(
        "{shown} {} | {} | {} |\n",
        count("escaped"),
        count("blocked"),
        count("not-proven")
    );
    let escaped = all.get("escaped").map(listed).unwrap_or_default();
    (row, format!("- {name}: {escaped}\n"))
}

#[test]
fn under_each_launcher() {
    machine(|m| {
        if !bless() {
            return;
        }
        for directory in ["/srv/root/usr", "/srv/bundle/rootfs"] {
            fs::create_dir_all(directory).unwrap();
        }
        m.write("/srv/runc.sh", include_str!("runc.sh"));
        m.run(&["runc", "spec", "--bundle", "/srv/bundle"]).ok();
        fs::rename("/srv/bundle/config.json", "/srv/bundle/spec.json").unwrap();
        fs::write("/srv/bundle/rootfs/prober", gaoler::attack::PROBER).unwrap();
        m.run(&["chmod", "755", "/srv/bundle/rootfs/prober"]).ok();
        let versions: BTreeSet<String> = COMMANDS
            .iter()
            .filter(|(_, version, _)| !version.is_empty())
            .filter_map(|(_, version, _)| Some(m.run(version).out.lines().next()?.to_owned()))
            .collect();
        let versions: Vec<String> = versions.into_iter().collect();
        let mut rows = String::new();
        let mut through = String::new();
        for (name, _, command) in COMMANDS {
            let (row, ids) = launched(m, name, command);
            rows += &row;
            through += &ids;
        }
        let text = format!(
            "Debian 12: {}.\n\n| Launcher | Command | Escaped | Stopped | Not proven |\n\
             |---|---|---|---|---|\n{rows}\nWhat escapes:\n\n{through}",
            versions.join("; ")
        );
        write(LAUNCHERS, &text);
    });
}

#[test]
fn the_page_is_whole_and_names_probes_that_there_are() {
    if bless() {
        return;
    }
    let text = fs::read_to_string(path()).unwrap();
    let sections = sections(&text);
    assert_eq!(text, page(&sections), "it is stale");
    for heading in [REMOVED, ALONE, LAUNCHERS] {
        assert!(sections.contains_key(heading), "{heading} is missing");
    }
    let known: BTreeSet<String> = gaoler::attack::probes()
        .unwrap()
        .into_iter()
        .map(|probe| probe.id)
        .collect();
    let mut seen = 0;
    for part in text.split('`').skip(1).step_by(2) {
        let is_id = part.contains('-') && !part.starts_with('-') && !part.contains([' ', '=', '/']);
        if is_id {
            assert!(known.contains(part), "{part}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
    for layer in LAYERS {
        assert!(text.contains(&format!("| `{layer}`")), "{layer}");
    }
    for (name, _, command) in COMMANDS {
        assert!(
            text.contains(&format!("| {name} | `{command}` |")),
            "{name}"
        );
    }
}
