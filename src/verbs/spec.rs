//! `spec show` and `spec diff`: a spec as it is understood, and what differs between two.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Places, jail, must_be_ours, valid_name};
use crate::spec::{self, Change, Spec};
use crate::{Doing, Error, Result};

/// A spec of a jail, read and written again: without comments, every value as it is understood.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn spec_show(places: &Places, name: &str) -> Result<String> {
    read(places, name).map(|spec| spec::to_toml(&spec))
}

/// What differs between two specs, most costly first. Each is the name of a jail or, with a slash
/// or the ending `.toml` or `.old`, a file; without the second, a jail's spec is compared with
/// the one that learning has put aside.
///
/// # Errors
/// One of them cannot be read.
pub fn spec_diff(places: &Places, one: &str, other: Option<&str>) -> Result<Vec<Change>> {
    let (old, new) = match other {
        Some(other) => (read(places, one)?, read(places, other)?),
        None => (put_aside(places, one)?, read(places, one)?),
    };
    Ok(spec::diff(&old, &new))
}

fn read(places: &Places, name: &str) -> Result<Spec> {
    let is_file = name.contains('/') || name.ends_with(".toml") || name.ends_with(".old");
    if is_file {
        return parsed(Path::new(name));
    }
    jail::load_spec(places, name)
}

/// The spec that was there before the service was learned again.
fn put_aside(places: &Places, name: &str) -> Result<Spec> {
    valid_name(name)?;
    let path: PathBuf = places.spec(name).with_extension("toml.old");
    let doing = format!("read the spec {}", path.display());
    if !path.exists() {
        return Err(Error::usage(doing, "there is none")
            .hint(format!("name two specs: gaoler spec diff {name} OTHER")));
    }
    must_be_ours(&path, &doing)?;
    parsed(&path)
}

fn parsed(path: &Path) -> Result<Spec> {
    let text = fs::read_to_string(path).doing(|| format!("read the spec {}", path.display()))?;
    spec::parse(&text, &path.display().to_string())
}
