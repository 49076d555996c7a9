//! What a jailed process, or whoever writes into a log, can do to the reader: nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// As the kernel writes what a program chose (`audit_log_untrustedstring`).
fn untrusted(text: &[u8]) -> String {
    let is_plain = |byte: &u8| *byte != b'"' && (0x21..=0x7e).contains(byte);
    if text.iter().all(is_plain) {
        return format!("\"{}\"", String::from_utf8_lossy(text));
    }
    text.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02X}").unwrap();
        hex
    })
}

/// Bytes without 0, which ends a string in the kernel; many that matter to the reader.
fn name(length: usize) -> impl Strategy<Value = Vec<u8>> {
    let special =
        prop::sample::select(b"\\\\ \"'=\n\r\t\x1d(){}?,;:[]<>/AF09axX\x7f\x80\xff".to_vec());
    let byte = prop_oneof![special, 1..=255_u8];
    prop::collection::vec(byte, 1..=length)
}

/// One line of any of the forms, with a record in it that is cut or changed somewhere.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec![
        "5,339,5140900,-;audit: type=1326 audit(1700000000.123:456): auid=1 uid=2 gid=3 ses=4 pid=5 \
         comm=\"a\" exe=2F612062 sig=31 arch=c000003e syscall=1 compat=0 ip=0x1 code=0x80000000",
        "node=a type=AVC msg=audit(1700000000.123:456): avc:  denied  { read } for  pid=1 comm=\"a\" \
         name=\"b\" dev=\"c\" ino=1 scontext=a tcontext=b tclass=file permissive=0",
        "Nov 14 22:13:20 h kernel: [ 1.2] audit: type=1400 audit(1700000000.123:456): \
         apparmor=\"DENIED\" operation=\"open\" profile=\"p\" name=\"/a\" pid=1 comm=\"c\" \
         requested_mask=\"r\" denied_mask=\"r\" fsuid=0 ouid=0",
        "2023-11-14T22:13:20+0000 h audit[1]: SECCOMP auid=1 pid=1 comm=\"a\" syscall=1 code=0x0",
        "type=LANDLOCK_ACCESS msg=audit(1.001:1): domain=a blockers=fs.refer path=\"/a\" ino=1",
        "type=SYSCALL msg=audit(1.001:1): arch=c000003e syscall=1 success=no exit=-13 a0=1 pid=1 \
         key=(null)\x1dARCH=x86_64 SYSCALL=write AUID=\"unset\"",
        "type=PATH msg=audit(1.001:1): item=0 name=\"a\" inode=1 nametype=NORMAL",
    ];
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        name(8),
    );
    (prop::sample::select(lines), change).prop_map(|(line, (start, end, new))| {
        let mut line = line.as_bytes().to_vec();
        let start = start.index(line.len());
        let end = start + end.index(line.len() - start + 1).min(line.len() - start);
        line.splice(start..end, new);
        line
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for origin in [Origin::AuditFile, Origin::Kmsg, Origin::Text] {
            let log = read(&bytes[..], origin).unwrap();
            let ends = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            let last = u64::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
            prop_assert_eq!(log.lines, ends + last);
        }
    }

    #[test]
    fn damaged_lines_are_read_or_counted(lines in prop::collection::vec(damaged(), 1..20)) {
        let text = lines.join(&b'\n');
        for origin in [Origin::AuditFile, Origin::Kmsg, Origin::Text] {
            let log = read(&text[..], origin).unwrap();
            prop_assert!(log.records.len() as u64 + log.unreadable_lines <= log.lines);
        }
    }

    #[test]
    fn what_a_process_chose_comes_back_and_nothing_else_of_it(
        comm in name(15),
        exe in name(300),
        head in 0..4_usize,
        (uid, pid, number) in (0..u32::MAX, any::<u32>(), 0..500_u32),
    ) {
        let heads = [
            "type=SECCOMP msg=audit(1700000000.123:456): ",
            "[   12.345678] audit: type=1326 audit(1700000000.123:456): ",
            "Nov 14 22:13:20 ns1 kernel: [12.3] type=1326 audit(1700000000.123:456): ",
            "5,339,5140900,-;audit: type=1326 audit(1700000000.123:456): ",
        ];
        let line = format!(
            "{}auid=4294967295 uid={uid} gid=60 ses=4294967295 pid={pid} comm={} exe={} sig=31 \
             arch=40000003 syscall={number} compat=1 ip=0x401d52 code=0x7ffc0000",
            heads[head], untrusted(&comm), untrusted(&exe),
        );
        // /dev/kmsg escapes what it has a use for itself.
        let line = if head == 3 { line.replace('\\', "\\x5c") } else { line };
        let record = one(&line);
        let process = Process {
            pid: Some(pid),
            uid: Some(uid),
            gid: Some(60),
            comm: Some(OsString::from_vec(comm)),
            exe: Some(PathBuf::from(OsString::from_vec(exe))),
            ..Process::default()
        };
        prop_assert_eq!(&record.process, &process);
        let seccomp = seccomp_of(&record);
        prop_assert_eq!(seccomp.call.number, Some(number));
        prop_assert_eq!(seccomp.action, Some(Action::Log));
    }

    #[test]
    fn paths_come_back_through_the_event(directory in name(100), file in name(100)) {
        let file: Vec<u8> = file.into_iter().filter(|byte| *byte != b'/').collect();
        prop_assume!(!file.is_empty() && file != b"." && file != b"..");
        let path = [b"/", &directory[..], b"/", &file[..]].concat();
        let at = "msg=audit(1700000000.123:456):";
        let lines = format!(
            "type=AVC {at} avc:  denied  {{ read }} for  pid=1 comm=\"a\" name={} ino=7 scontext=a \
             tcontext=b tclass=file\ntype=PATH {at} item=0 name={} inode=7 nametype=NORMAL\n",
            untrusted(&file), untrusted(&path),
        );
        let log = audit_file(&lines);
        let object = &selinux_of(&log.records[0]).object;
        prop_assert_eq!(object.name.as_deref().unwrap().as_bytes(), &file[..]);
        prop_assert_eq!(object.path.as_deref().unwrap().as_os_str().as_bytes(), &path[..]);
    }

    #[test]
    fn a_name_adds_no_record(name in name(400)) {
        let line = format!(
            "audit: type=1400 audit(1.001:1): apparmor=\"DENIED\" operation=\"open\" profile=\"p\" \
             name={} pid=7 comm=\"c\" requested_mask=\"w\" denied_mask=\"w\" fsuid=1 ouid=0",
            untrusted(&name),
        );
        let record = one(&line);
        let apparmor = apparmor_of(&record);
        prop_assert_eq!(apparmor.name.as_deref().unwrap().as_bytes(), &name[..]);
        prop_assert_eq!(record.process.pid, Some(7));
        prop_assert_eq!(apparmor.fsuid, Some(1));
    }
}

