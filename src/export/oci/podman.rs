//! A script that runs the image with podman as the bundle has it: an image says neither capabilities,
//! filter nor mounts.

use std::path::Path;

use crate::export::item::capability;
use crate::export::{Subject, sh};
use crate::spec::Demand;
use crate::{Error, Result};

/// Writes the script.
///
/// # Errors
/// Something that no script or option can hold.
pub fn script(subject: &Subject<'_>) -> Result<String> {
    let name = &subject.spec.name;
    let mut script = format!(
        "#!/bin/sh\n{}\n{}\n{}\nset -eu\nhere=$(dirname \"$(readlink -e \"$0\")\")\n",
        sh::comment(&format!(
            "{name} in a container of podman's, as its bundle has it."
        )),
        sh::comment(&format!(
            "Made by \"gaoler export {name} --to oci\" from the spec of the jail {name}."
        )),
        sh::comment("Arguments are options of podman-run(1): --detach, --replace."),
    );
    let layout = sh::word(&format!("{name}.oci:{name}"))?;
    script += &format!(
        "{}\nimage=$(cd \"$here/..\" && podman pull --quiet oci:{layout})\n",
        sh::comment("podman makes a name of the path, which not every path can be")
    );
    let mut reason = String::new();
    for (because, words) in options(subject)? {
        if because != reason {
            script += &format!("{}\n", sh::comment(&because));
        }
        // Before what it is told: of two, podman takes the last.
        script += &format!("set -- {words} \"$@\"\n");
        reason = because;
    }
    script += "exec podman run \"$@\" \"$image\"\n";
    Ok(script)
}

/// Options with the reason of each.
fn options(subject: &Subject<'_>) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |because: &str, words: String| all.push((because.to_owned(), words));
    let name = sh::word(&subject.spec.name)?;
    add("what podman calls it", format!("--name {name}"));
    add(
        "the host's network, and none of podman's files in its root",
        "--network host --no-hosts --dns none".to_owned(),
    );
    add(
        "nothing can be written but what is listed",
        "--read-only --read-only-tmpfs=false".to_owned(),
    );
    identity(subject, &mut add);
    rights(subject, &mut add);
    limits(subject, &mut add);
    places(subject, &mut add)?;
    Ok(all)
}

fn identity(subject: &Subject<'_>, add: &mut impl FnMut(&str, String)) {
    let service = &subject.spec.service;
    let (uid, gid) = match service.start_as_root {
        true => (0, 0),
        false => (subject.uid, subject.gid),
    };
    let because = "its own user, from before its first instruction";
    add(
        because,
        format!("--user {uid}:{gid} --umask {:04o}", service.umask),
    );
    for group in subject.groups {
        add("the groups of the spec", format!("--group-add {group}"));
    }
    add(
        "as long as it may take to its end",
        format!(
            "--stop-signal TERM --stop-timeout {}",
            service.stop_timeout_s
        ),
    );
}

fn rights(subject: &Subject<'_>, add: &mut impl FnMut(&str, String)) {
    let spec = subject.spec;
    add("no capability but these", "--cap-drop all".to_owned());
    for rule in &spec.capabilities {
        add(
            &rule.because,
            format!("--cap-add {}", capability(rule.capability)),
        );
    }
    add(
        "no program gains what its file gives",
        "--security-opt no-new-privileges".to_owned(),
    );
    let filter = match spec.protections.seccomp {
        Demand::Off => "--security-opt seccomp=unconfined",
        Demand::Prefer | Demand::Require => "--security-opt \"seccomp=$here/seccomp.json\"",
    };
    add("the filter of the spec", filter.to_owned());
    let wanted = &spec.protections;
    for (option, own, demand) in [
        // Private, without a place in memory that anybody can write in.
        ("ipc", "none", wanted.ipc_namespace),
        ("pid", "private", wanted.pid_namespace),
        ("uts", "private", wanted.uts_namespace),
    ] {
        let kind = if demand == Demand::Off { "host" } else { own };
        add(
            "namespaces as the spec has them",
            format!("--{option} {kind}"),
        );
    }
}

fn limits(subject: &Subject<'_>, add: &mut impl FnMut(&str, String)) {
    let limits = &subject.spec.limits;
    let because = "as [limits] of the spec";
    for (name, value) in [
        ("core", Some(limits.core.unwrap_or(0))),
        ("fsize", limits.file_size),
        ("nofile", limits.descriptors),
    ] {
        if let Some(value) = value {
            add(because, format!("--ulimit {name}={value}:{value}"));
        }
    }
    if let Some(memory) = limits.memory {
        add(because, format!("--memory {memory}b"));
    }
    // 0 is none; podman has one of its own otherwise.
    let processes = limits.processes.unwrap_or(0);
    add(because, format!("--pids-limit {processes}"));
}

fn places(subject: &Subject<'_>, add: &mut impl FnMut(&str, String)) -> Result<()> {
    let spec = subject.spec;
    for rule in &spec.binds {
        let access = if rule.writable { "rw" } else { "ro" };
        let path = plain(&rule.path)?;
        let volume = format!("{path}:{path}:{access},nosuid,nodev,noexec");
        add(&rule.because, format!("--volume {}", sh::word(&volume)?));
    }
    for rule in &spec.scratch {
        let mut file = spec.files_in_scratch();
        let copied = match file.any(|file| file.path.starts_with(&rule.path)) {
            true => "tmpcopyup",
            false => "notmpcopyup",
        };
        // U: the user whom it starts as owns it.
        let place = format!(
            "{}:size={}k,mode=0700,nosuid,nodev,noexec,U,{copied}",
            plain(&rule.path)?,
            rule.size_kib
        );
        add(&rule.because, format!("--tmpfs {}", sh::word(&place)?));
    }
    Ok(())
}

/// A path as podman's options take it.
fn plain(path: &Path) -> Result<&str> {
    match path.to_str().filter(|text| !text.contains([':', ','])) {
        Some(text) => Ok(text),
        None => Err(Error::usage(
            format!("write {path:?} into an option of podman's"),
            "a colon or a comma ends it there, and it takes UTF-8 alone",
        )
        .hint("give it another path, or leave it out of the spec")),
    }
}
