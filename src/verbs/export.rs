//! `export`: the policy of a jail in the words of another enforcer.

mod bundle;
mod configuration;
mod labels;
pub(super) mod layout;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Event, Places, Report, SbomFormat, is_ordinary, jail, may_jail};
use crate::build::{self, Account, Manifest};
use crate::export::oci::image::{self, Descriptor, media};
use crate::export::{
    Exported, Root, Subject, apparmor, bubblewrap, firejail, init, kubernetes, oci, selinux,
    systemd,
};
use crate::host::{command, users};
use crate::{Doing, Error, Result};

/// To whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforcer {
    /// AppArmor, as a profile.
    AppArmor {
        /// The version of its parser, major and minor; `None`: the host's.
        version: Option<(u32, u32)>,
        /// On the host's files instead of the jail's tree.
        on_host: bool,
        /// What it does not allow is written down, and not denied.
        complain: bool,
    },
    /// bubblewrap, as a script.
    Bubblewrap,
    /// firejail, as a profile and a script.
    Firejail,
    /// An init that runs scripts.
    Init(init::System),
    /// A cluster of Kubernetes, as objects.
    Kubernetes {
        /// Its version, major and minor; `None`: [`kubernetes::USUAL`].
        version: Option<kubernetes::Version>,
        /// What its nodes pull; `None`: an image of the jail's name.
        image: Option<String>,
    },
    /// A runtime or registry of the Open Container Initiative, as a bundle and an image.
    Oci,
    /// SELinux, as a module.
    Selinux {
        /// On the host's files instead of the jail's tree.
        on_host: bool,
    },
    /// systemd, as a unit.
    Systemd {
        /// Its version; `None`: the host's.
        version: Option<u32>,
        /// On the host's files instead of the jail's tree.
        on_host: bool,
        /// A drop-in for this unit.
        drop_in: Option<String>,
        /// Low ports are opened to everybody, so that no capability is needed.
        open_ports: bool,
    },
}

/// What is exported, and what it was made of.
#[derive(Clone, Debug)]
pub struct Export {
    /// Files and gaps.
    pub exported: Exported,
    /// For an image.
    content: Option<Content>,
}

/// What goes into an image.
#[derive(Clone, Debug)]
struct Content {
    generation: u64,
    manifest: Manifest,
    tree: PathBuf,
    /// What a container is made with, but for the digest of its layer.
    config: serde_json::Value,
}

/// Says the policy of the current generation of the jail `name` in the words of `to`.
///
/// # Errors
/// The jail has not been built; the enforcer's version is not known; what the spec says cannot be
/// written in its files.
pub fn export(places: &Places, name: &str, to: &Enforcer, report: &Report<'_>) -> Result<Export> {
    let doing = || format!("export the jail {name}");
    may_jail(&doing())?;
    let (_, now) = jail::read_spec(places, name)?;
    let not_built = || {
        Error::new(doing(), "it has not been built").hint(format!("build it: gaoler build {name}"))
    };
    let state = build::state_of(&places.state, name)?.ok_or_else(not_built)?;
    let generation = state.current()?.ok_or_else(not_built)?;
    let tree = state.root(generation);
    let (text, origin) = jail::spec_text_of_tree(&tree)?;
    if text != now {
        report(Event::Warning(format!(
            "the spec has been changed since generation {generation} was built, of which this is: \
             gaoler build {name}"
        )));
    }
    let spec = crate::spec::parse(&text, &origin)?;
    let account = Account::of(&spec)?;
    let members = users::supplementary_groups(&spec.service.user)?;
    let others = members.into_iter().filter(|group| {
        group.gid != account.group.gid && !account.groups.iter().any(|own| own.gid == group.gid)
    });
    let program = spec.service.command.first().map(PathBuf::from);
    let known = crate::spec::shipped_program(&program.unwrap_or_default())?;
    let other_groups: Vec<String> = others.map(|group| group.name).collect();
    let groups: Vec<u32> = account.groups.iter().map(|group| group.gid).collect();
    let manifest = state.manifest(generation)?;
    let subject = Subject {
        spec: &spec,
        manifest: &manifest,
        // What is built later is found there too.
        tree: &places.state.join(name).join("current").join("root"),
        uid: account.user.uid,
        gid: account.group.gid,
        groups: &groups,
        user_option: known
            .as_ref()
            .and_then(|known| known.user_option.as_deref()),
        other_groups: &other_groups,
    };
    let exported = say(places, subject, (&account, &tree), to)?;
    let content = match to {
        Enforcer::Oci => Some(Content {
            config: image::config(&subject, &manifest.digest()?)?,
            generation,
            tree,
            manifest,
        }),
        _ => None,
    };
    Ok(Export { exported, content })
}

