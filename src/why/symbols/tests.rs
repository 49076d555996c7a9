use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;

const MAPS: &str = "\
55d000000000-55d000001000 r--p 00000000 fd:01 77 /usr/sbin/named
55d000001000-55d000003000 r-xp 00001000 fd:01 77 /usr/sbin/named
55d000003000-55d000004000 rw-p 00003000 fd:01 77 /usr/sbin/named
55d000005000-55d000006000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000001000 r-xp 00000000 00:00 0 
7f0000002000-7f0000003000 rw-p 00000000 00:00 0 
7f0000004000-7f0000005000 r-xp 00000000 00:01 9 /memfd:jit code (deleted)
7f0000006000-7f0000007000 r--p 00002000 fd:01 80 /a\\012b \x1b[2J (deleted)
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

fn nothing(_: &Mapping) -> io::Result<File> {
    Err(io::ErrorKind::PermissionDenied.into())
}

fn text(address: u64) -> String {
    place(&mappings(MAPS.as_bytes()), Address::At(address), &nothing).to_string()
}

#[test]
fn the_fields_of_a_line_are_read() {
    let all = mappings(MAPS.as_bytes());
    assert_eq!(all.len(), 10);
    assert_eq!(
        all[1],
        Mapping {
            start: 0x55d0_0000_1000,
            end: 0x55d0_0000_3000,
            executable: true,
            offset: 0x1000,
            inode: 77,
            name: "/usr/sbin/named".into(),
        }
    );
    assert!(!all[0].executable && !all[5].executable);
    assert_eq!(all[5].name, PathBuf::new());
    assert_eq!(all[8].name, Path::new("[vdso]"));
    assert_eq!(all[9].end, 0xffff_ffff_ff60_1000);
}

#[test]
fn each_kind_of_memory_has_its_words() {
    assert_eq!(text(0x55d0_0000_1234), "/usr/sbin/named+0x1234");
    assert_eq!(text(0x7f00_0000_0010), "generated code+0x10");
    assert_eq!(text(0x7f00_0000_2010), "data+0x10");
    assert_eq!(
        text(0x7f00_0000_4001),
        "/memfd:jit code (removed or replaced since)+0x1"
    );
    assert_eq!(
        text(0x7f00_0000_6001),
        "/a\\012b \u{fffd}[2J (removed or replaced since)+0x2001"
    );
    assert_eq!(text(0x7ffc_0000_1f00), "[vdso]+0x1f00");
    assert_eq!(text(0x55d0_0000_5000), "[heap]+0x0");
    assert_eq!(text(0x42), "0x42, which is not mapped");
    assert_eq!(text(u64::MAX), "0xffffffffffffffff, which is not mapped");
}

#[test]
fn the_instruction_after_counts_from_the_one_before() {
    let all = mappings(MAPS.as_bytes());
    let found = place(&all, Address::After(0x55d0_0000_3000), &nothing);
    assert_eq!(found.to_string(), "/usr/sbin/named+0x3000");
    let found = place(&all, Address::After(0x55d0_0000_0000), &nothing);
    assert_eq!(found.memory, Memory::Unmapped);
    let found = place(&all, Address::After(0), &nothing);
    assert_eq!((found.memory, found.offset), (Memory::Unmapped, 0));
}

#[test]
fn a_file_in_the_jail_is_opened_there_and_nowhere_else() {
    let jail = tempfile::tempdir().unwrap();
    std::fs::write(jail.path().join("lib.so"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", jail.path().join("link.so")).unwrap();
    std::fs::create_dir(jail.path().join("directory")).unwrap();
    rustix::fs::mknodat(CWD, jail.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let inode = |name: &str| {
        std::fs::symlink_metadata(jail.path().join(name))
            .unwrap()
            .ino()
    };
    let root = Beneath::open(jail.path()).unwrap();
    let open = beneath(&root);
    let mapped = |name: &str, inode| Mapping {
        start: 0,
        end: 1,
        executable: true,
        offset: 0,
        inode,
        name: name.into(),
    };
    assert!(open(&mapped("/lib.so", inode("lib.so"))).is_ok());
    let replaced = open(&mapped("/lib.so", inode("lib.so") + 1)).unwrap_err();
    assert_eq!(replaced.kind(), io::ErrorKind::NotFound);
    let passwd = std::fs::metadata("/etc/passwd").unwrap().ino();
    for (name, inode) in [
        ("/link.so", passwd),
        ("/link.so", inode("link.so")),
        ("/../../../etc/passwd", passwd),
        ("lib.so", inode("lib.so")),
        ("/pipe", inode("pipe")),
        ("/directory", inode("directory")),
        ("[vdso]", 1),
        ("", 1),
    ] {
        assert!(open(&mapped(name, inode)).is_err(), "{name}");
    }
}

#[test]
fn a_file_that_is_no_program_has_only_an_offset() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0x90; 9000]).unwrap();
    let path = file.path().to_owned();
    let open = move |_: &Mapping| File::open(&path);
    let found = place(
        &mappings(MAPS.as_bytes()),
        Address::At(0x55d0_0000_1234),
        &open,
    );
    assert_eq!(found.to_string(), "/usr/sbin/named+0x1234");
}

proptest! {
    #[test]
    fn any_text_is_read(text in proptest::collection::vec(any::<u8>(), 0..400), address: u64) {
        let all = mappings(&text);
        prop_assert!(all.iter().all(|m| m.start < m.end));
        let shown = place(&all, Address::At(address), &nothing).to_string();
        prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
    }

    /// What the kernel would write for any name without a newline is read back.
    #[test]
    fn a_line_is_read_back(
        start in 0u64..u64::MAX, length in 1u64..1 << 40, offset: u64, inode: u64,
        executable: bool, name in "/[^\n]{0,40}",
    ) {
        let end = start.saturating_add(length);
        let x = if executable { 'x' } else { '-' };
        let head = format!("{start:08x}-{end:08x} r-{x}p {offset:08x} fd:01 {inode}");
        let line = format!("{head:<73}{name}\n");
        let line = if head.len() >= 73 { format!("{head} {name}\n") } else { line };
        let expected = Mapping { start, end, executable, offset, inode, name: name.clone().into() };
        prop_assert_eq!(mappings(line.as_bytes()), vec![expected]);
        let at = place(&mappings(line.as_bytes()), Address::At(start), &nothing).to_string();
        prop_assert!(!at.contains(char::is_control), "{:?}", at);
    }

    #[test]
    fn names_of_any_bytes_are_kept(name in proptest::collection::vec(any::<u8>().prop_filter("kernel", |b| *b != b'\n'), 0..40)) {
        let mut line = b"1000-2000 r-xp 00000000 fd:01 5 /".to_vec();
        line.extend(&name);
        let mut expected = b"/".to_vec();
        expected.extend(&name);
        let all = mappings(&line);
        prop_assert_eq!(all.len(), 1);
        prop_assert_eq!(&all[0].name, &PathBuf::from(std::ffi::OsString::from_vec(expected)));
    }
}
