//! Records of AppArmor, from Ubuntu 8.04 to 24.04 and Debian.

use super::*;

#[test]
fn of_a_file() {
    let record = one(
        "[   40.1] audit: type=1400 audit(1700000000.123:456): apparmor=\"DENIED\" operation=\"open\" \
         class=\"file\" profile=\"named\" name=\"/etc/my zones/a\" pid=812 comm=\"isc-net-0000\" \
         requested_mask=\"r\" denied_mask=\"r\" fsuid=53 ouid=0"
            .replace("\"/etc/my zones/a\"", "2F6574632F6D79207A6F6E65732F61")
            .as_str(),
    );
    assert_eq!(record.process.pid, Some(812));
    assert_eq!(record.process.comm, Some("isc-net-0000".into()));
    let apparmor = apparmor_of(&record);
    assert_eq!(apparmor.verdict, Verdict::Denied);
    assert_eq!(apparmor.operation, "open");
    assert_eq!(apparmor.class.as_deref(), Some("file"));
    assert_eq!(apparmor.profile.as_deref(), Some("named"));
    assert_eq!(apparmor.name, Some("/etc/my zones/a".into()));
    assert_eq!(apparmor.requested.as_deref(), Some("r"));
    assert_eq!(apparmor.denied.as_deref(), Some("r"));
    assert_eq!((apparmor.fsuid, apparmor.ouid), (Some(53), Some(0)));
}

#[test]
fn of_before_it_was_in_linux() {
    // Ubuntu 8.10 to 10.04, and openSUSE: types of its own, and masks of owner and others.
    let record = one(
        "Aug 31 06:33:15 ns1 kernel: [ 12.3] type=1503 audit(1251693195.403:59): \
         operation=\"inode_permission\" requested_mask=\"::r\" denied_mask=\"::r\" fsuid=104 \
         name=\"/proc/4378/net/if_inet6\" pid=4379 profile=\"/usr/sbin/named\"",
    );
    let apparmor = apparmor_of(&record);
    assert_eq!(apparmor.verdict, Verdict::Denied);
    assert_eq!(apparmor.denied.as_deref(), Some("r"));
    assert_eq!(record.process.pid, Some(4379));
    assert_eq!(record.process.comm, None);
    let record = one(
        "[114310.720001] type=1503 audit(1291305358.425:23):  operation=\"open\" pid=10765 \
         parent=10758 profile=\"/usr/sbin/named\" requested_mask=\"r::\" denied_mask=\"r::\" fsuid=0 \
         ouid=0 name=\"/usr/local/lib/libGeoIP.so.1.4.6\"",
    );
    assert_eq!(apparmor_of(&record).denied.as_deref(), Some("r"));
    let record = one(
        "[   40.625953] type=1503 audit(1223002425.850:7): operation=\"capable\" \
         name=\"sys_resource\" pid=4874 profile=\"/usr/sbin/named\"",
    );
    assert_eq!(apparmor_of(&record).capability, Some(24));
    let record = one(
        "type=APPARMOR_ALLOWED msg=audit(1223002425.850:7): operation=\"socket_create\" \
         family=\"inet\" sock_type=\"dgram\" protocol=17 pid=6302 profile=\"/usr/sbin/cupsd\"",
    );
    let apparmor = apparmor_of(&record);
    assert_eq!(apparmor.verdict, Verdict::Allowed);
    assert_eq!(apparmor.family.as_deref(), Some("inet"));
    assert_eq!(apparmor.protocol, Some(17));
}

#[test]
fn of_ubuntu_12_04_with_the_parent() {
    let record = one(
        "Jun  5 10:00:00 ns1 kernel: [ 12.3] type=1400 audit(1338890400.123:25): \
         apparmor=\"DENIED\" operation=\"mknod\" parent=1 profile=\"/usr/sbin/named\" \
         name=\"/var/log/named/q.log\" pid=812 comm=\"named\" requested_mask=\"c\" denied_mask=\"c\" \
         fsuid=105 ouid=105",
    );
    let apparmor = apparmor_of(&record);
    assert_eq!(apparmor.operation, "mknod");
    assert_eq!(apparmor.name, Some("/var/log/named/q.log".into()));
}