fn say(
    places: &Places,
    subject: Subject<'_>,
    (account, tree): (&Account, &Path),
    to: &Enforcer,
) -> Result<Exported> {
    let root = |on_host: bool| match on_host {
        true => Root::Host,
        false => Root::Tree,
    };
    match to {
        Enforcer::AppArmor {
            version,
            on_host,
            complain,
        } => {
            let options = apparmor::Options {
                version: version.map_or_else(host_apparmor, Ok)?,
                root: root(*on_host),
                complain: *complain,
            };
            apparmor::export(subject, &options)
        }
        Enforcer::Bubblewrap => bubblewrap::export(subject),
        Enforcer::Firejail => firejail::export(subject),
        Enforcer::Init(system) => {
            init::export(subject, &init_options(places, &subject.spec.name, *system)?)
        }
        Enforcer::Kubernetes { version, image } => {
            let configuration = configuration::of(subject.spec, account, subject.manifest, tree)?;
            let options = kubernetes::Options {
                version: *version,
                image: image.clone(),
                configuration,
            };
            kubernetes::export(subject, &options)
        }
        Enforcer::Oci => oci::export(subject),
        Enforcer::Selinux { on_host } => {
            let options = selinux::Options {
                root: root(*on_host),
                labels: labels::of(subject.spec)?,
            };
            selinux::export(subject, &options)
        }
        Enforcer::Systemd {
            version,
            on_host,
            drop_in,
            open_ports,
        } => {
            let options = systemd::Options {
                version: version.map_or_else(host_systemd, Ok)?,
                root: root(*on_host),
                drop_in: drop_in.clone(),
                open_ports: *open_ports,
            };
            systemd::export(subject, &options)
        }
    }
}

/// What an init script needs to know of this gaoler.
fn init_options(places: &Places, name: &str, system: init::System) -> Result<init::Options> {
    let doing = || format!("export the jail {name} to an init script");
    // It would have root read what that user can change.
    if system != init::System::RcD && is_ordinary() {
        return Err(Error::usage(
            doing(),
            "init runs it as root, and the jail is an ordinary user's",
        )
        .hint("export a jail of root's, or have that user's service manager start it"));
    }
    let absolute = |path: &Path| std::path::absolute(path).doing(doing);
    let usual = Places::default();
    let named = [
        ("--etc", &places.etc, usual.etc),
        ("--state", &places.state, usual.state),
        ("--run", &places.run, usual.run),
    ];
    let mut directories = Vec::new();
    for (option, directory, usual) in named {
        if *directory != usual {
            directories.push((option, absolute(directory)?));
        }
    }
    Ok(init::Options {
        system,
        program: program().doing(doing)?,
        spec: absolute(&places.spec(name))?,
        directories,
    })
}

/// This program. It may have been replaced since it was started.
fn program() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.to_str().and_then(|it| it.strip_suffix(" (deleted)"));
    Ok(text.map_or_else(|| path.clone(), PathBuf::from))
}

/// The version of the host's systemd.
fn host_systemd() -> Result<u32> {
    let told = version(["systemctl", "--version"], "systemd ");
    told.map(|(major, _)| major)
        .map_err(|error| error.hint("name it: --systemd-version 252"))
}

