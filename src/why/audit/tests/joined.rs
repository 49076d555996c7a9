//! Records of one event, and the bounds of what is held.

use super::*;

/// SELinux refuses a file of which its record has the last component only.
fn event(serial: u32, avc: &str, paths: &str) -> String {
    let at = format!("msg=audit(1700000000.123:{serial}):");
    format!(
        "type=AVC {at} avc:  denied  {{ write }} for  pid=9 comm=\"named\" {avc} \
         scontext=a tcontext=b tclass=file permissive=0\n\
         type=SYSCALL {at} arch=c000003e syscall=257 success=no exit=-13 a0=ffffffffffffff9c a1=1 \
         a2=2 a3=3 items=2 ppid=1 pid=9 auid=4294967295 uid=53 gid=54 euid=53 tty=(none) \
         ses=4294967295 comm=\"named\" exe=\"/usr/sbin/named\" subj=system_u:system_r:named_t:s0 \
         key=\"etc\"\x1dARCH=x86_64 SYSCALL=openat AUID=\"unset\" UID=\"named\"\n\
         type=CWD {at} cwd=\"/var/named\"\n\
         {}type=PROCTITLE {at} proctitle=2F7573722F7362696E2F6E616D6564002D7500626F62\n",
        paths.replace("PATH", &format!("PATH {at}"))
    )
}

fn path_of(avc: &str, paths: &str) -> Option<String> {
    let log = audit_file(&event(5, avc, paths));
    assert_eq!(log.unreadable, []);
    assert_eq!(log.records.len(), 1);
    let path = selinux_of(&log.records[0]).object.path.clone()?;
    Some(path.to_str().unwrap().to_owned())
}

#[test]
fn a_denial_takes_what_the_others_know() {
    let log = audit_file(&event(5, "name=\"a\" dev=\"dm-0\" ino=7", ""));
    let record = &log.records[0];
    assert_eq!(record.process.uid, Some(53));
    assert_eq!(record.process.gid, Some(54));
    assert_eq!(record.process.exe, Some("/usr/sbin/named".into()));
    assert_eq!(
        record.process.label.as_deref(),
        Some("system_u:system_r:named_t:s0")
    );
    assert_eq!(record.command, ["/usr/sbin/named", "-u", "bob"]);
    let syscall = record.syscall.as_ref().unwrap();
    assert_eq!(syscall.call.name.as_deref(), Some("openat"));
    assert_eq!(
        syscall.arguments,
        [Some(0xffff_ffff_ffff_ff9c), Some(1), Some(2), Some(3)]
    );
    assert_eq!(selinux_of(record).object.path, None);
}

#[test]
fn the_path_is_that_of_the_inode() {
    let two = "type=PATH item=0 name=\"/var/named/\" inode=6 dev=fd:00 nametype=PARENT\n\
               type=PATH item=1 name=\"/var/named/a\" inode=7 dev=fd:00 nametype=NORMAL\n";
    assert_eq!(
        path_of("name=\"a\" ino=7", two).as_deref(),
        Some("/var/named/a")
    );
    assert_eq!(
        path_of("name=\"named\" ino=6", two).as_deref(),
        Some("/var/named/")
    );
    assert_eq!(path_of("name=\"a\" ino=8", two), None);
    assert_eq!(path_of("name=\"a\"", two).as_deref(), Some("/var/named/a"));
    assert_eq!(
        path_of("path=\"/known\" ino=7", two).as_deref(),
        Some("/known")
    );
    // The same number on two filesystems: the name decides.
    let same = "type=PATH item=0 name=\"/mnt/b\" inode=7 nametype=NORMAL\n\
                type=PATH item=1 name=\"/var/named/a\" inode=7 nametype=NORMAL\n";
    assert_eq!(
        path_of("name=\"a\" ino=7", same).as_deref(),
        Some("/var/named/a")
    );
}

#[test]
fn a_relative_path_is_the_working_directorys() {
    let relative = "type=PATH item=0 name=\"zones/a\" inode=7 nametype=NORMAL\n";
    assert_eq!(
        path_of("name=\"a\" ino=7", relative).as_deref(),
        Some("/var/named/zones/a")
    );
    let hexadecimal = "type=PATH item=0 name=7A206F inode=7 nametype=NORMAL\n";
    assert_eq!(
        path_of("name=7A206F ino=7", hexadecimal).as_deref(),
        Some("/var/named/z o")
    );
    let null = "type=PATH item=0 name=(null) inode=7 nametype=NORMAL\n";
    assert_eq!(path_of("name=\"a\" ino=7", null), None);
    // Not yet there.
    let created = "type=PATH item=1 name=\"new\" nametype=CREATE\n";
    assert_eq!(
        path_of("name=\"new\"", created).as_deref(),
        Some("/var/named/new")
    );
}

