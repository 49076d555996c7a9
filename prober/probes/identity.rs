//! Who it is: ids, groups, capabilities.

use super::Probes;
use crate::raw::{self, Refused, Word};
use crate::scene::{Path, Scene};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("id-setuid", setuid),
    ("id-saved-uid", saved_uid),
    ("id-setreuid", setreuid),
    ("id-setfsuid", setfsuid),
    ("id-setgid", setgid),
    ("id-setgroups", setgroups),
    ("id-root-groups", root_groups),
    ("capability-effective", effective),
    ("capability-inheritable", inheritable),
    ("capability-ambient", ambient),
    ("capability-bounding", bounding),
    ("capability-securebits", securebits),
    ("exec-setuid-file", setuid_file),
];

/// Not to be changed (`setresuid(2)`).
const SAME: i32 = -1;

fn setuid(_: Scene) -> Tried {
    raw::call(numbers::SETUID, [0.into()]).at("become root")?;
    Ok("became root")
}

/// A saved user 0 is a way back ("Setuid Demystified").
fn saved_uid(_: Scene) -> Tried {
    raw::call(numbers::SETRESUID, [SAME.into(), 0.into(), SAME.into()])
        .at("take the effective user 0 back")?;
    Ok("has the effective user 0")
}

fn setreuid(_: Scene) -> Tried {
    raw::call(numbers::SETREUID, [0.into(), 0.into()]).at("become root by setreuid")?;
    Ok("became root")
}

/// It never fails: the answer to a second call says who one is (`setfsuid(2)`).
fn setfsuid(_: Scene) -> Tried {
    raw::call(numbers::SETFSUID, [0.into()]).at("take the file system user 0")?;
    match raw::call(numbers::SETFSUID, [SAME.into()]).at("ask for the file system user")? {
        0 => Ok("has the file system user 0"),
        _ => Err(Stop::Nothing("setfsuid changes nothing")),
    }
}

fn setgid(_: Scene) -> Tried {
    raw::call(numbers::SETRESGID, [SAME.into(), 0.into(), SAME.into()]).at("take the group 0")?;
    Ok("has the group 0")
}

fn group_list() -> Result<([u32; 64], usize), Refused> {
    let mut groups = [0_u32; 64];
    let count = {
        let room = Word::Room(raw::bytes_of(&mut groups));
        raw::call(numbers::GETGROUPS, [64.into(), room])?
    };
    Ok((groups, count))
}

/// An answer of 0 may be no more than that; the list says what came of it.
fn setgroups(_: Scene) -> Tried {
    const UNUSUAL: u32 = 4_242_424;
    let mut wanted = [UNUSUAL];
    let wanted = Word::Room(raw::bytes_of(&mut wanted));
    raw::call(numbers::SETGROUPS, [1.into(), wanted]).at("add a group")?;
    let (groups, count) = group_list().at("list the groups")?;
    match groups.iter().take(count).any(|group| *group == UNUSUAL) {
        true => Ok("added a group"),
        false => Err(Stop::Nothing("setgroups changes nothing")),
    }
}

/// Groups that the launcher left because `setgroups` failed in
/// silence (nsjail, pull requests 288 and 320).
fn root_groups(scene: Scene) -> Tried {
    let own = scene.text("groups")?.to_bytes();
    let (groups, count) = group_list().at("list the groups")?;
    let declared = |group: &u32| {
        let mut numbers = own.split(|byte| *byte == b',');
        numbers.any(|number| {
            let value = number.iter().fold(0_u32, |value, digit| {
                value
                    .wrapping_mul(10)
                    .wrapping_add(u32::from(digit.wrapping_sub(b'0')))
            });
            !number.is_empty() && value == *group
        })
    };
    match groups.iter().take(count).all(declared) {
        true => Err(Stop::Nothing("it has no group but its own")),
        false => Ok("has a group that nobody gave it"),
    }
}

const VERSION: u32 = 0x2008_0522;
const ALL: u32 = u32::MAX;

/// Capability sets as `capset(2)` wants them: effective, permitted, inheritable, low then high.
fn set(sets: [u32; 6]) -> Result<usize, Refused> {
    let mut header = [VERSION, 0];
    let mut sets = sets;
    let header = Word::Room(raw::bytes_of(&mut header));
    let sets = Word::Room(raw::bytes_of(&mut sets));
    raw::call(numbers::CAPSET, [header, sets])
}

