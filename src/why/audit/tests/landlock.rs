//! Records of Landlock (`Documentation/admin-guide/LSM/landlock.rst`).

use super::*;

/// A denial and the maker of its domain, another event of the same domain, and its end.
const EVENTS: &str = "\
type=LANDLOCK_ACCESS msg=audit(1729738800.221:33): domain=1a6fdc679 blockers=fs.write_file path=\"/dev/tty\" dev=\"devtmpfs\" ino=9
type=LANDLOCK_DOMAIN msg=audit(1729738800.221:33): domain=1a6fdc679 status=allocated mode=enforcing pid=289 uid=0 exe=\"/root/sandboxer\" comm=\"sandboxer\"
type=SYSCALL msg=audit(1729738800.221:33): arch=c000003e syscall=257 success=no exit=-13 a0=ffffff9c a1=7ffd a2=241 a3=1b6 items=0 ppid=272 pid=290 auid=0 uid=1000 gid=1000 ses=1 comm=\"sh\" exe=\"/usr/bin/dash\" key=(null)
type=PROCTITLE msg=audit(1729738800.221:33): proctitle=7368002D63006563686F
type=LANDLOCK_ACCESS msg=audit(1729738800.221:34): domain=1a6fdc679 blockers=fs.make_reg,fs.refer path=\"/usr/local\" dev=\"vda2\" ino=365
type=LANDLOCK_ACCESS msg=audit(1729738800.221:34): domain=1a6fdc679 blockers=fs.refer path=\"/usr/bin\" dev=\"vda2\" ino=351
type=LANDLOCK_DOMAIN msg=audit(1729738800.261:35): domain=1a6fdc679 status=deallocated denials=2
type=LANDLOCK_ACCESS msg=audit(1729738800.300:36): domain=1a6fdc679 blockers=ptrace opid=1 ocomm=\"systemd\"
";

#[test]
fn events_of_a_domain() {
    let log = audit_file(EVENTS);
    assert_eq!(log.unreadable, []);
    let [first, second, third, late] = &log.records[..] else {
        panic!("{:#?}", log.records);
    };
    assert_eq!(first.channel, Channel::Audit);
    let landlock = landlock_of(first);
    assert_eq!(landlock.domain, 0x1_a6fd_c679);
    assert_eq!(landlock.blockers, ["fs.write_file"]);
    assert_eq!(landlock.object.path, Some("/dev/tty".into()));
    assert_eq!(landlock.object.device.as_deref(), Some("devtmpfs"));
    let maker = landlock.creator.as_ref().unwrap();
    assert_eq!((maker.pid, maker.uid), (Some(289), Some(0)));
    assert_eq!(maker.exe, Some("/root/sandboxer".into()));
    // Who was denied is in the record of the call.
    assert_eq!(
        (first.process.pid, first.process.uid),
        (Some(290), Some(1000))
    );
    assert_eq!(first.process.comm, Some("sh".into()));
    assert_eq!(first.command, ["sh", "-c", "echo"]);
    let syscall = first.syscall.as_ref().unwrap();
    assert_eq!(syscall.call.number, Some(257));
    assert_eq!((syscall.success, syscall.exit), (Some(false), Some(-13)));
    assert_eq!(syscall.arguments[0], Some(0xffff_ff9c));
    assert_eq!(landlock_of(second).blockers, ["fs.make_reg", "fs.refer"]);
    assert_eq!(landlock_of(third).object.inode, Some(351));
    for record in [second, third] {
        assert_eq!(landlock_of(record).creator.as_ref(), Some(maker));
        assert_eq!(record.process, Process::default());
    }
    // After its end the number means nothing any more.
    assert_eq!(landlock_of(late).creator, None);
    let other = landlock_of(late).other.as_ref().unwrap();
    assert_eq!(
        (other.pid, other.comm.clone()),
        (Some(1), Some("systemd".into()))
    );
}

#[test]
fn of_the_kernel_log_and_an_old_auditd() {
    for head in [
        "[ 12.3] audit: type=1423 audit(1729738800.221:33): ",
        "type=UNKNOWN[1423] msg=audit(1729738800.221:33): ",
    ] {
        let record = one(&format!(
            "{head}domain=195ba459b blockers=net.bind_tcp saddr=127.0.0.1 src=80"
        ));
        let landlock = landlock_of(&record);
        assert_eq!(landlock.blockers, ["net.bind_tcp"]);
        assert_eq!(landlock.network.source.port, Some(80));
        assert_eq!(landlock.network.source.address, "127.0.0.1".parse().ok());
    }
    let record = one(
        "audit: type=1423 audit(1.001:1): domain=1 blockers=net.connect_tcp daddr=::1 dest=443",
    );
    assert_eq!(landlock_of(&record).network.destination.port, Some(443));
    let record = one(
        "audit: type=1423 audit(1.001:1): domain=1 blockers=scope.abstract_unix_socket path=0061",
    );
    assert_eq!(landlock_of(&record).object.path, Some("\0a".into()));
}

#[test]
fn one_channel_knows_nothing_of_anothers_domains() {
    let lines = "\
5,1,1,-;audit: type=1424 audit(1.001:1): domain=a status=allocated mode=enforcing pid=1 uid=0 exe=\"/a\" comm=\"a\"
audit: type=1423 audit(1.001:2): domain=a blockers=ptrace
5,1,1,-;audit: type=1423 audit(1.001:3): domain=a blockers=ptrace
";
    let log = read(lines.as_bytes(), Origin::Kmsg).unwrap();
    let known: Vec<_> = log
        .records
        .iter()
        .map(|record| (record.channel, landlock_of(record).creator.is_some()))
        .collect();
    assert_eq!(known, [(Channel::Text, false), (Channel::KernelLog, true)]);
}

#[test]
fn broken_ones() {
    let head = "audit: type=1423 audit(1.001:1): ";
    for (rest, expected) in [
        ("blockers=ptrace", Fault::Missing("domain")),
        ("domain=1", Fault::Missing("blockers")),
        ("domain=x blockers=ptrace", Fault::Value("domain")),
        (
            "domain=1 blockers=net.bind_tcp src=99999",
            Fault::Value("src"),
        ),
        (
            "domain=1 blockers=net.bind_tcp saddr=1.2.3",
            Fault::Value("saddr"),
        ),
    ] {
        assert_eq!(fault(&format!("{head}{rest}")), expected, "{rest}");
    }
    skipped("audit: type=1424 audit(1.001:1): domain=1 status=deallocated denials=3");
}
