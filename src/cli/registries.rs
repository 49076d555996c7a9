//! What `push` and `pull` print.

use std::path::Path;

use super::screen::line;
use crate::verbs::{Moved, Pulled, Pushed};

/// What was pushed.
pub(super) fn pushed(pushed: &Pushed) -> String {
    let mut text = String::new();
    line(&mut text, "pushed", &pushed.reference);
    line(&mut text, "digest", &pushed.digest);
    attached(&mut text, &pushed.attached);
    line(&mut text, "uploaded", &moved(&pushed.uploaded));
    line(&mut text, "there", &moved(&pushed.skipped));
    text
}

/// What was pulled.
pub(super) fn pulled(pulled: &Pulled, directory: &Path) -> String {
    let mut text = String::new();
    line(&mut text, "pulled", &pulled.reference);
    line(&mut text, "digest", &pulled.digest);
    attached(&mut text, &pulled.attached);
    line(&mut text, "fetched", &moved(&pulled.downloaded));
    line(&mut text, "there", &moved(&pulled.skipped));
    let place = format!("{}, as {}", directory.display(), pulled.name);
    line(&mut text, "wrote", &place);
    text
}

fn attached(text: &mut String, bills: &[String]) {
    for bill in bills {
        line(text, "attached", &format!("{bill}, a bill of materials"));
    }
}

fn moved(moved: &Moved) -> String {
    if *moved == Moved::default() {
        return "nothing".to_owned();
    }
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!(
        "{} blob{}, {} bytes; {} manifest{}",
        moved.blobs,
        plural(moved.blobs),
        moved.bytes,
        moved.manifests,
        plural(moved.manifests)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_told() {
        let mut told = Pushed {
            reference: "r.example/named:1".to_owned(),
            digest: "sha256:00".to_owned(),
            attached: vec!["sha256:01".to_owned()],
            uploaded: Moved {
                blobs: 1,
                bytes: 20,
                manifests: 2,
            },
            skipped: Moved::default(),
        };
        let expected = [
            "  pushed       r.example/named:1",
            "  digest       sha256:00",
            "  attached     sha256:01, a bill of materials",
            "  uploaded     1 blob, 20 bytes; 2 manifests",
            "  there        nothing\n",
        ];
        assert_eq!(pushed(&told), expected.join("\n"));
        std::mem::swap(&mut told.uploaded, &mut told.skipped);
        assert!(pushed(&told).contains("uploaded     nothing"));
    }
}
