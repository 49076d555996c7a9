//! The permission plan as a script for sh, from the tightest outward: what "Best practices for UNIX
//! chroot() operations" asks for.
//!
//! A shell has no `openat2(2)`. The script goes into each directory, looks whether it is where it
//! should be, and names what is in it from there; directories are closed from the root down, so
//! that nobody but root can exchange a thing between look and change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::quote::{comment, word};
use super::{Permission, is_directory, of, tightest};
use crate::build::manifest::{Entry, EntryKind, Manifest};
use crate::build::trusted;

/// What comes first: the functions.
const HEAD: &str = include_str!("script/head.sh");

/// The script for the tree at `root`, and for the tops of `places`. What is in a place is the
/// service's own: a script that changed modes there could be led elsewhere by a link.
pub fn script(title: &str, root: &Path, manifest: &Manifest, places: &[Permission]) -> Vec<u8> {
    let mut script = Script {
        text: Vec::new(),
        directory: None,
    };
    script.line("#!/bin/sh");
    script.line(&format!("# {}", comment(title)));
    script.text.extend_from_slice(HEAD.as_bytes());
    script.command("begin \"${1-}\"", &[root.as_os_str()]);

    script.section("Directories first, from the root down: root's, for nobody to write to.");
    for entry in manifest.entries.iter().filter(|entry| is_directory(entry)) {
        script.because(&of(entry).because);
        script.directory(&entry.path, (0, 0), tight(entry));
    }
    script.section("Everything else: root's, to be read, and executed where it is a program.");
    for entry in manifest.entries.iter().filter(|entry| !is_directory(entry)) {
        script.because(&of(entry).because);
        script.other(entry, (0, 0), tight(entry));
    }
    script.section("What has to be looser, each with its reason.");
    for entry in &manifest.entries {
        let permission = of(entry);
        let Some(looser) = &permission.looser else {
            continue;
        };
        script.because(looser);
        let owner = (permission.uid, permission.gid);
        match is_directory(entry) {
            true => script.directory(&entry.path, owner, permission.mode),
            false => script.other(entry, owner, permission.mode),
        }
    }
    script.places(places);
    script.line("");
    script.line("exit \"$failed\"");
    script.text
}

/// What is set at first: no bit that the tightest does not have, and none that it shall not have.
fn tight(entry: &Entry) -> u32 {
    let mode = entry.mode_bits().unwrap_or(0);
    mode & tightest(entry, mode)
}

struct Script {
    text: Vec<u8>,
    /// The directory that it is in.
    directory: Option<Vec<u8>>,
}

impl Script {
    fn line(&mut self, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
    }

    /// A command with names as its last words.
    fn command(&mut self, command: &str, names: &[&OsStr]) {
        self.text.extend_from_slice(command.as_bytes());
        for name in names {
            self.text.push(b' ');
            self.text.extend(word(name));
        }
        self.text.push(b'\n');
    }

    fn section(&mut self, title: &str) {
        self.line(&format!("\n# {title}"));
    }

    fn because(&mut self, reason: &str) {
        self.line(&format!("# {}", comment(reason)));
    }

    fn directory(&mut self, path: &Path, owner: (u32, u32), mode: u32) {
        self.directory = None;
        let command = format!("directory {}:{} {}", owner.0, owner.1, octal(mode));
        self.command(&command, &[below(path)]);
    }

    /// What is no directory; its own is entered first.
    fn other(&mut self, entry: &Entry, owner: (u32, u32), mode: u32) {
        let kind = match entry.kind {
            EntryKind::Symlink => "l".to_owned(),
            EntryKind::Device => {
                format!(
                    "c{}",
                    entry.device.as_deref().unwrap_or("").replace(':', ",")
                )
            }
            EntryKind::Directory | EntryKind::File | EntryKind::Mountpoint => "-".to_owned(),
        };
        self.inside(&entry.path, &kind, owner, mode);
    }

    fn inside(&mut self, path: &Path, kind: &str, owner: (u32, u32), mode: u32) {
        let parent = below(path.parent().unwrap_or(Path::new("/")));
        if self.directory.as_deref() != Some(parent.as_bytes()) {
            self.command("enter", &[parent]);
            self.directory = Some(parent.as_bytes().to_owned());
        }
        let kind = String::from_utf8_lossy(&word(OsStr::new(kind))).into_owned();
        let command = format!("set_one {kind} {}:{} {}", owner.0, owner.1, octal(mode));
        self.command(&command, &[path.file_name().unwrap_or_default()]);
    }

    /// The places themselves, as they were found.
    fn places(&mut self, places: &[Permission]) {
        if places.is_empty() {
            return;
        }
        self.section(
            "The places that the service writes to, as they were; only on the host itself. What is \
             in them\n# is the service's own and is left alone: it could plant a link.",
        );
        self.line("if [ -z \"${1-}\" ]; then");
        self.line("root=");
        self.directory = None;
        for place in places {
            self.because(&place.because);
            let above = place.path.parent().unwrap_or(Path::new("/"));
            if let Err(error) = trusted::open(above) {
                let path = place.path.display();
                self.because(&format!("{path} is not set: {}", error.why()));
                continue;
            }
            if let Some(looser) = &place.looser {
                self.because(looser);
            }
            let owner = (place.uid, place.gid);
            match place.kind {
                "directory" => self.directory(&place.path, owner, place.mode),
                "file" => self.inside(&place.path, "-", owner, place.mode),
                other => self.because(&format!(
                    "{} is a {other}, and is not set",
                    place.path.display()
                )),
            }
        }
        self.line("fi");
    }
}

/// The path as the script has it: nothing for the root, so that it can follow a directory's name.
fn below(path: &Path) -> &OsStr {
    match path == Path::new("/") {
        true => OsStr::new(""),
        false => path.as_os_str(),
    }
}

/// Five digits: with four, chmod(1) of GNU leaves a directory its set-user-id and set-group-id bits.
fn octal(mode: u32) -> String {
    format!("{mode:05o}")
}
