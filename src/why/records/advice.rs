//! What a person does about a policy of the host that refuses what a spec allows. Everything in a
//! record was chosen by somebody: only names that can be no more than names come into a command.

use std::path::{Path, PathBuf};

use super::super::audit::{AppArmor, Record, Selinux, What};
use super::super::quote::{in_profile, plain_name, quoted};
use crate::spec::Spec;
use crate::sys::caps;

/// Types of files that were never given a label of their own, so that a fresh one may do.
const UNLABELLED: [&str; 7] = [
    "default_t",
    "file_t",
    "unlabeled_t",
    "user_home_t",
    "user_tmp_t",
    "tmp_t",
    "admin_home_t",
];

/// A command or a line; empty where gaoler's own layers decided.
pub(super) fn advice(record: &Record, spec: &Spec) -> String {
    match &record.what {
        What::AppArmor(apparmor) => of_apparmor(apparmor, spec),
        What::Selinux(selinux) => of_selinux(selinux, record),
        What::Seccomp(_) | What::Landlock(_) => String::new(),
    }
}

fn of_apparmor(apparmor: &AppArmor, spec: &Spec) -> String {
    let Some(line) = line(apparmor) else {
        return "look at the profile: aa-logprof".to_owned();
    };
    match local_file(apparmor, spec) {
        Some(file) => format!("into {file}: {line}"),
        None => format!("into the profile's file in /etc/apparmor.d/local: {line}"),
    }
}

/// A profile's own additions are in the file of its name, the slashes of a path as dots.
fn local_file(apparmor: &AppArmor, spec: &Spec) -> Option<String> {
    let profile = apparmor.profile.as_deref()?;
    let whole = profile.split("//").next().unwrap_or(profile);
    let program = spec.service.command.first()?;
    let path = if whole.starts_with('/') {
        whole
    } else if Path::new(program).file_name()?.to_str()? == whole {
        program
    } else {
        return plain_name(whole).map(|name| format!("/etc/apparmor.d/local/{name}"));
    };
    let name = path.trim_start_matches('/').replace('/', ".");
    plain_name(&name).map(|name| format!("/etc/apparmor.d/local/{name}"))
}

/// As apparmor.d(5) writes it.
fn line(apparmor: &AppArmor) -> Option<String> {
    if let Some(number) = apparmor.capability {
        let name = caps::name(number)?.to_ascii_lowercase();
        return Some(format!("capability {name},"));
    }
    if let Some(family) = apparmor.family.as_deref() {
        let family = plain_name(family)?;
        return Some(match apparmor.socket_type.as_deref().map(plain_name) {
            None => format!("network {family},"),
            Some(kind) => format!("network {family} {},", kind?),
        });
    }
    let mask = apparmor
        .denied
        .as_deref()
        .or(apparmor.requested.as_deref())?;
    match apparmor.operation.as_str() {
        "signal" => {
            let set = apparmor
                .signal
                .as_deref()
                .map_or(Some("term"), plain_name)?;
            Some(format!("signal ({}) set=({set}),", plain_name(mask)?))
        }
        "ptrace" => Some(format!("ptrace ({}),", plain_name(mask)?)),
        "mount" | "umount" | "pivotroot" | "change_profile" | "change_hat" => None,
        _ => {
            let path = apparmor.name.as_ref().map(PathBuf::from)?;
            Some(format!("{} {},", in_profile(&path)?, permissions(mask)?))
        }
    }
}

/// The letters of a record as those of a profile: to make and to remove is to write, and an
/// execution says under which profile: the same one.
fn permissions(mask: &str) -> Option<String> {
    let has = |letters: &[char]| mask.contains(letters);
    let known = [
        (has(&['m']), "m"),
        (has(&['r']), "r"),
        (has(&['w', 'c', 'd']), "w"),
        (has(&['a']) && !has(&['w', 'c', 'd']), "a"),
        (has(&['l']), "l"),
        (has(&['k']), "k"),
        (has(&['x']), "ix"),
    ];
    let letters: String = known
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, letter)| *letter)
        .collect();
    (!letters.is_empty()).then_some(letters)
}

fn of_selinux(selinux: &Selinux, record: &Record) -> String {
    let kind = selinux.tcontext.split(':').nth(2).unwrap_or_default();
    let path = selinux.object.path.as_deref().and_then(quoted);
    let comm = record.process.comm.as_ref().and_then(|comm| comm.to_str());
    let of = comm
        .and_then(plain_name)
        .map_or_else(String::new, |comm| format!(" -c {comm}"));
    let module = comm.and_then(plain_name).unwrap_or("service");
    let policy = format!(
        "ausearch -m AVC{of} --raw | audit2allow -M local-{module}; semodule -i local-{module}.pp"
    );
    match path {
        Some(path) if UNLABELLED.contains(&kind) => {
            format!("restorecon -v {path}, for it has no label of its own; else: {policy}")
        }
        _ => format!("if it shall be allowed: {policy}"),
    }
}
