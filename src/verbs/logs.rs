//! `logs`: what a jail has said, from the file in which its supervisor keeps it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Places, jail};
use crate::run::log::Logged;
use crate::{Doing, Error, Result};

/// As much is read at once, bytes.
const CHUNK: usize = 64 << 10;

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsOptions {
    /// The jail's name.
    pub name: String,
    /// As many of the last lines.
    pub lines: usize,
    /// And from then on what comes, until the caller wants no more.
    pub follow: bool,
}

/// Shows the last lines that a jail has printed or logged, and those that follow. `show` answers
/// whether it wants more. What it gets is the jail's word: any text without control characters, as
/// long as the file was written by gaoler.
///
/// # Errors
/// There is no such jail; it has not been started; its log cannot be read.
pub fn logs(
    places: &Places,
    options: &LogsOptions,
    show: &mut dyn FnMut(&str) -> Result<bool>,
) -> Result<()> {
    let path = file(places, &options.name)?;
    let mut follower = Follower::new(&path);
    // Before anything is read, so that nothing is missed in between.
    let watch = options.follow.then(|| watch(&path)).transpose()?;
    let (lines, end) = last_lines(&path, options.lines)?;
    for line in &lines {
        if !show(line)? {
            return Ok(());
        }
    }
    let Some(watch) = watch else {
        return Ok(());
    };
    follower.begin(end);
    loop {
        if !follower.news(show)? {
            return Ok(());
        }
        wait(&watch)?;
    }
}

/// The file in which what it says is kept.
fn file(places: &Places, name: &str) -> Result<PathBuf> {
    jail::load_spec(places, name)?;
    let logged = Logged::load(&places.runtime(name)).map(|logged| logged.file);
    if let Some(file) = logged.filter(|file| file.has_root()) {
        return Ok(file);
    }
    // Since the machine was started it has not run.
    let file = places.log(name);
    match file.symlink_metadata() {
        Ok(_) => Ok(file),
        Err(_) => Err(Error::new(
            format!("read what {name} has said"),
            "it has not been started since the machine was",
        )
        .hint(format!("start it: gaoler start {name}"))),
    }
}

/// The file, with how much of it has been read.
type ReadTo = (File, u64);

/// The last lines, the oldest first, also from files that were put aside; and how far the youngest
/// was read, if it is there.
fn last_lines(path: &Path, count: usize) -> Result<(Vec<String>, Option<ReadTo>)> {
    let mut lines: Vec<String> = Vec::new();
    let mut current = None;
    for number in 0_u32.. {
        let part = match number {
            0 => path.to_owned(),
            number => {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{number}"));
                PathBuf::from(name)
            }
        };
        let wanted = count - lines.len();
        let Some(file) = open(&part)? else {
            break;
        };
        let (text, end) = tail(&file, wanted).doing(|| format!("read {}", part.display()))?;
        let mut earlier: Vec<String> = text.lines().map(str::to_owned).collect();
        earlier.drain(..earlier.len().saturating_sub(wanted));
        earlier.append(&mut lines);
        lines = earlier;
        if number == 0 {
            current = Some((file, end));
        }
        if lines.len() >= count {
            break;
        }
    }
    Ok((lines, current))
}

/// The end of a file with at least so many lines, and where that is. A line whose end is missing is
/// being written.
fn tail(file: &File, count: usize) -> io::Result<(String, u64)> {
    let mut start = file.metadata()?.len();
    let mut text = Vec::new();
    // One more: the line feed before the first of them.
    while start > 0 && text.iter().filter(|byte| **byte == b'\n').count() <= count {
        let size = CHUNK.min(usize::try_from(start).unwrap_or(CHUNK));
        start -= u64::try_from(size).unwrap_or(start);
        let mut before = vec![0; size];
        file.read_exact_at(&mut before, start)?;
        before.append(&mut text);
        text = before;
    }
    let end = text.iter().rposition(|byte| *byte == b'\n');
    text.truncate(end.map_or(0, |end| end + 1));
    let end = start + u64::try_from(text.len()).unwrap_or(0);
    Ok((String::from_utf8_lossy(&text).into_owned(), end))
}

/// Opens a regular file, and nothing that it leads to.
fn open(path: &Path) -> Result<Option<File>> {
    let doing = || format!("read {}", path.display());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno).doing(doing),
    };
    match file.metadata().doing(doing)?.is_file() {
        true => Ok(Some(file)),
        false => Err(Error::new(doing(), "it is no file")),
    }
}

/// Hears of what happens to files in the directory of this one.
fn watch(path: &Path) -> Result<OwnedFd> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let doing = || format!("watch {}", directory.display());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).doing(doing)?;
    let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, directory, flags).doing(doing)?;
    Ok(watch)
}

