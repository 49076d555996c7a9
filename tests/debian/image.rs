//! The disk of the machine: made once, and kept outside of the repository.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

/// What is installed beside the smallest Debian.
const PACKAGES: &str = "linux-image-cloud-amd64,systemd-sysv,kmod,iproute2,procps,apparmor,auditd,\
    bind9,bind9-dnsutils,memcached";

/// What is installed besides in the image that the rows of `docs/equivalence.md` are made in.
const OF_THE_ROWS: &str = "nginx-light,apache2,curl";

/// What runs in it when it is up.
const UNIT: &str = "\
[Unit]
Description=What is tried inside
After=multi-user.target network.target
[Service]
Type=oneshot
ExecStartPre=/bin/mount -o ro /dev/vdb /mnt
ExecStart=/bin/sh -c '/mnt/run >/dev/ttyS1 2>&1; echo \"end: $?\" >/dev/ttyS1'
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=null
TimeoutStartSec=infinity
";

/// A disk, and what boots it.
pub struct Image {
    pub disk: PathBuf,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
}

impl Image {
    /// The one of the tests.
    pub fn get() -> Self {
        Self::of(&cache(), PACKAGES)
    }

    /// The one of the rows of a page, beside it.
    pub fn of_the_rows() -> Self {
        Self::of(&cache().join("rows"), &format!("{PACKAGES},{OF_THE_ROWS}"))
    }

    /// The one of these packages, which is made if it was not made before.
    fn of(cache: &Path, packages: &str) -> Self {
        fs::create_dir_all(cache).unwrap();
        let suite = suite();
        let key = Sha256::digest(format!("{suite}\n{packages}\n{UNIT}"));
        let key: String = key
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let directory = cache.join(format!("debian-{key}"));
        let image = Self {
            disk: directory.join("disk"),
            kernel: directory.join("vmlinuz"),
            initrd: directory.join("initrd.img"),
        };
        // Of two at once, one waits.
        let lock = File::create(cache.join("lock")).unwrap();
        lock.lock().unwrap();
        if !directory.exists() {
            forget_others(cache);
            let beside = tempfile::tempdir_in(cache).unwrap();
            make(&suite, packages, beside.path());
            // Only a whole one has the name.
            fs::rename(beside.keep(), &directory).unwrap();
        }
        image
    }
}

/// Where images are kept.
fn cache() -> PathBuf {
    let cache = std::env::var_os("GAOLER_TEST_CACHE");
    cache.map_or_else(|| PathBuf::from("/var/cache/gaoler-tests"), PathBuf::from)
}

fn forget_others(cache: &Path) {
    for entry in fs::read_dir(cache).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Other tests keep something there as well.
        let is_disk = name.starts_with("debian-") || name.starts_with(".tmp");
        if is_disk && path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

fn make(suite: &str, packages: &str, directory: &Path) {
    let tree = directory.join("tree");
    done(
        Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={packages}"), suite])
            .arg(&tree)
            .arg(mirror(suite)),
    );
    let units = tree.join("etc/systemd/system");
    write(&units.join("inside.service"), UNIT);
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("../inside.service", wants.join("inside.service")).unwrap();
    for (link, name) in [("vmlinuz", "vmlinuz"), ("initrd.img", "initrd.img")] {
        let target = fs::read_link(tree.join(link)).unwrap();
        fs::copy(tree.join(target), directory.join(name)).unwrap();
    }
    filled(&tree, &directory.join("disk"), "1500M");
    fs::remove_dir_all(&tree).unwrap();
}

/// A disk that is full of what is in a directory.
pub fn filled(tree: &Path, disk: &Path, size: &str) {
    let mut make = Command::new("mke2fs");
    done(
        make.args(["-q", "-t", "ext4", "-d"])
            .arg(tree)
            .arg(disk)
            .arg(size),
    );
}

/// A file that may be executed.
pub fn write(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o755))
        .unwrap();
}

/// This Debian's own name.
fn suite() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap();
    let mut lines = text.lines();
    let name = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.expect("this is no Debian").to_owned()
}

/// Where this machine has its packages from.
fn mirror(suite: &str) -> String {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .args(["Created-By: Packages", &format!("Codename: {suite}")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().expect("apt has no source").to_owned()
}

/// Runs a command that must succeed.
pub fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}\n{out}");
}
