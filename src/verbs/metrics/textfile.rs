//! The file for node_exporter's textfile collector, which reads whatever ends in `.prom` in its directory.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Doing, Error, Result};

/// Everybody may read it: the collector runs as a user of its own.
const MODE: u32 = 0o644;

/// Writes it in one rename: whoever reads it sees all of it. The directory may be another user's, so
/// nothing in it is followed.
///
/// # Errors
/// Its directory is not there, has a symbolic link in its path, or cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("write the metrics to {}", path.display());
    let Some(name) = path.file_name() else {
        return Err(Error::usage(doing(), "it is no path of a file"));
    };
    let directory = directory(path, &doing)?;
    // Not with its ending, by which the collector would take it for another one.
    let beside = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let forget = || match rustix::fs::unlinkat(&directory, beside.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    };
    forget().doing(doing)?;
    let written = write_beside(&directory, &beside, text).and_then(|()| {
        Ok(rustix::fs::renameat(
            &directory,
            beside.as_str(),
            &directory,
            name,
        )?)
    });
    if written.is_err() {
        // What went wrong first is what counts.
        match forget() {
            Ok(()) | Err(_) => {}
        }
    }
    written.doing(doing)
}

fn write_beside(directory: &OwnedFd, name: &str, text: &str) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(MODE);
    let file = rustix::fs::openat(directory, name, flags, mode)?;
    // Whatever the umask.
    rustix::fs::fchmod(&file, mode)?;
    File::from(file).write_all(text.as_bytes())
}

fn directory(path: &Path, doing: &dyn Fn() -> String) -> Result<OwnedFd> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(CWD, parent, flags, Mode::empty(), resolve) {
        Err(Errno::LOOP) => Err(Error::new(
            doing(),
            "there is a symbolic link in the path of its directory",
        )
        .hint("name the place that it leads to")),
        Err(Errno::NOENT) => Err(Error::new(doing(), "its directory is not there").hint(
            "name the one that node_exporter has as --collector.textfile.directory; Debian's is \
             /var/lib/prometheus/node-exporter",
        )),
        opened => opened.doing(doing),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_for_all_to_read_and_nothing_stays_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gaoler.prom");
        for text in ["a 1\n", "a 2\nb 3\n"] {
            write(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, MODE);
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let precious = place.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        let path = place.path().join("gaoler.prom");
        let beside = format!(".gaoler.prom.{}", std::process::id());
        for planted in [&path, &place.path().join(beside)] {
            symlink(&precious, planted).unwrap();
            write(&path, "a 1\n").unwrap();
            assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            fs::remove_file(&path).unwrap();
        }
        let link = place.path().join("link");
        symlink(place.path(), &link).unwrap();
        let error = write(&link.join("gaoler.prom"), "").unwrap_err();
        assert!(error.why().contains("symbolic link"), "{error}");
        let error = write(&place.path().join("none/gaoler.prom"), "").unwrap_err();
        assert!(error.next().unwrap().contains("node-exporter"), "{error}");
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_nothing_stays_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gaoler.prom");
        fs::create_dir(&path).unwrap();
        write(&path, "a 1\n").unwrap_err();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        write(Path::new("/"), "").unwrap_err();
    }
}
