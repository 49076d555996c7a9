//! The permission plan: as a script and as a repair it does the same, and neither is led astray.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gaoler::build::permissions::{self, Permission};
use gaoler::build::{Account, drift};
use gaoler::spec::{Device, DeviceRule, FileKind, Spec};

use crate::common::{Place, Tree, bind, file, listing, permission, somebody, spec_of};

/// Whoever has broken a tree.
const STRANGER: u32 = 47_013;

/// A tree with everything that a plan can have: devices, links, a file for the group alone, and a
/// name that a shell would trip over.
fn build(place: &Place) -> (Spec, Account, Tree) {
    let account = somebody();
    let (odd, secret) = (place.path("a'b\n$(id) \"-n\n"), place.path("secret"));
    fs::write(&odd, "odd").unwrap();
    fs::write(&secret, "for the group").unwrap();
    chown(&secret, None, Some(account.group.gid)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let mut spec = spec_of("/bin/true");
    spec.files = vec![
        file(&odd, FileKind::Data),
        file(&secret, FileKind::Data),
        file("/etc/localtime", FileKind::Data),
    ];
    spec.devices.push(DeviceRule {
        path: "/dev/null".into(),
        device: Device::Null,
        because: "a test".into(),
        evidence: gaoler::spec::Evidence::Person,
    });
    let tree = place.build(&spec, &account);
    (spec, account, tree)
}

fn copy(tree: &Path, to: PathBuf) -> PathBuf {
    let done = Command::new("cp").arg("-a").arg(tree).arg(&to).status();
    assert!(done.unwrap().success());
    to
}

/// Every owner and every mode is wrong.
fn break_all(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            break_all(&path);
        } else {
            break_one(&path);
        }
    }
    break_one(directory);
}

fn break_one(path: &Path) {
    std::os::unix::fs::lchown(path, Some(STRANGER), Some(STRANGER)).unwrap();
    if !path.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o7737)).unwrap();
    }
}

fn run(shell: &str, script: &Path, words: &[&OsStr]) -> Output {
    let mut command = Command::new(shell);
    command.arg(script).args(words).output().unwrap()
}

