//! What stands before a record, on which systems, and whom it can be believed to come from.

use super::*;

/// The text of a record behind its type and time.
const BODY: &str = "auid=4294967295 uid=53 gid=53 ses=4294967295 pid=812 comm=\"named\" \
                    exe=\"/usr/sbin/named\" sig=31 arch=c000003e syscall=165 compat=0 \
                    ip=0x7f2a00000000 code=0x80000000";

/// Everything that puts a date, a host or a tag before the kernel's text.
const HEADS: &[&str] = &[
    // auditd, also with its name_format, and with an auditd older than the type.
    "type=SECCOMP msg=audit(1700000000.123:456): ",
    "node=ns1.example.net type=SECCOMP msg=audit(1700000000.123:456): ",
    "type=UNKNOWN[1326] msg=audit(1700000000.123:456): ",
    "type=unknown[1326] msg=audit(1700000000.123:456): ",
    // dmesg, dmesg -T, dmesg --decode, dmesg --raw, with CONFIG_PRINTK_CALLER, without times.
    "[   12.345678] audit: type=1326 audit(1700000000.123:456): ",
    "[Tue Nov 14 22:13:20 2023] audit: type=1326 audit(1700000000.123:456): ",
    "kern  :notice: [   12.345678] audit: type=1326 audit(1700000000.123:456): ",
    "kern  :notice: [Tue Nov 14 22:13:20 2023] audit: type=1326 audit(1700000000.123:456): ",
    "<5>[   12.345678] audit: type=1326 audit(1700000000.123:456): ",
    "[   12.345678] [  T812] audit: type=1326 audit(1700000000.123:456): ",
    "[   12.345678][  T812] audit: type=1326 audit(1700000000.123:456): ",
    "audit: type=1326 audit(1700000000.123:456): ",
    "5,339,5140900,-;audit: type=1326 audit(1700000000.123:456): ",
    "5,339,5140900,-,caller=T812;audit: type=1326 audit(1700000000.123:456): ",
    // Older kernels had no "audit: ": Ubuntu 12.04 and 14.04, RHEL 6 and 7.
    "[   12.345678] type=1326 audit(1700000000.123:456): ",
    "Nov 14 22:13:20 ns1 kernel: [   12.345678] type=1326 audit(1700000000.123:456): ",
    "Nov 14 22:13:20 ns1 kernel: type=1326 audit(1700000000.123:456): ",
    "2023 Nov 14 22:13:20 ns1 kernel: [12.345678] type=1326 audit(1700000000.123:456): ",
    // rsyslog and journalctl in their formats.
    "Nov 14 22:13:20 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "Nov  4 22:13:20 ns1 kernel: [   12.345678] audit: type=1326 audit(1700000000.123:456): ",
    "Nov 14 22:13:20.123456 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "Nov 14 22:13:20 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "<5>Nov 14 22:13:20 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "2023-11-14T22:13:20.123456+01:00 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "2023-11-14T22:13:20+0000 ns1 kernel: [   12.3] audit: type=1326 audit(1700000000.123:456): ",
    "2023-11-14 22:13:20 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "2023-11-14T22:13:20,123456+01:00 audit: type=1326 audit(1700000000.123:456): ",
    "[   12.345678] ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "1700000000.123456 ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    "Tue 2023-11-14 22:13:20 CET ns1 kernel: audit: type=1326 audit(1700000000.123:456): ",
    // The dispatchers of auditd.
    "Nov 14 22:13:20 ns1 audispd: node=ns1 type=SECCOMP msg=audit(1700000000.123:456): ",
    "Nov 14 22:13:20 ns1 audisp-syslog[77]: type=SECCOMP msg=audit(1700000000.123:456): ",
];

#[test]
fn every_head_is_known() {
    for head in HEADS {
        let record = one(&format!("{head}{BODY}\n"));
        let time = Time {
            seconds: 1_700_000_000,
            milliseconds: 123,
        };
        assert_eq!(record.time, Some(time), "{head}");
        assert_eq!(record.serial, Some(456), "{head}");
        assert_eq!(record.channel, Channel::Text, "{head}");
        assert_eq!(record.process.pid, Some(812), "{head}");
        assert_eq!(seccomp_of(&record).call.number, Some(165), "{head}");
    }
}

