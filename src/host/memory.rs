//! What code a process has mapped (`proc_pid_maps(5)`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

/// As much of the list as is read, bytes: the kernel allows 65530 mappings.
const LARGEST: u64 = 16 * 1024 * 1024;
/// What the kernel adds to the name of a file that has none any more.
const DELETED: &str = " (deleted)";
/// Names that the kernel gives to memory that never had a file of its own (mmap(2), shm(2),
/// memfd_create(2)).
const NO_FILE: [&str; 4] = ["/SYSV", "/dev/zero", "/memfd:", "/[aio]"];

/// The code of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Files that code is mapped from and that were removed, or replaced by others.
    pub removed: Vec<String>,
    /// How many mappings are writable and executable at once.
    pub writable: usize,
}

/// What a process has mapped executable; nothing if it has ended, or belongs to somebody else.
pub fn code(pid: i32) -> Code {
    let mut bytes = Vec::new();
    let read = File::open(format!("/proc/{pid}/maps"))
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => parse(&String::from_utf8_lossy(&bytes)),
        Err(_) => Code::default(),
    }
}

fn parse(maps: &str) -> Code {
    let mut removed = BTreeSet::new();
    let mut writable = 0;
    for line in maps.lines() {
        let mut fields = line.splitn(6, ' ');
        let mode = fields.nth(1).unwrap_or_default();
        let name = fields.nth(3).unwrap_or_default().trim_start();
        if !mode.contains('x') {
            continue;
        }
        writable += usize::from(mode.contains('w'));
        let had_file = name.starts_with('/') && !NO_FILE.iter().any(|no| name.starts_with(no));
        if let Some(file) = name.strip_suffix(DELETED).filter(|_| had_file) {
            removed.insert(file.to_owned());
        }
    }
    Code {
        removed: removed.into_iter().collect(),
        writable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn removed_files_and_writable_code_are_found() {
        let maps = "55d0-55d1 r--p 00000000 fe:01 12     /usr/sbin/web (deleted)\n\
            55d1-55d2 r-xp 00001000 fe:01 12     /usr/sbin/web (deleted)\n\
            55d2-55d3 r-xp 00001000 fe:01 13     /usr/lib/a b.so (deleted)\n\
            7f00-7f01 r-xp 00000000 fe:01 14     /usr/lib/libc.so.6\n\
            7f01-7f02 rwxp 00000000 00:00 0 \n\
            7f02-7f03 rwxs 00000000 00:05 15     /memfd:jit (deleted)\n\
            7f03-7f04 r-xs 00000000 00:05 16     /dev/zero (deleted)\n\
            7f04-7f05 rw-p 00000000 00:00 0      [stack]\n";
        let code = parse(maps);
        assert_eq!(code.removed, ["/usr/lib/a b.so", "/usr/sbin/web"]);
        assert_eq!(code.writable, 2);
    }

    #[test]
    fn a_program_that_was_removed_still_runs() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("nap");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program)
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        // Its parent goes on a little before it is mapped (execve(2), vfork(2)).
        let maps = format!("/proc/{pid}/maps");
        while !std::fs::read_to_string(&maps).unwrap().contains("/nap") {
            std::thread::yield_now();
        }
        let before = code(pid);
        std::fs::remove_file(&program).unwrap();
        let after = code(pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(before.removed, [""; 0]);
        assert_eq!(after.removed, [program.to_str().unwrap()]);
    }

    #[test]
    fn this_process_has_none_of_it() {
        let own = std::process::id().cast_signed();
        assert_eq!(code(own), Code::default());
        assert_eq!(code(i32::MAX), Code::default());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[rwxp 0-9a-f/()\n-]{0,80}") {
            parse(&text);
        }
    }
}