fn own() -> Result<[u32; 6], Refused> {
    let mut header = [VERSION, 0];
    let mut sets = [0_u32; 6];
    let words = [
        Word::Room(raw::bytes_of(&mut header)),
        Word::Room(raw::bytes_of(&mut sets)),
    ];
    raw::call(numbers::CAPGET, words)?;
    Ok(sets)
}

/// The bits of CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, CAP_SETUID and CAP_SYS_PTRACE: any of them is as
/// good as root.
const ROOT_EQUAL: u32 = 1 << 21 | 1 << 1 | 1 << 7 | 1 << 19;

/// Those of them that nobody gave it.
fn not_given(scene: Scene) -> Result<u32, Stop> {
    match ROOT_EQUAL & !(scene.number("capabilities")? as u32) {
        0 => Err(Stop::Nothing("it was given all of them")),
        bits => Ok(bits),
    }
}

fn effective(scene: Scene) -> Tried {
    let bits = not_given(scene)?;
    set([bits, bits, 0, 0, 0, 0]).at("raise capabilities")?;
    Ok("has capabilities that make it root")
}

/// What is inheritable comes back with the next execve of a file that has it (CVE-2022-27650).
fn inheritable(scene: Scene) -> Tried {
    let bits = not_given(scene)?;
    let [effective, permitted, before, ..] = own().at("read the capability sets")?;
    if before & bits != 0 {
        return Ok("has inheritable capabilities that make it root");
    }
    set([effective, permitted, bits, 0, 0, 0]).at("make capabilities inheritable")?;
    Ok("made capabilities inheritable that make it root")
}

fn ambient(_: Scene) -> Tried {
    const AMBIENT: usize = 47;
    const RAISE: usize = 2;
    const SYS_ADMIN: usize = 21;
    if let Ok([effective, permitted, ..]) = own() {
        // To be ambient it must be inheritable first; where that fails, so will this.
        match set([effective, permitted, permitted, 0, 0, ALL & 0]) {
            Ok(_) | Err(_) => {}
        }
    }
    let words = [
        AMBIENT.into(),
        RAISE.into(),
        SYS_ADMIN.into(),
        0.into(),
        0.into(),
    ];
    raw::call(numbers::PRCTL, words).at("make CAP_SYS_ADMIN ambient")?;
    Ok("has CAP_SYS_ADMIN across execve")
}

/// What is in the bounding set could come back with a file that has it.
fn bounding(scene: Scene) -> Tried {
    const READ: usize = 23;
    let bits = not_given(scene)?;
    for number in (0..32_usize).filter(|number| bits >> number & 1 == 1) {
        let words = [READ.into(), number.into(), 0.into(), 0.into(), 0.into()];
        if raw::call(numbers::PRCTL, words).at("read the bounding set")? == 1 {
            return Ok("its bounding set has capabilities that make it root");
        }
    }
    Err(Stop::Nothing("its bounding set has none of them"))
}

fn securebits(_: Scene) -> Tried {
    const SET: usize = 28;
    const NO_SETUID_FIXUP: usize = 4;
    let words = [
        SET.into(),
        NO_SETUID_FIXUP.into(),
        0.into(),
        0.into(),
        0.into(),
    ];
    raw::call(numbers::PRCTL, words).at("change how uid changes drop capabilities")?;
    Ok("changed the secure bits")
}

/// Executes a program of somebody else's that has the set-user-ID bit: this one, which then asks who
/// it is.
fn setuid_file(scene: Scene) -> Tried {
    if scene.text("again").is_ok() {
        let user = raw::call(numbers::GETEUID, []).at("ask for the effective user")?;
        return match user == scene.number("again")? {
            true => Ok("became somebody else by a set-user-ID file"),
            false => Err(Stop::Nothing("a set-user-ID file changes nothing")),
        };
    }
    let program = scene.text("setuid")?;
    let stranger = Path::new()
        .with(b"again=")
        .with(scene.text("stranger")?.to_bytes());
    let arguments = [
        raw::address(c"prober"),
        raw::address(c"exec-setuid-file"),
        raw::address(c"quiet"),
        raw::address(c"now"),
        raw::address(stranger.text()),
        0,
    ];
    let words = [program.into(), raw::address(&arguments).into(), 0.into()];
    raw::call(numbers::EXECVE, words).at("execute a set-user-ID file")?;
    Err(Stop::Nothing("execve came back"))
}
