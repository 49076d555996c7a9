//! What a bundle says is read back here by other code than what wrote it.

use proptest::prelude::*;
use serde_json::Value;

use super::{accounted, built, subject, tame};
use crate::export::{Item, Subject, item, oci};
use crate::filter::{Action, Comparison, Condition, Rule};
use crate::plan;
use crate::spec::{Demand, FileKind, generate};
use crate::sys::calls;

/// What runtimes call themselves.
const OF_THE_RUNTIME: [&str; 10] = [
    "close",
    "execve",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getdents64",
    "getpid",
    "openat",
    "write",
];

fn has(list: &Value, text: &str) -> bool {
    list.as_array().unwrap().iter().any(|it| it == text)
}

/// The number that `libseccomp` makes of an entry's action.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Allow,
    Errno(u64),
}

/// What a filter answers to a call. No two of its entries may hold.
fn answer(filter: &Value, name: &str, arguments: [u64; 6]) -> Answer {
    let number = |value: &Value| value.as_u64().unwrap();
    let holds = |argument: &Value| {
        assert_eq!(argument["op"], "SCMP_CMP_MASKED_EQ");
        let given = arguments[usize::try_from(number(&argument["index"])).unwrap()];
        given & number(&argument["value"]) == number(&argument["valueTwo"])
    };
    let entries = filter["syscalls"].as_array().unwrap().iter();
    let found: Vec<&Value> = entries
        .filter(|entry| has(&entry["names"], name))
        .filter(|entry| {
            entry["args"]
                .as_array()
                .is_none_or(|all| all.iter().all(holds))
        })
        .collect();
    assert!(found.len() < 2, "{name} {arguments:?} {found:?}");
    let (action, errno) = match found.first() {
        Some(entry) => (&entry["action"], &entry["errnoRet"]),
        None => (&filter["defaultAction"], &filter["defaultErrnoRet"]),
    };
    match action.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => Answer::Allow,
        "SCMP_ACT_ERRNO" => Answer::Errno(number(errno)),
        other => panic!("{other}"),
    }
}

fn matches(condition: &Condition, arguments: [u64; 6]) -> bool {
    let mut given = arguments[usize::from(condition.argument)];
    if condition.low_half_only {
        given &= 0xFFFF_FFFF;
    }
    match condition.comparison {
        Comparison::Equal(value) => given == value,
        Comparison::NotEqual(value) => given != value,
        Comparison::MaskedEqual { mask, value } => given & mask == value,
    }
}

/// What gaoler's own filter answers.
fn own(rule: &Rule, arguments: [u64; 6]) -> Action {
    let mut alternatives = rule.alternatives.iter();
    let found = alternatives.find(|(all, _)| all.iter().all(|one| matches(one, arguments)));
    found.map_or(rule.otherwise, |(_, action)| *action)
}

/// The filter answers as gaoler's own, but for what the runtime needs and what the option needed.
pub(super) fn same_filter(
    subject: &Subject<'_>,
    filter: &Value,
    arguments: [u64; 6],
) -> Result<(), TestCaseError> {
    let rules = plan::rules_for_others(subject.spec, &[], &[]).unwrap();
    for number in 0..calls::highest() {
        let Some(name) = calls::name(number) else {
            continue;
        };
        let of_the_option = |it: &&crate::spec::CallRule| subject.is_for_the_option(it);
        let mut left_out = subject.spec.calls.iter().filter(of_the_option);
        let rule = rules.iter().find(|rule| rule.call == number);
        let expected = match rule.filter(|_| !left_out.any(|it| it.number == number)) {
            Some(rule) => own(rule, arguments),
            None if OF_THE_RUNTIME.contains(&name) => Action::Allow,
            None => Action::Errno(1),
        };
        match (answer(filter, name, arguments), expected) {
            (Answer::Allow, Action::Allow) => {}
            // It knows one number for all that is refused in part.
            (Answer::Errno(1), Action::Errno(1..)) => {}
            (Answer::Errno(given), Action::Errno(own)) if given == u64::from(own) => {}
            (given, own) => {
                let text = format!("{name} {arguments:x?}: {given:?}, {own:?}");
                return Err(TestCaseError::fail(text));
            }
        }
    }
    Ok(())
}

fn mounted<'a>(config: &'a Value, path: &std::path::Path) -> Option<&'a Value> {
    let mut mounts = config["mounts"].as_array().unwrap().iter();
    let at = |mount: &&Value| mount["destination"] == path.to_str().unwrap();
    mounts.rfind(at)
}

