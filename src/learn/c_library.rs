//! Which C library a service ran with.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::trace::{PathSeen, Use};

/// No C library is larger.
const LARGEST: u64 = 32 << 20;
/// What comes before the version in the banner that each GNU C library carries.
const BANNER: &[u8] = b"GNU C Library";
/// What comes before the number in it.
const RELEASE: &[u8] = b"release version ";
/// Longer version numbers are cut.
const LONGEST: usize = 32;

/// The path of the C library among the files that were mapped, and its version if it tells it:
/// `/usr/lib/x86_64-linux-gnu/libc.so.6 (2.36)`. Empty for a static program.
pub fn of(paths: &[PathSeen]) -> String {
    let library = paths.iter().find(|seen| {
        let name = seen.host.file_name().unwrap_or_default().to_string_lossy();
        seen.uses.contains(&Use::Map)
            && (name.starts_with("libc.so")
                || name.starts_with("libc-")
                || name.contains("ld-musl"))
    });
    let Some(library) = library else {
        return String::new();
    };
    let path = library.host.display().to_string();
    match read(&library.host).as_deref().and_then(version) {
        Some(version) => format!("{path} ({version})"),
        None => path,
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn version(file: &[u8]) -> Option<String> {
    let banner = file.get(find(file, BANNER)?..)?;
    let number = banner.get(find(banner, RELEASE)? + RELEASE.len()..)?;
    let digits = number
        .iter()
        .take(LONGEST)
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let text: String = digits.map(|byte| char::from(*byte)).collect();
    let text = text.trim_end_matches('.').to_owned();
    (!text.is_empty()).then_some(text)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_tells_the_version() {
        let banner = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopy";
        assert_eq!(version(banner).as_deref(), Some("2.36"));
        assert_eq!(version(b"GNU C Library, release version x"), None);
        assert_eq!(version(b"release version 2.36"), None);
    }
}
