//! What using a path took: its record, and the capabilities that reaching and changing it needed.

use super::super::capabilities::{self, Credentials, Owned, Wish};
use super::super::paths::Resolved;
use super::super::record::Event;
use super::super::trace::Use;
use super::{After, Done, Prepared};

/// What these calls show besides their paths.
pub const AFTER: After = &[
    ("chmod", changed),
    ("chown", |done| owner_changed(done, 1)),
    ("fchmod", changed),
    ("fchmodat", changed),
    ("fchmodat2", changed),
    ("fchown", |done| owner_changed(done, 1)),
    ("fchownat", |done| owner_changed(done, 2)),
    ("lchown", |done| owner_changed(done, 1)),
    ("mknod", |done| node_made(done, 1)),
    ("mknodat", |done| node_made(done, 2)),
];

/// Records the paths of a call that has returned, and the capabilities that reaching them took.
pub fn conclude(done: &mut Done<'_>) {
    for Prepared { found, uses } in done.paths {
        let failure = done.result.err();
        done.events.push(Event::Path {
            found: found.clone(),
            uses: uses.clone(),
            failure,
        });
        if failure.is_none() && !found.searched.is_empty() {
            let who = done.caller.credentials();
            for capability in needed(&who, found, uses) {
                done.capability(Some(capability), &found.asked.to_string_lossy());
            }
        }
    }
}

/// The capabilities that it took to use a path like this.
fn needed(who: &Credentials, found: &Resolved, uses: &[Use]) -> Vec<u8> {
    let mut needed: Vec<u8> = found
        .searched
        .iter()
        .filter_map(|directory| capabilities::access(who, *directory, Wish::Search))
        .collect();
    let check = |file: Option<Owned>, wish| file.and_then(|f| capabilities::access(who, f, wish));
    for used in uses {
        match used {
            Use::Read | Use::List => needed.extend(check(found.target, Wish::Read)),
            Use::Write | Use::Connect => needed.extend(check(found.target, Wish::Write)),
            Use::Create => needed.extend(check(found.parent, Wish::Write)),
            Use::Delete => {
                needed.extend(check(found.parent, Wish::Write));
                needed.extend(
                    found
                        .parent
                        .and_then(|p| capabilities::remove(who, p, found.target)),
                );
            }
            Use::Enter => needed.extend(check(found.target, Wish::Search)),
            Use::Change | Use::Execute | Use::Look | Use::Map | Use::Root => {}
        }
    }
    needed.sort_unstable();
    needed.dedup();
    // Whoever overrides the mode bits may search, too.
    if needed.contains(&capabilities::DAC_OVERRIDE) {
        needed.retain(|capability| *capability != capabilities::DAC_READ_SEARCH);
    }
    needed
}

fn target(done: &Done<'_>) -> Option<(Owned, String)> {
    let found = &done.paths.first()?.found;
    Some((found.target?, found.asked.to_string_lossy().into_owned()))
}

fn changed(done: &mut Done<'_>) {
    if let Some((file, path)) = target(done) {
        let who = done.caller.credentials();
        done.capability(capabilities::change(&who, file), &path);
    }
}

fn owner_changed(done: &mut Done<'_>, first: usize) {
    if let Some((file, path)) = target(done) {
        let (user, group) = (done.uint(first), done.uint(first + 1));
        let who = done.caller.credentials();
        done.capability(capabilities::chown(&who, file, user, group), &path);
    }
}

fn node_made(done: &mut Done<'_>, mode: usize) {
    let path = done
        .paths
        .first()
        .map(|path| path.found.asked.to_string_lossy().into_owned());
    let capability = capabilities::mknod(done.uint(mode), done.long(mode + 1));
    done.capability(capability, &path.unwrap_or_default());
}
