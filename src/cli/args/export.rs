//! What `export` can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::export::init::System;
use crate::verbs::Enforcer;
use crate::{Error, Result};

/// Shown below the help.
pub const EXAMPLES: &str = "Examples:\n  gaoler export named --to systemd -o units\n  \
    gaoler export named --to systemd --drop-in named.service --host-files\n  \
    gaoler export named --to systemd --open-ports --systemd-version 247 --fail-on-gap\n  \
    gaoler export named --to oci -o out && runc run --bundle out/named named\n  \
    gaoler export named --to kubernetes --image registry.example/named -o out\n  \
    gaoler export named --to selinux -o out && semodule -i out/gaoler_named.cil\n  \
    gaoler export named --to sysv -o scripts\n  \
    gaoler export named --to bubblewrap -o /usr/local/lib/gaoler\n\n\
    What the enforcer cannot say is told as gaps, each with what it adds to the score of check, and\n\
    written beside the files as NAME.gaps.json. Exit code 3: there are gaps, and --fail-on-gap.";

/// What `export` can be told.
#[derive(Args, Debug)]
pub struct Export {
    /// The jail's name.
    pub name: String,
    /// To which enforcer.
    #[arg(long, value_name = "ENFORCER")]
    pub to: To,
    /// Write the files below this directory, instead of printing them.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The version of systemd that will read the unit, in place of the host's.
    #[arg(long, value_name = "N")]
    pub systemd_version: Option<u32>,
    /// The version of AppArmor's parser that will read the profile, in place of the host's.
    #[arg(long, value_name = "N.N", value_parser = version)]
    pub apparmor_version: Option<(u32, u32)>,
    /// The version of Kubernetes that will take the objects; 1.35 if none is named.
    #[arg(long, value_name = "N.N", value_parser = version)]
    pub kubernetes_version: Option<(u32, u32)>,
    /// The image that the nodes of Kubernetes pull; if none is named, one of the jail's name.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Change this unit of the host's instead of writing one.
    #[arg(long, value_name = "UNIT")]
    pub drop_in: Option<String>,
    /// Confine it on the host's own files instead of the jail's tree.
    #[arg(long)]
    pub host_files: bool,
    /// Open its low ports to every user by a sysctl, so that it needs no capability for them.
    #[arg(long)]
    pub open_ports: bool,
    /// Exit with 3 if something is lost or loosened.
    #[arg(long)]
    pub fail_on_gap: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// An enforcer by the name that people give it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum To {
    /// A profile.
    Apparmor,
    /// A script that runs it under bwrap.
    Bubblewrap,
    /// A profile, and a script that runs it with that.
    Firejail,
    /// Objects for a cluster, which runs the image of "oci".
    Kubernetes,
    /// A bundle and an image of containers; with --output.
    Oci,
    /// A script for OpenRC, which has gaoler keep the jail.
    Openrc,
    /// A script for rc.subr of FreeBSD and NetBSD: a plain chroot, without gaoler.
    #[value(name = "rc.d")]
    RcD,
    /// A module of a policy, and a drop-in for the unit of "systemd".
    Selinux,
    /// A unit, or a drop-in for one.
    Systemd,
    /// A script for SysV's init, as LSB has them, which has gaoler keep the jail.
    Sysv,
}

impl Export {
    /// Whether more than text comes of it: a tree and an image.
    pub fn has_image(&self) -> bool {
        matches!(self.to, To::Oci)
    }

    /// To whom, and how.
    ///
    /// # Errors
    /// An option that means nothing to that enforcer.
    pub fn enforcer(&self) -> Result<Enforcer> {
        let (to_apparmor, to_kubernetes, to_selinux, to_systemd) = (
            matches!(self.to, To::Apparmor),
            matches!(self.to, To::Kubernetes),
            matches!(self.to, To::Selinux),
            matches!(self.to, To::Systemd),
        );
        let foreign = [
            (
                "--apparmor-version",
                self.apparmor_version.is_some() && !to_apparmor,
            ),
            (
                "--systemd-version",
                self.systemd_version.is_some() && !to_systemd,
            ),
            (
                "--kubernetes-version",
                self.kubernetes_version.is_some() && !to_kubernetes,
            ),
            ("--image", self.image.is_some() && !to_kubernetes),
            ("--drop-in", self.drop_in.is_some() && !to_systemd),
            ("--open-ports", self.open_ports && !to_systemd),
            (
                "--host-files",
                self.host_files && !to_apparmor && !to_selinux && !to_systemd,
            ),
        ];
        if let Some((option, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(Error::usage(
                format!("export the jail {}", self.name),
                format!("{option} means nothing to that enforcer"),
            ));
        }
        Ok(match self.to {
            To::Apparmor => Enforcer::AppArmor {
                version: self.apparmor_version,
                on_host: self.host_files,
                complain: false,
            },
            To::Bubblewrap => Enforcer::Bubblewrap,
            To::Firejail => Enforcer::Firejail,
            To::Kubernetes => Enforcer::Kubernetes {
                version: self.kubernetes_version,
                image: self.image.clone(),
            },
            To::Oci => Enforcer::Oci,
            To::Openrc => Enforcer::Init(System::OpenRc),
            To::RcD => Enforcer::Init(System::RcD),
            To::Selinux => Enforcer::Selinux {
                on_host: self.host_files,
            },
            To::Sysv => Enforcer::Init(System::Sysv),
            To::Systemd => Enforcer::Systemd {
                version: self.systemd_version,
                on_host: self.host_files,
                drop_in: self.drop_in.clone(),
                open_ports: self.open_ports,
            },
        })
    }
}

/// `3.0`
fn version(text: &str) -> std::result::Result<(u32, u32), String> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    match (major.parse(), minor.parse()) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => Err("write it as in 3.0".to_owned()),
    }
}
