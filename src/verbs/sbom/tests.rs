use std::collections::BTreeMap;

use super::*;

fn bill() -> Bill {
    let package = |name: &str, licence: Option<&str>| Package {
        name: name.to_owned(),
        version: "1:2.3+deb13~1".to_owned(),
        architecture: "amd64".to_owned(),
        manager: Manager::Dpkg,
        source: (name == "libx1").then(|| "x".to_owned()),
        licence: licence.map(str::to_owned),
    };
    let file = |path: &str, package: Option<usize>, source: Option<&str>| Material {
        path: path.to_owned(),
        sha256: copy::hash_bytes(path.as_bytes()),
        sha1: "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
        package,
        source: source.map(PathBuf::from),
    };
    Bill {
        name: "web".to_owned(),
        generation: 4,
        time: "2026-11-22T11:40:20Z".to_owned(),
        uuid: "00000000-0000-8000-8000-000000000000".to_owned(),
        packages: Packages {
            distribution: "debian".to_owned(),
            release: "13".to_owned(),
            packages: vec![
                package("libx1", Some("GPL-2+")),
                package("web", Some("odd")),
            ],
            owners: BTreeMap::new(),
        },
        files: vec![
            file("/etc/passwd", None, None),
            file("/usr/lib/libx.so.1", Some(0), Some("/usr/lib/libx.so.1")),
            file("/usr/local/own", None, Some("/usr/local/own")),
            file("/usr/sbin/web", Some(1), Some("/usr/sbin/web")),
        ],
    }
}

/// Without what changes with each release.
fn text(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document).unwrap();
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn package_urls_are_encoded() {
    let bill = bill();
    assert_eq!(
        bill.url(&bill.packages.packages[0]),
        "pkg:deb/debian/libx1@1%3A2.3%2Bdeb13~1?arch=amd64&distro=debian-13&upstream=x"
    );
}

#[test]
fn cyclonedx_has_every_file_with_its_package() {
    insta::assert_snapshot!(text(&cyclonedx::document(&bill())));
}

#[test]
fn spdx_has_every_file_with_its_package() {
    insta::assert_snapshot!(text(&spdx::document(&bill())));
}

#[test]
fn the_uuid_follows_from_name_and_content() {
    let one = uuid("web", &Manifest::default()).unwrap();
    assert_eq!(one, uuid("web", &Manifest::default()).unwrap());
    assert_ne!(one, uuid("other", &Manifest::default()).unwrap());
    let parts: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!((&one[14..15], &one[19..20]), ("8", "8"));
}