#[test]
fn journald_prints_its_own_heads() {
    for head in [
        "Nov 14 22:13:20 ns1 audit[812]: SECCOMP ",
        "Nov 14 22:13:20 ns1 audit: SECCOMP ",
        "Nov 14 22:13:20 ns1 audit[812]: <audit-1326> ",
        "2023-11-14T22:13:20+0000 ns1 audit[812]: SECCOMP ",
    ] {
        let record = one(&format!("{head}{BODY}"));
        assert_eq!((record.time, record.serial), (None, None), "{head}");
        assert_eq!(record.process.pid, Some(812), "{head}");
    }
}

/// A line of `journalctl --output json`.
fn of_journal(transport: &str, more: &str, message: &serde_json::Value) -> String {
    format!("{{\"_TRANSPORT\":\"{transport}\",{more}\"MESSAGE\":{message}}}")
}

#[test]
fn journald_tells_who_sent_a_message() {
    let text = |text: &str| serde_json::Value::from(text);
    let head = "type=1326 audit(1700000000.123:456): ";
    let kernel = text(&format!("audit: {head}{BODY}"));
    let audit = text(&format!("SECCOMP {BODY}"));
    let bytes = serde_json::Value::from(format!("audit: {head}{BODY}").into_bytes());
    let fields = "\"_AUDIT_TYPE\":\"1326\",\"_AUDIT_ID\":\"456\",\
                  \"_SOURCE_REALTIME_TIMESTAMP\":\"1700000000123456\",";
    let dispatched = text(&format!(
        "type=SECCOMP msg=audit(1700000000.123:456): {BODY}"
    ));
    let auditd = "\"SYSLOG_IDENTIFIER\":\"audisp-syslog\",";
    for line in [
        of_journal("kernel", "\"SYSLOG_IDENTIFIER\":\"kernel\",", &kernel),
        of_journal("kernel", "", &bytes),
        of_journal("audit", fields, &audit),
        of_journal("syslog", auditd, &dispatched),
    ] {
        let record = one(&line);
        assert_eq!(record.serial, Some(456), "{line}");
        assert_eq!(record.time.map(|time| time.milliseconds), Some(123));
        assert_eq!(record.channel, Channel::Text);
        assert_eq!(seccomp_of(&record).call.number, Some(165), "{line}");
    }
    let without = one(&of_journal("audit", "", &audit));
    assert_eq!((without.serial, without.process.pid), (None, Some(812)));
    for line in [
        of_journal("syslog", "\"SYSLOG_IDENTIFIER\":\"kernel\",", &kernel),
        of_journal("stdout", "\"SYSLOG_IDENTIFIER\":\"audit\",", &audit),
        of_journal("kernel", "", &serde_json::Value::Null),
        of_journal("kernel", "", &serde_json::json!([300])),
        "{\"_TRANSPORT\":".to_owned(),
    ] {
        assert_eq!(super::text(&line).records, [], "{line}");
    }
}

#[test]
fn the_channel_is_no_better_than_the_origin() {
    let auditd = format!("type=SECCOMP msg=audit(1700000000.123:456): {BODY}");
    let kmsg = format!("5,339,5140900,-;audit: type=1326 audit(1700000000.123:456): {BODY}");
    let syslog =
        format!("Nov 14 22:13:20 ns1 kernel: audit: type=1326 audit(1700000000.123:456): {BODY}");
    let interpreted = format!("type=SECCOMP msg=audit(11/14/2023 22:13:20.123:456) : {BODY}");
    let cases = [
        (&auditd, Origin::AuditFile, Channel::Audit),
        (&auditd, Origin::Text, Channel::Text),
        (&auditd, Origin::Kmsg, Channel::Text),
        (&kmsg, Origin::Kmsg, Channel::KernelLog),
        (&kmsg, Origin::Text, Channel::Text),
        (&kmsg, Origin::AuditFile, Channel::Text),
        (&syslog, Origin::Text, Channel::Text),
        (&syslog, Origin::AuditFile, Channel::Text),
        (&interpreted, Origin::AuditFile, Channel::Text),
    ];
    for (line, origin, channel) in cases {
        let log = read(line.as_bytes(), origin).unwrap();
        assert_eq!(log.records[0].channel, channel, "{line} {origin:?}");
    }
}

#[test]
fn what_a_program_wrote_to_kmsg_is_not_the_kernels() {
    // `echo … > /dev/kmsg` by root: facility 1, `LOG_USER`; systemd's own are of facility 3.
    for priority in [12, 8, 13, 30] {
        let line = format!("{priority},1,2,-;audit: type=1326 audit(1700000000.123:456): {BODY}");
        assert_eq!(fault(&line), Fault::NotTheKernel);
        assert_eq!(read(line.as_bytes(), Origin::Kmsg).unwrap().records, []);
    }
}