/// Until something has happened there. What that is shows in the file.
fn wait(watch: &OwnedFd) -> Result<()> {
    let doing = || "wait for the log";
    match poll(&mut [PollFd::new(watch, PollFlags::IN)], None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(()),
        Err(errno) => return Err(errno).doing(doing),
    }
    let mut events = [0_u8; 4096];
    match rustix::io::read(watch, &mut events[..]) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// A file that grows, is put aside, and is made anew.
struct Follower {
    path: PathBuf,
    /// The file, and how much of it was read.
    file: Option<ReadTo>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Follower {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            rest: Vec::new(),
        }
    }

    fn begin(&mut self, file: Option<ReadTo>) {
        self.file = file;
    }

    /// Shows what is new. Answers whether more is wanted.
    fn news(&mut self, show: &mut dyn FnMut(&str) -> Result<bool>) -> Result<bool> {
        loop {
            if self.file.is_none() {
                self.file = open(&self.path)?.map(|file| (file, 0));
            }
            let Some((file, at)) = &mut self.file else {
                return Ok(true);
            };
            let doing = || format!("read {}", self.path.display());
            let known = file.metadata().doing(doing)?;
            if known.len() < *at {
                // It was emptied.
                *at = 0;
                self.rest.clear();
            }
            let mut chunk = vec![0; CHUNK];
            loop {
                let count = file.read_at(&mut chunk, *at).doing(doing)?;
                if count == 0 {
                    break;
                }
                *at += u64::try_from(count).unwrap_or(0);
                self.rest.extend(chunk.get(..count).unwrap_or_default());
                if !whole_lines(&mut self.rest, show)? {
                    return Ok(false);
                }
            }
            let named = self.path.symlink_metadata();
            let same = |named: &std::fs::Metadata| {
                (named.dev(), named.ino()) == (known.dev(), known.ino())
            };
            match named {
                Ok(named) if !same(&named) => self.file = None,
                // It is the same, or the next one is not there yet, and tells.
                Ok(_) | Err(_) => return Ok(true),
            }
        }
    }
}

/// Shows the lines that have an end, and takes them away.
fn whole_lines(text: &mut Vec<u8>, show: &mut dyn FnMut(&str) -> Result<bool>) -> Result<bool> {
    let end = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        // Nobody writes such lines but by mistake.
        None if text.len() > CHUNK => text.len(),
        None => return Ok(true),
    };
    let lines: Vec<u8> = text.drain(..end).collect();
    for line in String::from_utf8_lossy(&lines).lines() {
        if !show(line)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn numbered(numbers: std::ops::Range<u32>) -> String {
        numbers.map(|number| format!("line {number}\n")).collect()
    }

    #[test]
    fn the_last_lines_are_those_across_files() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        assert!(last_lines(&path, 5).unwrap().0.is_empty());
        fs::write(place.path().join("log.2"), numbered(0..10)).unwrap();
        fs::write(place.path().join("log.1"), numbered(10..20_000)).unwrap();
        fs::write(&path, numbered(20_000..20_005) + "half").unwrap();
        for count in [0, 1, 5, 6, 19_995, 19_996, 50_000] {
            let (lines, file) = last_lines(&path, count).unwrap();
            let first = 20_005_usize.saturating_sub(count);
            let expected: Vec<String> = (first..20_005).map(|n| format!("line {n}")).collect();
            assert_eq!(lines, expected, "{count}");
            assert_eq!(file.unwrap().1, 5 * 11);
        }
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("link")).unwrap();
        assert!(last_lines(&place.path().join("link"), 5).is_err());
    }

    #[test]
    fn what_follows_is_shown_through_rotation() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        fs::write(&path, "one\ntwo\nth").unwrap();
        let (_, file) = last_lines(&path, 1).unwrap();
        let mut follower = Follower::new(&path);
        follower.begin(file);
        let mut news = || {
            let mut seen = Vec::new();
            let mut show = |line: &str| {
                seen.push(line.to_owned());
                Ok(true)
            };
            assert!(follower.news(&mut show).unwrap());
            seen
        };
        let append = |text: &str| {
            let mut options = fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        assert_eq!(news(), [""; 0]);
        append("ree\nfour\n");
        assert_eq!(news(), ["three", "four"]);
        append("five\n");
        fs::rename(&path, place.path().join("log.1")).unwrap();
        assert_eq!(news(), ["five"]);
        append("six\n");
        assert_eq!(news(), ["six"]);
        append("seven\n");
        fs::rename(&path, place.path().join("log.1")).unwrap();
        append("eight\n");
        assert_eq!(news(), ["seven", "eight"]);
        fs::write(&path, "").unwrap();
        assert_eq!(news(), [""; 0]);
        append("nine\n");
        assert_eq!(news(), ["nine"]);
    }
}
