//! Calls that change who a thread is.

use super::super::capabilities::{self, SETGID, SETPCAP};
use super::super::process;
use super::super::record::Event;
use super::{After, Done};
use crate::sys::{abi, calls};

/// The ids are read again after these.
pub fn change_ids() -> impl Iterator<Item = &'static str> {
    calls::CHANGE_IDS.into_iter().chain(["prctl"])
}

/// What they show.
pub const AFTER: After = &[
    ("prctl", controlled),
    ("setfsgid", |done| gids(done, 1)),
    ("setfsuid", |done| uids(done, 1)),
    ("setgid", |done| gids(done, 1)),
    ("setgroups", groups),
    ("setregid", |done| gids(done, 2)),
    ("setresgid", |done| gids(done, 3)),
    ("setresuid", |done| uids(done, 3)),
    ("setreuid", |done| uids(done, 2)),
    ("setuid", |done| uids(done, 1)),
];

fn uids(done: &mut Done<'_>, arguments: usize) {
    let wanted: Vec<u32> = (0..arguments).map(|index| done.uint(index)).collect();
    let who = done.caller.credentials();
    done.capability(capabilities::set_uids(&who, &wanted), &list(&wanted));
    report(done);
}

fn gids(done: &mut Done<'_>, arguments: usize) {
    let wanted: Vec<u32> = (0..arguments).map(|index| done.uint(index)).collect();
    let who = done.caller.credentials();
    done.capability(capabilities::set_gids(&who, &wanted), &list(&wanted));
    report(done);
}

fn groups(done: &mut Done<'_>) {
    done.capability(Some(SETGID), &format!("{} groups", done.uint(0)));
    report(done);
}

fn report(done: &mut Done<'_>) {
    if done.result.is_ok()
        && let Some(ids) = process::credentials(done.caller.tid)
    {
        done.events.push(Event::Ids(ids));
    }
}

fn controlled(done: &mut Done<'_>) {
    match done.int(0) {
        abi::PR_CAPBSET_DROP => done.capability(Some(SETPCAP), "PR_CAPBSET_DROP"),
        abi::PR_SET_SECUREBITS => done.capability(Some(SETPCAP), "PR_SET_SECUREBITS"),
        _ => {}
    }
}

fn list(ids: &[u32]) -> String {
    let words: Vec<String> = ids
        .iter()
        .map(|id| {
            if *id == u32::MAX {
                "-1".to_owned()
            } else {
                id.to_string()
            }
        })
        .collect();
    words.join(", ")
}