#[test]
fn backslashes_are_escaped_in_kmsg_and_nowhere_else() {
    let comm = |head: &str| {
        let line = format!("{head}type=1326 audit(1.001:1): pid=1 comm=\"a\\x5cx5cb\" syscall=1");
        one(&line).process.comm
    };
    assert_eq!(comm("5,1,1,-;audit: "), Some("a\\x5cb".into()));
    assert_eq!(comm("[ 1.2] audit: "), Some("a\\x5cx5cb".into()));
}

#[test]
fn names_that_look_like_fields_stay_names() {
    for name in [
        "x\" exe=\"/bin/true",
        "a uid=0",
        "a\naudit: type=1326 audit(1.001:2): pid=1 syscall=1",
        "a\u{1d}SYSCALL=none",
    ] {
        let record = one(&format!(
            "audit: type=1326 audit(1.001:1): uid=7 pid=1 comm={} exe=\"/a\" syscall=1",
            untrusted(name.as_bytes())
        ));
        assert_eq!(record.process.comm, Some(name.into()));
        assert_eq!(record.process.uid, Some(7));
        assert_eq!(record.process.exe, Some("/a".into()));
    }
}

#[test]
fn in_interpreted_text_a_forged_field_is_no_field() {
    // ausearch does not quote: the second `exe` may be the process's own words.
    let head = "type=SECCOMP msg=audit(03/04/2025 07:39:37.599:201) : uid=joe pid=1 ";
    for comm in ["a exe=/bin/true", "a uid=root", "a syscall=read"] {
        let line = format!("{head}comm={comm} exe=/evil arch=x86_64 syscall=openat code=kill");
        assert_eq!(fault(&line), Fault::Twice, "{comm}");
    }
}