fn script(place: &Place, tree: &Tree, places: &[Permission]) -> PathBuf {
    let path = place.path("perms.sh");
    let text = permissions::script("a test", &tree.root, &tree.manifest, places);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_script_and_the_repair_give_back_what_was_built() {
    let place = Place::new();
    let (_, _, tree) = build(&place);
    let script = script(&place, &tree, &[]);
    let built = listing(&tree.root);
    for shell in ["dash", "bash", "sh"] {
        // A name that begins like an option, and has a line of its own.
        let copied = copy(&tree.root, place.path(&format!("-{shell}'s\ncopy\n")));
        break_all(&copied);
        let broken = drift(&copied, &tree.manifest).unwrap();
        assert!(broken.len() > tree.manifest.entries.len(), "{broken:?}");
        let output = run(shell, &script, &[copied.as_os_str()]);
        assert!(output.status.success(), "{shell}: {output:?}");
        assert!(output.stderr.is_empty(), "{shell}: {output:?}");
        assert_eq!(drift(&copied, &tree.manifest).unwrap(), []);
        assert_eq!(listing(&copied), built, "{shell}");
    }

    let copied = copy(&tree.root, place.path("repaired"));
    break_all(&copied);
    let broken = drift(&copied, &tree.manifest).unwrap();
    let (changes, failures) = permissions::repair(&copied, &tree.manifest, &broken).unwrap();
    assert_eq!(changes.len(), tree.manifest.entries.len());
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(listing(&copied), built);
    // Done twice it changes nothing.
    let again = permissions::repair(&copied, &tree.manifest, &broken).unwrap();
    assert_eq!(again.0, []);

    // Without a directory it is the jail's own tree.
    break_all(&tree.root);
    let output = run("sh", &script, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(listing(&tree.root), built);
}

/// What was planted in a tree, and what must stay as it is.
struct Planted {
    outside: PathBuf,
    before: Vec<String>,
    null: (u32, u32, u32),
}

/// A directory and a file that became links, a file with a second name outside, another device, and
/// something missing.
fn plant(place: &Place, tree: &Path, name: &str) -> Planted {
    let outside = place.path(name);
    fs::create_dir(&outside).unwrap();
    let at = |path: &str| tree.join(path);
    fs::rename(at("usr/bin"), outside.join("bin")).unwrap();
    break_all(&outside.join("bin"));
    symlink(outside.join("bin"), at("usr/bin")).unwrap();
    for (inside, planted) in [("etc/passwd", "linked"), ("etc/group", "named")] {
        fs::copy(at(inside), outside.join(planted)).unwrap();
        fs::remove_file(at(inside)).unwrap();
        break_one(&outside.join(planted));
    }
    symlink(outside.join("linked"), at("etc/passwd")).unwrap();
    fs::hard_link(outside.join("named"), at("etc/group")).unwrap();
    fs::remove_file(at("dev/null")).unwrap();
    let mut made = Command::new("mknod");
    made.arg(at("dev/null")).args(["c", "1", "1", "-m", "600"]);
    assert!(made.status().unwrap().success());
    fs::remove_file(at("etc/nsswitch.conf")).unwrap();
    fs::set_permissions(at("etc"), fs::Permissions::from_mode(0o777)).unwrap();
    let null = permission(&at("dev/null"));
    let before = listing(&outside);
    Planted {
        outside,
        before,
        null,
    }
}

fn untouched(planted: &Planted, tree: &Path) {
    assert_eq!(listing(&planted.outside), planted.before);
    assert_eq!(permission(&tree.join("dev/null")), planted.null);
    // What is beside it was set all the same.
    assert_eq!(permission(&tree.join("etc")), (0, 0, 0o755));
}

#[test]
fn neither_is_led_astray_by_what_was_planted() {
    let place = Place::new();
    let (_, _, tree) = build(&place);
    assert!(tree.has("/etc/nsswitch.conf") && tree.has("/usr/bin/true"));
    let script = script(&place, &tree, &[]);
    for shell in ["dash", "bash"] {
        let copied = copy(&tree.root, place.path(&format!("{shell}-tree")));
        let planted = plant(&place, &copied, shell);
        let output = run(shell, &script, &[copied.as_os_str()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        for (path, why) in [
            ("/usr/bin", "a link leads elsewhere"),
            ("true", "its directory was left alone"),
            ("/etc/passwd", "it is of another kind"),
            ("/etc/group", "several names"),
            ("/dev/null", "it is of another kind"),
            ("/etc/nsswitch.conf", "it is missing"),
        ] {
            let is_said = |line: &str| line.contains(path) && line.contains(why);
            assert!(said.lines().any(is_said), "{path}: {why}\n{said}");
        }
        untouched(&planted, &copied);
    }

    let copied = copy(&tree.root, place.path("tree"));
    let planted = plant(&place, &copied, "outside");
    let before = drift(&copied, &tree.manifest).unwrap();
    let (changes, failures) = permissions::repair(&copied, &tree.manifest, &before).unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(
        (changes[0].from.as_str(), changes[0].to.as_str()),
        ("0:0 0777", "0:0 0755")
    );
    assert!(failures.is_empty());
    untouched(&planted, &copied);

    // Planted after it was looked at: the repair looks again.
    let copied = copy(&tree.root, place.path("late"));
    break_all(&copied);
    let before = drift(&copied, &tree.manifest).unwrap();
    let planted = plant(&place, &copied, "late-outside");
    let (_, failures) = permissions::repair(&copied, &tree.manifest, &before).unwrap();
    assert!(failures.len() >= 5, "{failures:?}");
    untouched(&planted, &copied);
}

#[test]
fn the_script_refuses_what_is_no_tree() {
    let place = Place::new();
    let (_, _, tree) = build(&place);
    let script = script(&place, &tree, &[]);
    let link = place.path("link");
    symlink(&tree.root, &link).unwrap();
    for (root, why) in [
        (Path::new("/"), "would change the host"),
        (Path::new("//"), "would change the host"),
        (&link, "it is a link"),
        (Path::new("/etc/passwd"), "it is no directory"),
        (Path::new("/nowhere"), "it is no directory"),
    ] {
        let output = run("sh", &script, &[root.as_os_str()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{root:?}: {said}");
        assert!(said.contains(why), "{root:?}: {said}");
    }
}

#[test]
fn places_are_listed_and_only_their_tops_are_set() {
    let place = Place::new();
    let account = somebody();
    let own = place.path("own");
    fs::create_dir_all(own.join("deep")).unwrap();
    fs::write(own.join("deep/data"), "").unwrap();
    symlink("/etc/shadow", own.join("planted")).unwrap();
    chown(&own, Some(account.user.uid), Some(account.group.gid)).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o2750)).unwrap();
    let mut spec = spec_of("/bin/true");
    spec.binds = vec![bind(&own, true), bind("/etc/ssl", false)];
    let tree = place.build(&spec, &account);

    let found = permissions::places(&spec, &account);
    assert_eq!(found.not_listed, Vec::<PathBuf>::new());
    let paths: Vec<&Path> = found.found.iter().map(|one| one.path.as_path()).collect();
    let names = ["", "deep", "deep/data", "planted"];
    let wanted: Vec<PathBuf> = names
        .iter()
        .map(|name| match *name {
            "" => own.clone(),
            name => own.join(name),
        })
        .collect();
    assert_eq!(paths, wanted);
    let reason = found.found[0].looser.clone().unwrap();
    assert!(reason.contains("the service's own"), "{reason}");
    assert_eq!(
        (found.found[3].kind, found.found[3].mode),
        ("symlink", 0o777)
    );

    let script = script(&place, &tree, &found.found[..1]);
    let inside = own.join("deep/data");
    let shadow = fs::metadata("/etc/shadow").unwrap().mode();
    break_one(&own);
    break_one(&inside);
    let broken = permission(&inside);
    // Not with a copy.
    let copied = copy(&tree.root, place.path("copy"));
    assert!(run("sh", &script, &[copied.as_os_str()]).status.success());
    assert_eq!(permission(&own), (STRANGER, STRANGER, 0o7737));
    let output = run("sh", &script, &[]);
    assert!(output.status.success(), "{output:?}");
    let (uid, gid) = (account.user.uid, account.group.gid);
    assert_eq!(permission(&own), (uid, gid, 0o2750));
    assert_eq!(permission(&inside), broken);
    assert_eq!(fs::metadata("/etc/shadow").unwrap().mode(), shadow);

    // A place that is gone is said to be.
    fs::rename(&own, place.path("away")).unwrap();
    assert_eq!(permissions::places(&spec, &account).not_listed, [own]);
}