fn says(subject: &Subject<'_>, config: &Value, item: &Item) -> bool {
    let spec = subject.spec;
    let (service, process) = (&spec.service, &config["process"]);
    let (linux, user) = (&config["linux"], &process["user"]);
    let filter = &linux["seccomp"];
    let own_namespace = |kind: &str| {
        let mut all = linux["namespaces"].as_array().unwrap().iter();
        all.any(|it| it["type"] == kind && it["path"].is_null())
    };
    let bounding = process["capabilities"]["bounding"].as_array().unwrap();
    match item {
        Item::Command => process["args"] == serde_json::json!(subject.command_as_user()),
        Item::User => match service.start_as_root {
            true => user["uid"] == 0,
            false => user["uid"] == subject.uid && user["gid"] == subject.gid,
        },
        Item::Groups => user["additionalGids"] == serde_json::json!(subject.groups),
        Item::WorkingDirectory => process["cwd"] == service.workdir.to_str().unwrap(),
        Item::Umask => user["umask"] == service.umask,
        Item::NoNewPrivileges => process["noNewPrivileges"] == true,
        // It is in the tree, which is the root.
        Item::File(path) => {
            let hides = |mount: &Value| {
                let place = mount["destination"].as_str().unwrap();
                let copied = has(&mount["options"], "tmpcopyup");
                path.starts_with(place) && mount["type"] == "tmpfs" && !copied && place != "/dev"
            };
            let rule = spec.files.iter().find(|rule| rule.path == *path).unwrap();
            let plain = matches!(rule.kind, FileKind::Data | FileKind::Directory);
            let is_in_scratch = spec.files_in_scratch().any(|rule| rule.path == *path);
            let mut mounts = config["mounts"].as_array().unwrap().iter();
            config["root"]["path"] == "rootfs" && !(plain && is_in_scratch && mounts.any(hides))
        }
        Item::Bind(path, writable) => mounted(config, path).is_some_and(|mount| {
            let option = |name| has(&mount["options"], name);
            mount["source"] == mount["destination"]
                && option(if *writable { "rw" } else { "ro" })
                && ["bind", "nosuid", "nodev", "noexec"]
                    .into_iter()
                    .all(option)
        }),
        Item::Scratch(path) => mounted(config, path).is_some_and(|mount| {
            let kib = spec
                .scratch
                .iter()
                .find(|it| it.path == *path)
                .unwrap()
                .size_kib;
            has(&mount["options"], &format!("size={kib}k")) && has(&mount["options"], "noexec")
        }),
        Item::Capability(number) => bounding
            .iter()
            .any(|name| *name == item::capability(*number)),
        Item::NoOtherCapability => bounding.len() == spec.capabilities.len(),
        Item::Limit("memory_bytes") => {
            linux["resources"]["memory"]["limit"] == spec.limits.memory.unwrap()
        }
        Item::Limit("processes") => {
            linux["resources"]["pids"]["limit"] == spec.limits.processes.unwrap()
        }
        Item::Limit(name) => {
            let kind = match *name {
                "core" => "RLIMIT_CORE",
                "descriptors" => "RLIMIT_NOFILE",
                _ => "RLIMIT_FSIZE",
            };
            let mut limits = process["rlimits"].as_array().unwrap().iter();
            limits.any(|limit| limit["type"] == kind && limit["hard"] == limit["soft"])
        }
        Item::Namespace(name) => own_namespace(name.strip_suffix("_namespace").unwrap()),
        Item::NoOtherArchitecture => filter["architectures"].as_array().unwrap().len() == 1,
        // The filter is compared call by call.
        Item::Call(_)
        | Item::StartOnly(_)
        | Item::NoOtherCall
        | Item::Arguments(_)
        | Item::Family(_)
        | Item::NoOtherFamily
        | Item::NoWritableExecutable => !filter.is_null(),
        // Nothing forbids it.
        Item::Port(..) => true,
        _ => false,
    }
}

/// Few values, so that flags and families are met.
pub(super) fn argument() -> impl Strategy<Value = u64> {
    let codes = prop_oneof![
        0u64..50,
        Just(0x5412),
        Just(0x541c),
        Just(0x1000_0000),
        Just(0x20)
    ];
    (
        codes,
        prop_oneof![3 => Just(0u64), 1 => Just(1 << 32), 1 => Just(1 << 63)],
    )
        .prop_map(|(low, high)| high | low)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_item_is_said_or_a_gap(
        spec in generate::spec(),
        arguments in prop::array::uniform6(argument()),
    ) {
        let spec = tame(spec);
        let manifest = built(&spec);
        let subject = subject(&spec, &manifest);
        let exported = oci::export(subject).unwrap();
        let config: Value = serde_json::from_str(&exported.files[0].text).unwrap();
        accounted(&spec, &exported, |item| says(&subject, &config, item))?;
        same_in_podman(&subject, &config, &exported.files.last().unwrap().text)?;
        let filter = &config["linux"]["seccomp"];
        match spec.protections.seccomp {
            Demand::Off => prop_assert!(filter.is_null()),
            Demand::Prefer | Demand::Require => {
                same_filter(&subject, filter, arguments)?;
                let beside: Value = serde_json::from_str(&exported.files[1].text).unwrap();
                prop_assert_eq!(filter, &beside);
            }
        }
    }
}