#[test]
fn long_lines_are_not_held() {
    let long = format!(
        "audit: type=1326 audit(1.001:1): pid=1 syscall=1 comm=\"{}\"\n",
        "a".repeat(50_000_000)
    );
    let other = format!("{}\n", "b".repeat(1_000_000));
    let good = "audit: type=1326 audit(1.001:2): pid=1 syscall=1\n";
    let log = text(&format!("{other}{long}{good}"));
    assert_eq!(log.lines, 3);
    let lines: Vec<_> = log
        .unreadable
        .iter()
        .map(|one| (one.line, one.fault))
        .collect();
    assert_eq!(lines, [(2, Fault::TooLong)]);
    assert_eq!(log.records.len(), 1);
    assert_eq!(log.records[0].line, 3);
}

#[test]
fn the_longest_line_is_read_and_the_next_longer_is_not() {
    let head = "audit: type=1326 audit(1.001:1): pid=1 syscall=1 exe=\"";
    let line = |length: usize| format!("{head}{}\"", "a".repeat(length - head.len() - 1));
    for end in ["", "\n", "\r\n"] {
        assert_eq!(
            one(&format!("{}{end}", line(MAX_LINE))).process.pid,
            Some(1)
        );
        assert_eq!(
            fault(&format!("{}{end}", line(MAX_LINE + 1))),
            Fault::TooLong
        );
    }
}

#[test]
fn fields_without_end() {
    let many = |count: usize| {
        let fields: String = (0..count).map(|at| format!(" x{at}=1")).collect();
        format!("audit: type=1326 audit(1.001:1): pid=1 syscall=1{fields}")
    };
    assert_eq!(one(&many(50)).process.pid, Some(1));
    assert_eq!(fault(&many(200)), Fault::TooManyFields);
}

#[test]
fn rights_without_end() {
    let landlock = |count: usize| {
        let blockers = "fs.refer,".repeat(count);
        format!("audit: type=1423 audit(1.001:1): domain=1 blockers={blockers}x")
    };
    assert_eq!(landlock_of(&one(&landlock(20))).blockers.len(), 21);
    assert_eq!(fault(&landlock(1000)), Fault::Value("blockers"));
    let selinux = |count: usize| {
        let permissions = "read ".repeat(count);
        format!(
            "audit: type=1400 audit(1.001:1): avc:  denied  {{ {permissions}}} for  pid=1 scontext=a \
             tcontext=b tclass=c"
        )
    };
    assert_eq!(selinux_of(&one(&selinux(32))).permissions.len(), 32);
    assert_eq!(fault(&selinux(1000)), Fault::Value("permissions"));
    let at = "msg=audit(1.001:1):";
    let title = "4100".repeat(4000);
    let log = audit_file(&format!(
        "type=SECCOMP {at} pid=1 syscall=1\ntype=PROCTITLE {at} proctitle={title}\n"
    ));
    assert_eq!(log.records[0].command.len(), 64);
}

#[test]
fn unreadable_lines_are_counted_beyond_those_that_are_kept() {
    let lines = "audit: type=1326 audit(1.001:1): pid=1\n".repeat(MAX_UNREADABLE + 50);
    let log = text(&lines);
    assert_eq!(log.unreadable.len(), MAX_UNREADABLE);
    assert_eq!(log.unreadable_lines, MAX_UNREADABLE as u64 + 50);
}

#[test]
fn a_flood_of_lines_that_claim_to_be_records_takes_no_time() {
    // Each would be compared with all the others if open events or fields were not bounded.
    let line = format!("{}\n", "type=SECCOMP msg=audit(".repeat(500));
    let fields: String = (0..5000).map(|at| format!("k{at}= ")).collect();
    let record = format!("audit: type=1326 audit(1.001:1): {fields}\n");
    let events: String = (0..50_000)
        .map(|at| format!("type=SYSCALL msg=audit(1.001:{at}): arch=1 syscall=1\n"))
        .collect();
    let start = std::time::Instant::now();
    let log = text(&format!(
        "{}{}{events}",
        line.repeat(200),
        record.repeat(200)
    ));
    assert_eq!(log.unreadable_lines, 400);
    assert_eq!(log.records, []);
    let taken = start.elapsed();
    assert!(taken < std::time::Duration::from_secs(20), "{taken:?}");
}
