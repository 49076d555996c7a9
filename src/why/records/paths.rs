//! Which allowance would give a path of a record.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Scope;
use super::need::{BECAUSE, Grant};
use crate::build::EntryKind;
use crate::learn::trace::Use;
use crate::spec::{
    self, Allowance, BindRule, Device, DeviceRule, Evidence, FileKind, FileRule, turns_writing,
};

/// What gives the use of a path: the smallest that a spec can say, and never what is shared by
/// all services of a host.
pub(super) fn grant(scope: &Scope<'_>, path: &Path, uses: &BTreeSet<Use>) -> Grant {
    let writes = uses.iter().any(|used| {
        matches!(
            used,
            Use::Write | Use::Create | Use::Delete | Use::Change | Use::Connect
        )
    });
    if has(scope, path, writes) {
        return Grant::Has;
    }
    if !is_fit(path) {
        return Grant::Never("a spec cannot hold such a path");
    }
    if spec::is_kernel(path) {
        return Grant::Never("it belongs to the kernel");
    }
    if spec::is_secret(path) {
        return Grant::Never("it has everybody's passwords");
    }
    if let Ok(rest) = path.strip_prefix("/dev") {
        let device = rest.to_str().and_then(device);
        return device.map_or(Grant::Never("jails have no such device"), |device| {
            Grant::Give(Box::new(Allowance::Device(DeviceRule {
                path: path.to_owned(),
                device,
                because: BECAUSE.to_owned(),
                evidence: Evidence::default(),
            })))
        });
    }
    if writes {
        return to_write(scope, path, uses);
    }
    let is_directory = uses.contains(&Use::List) || path.is_dir();
    if is_directory {
        if spec::is_shared_place(path) {
            return Grant::Never("the directory is shared with all services of the host");
        }
        return bind(path, false);
    }
    let kind = if uses.contains(&Use::Execute) {
        FileKind::Program
    } else if uses.contains(&Use::Map) {
        FileKind::Library
    } else {
        FileKind::Data
    };
    Grant::Give(Box::new(Allowance::File(FileRule {
        path: path.to_owned(),
        kind,
        because: BECAUSE.to_owned(),
        evidence: Evidence::default(),
    })))
}

fn to_write(scope: &Scope<'_>, path: &Path, uses: &BTreeSet<Use>) -> Grant {
    let mut binds = scope.spec.binds.iter();
    if let Some(known) = binds.find(|bind| path.starts_with(&bind.path)) {
        return bind(&known.path, true);
    }
    let names = uses.contains(&Use::Create) || uses.contains(&Use::Delete);
    let place = match path.parent() {
        Some(parent) if names => parent,
        _ => path,
    };
    if spec::is_ruling(place) {
        return Grant::Never("whoever writes there rules the host");
    }
    if spec::is_shared_place(place) {
        return Grant::Never("the directory is shared with all services of the host");
    }
    bind(place, true)
}

fn bind(path: &Path, writable: bool) -> Grant {
    Grant::Give(Box::new(Allowance::Bind(BindRule {
        path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        writable,
        because: BECAUSE.to_owned(),
        evidence: Evidence::default(),
    })))
}

/// Absolute, without `..`, and with nothing that a terminal would act upon.
fn is_fit(path: &Path) -> bool {
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    let up = |part: Component<'_>| part == Component::ParentDir;
    let plain: PathBuf = path.components().collect();
    path.is_absolute()
        && path.as_os_str() == plain.as_os_str()
        && path != Path::new("/")
        && !path.components().any(up)
        && path.to_str().is_some_and(|text| !text.contains(is_odd))
}

/// Whether the jail has it: by the spec, or in the tree that was built of it.
fn has(scope: &Scope<'_>, path: &Path, writes: bool) -> bool {
    let spec = scope.spec;
    let mut binds = spec.binds.iter();
    let mut scratch = spec.scratch.iter();
    if binds.any(|bind| path.starts_with(&bind.path) && (bind.writable || !writes))
        || scratch.any(|rule| path.starts_with(&rule.path))
        || spec.devices.iter().any(|rule| rule.path == path)
    {
        return true;
    }
    let of_tree = |entry: &crate::build::Entry| {
        matches!(
            entry.kind,
            EntryKind::File | EntryKind::Directory | EntryKind::Symlink
        )
    };
    let program = spec.service.command.first().map(Path::new);
    !writes
        && (program == Some(path)
            || spec.files.iter().any(|rule| rule.path == path)
            || scope
                .manifest
                .and_then(|manifest| manifest.entry(path))
                .is_some_and(of_tree))
}

fn device(name: &str) -> Option<Device> {
    Some(match name {
        "full" => Device::Full,
        "null" => Device::Null,
        "random" => Device::Random,
        "urandom" => Device::Urandom,
        "zero" => Device::Zero,
        _ => return None,
    })
}
