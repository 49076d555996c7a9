//! Every kind of difference between a tree and its manifest is found.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use gaoler::build::{Difference, drift};
use gaoler::spec::{Device, DeviceRule, FileKind};

use crate::common::{Place, file, somebody, spec_of};

#[test]
fn each_kind_of_drift_is_found_and_no_link_followed() {
    let place = Place::new();
    fs::write(place.path("data"), "as built").unwrap();
    let mut spec = spec_of("/bin/true");
    let data = place.path("data");
    spec.files = vec![
        file(&data, FileKind::Data),
        file("/etc/localtime", FileKind::Data),
    ];
    for (path, device) in [("/dev/null", Device::Null), ("/dev/zero", Device::Zero)] {
        spec.devices.push(DeviceRule {
            path: path.into(),
            device,
            because: "a test".into(),
            evidence: gaoler::spec::Evidence::Person,
        });
    }
    let tree = place.build(&spec, &somebody());
    let at = |path: &str| tree.root.join(path);
    let inside = tree.root.join(data.strip_prefix("/").unwrap());

    fs::write(&inside, "as busy!").unwrap();
    fs::set_permissions(at("usr/bin/true"), fs::Permissions::from_mode(0o4555)).unwrap();
    chown(at("usr/bin"), Some(47_011), None).unwrap();
    fs::remove_file(at("etc/localtime")).unwrap();
    symlink("/etc/shadow", at("etc/localtime")).unwrap();
    fs::remove_file(at("dev/null")).unwrap();
    fs::remove_file(at("dev/zero")).unwrap();
    symlink("null", at("dev/zero")).unwrap();
    fs::create_dir(at("etc/extra")).unwrap();
    fs::write(at("etc/extra/deeper"), "").unwrap();

    let found = drift(&tree.root, &tree.manifest).unwrap();
    let of = |path: &Path| {
        let here: Vec<_> = found.iter().filter(|drift| drift.path == path).collect();
        assert_eq!(here.len(), 1, "{path:?}: {here:?}");
        here[0].what.clone()
    };
    assert!(matches!(of(&data), Difference::Content(..)));
    assert_eq!(
        of(Path::new("/usr/bin/true")),
        Difference::Mode("0555".into(), "4555".into())
    );
    assert_eq!(
        of(Path::new("/usr/bin")),
        Difference::Owner("0:0".into(), "47011:0".into())
    );
    assert!(matches!(
        of(Path::new("/etc/localtime")),
        Difference::Content(..)
    ));
    assert_eq!(of(Path::new("/dev/null")), Difference::Missing);
    assert_eq!(
        of(Path::new("/dev/zero")),
        Difference::Kind("device".into(), "symlink".into())
    );
    assert_eq!(of(Path::new("/etc/extra")), Difference::Extra);
    assert_eq!(found.len(), 7);
}

#[test]
fn a_directory_turned_into_a_link_is_not_entered() {
    let place = Place::new();
    let tree = place.build(&spec_of("/bin/true"), &somebody());
    fs::rename(tree.root.join("usr/bin"), tree.root.join("usr/away")).unwrap();
    symlink("away", tree.root.join("usr/bin")).unwrap();
    let found = drift(&tree.root, &tree.manifest).unwrap();
    let what = |path: &str| {
        found
            .iter()
            .find(|drift| drift.path == Path::new(path))
            .map(|drift| drift.what.clone())
    };
    assert!(matches!(what("/usr/bin"), Some(Difference::Kind(..))));
    assert_eq!(what("/usr/bin/true"), Some(Difference::Missing));
    assert_eq!(what("/usr/away"), Some(Difference::Extra));
}
