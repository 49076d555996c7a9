//! The machine: booted once, with this program on its second disk.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{self, GAOLER};
use crate::image::{Image, filled, write};

/// What runs in a machine.
pub struct Inside {
    pub image: Image,
    /// How the names of its tests begin.
    pub tests: &'static str,
    /// It has ended before, or hangs.
    pub longest: Duration,
}

/// The tests that are for the inside, by the rest of their names.
pub fn listed(tests: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let output = Command::new(own)
        .args(["--list", "--ignored", tests])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names
        .filter_map(|name| name.strip_prefix(tests))
        .map(str::to_owned)
        .collect()
}

/// Runs them in it, and answers what they print.
pub fn run(inside: &Inside) -> String {
    let Inside {
        image,
        tests,
        longest,
    } = inside;
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::copy(GAOLER, tree.join("gaoler")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), tree.join("tests")).unwrap();
    // It has no compiler.
    for program in ["service", "managed"] {
        fs::copy(common::program(program), tree.join(program)).unwrap();
    }
    let directory = Path::new(GAOLER).parent().unwrap().display();
    write(
        &tree.join("run"),
        &format!(
            "#!/bin/sh\nexport PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8\n\
             mkdir -p {directory}\ncp /mnt/gaoler {GAOLER}\nln -s {GAOLER} /usr/local/bin/gaoler\n\
             exec /mnt/tests --ignored --test-threads 1 --nocapture {tests}\n"
        ),
    );
    let second = place.path().join("second");
    filled(&tree, &second, "400M");
    let (console, told) = (place.path().join("console"), place.path().join("told"));
    let mut machine = Machine(boot(image, &second, &console, &told));
    let begun = Instant::now();
    let read =
        |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\r', "");
    while machine.0.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < *longest,
            "the machine goes on: {}\n{}",
            read(&console),
            read(&told)
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let told = read(&told);
    assert!(told.contains("\nend: "), "{}\n{told}", read(&console));
    told
}

/// Ends with the test, however that ends.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn boot(image: &Image, second: &Path, console: &Path, told: &Path) -> Child {
    let drive =
        |path: &Path, how: &str| format!("file={},format=raw,if=virtio,{how}", path.display());
    let serial = |path: &Path| format!("file:{}", path.display());
    let errors = File::create(console.with_extension("qemu")).unwrap();
    Command::new("qemu-system-x86_64")
        .args("-machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536".split(' '))
        .args("-display none -no-reboot -nic none".split(' '))
        .arg("-kernel")
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initrd)
        .args([
            "-append",
            "root=/dev/vda rw console=ttyS0 apparmor=1 security=apparmor audit=1",
        ])
        .args(["-drive", &drive(&image.disk, "snapshot=on")])
        .args(["-drive", &drive(second, "readonly=on")])
        .args(["-serial", &serial(console)])
        .args(["-serial", &serial(told)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap()
}
