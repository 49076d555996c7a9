//! A bundle run by runc, attacked in it, and an image as skopeo reads it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{DONE, Place};
use crate::equivalence::{attack, rich};
use crate::started::{Started, curious, export, launch, of_root};

/// The bundle of a place, where runc keeps what it knows of it, and how it is run.
struct Bundle {
    directory: PathBuf,
    state: PathBuf,
    name: String,
}

impl Bundle {
    fn of(place: &Place) -> Self {
        Self {
            directory: export(place, "oci").join(&place.name),
            state: place.path("runc"),
            name: place.name.clone(),
        }
    }

    fn start(&self, place: &Place) -> Started {
        let (state, bundle) = (
            self.state.to_str().unwrap(),
            self.directory.to_str().unwrap(),
        );
        launch(
            place,
            &[
                "runc", "--root", state, "run", "--bundle", bundle, &self.name,
            ],
        )
    }

    /// As the first process of its namespace it does not end on a signal that it does not handle.
    fn kill(&self) {
        let mut command = Command::new("runc");
        command.arg("--root").arg(&self.state);
        assert!(
            command
                .args(["kill", &self.name, "KILL"])
                .status()
                .unwrap()
                .success()
        );
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.directory.join("config.json")).unwrap()).unwrap()
    }
}

#[test]
fn a_service_is_confined_answers_and_ends() {
    let place = curious();
    let bundle = Bundle::of(&place);
    let mut started = bundle.start(&place);
    started.answers();
    started.is_confined();
    started.has_seen_what_it_may(&place);
    bundle.kill();
    started.ends();
    place.nothing_runs();
}

#[test]
fn a_service_that_starts_as_root_keeps_its_capabilities_alone() {
    let place = of_root();
    let started = Bundle::of(&place).start(&place);
    started.says("waiting");
    started.is_roots();
    started.signal(Signal::TERM);
    started.says("signal 15");
    assert_eq!(started.ends().code(), Some(7));
    place.nothing_runs();
}

#[test]
fn no_probe_gets_through_that_no_gap_announces() {
    let place = rich();
    let outcomes = attack(&place, "runc", &[]);
    assert!(outcomes.stopped.len() > 140, "{outcomes:#?}");
    place.nothing_runs();
}

/// What is in the blob that a descriptor points to, whose digest and size are true.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let bytes = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
    assert_eq!(gaoler::sys::copy::hash_bytes(&bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

fn parsed(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(layout, descriptor)).unwrap()
}

#[test]
fn an_image_is_the_tree_and_the_same_each_time() {
    let place = curious();
    let first = export(&place, "oci").join(format!("{}.oci", place.name));
    let index: Value =
        serde_json::from_slice(&fs::read(first.join("index.json")).unwrap()).unwrap();
    let (image, bill) = (&index["manifests"][0], &index["manifests"][1]);
    let manifest = parsed(&first, image);
    let layer = blob(&first, &manifest["layers"][0]);
    let config = parsed(&first, &manifest["config"]);
    assert_eq!(
        config["rootfs"]["diff_ids"][0],
        manifest["layers"][0]["digest"]
    );
    let attached = parsed(&first, bill);
    assert_eq!(attached["subject"]["digest"], image["digest"]);
    let listed = parsed(&first, &attached["layers"][0]);
    assert_eq!(listed["bomFormat"], "CycloneDX");

    // Other people's programs read it.
    let reference = format!("oci:{}:{}", first.display(), place.name);
    let read = Command::new("skopeo")
        .args(["inspect", "--raw", &reference])
        .output()
        .unwrap();
    assert!(read.status.success(), "{read:?}");
    assert_eq!(
        serde_json::from_slice::<Value>(&read.stdout).unwrap(),
        manifest
    );
    let unpacked = place.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    let digest = manifest["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .replace(':', "/");
    tar.args(["--numeric-owner", "--same-owner", "-xpf"])
        .arg(first.join("blobs").join(digest));
    assert!(tar.arg("-C").arg(&unpacked).status().unwrap().success());
    let root = place.path("exported").join(&place.name).join("rootfs");
    assert_eq!(tree(&unpacked), tree(&root));
    assert!(tree(&root).len() > 5);
    let least: u64 = fs::metadata(place.program()).unwrap().len();
    assert!((least..least + (1 << 20)).contains(&(layer.len() as u64)));

    // Another build, elsewhere.
    let again = place.path("again");
    place.verb("build").is(DONE, &[]);
    let words = [
        "export",
        &place.name,
        "--to",
        "oci",
        "-o",
        again.to_str().unwrap(),
    ];
    place.gaoler(&words).is(DONE, &["the image sha256:"]);
    let second = again.join(format!("{}.oci", place.name)).join("index.json");
    let second: Value = serde_json::from_slice(&fs::read(second).unwrap()).unwrap();
    assert_eq!(second["manifests"][0], *image);
}

/// Paths below a directory with owner, mode, and what is in them.
fn tree(root: &Path) -> Vec<String> {
    let listed = Command::new("find")
        .args([".", "-printf", "%P %U %G %m %y %l\\n"])
        .current_dir(root)
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &mut lines {
        let path = root.join(line.split(' ').next().unwrap());
        if path.is_file() && !path.is_symlink() {
            *line += &gaoler::sys::copy::hash_bytes(&fs::read(path).unwrap());
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_tree_that_is_not_as_it_was_built_is_not_exported() {
    let place = curious();
    let directory = export(&place, "oci");
    let whole = Bundle {
        directory: directory.join(&place.name),
        state: place.path("runc"),
        name: place.name.clone(),
    };
    let before = whole.config();
    let copied = tree(&whole.directory.join("rootfs"));
    let program = place.inside(1, &place.program());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let mut bytes = fs::read(&program).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&program, bytes).unwrap();
    let words = [
        "export",
        &place.name,
        "--to",
        "oci",
        "-o",
        directory.to_str().unwrap(),
    ];
    let answer = place.gaoler(&words);
    answer.is(1, &["it is not as it was built", "gaoler check"]);
    // The bundle is the one that there was.
    assert_eq!(whole.config(), before);
    assert_eq!(tree(&whole.directory.join("rootfs")), copied);
    assert!(!whole.directory.join("rootfs.new").exists());
}