#[test]
fn a_head_in_the_middle_of_a_line_is_no_head() {
    let record = format!("type=1326 audit(1700000000.123:456): {BODY}");
    for before in [
        // Who logs what clients sent him.
        "Nov 14 22:13:20 ns1 sshd[1]: Invalid user audit: ",
        "Nov 14 22:13:20 ns1 named[812]: kernel: audit: ",
        "Nov 14 22:13:20 ns1 kernel[812]: audit: ",
        // What the kernel prints of a device, a program, a file system.
        "[   12.3] usb 1-1: Product: audit: ",
        "[   12.3] x[812]: segfault: audit: ",
        "Nov 14 22:13:20 ns1 kernel: usb 1-1: Product: audit: ",
        "[   12.3] x: kernel: audit: ",
        "Tue 2023-11-14 22:13:20 CET ns1 sshd[1]: kernel: ",
        "1700000000.1 ns1 sshd: audit: ",
        // grep -n.
        "52:",
        " ",
    ] {
        assert_eq!(
            fault(&format!("{before}{record}")),
            Fault::Header,
            "{before}"
        );
    }
}

#[test]
fn other_lines_are_skipped() {
    for line in [
        "",
        "----",
        "time->Tue Nov 14 22:13:20 2023",
        "Nov 14 22:13:20 ns1 kernel: audit: audit_lost=1 audit_rate_limit=0 audit_backlog_limit=64",
        "[   12.3] audit_printk_skb: 27 callbacks suppressed",
        "[    0.1] audit: type=2000 audit(1700000000.123:1): state=initialized audit_enabled=0 res=1",
        "type=USER_LOGIN msg=audit(1700000000.123:456): pid=1 uid=0 auid=1 ses=1 msg='op=login'",
        // What daemons decide by SELinux's or AppArmor's rules is not the kernel's.
        "type=USER_AVC msg=audit(1700000000.123:456): pid=1 uid=81 msg='avc:  denied  { send_msg } \
         for msgtype=method_call'",
        "[   12.3] audit: type=1107 audit(1700000000.123:456): pid=1 uid=103 msg='apparmor=\"DENIED\" \
         operation=\"dbus_method_call\"  bus=\"system\"'",
        "type=ANOM_ABEND msg=audit(1700000000.123:456): auid=1 uid=1 gid=1 ses=1 pid=9 comm=\"a\" \
         reason=\"memory violation\" sig=11",
        "type=AVC msg=audit(1700000000.123:456): lsm=SMACK fn=smack_inode_permission action=denied \
         subject=\"_\" object=\"x\" requested=r pid=1 comm=\"a\"",
        "type=SELINUX_ERR msg=audit(1700000000.123:456): op=security_compute_av reason=bounds",
    ] {
        skipped(line);
    }
}

#[test]
fn broken_heads_are_counted() {
    for line in [
        "type=SECCOMP msg=audit(x.123:456): pid=1 syscall=1",
        "type=SECCOMP msg=audit(1700000000.123:): pid=1 syscall=1",
        "type=SECCOMP msg=audit(1700000000.123:456 pid=1 syscall=1",
        "type=SECCOMP msg=audit(1700000000:456): pid=1 syscall=1",
        "type=SECCOMP msg=audit(1700000000.1234:456): pid=1 syscall=1",
        "type=SECCOMP msg=audit(1700000000.123:99999999999999999999): pid=1 syscall=1",
        "type=SECCOMP msg=audit(-1.123:4): pid=1 syscall=1",
    ] {
        assert_eq!(fault(line), Fault::Header, "{line}");
    }
    let log = text("\ntype=SECCOMP msg=audit(x): \n\ntype=SECCOMP msg=audit(1.001:1): pid=1\n");
    let lines: Vec<_> = log
        .unreadable
        .iter()
        .map(|one| (one.line, one.fault))
        .collect();
    assert_eq!(lines, [(2, Fault::Header), (4, Fault::Missing("syscall"))]);
    assert_eq!(log.lines, 4);
    assert_eq!(log.unreadable[1].fault.to_string(), "no field syscall");
}

#[test]
fn lines_may_end_as_on_other_systems() {
    let line = format!("type=SECCOMP msg=audit(1700000000.123:456): {BODY}");
    for end in ["", "\n", "\r\n"] {
        let record = one(&format!("{line}{end}"));
        assert_eq!(seccomp_of(&record).action, Some(Action::KillProcess));
    }
}