/// The options that podman is run with, as sh reads the script; each is one word or two.
fn options(script: &str) -> Vec<String> {
    let stub = "podman() { case $1 in pull) echo image ;; *) printf '%s\\0' \"$@\" ;; esac; }\n";
    let script = script.replace("exec podman", "podman");
    let told = std::process::Command::new("sh")
        .args(["-c", &format!("{stub}{script}"), "/dev/null"])
        .output()
        .unwrap();
    assert!(
        told.status.success() && told.stderr.is_empty(),
        "{told:?}\n{script}"
    );
    let text = String::from_utf8(told.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// What podman is told is what the bundle says.
fn same_in_podman(
    subject: &Subject<'_>,
    config: &Value,
    script: &str,
) -> Result<(), TestCaseError> {
    let options = options(script);
    let values = |name: &str| -> Vec<&str> {
        let pairs = options.windows(2).filter(|pair| pair[0] == name);
        pairs.map(|pair| pair[1].as_str()).collect()
    };
    let process = &config["process"];
    let user = format!("{}:{}", process["user"]["uid"], process["user"]["gid"]);
    prop_assert_eq!(values("--user"), [user.as_str()]);
    let bounding = process["capabilities"]["bounding"].as_array().unwrap();
    let kept: Vec<&str> = bounding.iter().map(|name| name.as_str().unwrap()).collect();
    let mut given = values("--cap-add");
    given.reverse();
    prop_assert_eq!(given, kept);
    prop_assert_eq!(values("--cap-drop"), ["all"]);
    let groups: Vec<String> = subject.groups.iter().map(ToString::to_string).collect();
    let mut given = values("--group-add");
    given.reverse();
    prop_assert_eq!(given, groups);
    prop_assert!(options.iter().any(|word| word == "--read-only"));
    let confined = values("--security-opt");
    prop_assert!(confined.contains(&"no-new-privileges"));
    let unconfined = confined.contains(&"seccomp=unconfined");
    prop_assert_eq!(unconfined, config["linux"]["seccomp"].is_null());
    for mount in config["mounts"].as_array().unwrap() {
        let place = mount["destination"].as_str().unwrap();
        let access = if has(&mount["options"], "rw") {
            "rw"
        } else {
            "ro"
        };
        let (name, start) = match mount["type"].as_str().unwrap() {
            "bind" => (
                "--volume",
                format!("{place}:{place}:{access},nosuid,nodev,noexec"),
            ),
            "tmpfs" if place != "/dev" => ("--tmpfs", format!("{place}:size=")),
            _ => continue,
        };
        prop_assert!(
            values(name).iter().any(|value| value.starts_with(&start)),
            "{}",
            start
        );
    }
    prop_assert_eq!(options.last().map(String::as_str), Some("image"));
    Ok(())
}

/// What is refused of `ioctl` and executable memory, at its edges.
#[test]
fn the_filter_of_an_example_looks_at_arguments() {
    let (spec, manifest) = super::example();
    let subject = subject(&spec, &manifest);
    let exported = oci::export(subject).unwrap();
    let config: Value = serde_json::from_str(&exported.files[0].text).unwrap();
    let filter = &config["linux"]["seccomp"];
    for first in [0, 1, 2, 10, 16, 0x0002_0000, 1 << 32] {
        for second in [0x5411, 0x5412, 0x5413, 0x541c, 0x1_0000_5412, 0x20] {
            for third in [0, 1, 2, 4, 6, 7, 1 << 33 | 6] {
                for fourth in [0, 2, 0x22] {
                    let arguments = [first, second, third, fourth, 0, 0];
                    same_filter(&subject, filter, arguments).unwrap();
                }
            }
        }
    }
}

#[test]
fn the_bundle_of_an_example() {
    let (spec, manifest) = super::example();
    let exported = oci::export(subject(&spec, &manifest)).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}

#[test]
fn the_image_of_an_example() {
    use oci::image::{self, Descriptor, media};
    let (spec, manifest) = super::example();
    let subject = subject(&spec, &manifest);
    let blob = |media, digit: char| Descriptor {
        media,
        sha256: digit.to_string().repeat(64),
        size: 7,
    };
    let layer = blob(media::LAYER, '1');
    let config = image::config(&subject, &"0".repeat(64)).unwrap();
    let config = image::with_layer(&config, &layer);
    let written = blob(media::CONFIG, '2');
    let attached = image::attached(
        &blob(media::SBOM, '3'),
        &blob(media::EMPTY, '4'),
        &blob(media::MANIFEST, '5'),
    );
    let index = image::index(
        "web",
        &blob(media::MANIFEST, '5'),
        &[blob(media::MANIFEST, '6')],
    );
    let all = [config, image::manifest(&written, &layer), attached, index];
    let texts = all.map(|value| serde_json::to_string_pretty(&value).unwrap());
    insta::assert_snapshot!(texts.join("\n"));
}
