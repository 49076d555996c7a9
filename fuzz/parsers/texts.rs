//! Lines of text: specs, accounts, audit records, what a registry says.

use gaoler::build::Manifest;
use gaoler::host::users::{Group, User, parse_groups, parse_users};
use gaoler::registry::challenge::{Challenge, challenges};
use gaoler::registry::document::{self, Descriptor, Document, Index};
use gaoler::registry::url::Url;
use gaoler::registry::{Digest, Reference};
use gaoler::spec::{self, Spec};
use gaoler::why::audit::{self, Origin};
use gaoler::why::{Scope, explained};

/// A spec: what is read is written and read back as the same, and differs from itself in nothing.
/// What is wrong is told in a few words per mistake.
pub fn spec(bytes: &[u8]) {
    // A file that is not UTF-8 is refused before.
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match spec::parse(text, "any.toml") {
        Ok(read) => {
            let written = spec::to_toml(&read);
            match spec::parse(&written, "written.toml") {
                Ok(again) => assert_eq!(again, read, "{written}"),
                Err(error) => panic!("{error}\n{written}"),
            }
            assert!(spec::diff(&read, &read).is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// `/etc/passwd` and `/etc/group`: an account that is read can be written as a line, which is read
/// as the same.
pub fn accounts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for user in parse_users(&text) {
        let User {
            name,
            uid,
            gid,
            gecos,
            home,
            shell,
        } = &user;
        assert_name(name);
        assert!(*uid != u32::MAX && *gid != u32::MAX);
        let line = format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n");
        assert_eq!(parse_users(&line).collect::<Vec<_>>(), [user], "{line}");
    }
    for group in parse_groups(&text) {
        let Group { name, gid, members } = &group;
        assert_name(name);
        assert!(*gid != u32::MAX && members.iter().all(|member| !member.is_empty()));
        let line = format!("{name}:x:{gid}:{}\n", members.join(","));
        assert_eq!(parse_groups(&line).collect::<Vec<_>>(), [group], "{line}");
    }
}

fn assert_name(name: &str) {
    let odd = |c: char| c.is_control() || c.is_whitespace() || ":,/".contains(c);
    assert!(!name.is_empty() && !name.contains(odd), "{name:?}");
    assert!(!name.starts_with(['-', '+', '#']), "{name:?}");
}

/// Audit records, from each kind of source: each line is a record, unreadable or neither, what is
/// kept is bounded, and so is what is made of it.
pub fn audit(bytes: &[u8]) {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let last = u64::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
    let spec = Spec::default();
    let manifest = Manifest::default();
    for origin in [Origin::AuditFile, Origin::Kmsg, Origin::Text] {
        let log = audit::read(bytes, origin).expect("a line is never an error");
        assert_eq!(log.lines, ends + last);
        let (records, unreadable) = (log.records.len() as u64, log.unreadable.len() as u64);
        assert!(records + log.dropped + log.unreadable_lines <= log.lines);
        assert!(unreadable <= log.unreadable_lines && log.records.len() <= audit::MAX_RECORDS);
        let sorted = |pair: &[audit::Record]| pair[0].line <= pair[1].line;
        assert!(log.records.windows(2).all(sorted));
        let scope = Scope {
            spec: &spec,
            manifest: Some(&manifest),
            since: None,
            only_missing: false,
        };
        let found = explained(&[("any".to_owned(), log)], &scope);
        assert!(found.denials.len() as u64 <= records);
    }
}

/// What a registry says. A digest is digits and nothing else; a list keeps what others have attached;
/// a path leads to who sent it; a name is read as it is written.
pub fn registry(bytes: &[u8]) {
    match document::parse(bytes, None) {
        Ok(Document::Manifest(manifest)) => manifest.blobs().for_each(assert_digits),
        Ok(Document::Index(index)) => {
            index.manifests.iter().for_each(assert_digits);
            assert_grows(bytes, &index);
        }
        Err(why) => assert!(!why.is_empty()),
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    for challenge in challenges(text) {
        if let Challenge::Bearer { realm, .. } = challenge {
            assert!(realm.len() <= text.len());
        }
    }
    let base = "https://r.example:5000/v2/a/blobs/uploads/";
    if let Some(base) = Url::parse(base)
        && let Some(url) = base.join(text)
    {
        let own = url.origin() == base.origin();
        assert!(own || text.contains("//"), "{url}");
        assert!(!url.origin().host.contains(['@', '/']), "{url}");
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
    }
}

fn assert_digits(descriptor: &Descriptor) {
    let digits = descriptor.digest.hexadecimal();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

/// One more is one more, once.
fn assert_grows(bytes: &[u8], index: &Index) {
    let manifest = b"{\"config\":{\"mediaType\":\"x\"}}";
    let entry = document::referrer(manifest).expect("it is JSON");
    let Ok(Some(grown)) = document::with_referrer(Some(bytes), &entry) else {
        return;
    };
    let Ok(Document::Index(more)) = document::parse(&grown, None) else {
        panic!("{}", String::from_utf8_lossy(&grown));
    };
    let (last, rest) = more.manifests.split_last().expect("one was added");
    assert_eq!(
        (rest, &last.digest),
        (&index.manifests[..], &Digest::of(manifest))
    );
    assert_eq!(document::with_referrer(Some(&grown), &entry), Ok(None));
}
