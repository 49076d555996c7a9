//! `sbom`: every file of a tree in it, with its package, in documents that do not change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{DONE, FAILED, Place, USAGE};

/// A jail of a program that a Debian package has, with its libraries.
fn built() -> Place {
    let mut place = Place::new(&[]);
    place.text.command = vec!["/bin/sleep".into(), "1000000".into()];
    place.write();
    place.verb("build").is(DONE, &["generation 1"]);
    place
}

fn bill(place: &Place, words: &[&str]) -> Value {
    let all = [&["sbom", &place.name], words].concat();
    let answer = place.gaoler(&all);
    answer.is(DONE, &[]);
    serde_json::from_str(&answer.out).unwrap()
}

/// The regular files of the manifest, and their hashes.
fn manifest(place: &Place) -> BTreeMap<String, String> {
    let path = place.tree(1).with_file_name("manifest.json");
    let lines = fs::read_to_string(path).unwrap();
    let entries = lines
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).unwrap() });
    entries
        .filter(|entry| entry["kind"] == "file")
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap().to_owned();
            (text("path"), text("sha256"))
        })
        .collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn hash(component: &Value) -> (String, String) {
    let hashes = list(component, "hashes");
    let sha256 = hashes.iter().find(|hash| hash["alg"] == "SHA-256").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&component["name"]), text(&sha256["content"]))
}

/// What dpkg itself says of a package.
fn version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", package])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_file_is_in_the_cyclonedx_document_once() {
    let place = built();
    let document = bill(&place, &[]);
    assert_eq!(document["specVersion"], "1.6");
    let mut found = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for component in list(&document, "components") {
        if component["type"] == "file" {
            assert!(found.insert(hash(component).0, hash(component).1).is_none());
            let properties = component["properties"].to_string();
            assert!(properties.contains("gaoler:package"), "{properties}");
            continue;
        }
        let name = component["name"].as_str().unwrap();
        packages.insert(name.to_owned(), component.clone());
        for file in list(component, "components") {
            assert!(found.insert(hash(file).0, hash(file).1).is_none());
        }
    }
    assert_eq!(found, manifest(&place));
    for name in ["coreutils", "libc6"] {
        assert_eq!(packages[name]["version"], version(name).as_str());
    }
    let libc = packages["libc6"]["purl"].as_str().unwrap();
    assert!(libc.starts_with("pkg:deb/debian/libc6@"), "{libc}");
    // References are unique, and dependencies lead to them.
    let mut references = BTreeSet::new();
    for component in list(&document, "components") {
        let inner = list(component, "components").iter();
        for one in inner.chain([component]) {
            assert!(references.insert(one["bom-ref"].as_str().unwrap()));
        }
    }
    for dependency in list(&document["dependencies"][0], "dependsOn") {
        assert!(references.contains(dependency.as_str().unwrap()));
    }
}

#[test]
fn every_file_is_in_the_spdx_document_once() {
    let place = built();
    let document = bill(&place, &["--format", "spdx"]);
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let found: BTreeMap<String, String> = list(&document, "files")
        .iter()
        .map(|file| {
            let name = file["fileName"].as_str().unwrap();
            let sums = list(file, "checksums");
            let sum = sums
                .iter()
                .find(|sum| sum["algorithm"] == "SHA256")
                .unwrap();
            let sum = sum["checksumValue"].as_str().unwrap();
            (name.trim_start_matches('.').to_owned(), sum.to_owned())
        })
        .collect();
    assert_eq!(found, manifest(&place));
    let ids: BTreeSet<&str> = ["files", "packages"]
        .iter()
        .flat_map(|key| list(&document, key))
        .map(|it| it["SPDXID"].as_str().unwrap())
        .collect();
    let mut contained = BTreeSet::new();
    for relation in list(&document, "relationships") {
        let to = relation["relatedSpdxElement"].as_str().unwrap();
        assert!(ids.contains(to), "{to}");
        assert!(contained.insert(to), "{to} is in two");
    }
    assert_eq!(contained, ids);
}

#[test]
fn the_same_tree_gives_the_same_document_and_another_is_refused() {
    let place = built();
    let (one, other) = (bill(&place, &[]), bill(&place, &["--generation", "1"]));
    assert_eq!(one, other);
    let written = place.path("bill.json");
    let words = ["sbom", &place.name, "-o", written.to_str().unwrap()];
    let mut command = place.command(&words);
    let done = command.env("SOURCE_DATE_EPOCH", "0").status().unwrap();
    assert!(done.success());
    let text = fs::read_to_string(&written).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(document["serialNumber"], one["serialNumber"]);
    let wrong = place.command(&words).env("SOURCE_DATE_EPOCH", "x").status();
    assert_eq!(wrong.unwrap().code(), Some(USAGE));
    fs::write(place.inside(1, "/etc/passwd".as_ref()), "other").unwrap();
    place.verb("sbom").is(FAILED, &["not as it was built"]);
}