#[test]
fn events_may_be_mixed() {
    let one = event(
        5,
        "name=\"a\" ino=7",
        "type=PATH item=0 name=\"/one/a\" inode=7\n",
    );
    let two = event(
        6,
        "name=\"a\" ino=7",
        "type=PATH item=0 name=\"/two/a\" inode=7\n",
    );
    let mixed: String = one
        .lines()
        .zip(two.lines())
        .map(|(one, two)| format!("{one}\n{two}\n"))
        .collect();
    let log = audit_file(&mixed);
    let paths: Vec<_> = log
        .records
        .iter()
        .map(|record| selinux_of(record).object.path.clone().unwrap())
        .collect();
    assert_eq!(paths, [std::path::PathBuf::from("/one/a"), "/two/a".into()]);
}

#[test]
fn an_event_is_not_another_machines_nor_anothers_after_its_end() {
    let lines = "\
node=a type=AVC msg=audit(1.001:5): avc:  denied  { read } for  pid=9 scontext=a tcontext=b tclass=c
node=b type=SYSCALL msg=audit(1.001:5): arch=c000003e syscall=1 pid=9 uid=1
type=SYSCALL msg=audit(1.001:5): arch=c000003e syscall=1 pid=9 uid=2
node=a type=SYSCALL msg=audit(1.002:5): arch=c000003e syscall=1 pid=9 uid=3
node=a type=EOE msg=audit(1.001:5):
node=a type=SYSCALL msg=audit(1.001:5): arch=c000003e syscall=1 pid=9 uid=4
";
    let log = audit_file(lines);
    assert_eq!(log.records.len(), 1);
    assert_eq!(log.records[0].node.as_deref(), Some("a"));
    assert_eq!(log.records[0].syscall, None);
    assert_eq!(log.records[0].process.uid, None);
}

#[test]
fn records_keep_the_order_of_their_lines() {
    let lines: String = (0..300)
        .map(|at| {
            let kind = if at % 3 == 0 {
                "Nov 14 22:13:20 h audit[1]: SECCOMP "
            } else {
                ""
            };
            let head = format!("audit: type=1326 audit(1.001:{}): ", 1000 - at);
            let head = if kind.is_empty() { &head } else { kind };
            format!("{head}pid={at} syscall=1\n")
        })
        .collect();
    let log = text(&lines);
    let pids: Vec<_> = log
        .records
        .iter()
        .map(|record| record.process.pid.unwrap())
        .collect();
    assert_eq!(pids, (0..300).collect::<Vec<_>>());
    assert!(
        log.records
            .iter()
            .zip(1..)
            .all(|(record, line)| record.line == line)
    );
}

#[test]
fn the_last_records_are_kept() {
    let more = 100;
    let count = MAX_RECORDS as u64 + more;
    let lines: String = (0..count)
        .map(|at| format!("audit: type=1326 audit(1.001:{at}): pid=1 syscall=1\n"))
        .collect();
    let log = text(&lines);
    assert_eq!(log.records.len(), MAX_RECORDS);
    assert_eq!(log.dropped, more);
    assert_eq!(log.records[0].serial, Some(more));
    assert_eq!(log.records.last().unwrap().serial, Some(count - 1));
}

#[test]
fn large_records_are_counted_by_their_bytes() {
    let name = "a".repeat(MAX_LINE - 200);
    let mut reader = Reader::new(Origin::Text);
    for serial in 0..6000 {
        let line =
            format!("audit: type=1326 audit(1.001:{serial}): pid=1 syscall=1 exe=\"{name}\"");
        reader.push(line.as_bytes());
    }
    let log = reader.finish();
    assert!(log.records.len() * (MAX_LINE - 200) < MAX_BYTES);
    assert!(log.records.len() > 3000);
    assert_eq!(log.dropped, 6000 - log.records.len() as u64);
    assert_eq!(log.records.last().unwrap().serial, Some(5999));
}

#[test]
fn what_the_records_of_an_event_share_counts_for_each() {
    let exe = format!("/{}", "a".repeat(15_000));
    let mut lines = String::new();
    for event in 0..20 {
        let at = format!("msg=audit(1.001:{event}):");
        lines.push_str(&format!(
            "type=SYSCALL {at} arch=1 syscall=1 exe=\"{exe}\"\n"
        ));
        lines.push_str(&format!("type=SECCOMP {at} pid=1 syscall=1\n").repeat(500));
    }
    let log = audit_file(&lines);
    let copies = log
        .records
        .iter()
        .filter(|record| record.process.exe.is_some());
    let count = copies.count();
    assert!(count > 2000 && count * exe.len() <= MAX_BYTES, "{count}");
    assert_eq!(log.records.len() as u64 + log.dropped, 10_000);
}
