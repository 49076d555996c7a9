//! What is mounted where.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use crate::common::{DONE, Place, eventually};

/// A place in memory would hide what is mounted below it, were it mounted later.
#[test]
fn what_is_mounted_below_an_empty_place_is_there() {
    for exec in [false, true] {
        let mut place = Place::new(&["pause"]);
        let above = place.path("memory");
        fs::create_dir_all(above.join("deep/data")).unwrap();
        fs::write(above.join("deep/data/file"), "in a directory").unwrap();
        fs::write(above.join("one"), "alone").unwrap();
        fs::write(above.join("hidden"), "the host's").unwrap();
        for (path, writable) in [("deep/data", true), ("one", false)] {
            let path = above.join(path);
            place.text.tables += &format!(
                "[[tree.binds]]\npath = {path:?}\nwritable = {writable}\nbecause = \"a test\"\n"
            );
        }
        // What the tree has there is put into it.
        fs::create_dir_all(above.join("kept/of the host")).unwrap();
        fs::write(above.join("deep/copied"), "a copy").unwrap();
        for (path, kind) in [("kept", "directory"), ("deep/copied", "data")] {
            let path = above.join(path);
            place.text.tables += &format!(
                "[[tree.files]]\npath = {path:?}\nkind = {kind:?}\nbecause = \"a test\"\n"
            );
        }
        place.text.tables +=
            &format!("[[tree.scratch]]\npath = {above:?}\nsize_kib = 64\nbecause = \"a test\"\n");
        place.write();
        place.verb("build").is(DONE, &[]);
        let mut executed = exec.then(|| {
            let mut command = place.command(&["run", "--exec", &place.name]);
            command.stdout(Stdio::null()).spawn().unwrap()
        });
        let pid = match &executed {
            Some(child) => child.id().cast_signed(),
            None => {
                place.verb("start").is(DONE, &["started"]);
                place.pid()
            }
        };
        let jailed = format!("/proc/{pid}/root{}", above.display());
        let jailed = Path::new(&jailed);
        eventually("it is in its jail", || {
            jailed.join("one").exists() && !jailed.join("hidden").exists()
        });
        let read = |name: &str| fs::read_to_string(jailed.join(name)).unwrap();
        assert_eq!(read("deep/data/file"), "in a directory");
        assert_eq!(read("one"), "alone");
        assert_eq!(read("deep/copied"), "a copy");
        assert_eq!(fs::read_dir(jailed.join("kept")).unwrap().count(), 0);
        let mode = fs::metadata(jailed.join("deep/copied")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o444);
        match &mut executed {
            Some(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
                place.nothing_runs_after(&["--exec"]);
            }
            None => {
                place.verb("stop").is(DONE, &["stopped"]);
                place.nothing_runs();
            }
        }
    }
}