/// The version of the host's parser of profiles.
fn host_apparmor() -> Result<(u32, u32)> {
    version(["apparmor_parser", "--version"], "AppArmor parser version ")
        .map_err(|error| error.hint("name it: --apparmor-version 3.0"))
}

/// What a program says after `label` in its first line of output, if it is a version.
fn version(words: [&str; 2], label: &str) -> Result<(u32, u32)> {
    let doing = || format!("find out which {} this host has", words[0]);
    let told = command::run(&words.map(str::to_owned), Duration::from_secs(10))
        .map_err(|error| Error::usage(doing(), error.why()))?;
    version_in(&told.output, label)
        .ok_or_else(|| Error::usage(doing(), format!("{} does not tell", words.join(" "))))
}

/// `systemd 252 (252.39-1~deb12u1)`, `AppArmor parser version 3.0.8`
fn version_in(told: &str, label: &str) -> Option<(u32, u32)> {
    let rest = told.lines().next()?.strip_prefix(label)?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((
        major,
        numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0),
    ))
}

/// Writes what [`export`] answers below `directory`, and beside it `NAME.gaps.json`, what is not in
/// it. What else it has written: the digest of an image.
///
/// # Errors
/// A file cannot be written; the jail's tree is not as it was built.
pub fn export_write(
    places: &Places,
    directory: &Path,
    name: &str,
    export: &Export,
    report: &Report<'_>,
) -> Result<Option<String>> {
    let exported = &export.exported;
    // First: what fails here leaves the configuration that goes with the tree before.
    let content = export.content.as_ref();
    let image = content.map(|content| write_image(places, directory, name, content, report));
    let image = image.transpose()?;
    for file in &exported.files {
        let path = directory.join(&file.path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)
                .doing(|| format!("make the directory {}", above.display()))?;
        }
        jail::replace(&path, &file.text)?;
        if file.executable {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .doing(|| format!("make {} executable", path.display()))?;
        }
    }
    let mut gaps = serde_json::to_string_pretty(&exported.gaps)
        .map_err(|error| Error::new("write the gaps", error))?;
    gaps.push('\n');
    jail::replace(&directory.join(format!("{name}.gaps.json")), &gaps)?;
    Ok(image.map(|image| image.digest()))
}

/// The tree of the bundle, and an image of it with its bill of materials.
fn write_image(
    places: &Places,
    directory: &Path,
    name: &str,
    content: &Content,
    report: &Report<'_>,
) -> Result<Descriptor> {
    let (files, bytes) = (content.manifest.files(), content.manifest.bytes());
    report(Event::Doing(format!(
        "copying {files} files, {bytes} bytes"
    )));
    let root = bundle::copy_root(&content.tree, &content.manifest, &directory.join(name))?;
    let layout = layout::Layout::open(&directory.join(format!("{name}.oci")))?;
    report(Event::Doing("writing the image".to_owned()));
    let layer = layout.add_layer(&root, &content.manifest)?;
    let config = image::with_layer(&content.config, &layer);
    let config = layout.add_value(media::CONFIG, &config)?;
    let image = layout.add_value(media::MANIFEST, &image::manifest(&config, &layer))?;
    let generation = Some(content.generation);
    let bill = super::sbom(places, name, generation, SbomFormat::CycloneDx, report)?;
    let bill = layout.add_value(media::SBOM, &bill)?;
    let empty = layout.add(media::EMPTY, image::EMPTY)?;
    let attached = image::attached(&bill, &empty, &image);
    let attached = layout.add_value(media::MANIFEST, &attached)?;
    layout.finish(&image::index(name, &image, &[attached]))?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_after_its_label() {
        let systemd = "systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT";
        assert_eq!(version_in(systemd, "systemd "), Some((252, 0)));
        let parser = "AppArmor parser version 3.0.8\nCopyright (C) 1999-2008 Novell Inc.";
        assert_eq!(version_in(parser, "AppArmor parser version "), Some((3, 0)));
        for other in ["", "systemctl 252", "systemd "] {
            assert_eq!(version_in(other, "systemd "), None, "{other}");
        }
    }
}
