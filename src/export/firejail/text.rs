//! What can stand in a line of a profile (`firejail-profile(5)`; `profile.c`, `invalid_filename` of its
//! sources): there is no way to quote.

use std::path::Path;

pub use crate::export::sh::comment;
use crate::{Error, Result};

/// A path that means itself alone: no pattern, no macro, no comment.
///
/// # Errors
/// It has something in it that a profile cannot hold.
pub fn path(path: &Path) -> Result<String> {
    let text = path.to_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=~".contains(c);
    let up = text.split('/').any(|part| part == "..");
    if !text.starts_with('/') || up || !text.chars().all(plain) {
        return Err(Error::usage(
            format!("write {path:?} into a profile of firejail"),
            "a path there has letters, digits and /._-+:@=~ alone",
        )
        .hint("give it another path, or leave it out of the spec"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_more_than_itself_is_refused() {
        for text in [
            "/a*", "/a?", "/a[b]", "/${HOME}", "/a b", "/a#b", "/a,b", "/a\nb", "/a/../b", "a",
            "/é", "/a%",
        ] {
            assert!(path(Path::new(text)).is_err(), "{text:?}");
        }
        let library = "/usr/lib/libdns-9.18-1~deb12u3+x.so";
        assert_eq!(path(Path::new(library)).unwrap(), library);
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("a\nignore seccomp"), "# a ignore seccomp");
    }
}
