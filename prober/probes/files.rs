//! The tree, and what is planted in it for others.

use super::Probes;
use crate::raw;
use crate::scene::{CREATE, HERE, Path, READ_WRITE, Scene, WRITE, open, remove};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("file-create-in-root", create_in_root),
    ("file-write-etc", write_etc),
    ("file-write-library-directory", write_library_directory),
    ("file-chmod-setuid", chmod_setuid),
    ("file-chown-root", chown_root),
    ("file-hard-link", hard_link),
    ("file-rename-tree", rename_tree),
    ("file-own-directory-mode", own_directory_mode),
    ("file-read-shadow", read_shadow),
    ("file-read-spec", read_spec),
    ("file-extended-attribute", extended_attribute),
    ("file-device-null", device_null),
];

/// A path in the tree; outside, in a directory that stands for it.
fn in_tree(scene: Scene, path: &[u8]) -> Result<Path, Stop> {
    Ok(Path::new().with(scene.text("tree")?.to_bytes()).with(path))
}

/// The first of these files that can be made is made, and removed.
fn create(scene: Scene, paths: &[&[u8]], step: &'static str, gained: &'static str) -> Tried {
    let mut last = Err(Stop::Nothing("there is none"));
    for path in paths {
        let path = in_tree(scene, path)?;
        match open(path.text(), CREATE | WRITE) {
            Ok(_) => return finish(&path, Ok(0), step, gained),
            refused => last = refused.at(step).map(|_| ""),
        }
    }
    last
}

fn create_in_root(scene: Scene) -> Tried {
    let paths: [&[u8]; 4] = [
        b"/.gaoler-probe",
        b"/etc/.gaoler-probe",
        b"/dev/.gaoler-probe",
        b"/usr/.gaoler-probe",
    ];
    create(
        scene,
        &paths,
        "make a file in the tree",
        "made a file in the tree",
    )
}

fn write_etc(scene: Scene) -> Tried {
    let paths: [&[u8]; 7] = [
        b"/etc/passwd",
        b"/etc/group",
        b"/etc/nsswitch.conf",
        b"/etc/ld.so.cache",
        b"/etc/ld.so.preload",
        b"/etc/hosts",
        b"/etc/resolv.conf",
    ];
    let mut last = Err(Stop::Nothing("none of them is there"));
    for path in paths {
        match open(in_tree(scene, path)?.text(), WRITE) {
            Ok(_) => return Ok("can write to a file in /etc"),
            refused => last = refused.at("open a file in /etc for writing").map(|_| ""),
        }
    }
    last
}

fn write_library_directory(scene: Scene) -> Tried {
    let paths: [&[u8]; 4] = [
        b"/lib/x86_64-linux-gnu/libnss_probe.so.2",
        b"/lib/libnss_probe.so.2",
        b"/usr/lib/libnss_probe.so.2",
        b"/lib64/libnss_probe.so.2",
    ];
    create(scene, &paths, "make a library", "made a library")
}

/// A file in a writable place.
fn file(scene: Scene) -> Result<Path, Stop> {
    let path = Path::new()
        .with(scene.text("writable")?.to_bytes())
        .with(b"/.gaoler-file");
    let file = open(path.text(), CREATE | READ_WRITE).at("make a file")?;
    crate::scene::close(file);
    Ok(path)
}

fn finish(
    path: &Path,
    answer: Result<usize, raw::Refused>,
    step: &'static str,
    gained: &'static str,
) -> Tried {
    remove(path);
    answer.at(step)?;
    Ok(gained)
}

/// One that belongs to root: owner first, or the change of owner would take the bit away.
fn chmod_setuid(scene: Scene) -> Tried {
    let path = file(scene)?;
    let owner = raw::call(
        numbers::FCHOWNAT,
        [
            HERE.into(),
            path.text().into(),
            0.into(),
            0.into(),
            0.into(),
        ],
    );
    let answer = owner.and_then(|_| {
        raw::call(
            numbers::FCHMODAT,
            [HERE.into(), path.text().into(), 0o4755.into()],
        )
    });
    finish(
        &path,
        answer,
        "make a set-user-ID file of root's",
        "made a set-user-ID file of root's",
    )
}