#[test]
fn of_other_operations() {
    let apparmor = |rest: &str| {
        let record = one(&format!(
            "audit: type=1400 audit(1700000000.123:456): apparmor=\"DENIED\" {rest}"
        ));
        apparmor_of(&record).clone()
    };
    let capability = apparmor(
        "operation=\"capable\" class=\"cap\" profile=\"ntpd\" pid=1 comm=\"ntpd\" capability=12  \
         capname=\"net_admin\"",
    );
    assert_eq!(capability.capability, Some(12));
    let socket = apparmor(
        "operation=\"create\" class=\"net\" profile=\"p\" pid=1 comm=\"c\" family=\"inet6\" \
         sock_type=\"stream\" protocol=6 requested_mask=\"create\" denied_mask=\"create\" addr=none",
    );
    assert_eq!(socket.family.as_deref(), Some("inet6"));
    assert_eq!(socket.socket_type.as_deref(), Some("stream"));
    assert_eq!(socket.address, None);
    let bound = apparmor(
        "operation=\"bind\" profile=\"p\" pid=1 comm=\"c\" laddr=127.0.0.1 lport=53 faddr=::1 \
         family=\"inet\" sock_type=\"dgram\" protocol=17 requested_mask=\"bind\" denied_mask=\"bind\"",
    );
    assert_eq!(bound.network.local.port, Some(53));
    assert_eq!(bound.network.local.address, "127.0.0.1".parse().ok());
    assert_eq!(bound.network.foreign.address, "::1".parse().ok());
    let unix = apparmor(
        "operation=\"connect\" profile=\"p\" pid=1 comm=\"c\" family=\"unix\" sock_type=\"stream\" \
         protocol=0 requested_mask=\"send receive connect\" denied_mask=\"send connect\" \
         addr=none peer_addr=\"@/tmp/.X11-unix/X0\" peer=\"unconfined\"",
    );
    assert_eq!(unix.denied.as_deref(), Some("send connect"));
    assert_eq!(unix.peer_address, Some("@/tmp/.X11-unix/X0".into()));
    assert_eq!(unix.peer, Some("unconfined".into()));
    let signal = apparmor(
        "operation=\"signal\" class=\"signal\" profile=\"docker-default\" pid=1 comm=\"runc\" \
         requested_mask=\"receive\" denied_mask=\"receive\" signal=kill peer=\"runc\"",
    );
    assert_eq!(signal.signal.as_deref(), Some("kill"));
    let mount = apparmor(
        "operation=\"mount\" info=\"failed flags match\" error=-13 profile=\"lxd_</var/lxd>\" \
         name=\"/run/unit-root/\" pid=2036 comm=\"(networkd)\" fstype=\"fuseblk\" \
         srcname=\"/dev/sda2\" flags=\"ro, remount, noatime, bind\"",
    );
    assert_eq!(mount.info.as_deref(), Some("failed flags match"));
    assert_eq!(mount.error, Some(-13));
    assert_eq!(mount.profile.as_deref(), Some("lxd_</var/lxd>"));
    assert_eq!(mount.flags.as_deref(), Some("ro, remount, noatime, bind"));
    assert_eq!(mount.source, Some("/dev/sda2".into()));
    let exec = apparmor(
        "operation=\"exec\" info=\"no new privs\" error=-1 namespace=\"root//lxd\" profile=\"p\" \
         name=\"/bin/a\" pid=1 comm=\"c\" requested_mask=\"x\" denied_mask=\"x\" fsuid=0 ouid=0 \
         target=\"p//null-/bin/a\"",
    );
    assert_eq!(exec.namespace.as_deref(), Some("root//lxd"));
    assert_eq!(exec.target, Some("p//null-/bin/a".into()));
}

#[test]
fn of_every_verdict() {
    for (word, verdict) in [
        ("DENIED", Verdict::Denied),
        ("ALLOWED", Verdict::Allowed),
        ("AUDIT", Verdict::Audited),
        ("HINT", Verdict::Hint),
        ("ERROR", Verdict::Error),
        ("KILLED", Verdict::Killed),
    ] {
        let record = one(&format!(
            "type=AVC msg=audit(1.001:1): apparmor=\"{word}\" operation=\"open\" profile=\"p\" pid=1"
        ));
        assert_eq!(apparmor_of(&record).verdict, verdict);
    }
    skipped(
        "[ 12.3] audit: type=1400 audit(1700000000.123:4): apparmor=\"STATUS\" \
         operation=\"profile_load\" profile=\"unconfined\" name=\"named\" pid=1199 \
         comm=\"apparmor_parser\"",
    );
    let head = "type=AVC msg=audit(1.001:1): ";
    assert_eq!(
        fault(&format!("{head}apparmor=\"X\" operation=\"a\"")),
        Fault::Value("apparmor")
    );
    assert_eq!(
        fault(&format!("{head}apparmor=\"DENIED\"")),
        Fault::Missing("operation")
    );
    assert_eq!(fault(&format!("{head}pid=1")), Fault::Missing("apparmor"));
}

#[test]
fn as_journald_and_enrichment_have_it() {
    let record = one(
        "Sep 02 18:03:03 host audit[771]: AVC apparmor=\"DENIED\" operation=\"open\" profile=\"p\" \
         name=\"/a\" pid=771 comm=\"c\" requested_mask=\"r\" denied_mask=\"r\" fsuid=0 ouid=0",
    );
    assert_eq!(apparmor_of(&record).name, Some("/a".into()));
    let record = one(
        "type=AVC msg=audit(1.001:1): apparmor=\"ALLOWED\" operation=\"open\" profile=\"p\" \
         name=\"/a\" pid=771 comm=\"c\" requested_mask=\"r\" denied_mask=\"r\" fsuid=7 \
         ouid=0FSUID=\"lp\" OUID=\"root\"",
    );
    assert_eq!(apparmor_of(&record).ouid, Some(0));
}

#[test]
fn a_label_with_a_mode_is_one_value() {
    let record = one(
        "type=SECCOMP msg=audit(1.001:1): auid=1 uid=1 gid=1 ses=1 subj=docker-default (enforce) \
         pid=7 comm=\"c\" exe=\"/c\" sig=0 arch=c000003e syscall=1 compat=0 ip=0x1 code=0x50000",
    );
    assert_eq!(
        record.process.label.as_deref(),
        Some("docker-default (enforce)")
    );
    assert_eq!(record.process.pid, Some(7));
    let record = one(
        "Dec 30 00:57:50 node-1 audit[25570]: SECCOMP auid=4294967295 uid=0 gid=0 ses=4294967295 \
         subj==unconfined pid=25570 comm=\"runc:[2:INIT]\" exe=\"/usr/bin/runc\" sig=0 \
         arch=c000003e syscall=35 compat=0 ip=0x558e8a32b13d code=0x7ffc0000",
    );
    assert_eq!(record.process.label.as_deref(), Some("=unconfined"));
    assert_eq!(record.process.comm, Some("runc:[2:INIT]".into()));
}
