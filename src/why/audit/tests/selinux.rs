//! Records of SELinux, from RHEL 4 to today.

use super::*;

#[test]
fn of_rhel_6() {
    let record = one(
        "type=AVC msg=audit(1226874073.147:96): avc:  denied  { getattr } for  pid=2465 \
         comm=\"httpd\" path=\"/var/www/html/file1\" dev=dm-0 ino=284133 \
         scontext=unconfined_u:system_r:httpd_t:s0 \
         tcontext=unconfined_u:object_r:samba_share_t:s0 tclass=file",
    );
    assert_eq!(record.process.pid, Some(2465));
    assert_eq!(record.process.comm, Some("httpd".into()));
    let selinux = selinux_of(&record);
    assert!(!selinux.granted);
    assert_eq!(selinux.permissions, ["getattr"]);
    assert_eq!(selinux.permissive, None);
    assert_eq!(selinux.scontext, "unconfined_u:system_r:httpd_t:s0");
    assert_eq!(selinux.tcontext, "unconfined_u:object_r:samba_share_t:s0");
    assert_eq!(selinux.tclass, "file");
    assert_eq!(selinux.object.path, Some("/var/www/html/file1".into()));
    assert_eq!(selinux.object.device.as_deref(), Some("dm-0"));
    assert_eq!(selinux.object.inode, Some(284_133));
}

#[test]
fn of_rhel_7_and_9() {
    let record = one(
        "type=AVC msg=audit(1700000000.123:456): avc:  denied  { read write } for  pid=9 \
         comm=6120622063 name=\"a\" dev=\"dm-0\" ino=7 scontext=system_u:system_r:named_t:s0-s0:c0.c1023 \
         tcontext=system_u:object_r:etc_t:s0 tclass=file permissive=1",
    );
    assert_eq!(record.process.comm, Some("a b c".into()));
    let selinux = selinux_of(&record);
    assert_eq!(selinux.permissions, ["read", "write"]);
    assert_eq!(selinux.permissive, Some(true));
    assert_eq!(selinux.object.name, Some("a".into()));
    assert_eq!(selinux.scontext, "system_u:system_r:named_t:s0-s0:c0.c1023");
}

#[test]
fn of_rhel_4_without_a_type() {
    let record = one(
        "Jan 14 19:10:04 host kernel: audit(1105758604.519:420): avc:  denied  { getattr } for  \
         pid=5962 exe=/usr/sbin/httpd path=/home/auser/public_html dev=hdb2 ino=921135 \
         scontext=root:system_r:httpd_t tcontext=user_u:object_r:user_home_t tclass=dir",
    );
    assert_eq!(record.serial, Some(420));
    assert_eq!(record.process.exe, Some("/usr/sbin/httpd".into()));
    assert_eq!(
        selinux_of(&record).object.path,
        Some("/home/auser/public_html".into())
    );
}

#[test]
fn of_other_classes() {
    let selinux = |rest: &str| {
        let record = one(&format!(
            "audit: type=1400 audit(1700000000.123:456): avc:  denied  {rest} \
             scontext=u:r:t:s0 tcontext=u:object_r:t:s0 tclass=x permissive=0"
        ));
        selinux_of(&record).clone()
    };
    let bind = selinux("{ name_bind } for  pid=1 comm=\"nginx\" src=8888");
    assert_eq!(bind.network.source.port, Some(8888));
    let connect = selinux("{ name_connect } for  pid=1 comm=\"nginx\" dest=5432");
    assert_eq!(connect.network.destination.port, Some(5432));
    let send =
        selinux("{ send_msg } for  saddr=10.0.0.1 src=53 daddr=2001:db8::1 dest=40000 netif=eth0");
    assert_eq!(send.network.source.address, "10.0.0.1".parse().ok());
    assert_eq!(send.network.destination.address, "2001:db8::1".parse().ok());
    let capability = selinux("{ dac_override } for  pid=1 comm=\"a\" capability=1 ");
    assert_eq!(capability.capability, Some(1));
    let ioctl = selinux(
        "{ ioctl } for  pid=1 comm=\"a\" path=\"/dev/x\" dev=\"devtmpfs\" ino=9 ioctlcmd=0x5401",
    );
    assert_eq!(ioctl.ioctl, Some(0x5401));
    let socket = selinux("{ connectto } for  pid=1 comm=\"a\" path=002F746D702F78");
    assert_eq!(socket.object.path, Some("\0/tmp/x".into()));
    // A permission that the policy has no name for, and none at all.
    assert_eq!(selinux("{ 0x400000 } for  pid=1").permissions, ["0x400000"]);
    assert_eq!(selinux("null for  pid=1").permissions.len(), 0);
}

#[test]
fn as_ausearch_and_journald_print_it() {
    let record = one(
        "type=AVC msg=audit(05/23/2026 17:06:14.179:446) : avc:  denied  { name_bind } for  \
         pid=8458 comm=nginx src=8888 scontext=system_u:system_r:httpd_t:s0 \
         tcontext=system_u:object_r:unreserved_port_t:s0 tclass=tcp_socket permissive=0",
    );
    assert_eq!(record.serial, Some(446));
    assert_eq!(selinux_of(&record).network.source.port, Some(8888));
    let record = one(
        "type=AVC msg=audit(05/23/2026 17:06:14.179:446) : avc: denied { dac_override } for pid=1 \
         comm=a capability=dac_override scontext=a tcontext=b tclass=capability permissive=0",
    );
    assert_eq!(selinux_of(&record).capability, Some(1));
    let record = one(
        "Nov 14 22:13:20 host audit[9]: AVC avc:  denied  { read } for  pid=9 comm=\"a\" \
         scontext=a tcontext=b tclass=file permissive=0",
    );
    assert_eq!(record.serial, None);
    assert_eq!(selinux_of(&record).permissions, ["read"]);
}

#[test]
fn granted_and_policy() {
    let record = one(
        "type=AVC msg=audit(1.001:1): avc:  granted  { setenforce } for  pid=1 comm=\"a\" \
         scontext=a tcontext=b tclass=security",
    );
    assert!(selinux_of(&record).granted);
    skipped("type=AVC msg=audit(1.001:1): avc:  received policyload notice (seqno=2)");
}

#[test]
fn cut_records() {
    let head = "[ 1.2] audit: type=1400 audit(1.001:1): avc:  denied  ";
    for (rest, expected) in [
        ("{ read", Fault::Cut),
        ("read", Fault::Missing("{")),
        ("{ read } for  pid=1 comm=\"a\" name=\"b", Fault::Cut),
        (
            "{ read } for  pid=1 scontext=a tclass=file",
            Fault::Missing("tcontext"),
        ),
        (
            "{ read } for  pid=1 scontext=a tcontext=b",
            Fault::Missing("tclass"),
        ),
    ] {
        assert_eq!(fault(&format!("{head}{rest}")), expected, "{rest}");
    }
}