fn chown_root(scene: Scene) -> Tried {
    let path = file(scene)?;
    let words = [
        HERE.into(),
        path.text().into(),
        0.into(),
        0.into(),
        0.into(),
    ];
    let answer = raw::call(numbers::FCHOWNAT, words);
    finish(&path, answer, "give a file to root", "gave a file to root")
}

/// A second name, in a place that outlives the jail, of a file that is not the service's.
fn hard_link(scene: Scene) -> Tried {
    let path = Path::new()
        .with(scene.text("writable")?.to_bytes())
        .with(b"/.gaoler-link");
    let secret = scene.text("secret")?;
    let words = [
        HERE.into(),
        secret.into(),
        HERE.into(),
        path.text().into(),
        0.into(),
    ];
    raw::call(numbers::LINKAT, words).at("link a file outside")?;
    finish(
        &path,
        Ok(0),
        "",
        "linked a file outside into a writable place",
    )
}

fn rename_tree(scene: Scene) -> Tried {
    let renamed = in_tree(scene, b"/.gaoler-renamed")?;
    let mut last = Err(Stop::Nothing("there is nothing to rename"));
    let paths: [&[u8]; 3] = [b"/etc", b"/usr", b"/lib"];
    for path in paths {
        let path = in_tree(scene, path)?;
        let rename = |from: &Path, to: &Path| {
            let words = [
                HERE.into(),
                from.text().into(),
                HERE.into(),
                to.text().into(),
                0.into(),
            ];
            raw::call(numbers::RENAMEAT2, words)
        };
        match rename(&path, &renamed) {
            Ok(_) => {
                rename(&renamed, &path).at("rename it back")?;
                return Ok("renamed a directory of the tree");
            }
            refused => last = refused.at("rename a directory of the tree").map(|_| ""),
        }
    }
    last
}

/// Nobody but root decides what may be done in the tree's directories.
fn own_directory_mode(scene: Scene) -> Tried {
    let path = in_tree(scene, b"/dev")?;
    raw::call(
        numbers::FCHMODAT,
        [HERE.into(), path.text().into(), 0o755.into()],
    )
    .at("change the mode of /dev")?;
    Ok("changed the mode of a directory of the tree")
}

/// A launcher may have put an empty file in its place.
fn read_shadow(_: Scene) -> Tried {
    let file = open(c"/etc/shadow", 0).at("open /etc/shadow")?;
    let mut first = [0; 1];
    let words = [file.into(), (&mut first).into(), 1.into()];
    match raw::call(numbers::READ, words).at("read /etc/shadow")? {
        0 => Err(Stop::Nothing("/etc/shadow is empty")),
        _ => Ok("read /etc/shadow"),
    }
}

/// The policy, and what is known of running jails.
fn read_spec(scene: Scene) -> Tried {
    open(scene.text("policy")?, 0).at("read the jail's own spec")?;
    Ok("read the jail's own spec")
}

/// File capabilities (`capabilities(7)`), as `setcap` writes them.
fn extended_attribute(scene: Scene) -> Tried {
    let path = file(scene)?;
    // Revision 2, effective; permitted CAP_SYS_ADMIN.
    let value = [
        1_u8, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let words = [
        path.text().into(),
        c"security.capability".into(),
        (&value).into(),
        20.into(),
        0.into(),
    ];
    let answer = raw::call(numbers::SETXATTR, words);
    finish(
        &path,
        answer,
        "give a file capabilities",
        "gave a file capabilities",
    )
}

/// A `/dev/null` that keeps what is written is a file (CVE-2025-31133).
fn device_null(scene: Scene) -> Tried {
    const END: usize = 2;
    let null = open(scene.text("null")?, READ_WRITE).at("open /dev/null")?;
    raw::call(numbers::WRITE, [null.into(), b"x".into(), 1.into()]).at("write to /dev/null")?;
    let words = [null.into(), 0.into(), END.into()];
    match raw::call(numbers::LSEEK, words).at("look how long it is")? {
        0 => Err(Stop::Nothing("/dev/null is the device")),
        _ => Ok("/dev/null is a file"),
    }
}
