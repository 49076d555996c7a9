//! Files of lines, the record of the last of them, and the counts.

use super::*;

/// A relay into a file of at most 64 KiB, of which `old` are kept.
fn into_file(scene: &Scene, old_files: u32) -> Relay {
    let log = LogSink {
        to: LogTo::File,
        file_size_kib: 64,
        old_files,
    };
    scene.relay_to(scene.sink_of(&log))
}

/// All lines of a log, the oldest first.
fn lines(scene: &Scene, names: &[&str]) -> Vec<String> {
    let read = |name: &&str| std::fs::read_to_string(scene.path(name)).unwrap_or_default();
    let text: String = names.iter().map(read).collect();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_file_is_put_aside_before_it_is_too_large() {
    let scene = Scene::new();
    let mut relay = into_file(&scene, 2);
    let filler = "x".repeat(1000);
    for number in 0..500 {
        relay.printed(format!("{number} {filler}").as_bytes(), "named", 7);
    }
    let size = |name: &str| std::fs::metadata(scene.path(name)).unwrap().len();
    for name in ["file", "file.1", "file.2"] {
        assert!(
            (1..=64 << 10).contains(&size(name)),
            "{name}: {}",
            size(name)
        );
    }
    assert!(!scene.path("file.3").exists());
    let lines = lines(&scene, &["file.2", "file.1", "file"]);
    let numbers: Vec<u32> = lines
        .iter()
        .map(|line| {
            let text = Line::parse(line).unwrap().text;
            text.split_once(' ').unwrap().0.parse().unwrap()
        })
        .collect();
    let first = numbers[0];
    assert!(
        first > 0 && numbers.iter().copied().eq(first..500),
        "{numbers:?}"
    );
    assert_eq!(relay.counts().forwarded, 500);
}

#[test]
fn none_is_kept_if_none_is_wanted() {
    let scene = Scene::new();
    let mut relay = into_file(&scene, 0);
    for _ in 0..200 {
        relay.printed(&[b'x'; 1000], "named", 7);
    }
    assert!(scene.path("file").exists() && !scene.path("file.1").exists());
}

#[test]
fn what_logrotate_does_is_noticed() {
    let scene = Scene::new();
    let mut relay = into_file(&scene, 2);
    let mut say = |text: &str| {
        relay.printed(text.as_bytes(), "named", 7);
        relay.pump().unwrap();
    };
    say("one");
    std::fs::rename(scene.path("file"), scene.path("file.1")).unwrap();
    say("two");
    // With `copytruncate`.
    say("three");
    std::fs::copy(scene.path("file"), scene.path("file.0")).unwrap();
    std::fs::write(scene.path("file"), "").unwrap();
    say("four");
    let text = |name| std::fs::read_to_string(scene.path(name)).unwrap();
    assert!(text("file.1").ends_with(": two\n"), "{}", text("file.1"));
    assert!(text("file.0").ends_with(": three\n") && text("file.0").lines().count() == 1);
    assert!(text("file").ends_with(": four\n") && text("file").lines().count() == 1);
}

#[test]
fn a_full_disk_leaves_no_half_lines() {
    let mut full = RotatedFile::new(Path::new("/dev/full"), 1 << 20, 1);
    assert!(!full.append(b"line\n"), "it is no file");
    let scene = Scene::new();
    let Some(small) = Tmpfs::of_one_page(&scene.path("small")) else {
        println!("skipped: it needs root");
        return;
    };
    let path = small.0.join("file");
    let mut file = RotatedFile::new(&path, 1 << 20, 1);
    assert!(file.append(&[b'a'; 4000]));
    assert!(!file.append(&[b'b'; 200]));
    assert!(file.append(&[b'c'; 90]));
    let content = std::fs::read(&path).unwrap();
    assert_eq!(content, [vec![b'a'; 4000], vec![b'c'; 90]].concat());
}

/// A file system with room for 4096 bytes, until it is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn of_one_page(path: &Path) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "nr_blocks=1", "tmpfs"])
            .arg(path)
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then(|| Self(path.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let path = self.0.as_os_str();
        let unmounted = std::process::Command::new("umount").arg(path).status();
        assert!(unmounted.unwrap().success());
    }
}

#[test]
fn the_last_messages_are_kept_where_the_log_is_elsewhere() {
    let scene = Scene::new();
    let host = scene.host();
    let mut relay = scene.relay().kept_in(scene.place.path());
    scene.client().send(b"<28>named[1]: one\x1b").unwrap();
    relay.pump().unwrap();
    relay.printed(b"two", "named", 7);
    relay.finish().unwrap();
    drop(host);
    let logged = Logged::load(scene.place.path()).unwrap();
    assert_eq!(logged.file, scene.path("recent.log"));
    assert_eq!(logged.to, scene.path("host-log").display().to_string());
    assert_eq!(logged.counts, relay.counts());
    assert_eq!((logged.counts.received, logged.counts.forwarded), (2, 2));
    let lines = lines(&scene, &["recent.log"]);
    let read: Vec<_> = lines
        .iter()
        .map(|line| Line::parse(line).unwrap())
        .collect();
    assert_eq!(
        (read[0].text.as_str(), read[0].severity),
        ("one#033", "warning")
    );
    assert_eq!((read[1].text.as_str(), read[1].pid), ("two", 7));
    // Its size is bounded.
    for _ in 0..1000 {
        relay.printed(&[b'x'; 1000], "named", 7);
    }
    relay.finish().unwrap();
    let sizes = std::fs::read_dir(scene.place.path()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let recent = entry.file_name().to_string_lossy().starts_with("recent");
        if recent {
            entry.metadata().unwrap().len()
        } else {
            0
        }
    });
    assert!(sizes.sum::<u64>() <= 256 << 10);
}

#[test]
fn a_file_is_its_own_record() {
    let scene = Scene::new();
    let mut relay = into_file(&scene, 2).kept_in(scene.place.path());
    relay.printed(b"one", "named", 7);
    relay.finish().unwrap();
    let logged = Logged::load(scene.place.path()).unwrap();
    assert_eq!(logged.file, scene.path("file"));
    assert!(!scene.path("recent.log").exists());
}
