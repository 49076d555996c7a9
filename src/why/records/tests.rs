use super::super::audit::{Origin, read};
use super::*;
use crate::spec::{Allowance, parse};

const SPEC: &str = r#"
format = 1
name = "named"
[service]
command = ["/usr/sbin/named", "-f"]
user = "games"
group = "games"
[[tree.binds]]
path = "/var/cache/bind"
writable = true
because = "a test"
[[allow.calls]]
call = "socket"
because = "a test"
[[allow.families]]
family = "AF_INET"
because = "a test"
"#;

fn spec() -> Spec {
    parse(SPEC, "named.toml").unwrap()
}

fn of(text: &str, origin: Origin) -> Records {
    let spec = spec();
    let log = read(text.as_bytes(), origin).unwrap();
    let scope = Scope {
        spec: &spec,
        manifest: None,
        since: None,
        only_missing: false,
    };
    explained(&[("log".to_owned(), log)], &scope)
}

#[test]
fn what_a_spec_cannot_hold_is_not_offered() {
    let denial = one(&seccomp("arch=c000003e syscall=999"));
    assert_eq!(denial.remedy, Remedy::None, "{denial:#?}");
    let listed = |name: &str| {
        one(&format!(
            "type=AVC msg={HEAD} apparmor=\"DENIED\" operation=\"open\" profile=\"named\" \
             name=\"{name}\" pid=8 comm=\"named\" requested_mask=\"r\" denied_mask=\"r\""
        ))
    };
    // A directory's name ends with a slash in these.
    let denial = listed("/srv/gaoler-none/zones/");
    let Allowance::Bind(rule) = given(&denial) else {
        panic!("{denial:#?}");
    };
    assert_eq!(rule.path.as_os_str(), "/srv/gaoler-none/zones");
    let mut spec = spec();
    denial.remedy.apply(&mut spec);
    parse(&crate::spec::to_toml(&spec), "named.toml").unwrap();
}

#[track_caller]
fn one(text: &str) -> Denial {
    let mut records = of(text, Origin::Text);
    assert_eq!(records.denials.len(), 1, "{records:#?}");
    let denial = records.denials.remove(0);
    assert!(denial.claimed && !denial.is_safe(), "{denial:#?}");
    denial
}

fn given(denial: &Denial) -> &Allowance {
    match denial.remedy.allowances() {
        [allowance] => allowance,
        _ => panic!("{denial:#?}"),
    }
}

const HEAD: &str = "audit(1700000000.123:456):";

fn seccomp(fields: &str) -> String {
    format!(
        "type=SECCOMP msg={HEAD} auid=4294967295 uid=53 gid=53 ses=4294967295 pid=8 comm=\"isc-net-0000\" \
         exe=\"/usr/sbin/named\" {fields}\n"
    )
}

#[test]
fn a_call_that_a_filter_killed() {
    let denial = one(&seccomp(
        "sig=31 arch=c000003e syscall=140 compat=0 ip=0x7f0000001234 code=0x80000000",
    ));
    assert_eq!(denial.subject, "call getpriority");
    assert_eq!(given(&denial).name(), "call getpriority");
    for word in [
        "SIGSYS",
        "isc-net-0000",
        "/usr/sbin/named",
        "0x7f0000001234",
        "(1700000000.123:456)",
    ] {
        assert!(denial.cause.contains(word), "{word}: {}", denial.cause);
    }
}

#[test]
fn calls_of_other_machines() {
    // By its name it is the same call everywhere; by its number it is another one.
    let arm = "sig=0 arch=c00000b7 syscall=141 compat=0 ip=0x0 code=0x50000";
    assert_eq!(one(&seccomp(arm)).remedy, Remedy::None);
    let named = one(&format!(
        "{}\u{1d}ARCH=aarch64 SYSCALL=getpriority AUID=\"unset\"\n",
        seccomp(arm).trim_end()
    ));
    assert_eq!(given(&named).name(), "call getpriority");
    let int80 = one(&seccomp(
        "sig=31 arch=40000003 syscall=20 compat=1 ip=0x0 code=0x80000000",
    ));
    assert_eq!(int80.remedy, Remedy::None);
    assert!(int80.subject.contains("20 of i386"), "{int80:#?}");
    // The spec has it.
    let has = one(&seccomp(
        "sig=0 arch=c000003e syscall=41 compat=0 ip=0x0 code=0x50000",
    ));
    assert_eq!(has.remedy, Remedy::None);
    assert!(has.cause.contains("the spec has the call"), "{has:#?}");
    // With its arguments it is known what is missing: AF_PACKET.
    let call = seccomp("sig=0 arch=c000003e syscall=41 compat=0 ip=0x0 code=0x50000");
    let packet = one(&format!(
        "{call}type=SYSCALL msg={HEAD} arch=c000003e syscall=41 success=no exit=-97 a0=11 a1=3 a2=0 a3=0 \
         items=0 ppid=1 pid=8 auid=1 uid=53 gid=53 ses=1 comm=\"named\" exe=\"/usr/sbin/named\" key=(null)\n"
    ));
    assert_eq!(packet.subject, "family packet");
}

fn apparmor(fields: &str) -> String {
    format!(
        "Jan  1 00:00:00 ns kernel: [ 40.1] audit: type=1400 {HEAD} apparmor=\"DENIED\" {fields}\n"
    )
}

#[test]
fn a_path_of_apparmor() {
    let denial = one(&apparmor(
        "operation=\"open\" profile=\"/usr/sbin/named\" name=\"/etc/bind/keys.conf\" pid=812 \
         comm=\"isc-net-0000\" requested_mask=\"r\" denied_mask=\"r\" fsuid=53 ouid=0",
    ));
    assert_eq!(denial.subject, "file /etc/bind/keys.conf");
    assert_eq!(
        denial.advice,
        "into /etc/apparmor.d/local/usr.sbin.named: /etc/bind/keys.conf r,"
    );
    // The spec has it: only the profile has to be changed.
    let denial = one(&apparmor(
        "operation=\"mknod\" profile=\"named\" name=\"/var/cache/bind/a b\" pid=8 comm=\"named\" \
         requested_mask=\"c\" denied_mask=\"c\" fsuid=53 ouid=53",
    ));
    assert_eq!(denial.remedy, Remedy::None);
    assert_eq!(
        denial.advice,
        "into /etc/apparmor.d/local/usr.sbin.named: \"/var/cache/bind/a b\" w,"
    );
    let denial = one(&apparmor(
        "operation=\"capable\" profile=\"named\" pid=8 comm=\"named\" capability=12 capname=\"net_admin\"",
    ));
    assert_eq!(denial.subject, "CAP_NET_ADMIN");
    assert!(
        denial.advice.ends_with("capability net_admin,"),
        "{}",
        denial.advice
    );
    let denial = one(&apparmor(
        "operation=\"create\" class=\"net\" profile=\"named\" pid=8 comm=\"named\" family=\"netlink\" \
         sock_type=\"raw\" protocol=0 requested_mask=\"create\" denied_mask=\"create\"",
    ));
    assert_eq!(denial.subject, "family netlink");
    assert!(
        denial.advice.ends_with("network netlink raw,"),
        "{}",
        denial.advice
    );
}

#[test]
fn denials_of_selinux() {
    let end = "scontext=system_u:system_r:named_t:s0 tcontext=system_u:object_r:default_t:s0";
    let line = |rest: &str, class: &str| {
        format!("type=AVC msg={HEAD} avc:  denied  {rest} {end} tclass={class} permissive=0\n")
    };
    let file = one(&line(
        "{ read open } for  pid=9 comm=\"named\" path=\"/srv/zones/a.zone\" dev=\"dm-0\" ino=7",
        "file",
    ));
    assert_eq!(file.subject, "file /srv/zones/a.zone");
    for word in ["named_t", "default_t", "class file", "read open"] {
        assert!(file.cause.contains(word), "{word}: {}", file.cause);
    }
    assert!(
        file.advice.starts_with("restorecon -v /srv/zones/a.zone"),
        "{}",
        file.advice
    );
    assert!(
        file.advice
            .contains("ausearch -m AVC -c named --raw | audit2allow"),
        "{}",
        file.advice
    );
    let port = one(&line(
        "{ name_bind } for  pid=9 comm=\"named\" src=8053",
        "tcp_socket",
    ));
    assert_eq!(port.subject, "port tcp bind 8053");
    let memory = one(&line("{ execmem } for  pid=9 comm=\"named\"", "process"));
    assert_eq!(given(&memory), &Allowance::WritableExecutable);
    let unknown = one(&line("{ getsched } for  pid=9 comm=\"named\"", "process"));
    assert_eq!(unknown.remedy, Remedy::None);
}

#[test]
fn denials_of_landlock() {
    let event = |access: &str| {
        format!(
            "type=LANDLOCK_ACCESS msg={HEAD} domain=1a6fdc679 {access}\n\
             type=SYSCALL msg={HEAD} arch=c000003e syscall=257 success=no exit=-13 a0=0 a1=0 a2=0 a3=0 \
             items=0 ppid=1 pid=290 auid=0 uid=53 gid=53 ses=1 comm=\"named\" exe=\"/usr/sbin/named\" key=(null)\n"
        )
    };
    let port = one(&event("blockers=net.bind_tcp src=8053"));
    assert_eq!(port.subject, "port tcp bind 8053");
    let read = one(&event(
        "blockers=fs.read_file path=\"/srv/a\" dev=\"vda1\" ino=9",
    ));
    assert_eq!(read.subject, "file /srv/a");
    let made = one(&event(
        "blockers=fs.make_reg path=\"/srv/zones\" dev=\"vda1\" ino=9",
    ));
    assert_eq!(made.subject, "bind /srv/zones");
    let other = one(&event("blockers=scope.signal opid=1 ocomm=\"systemd\""));
    assert_eq!(
        (other.subject.as_str(), &other.remedy),
        ("scope.signal", &Remedy::None)
    );
}

#[test]
fn who_wrote_it_decides_whether_it_is_claimed() {
    let line = seccomp("sig=31 arch=c000003e syscall=140 compat=0 ip=0x1 code=0x80000000");
    let denial = of(&line, Origin::AuditFile).denials.remove(0);
    assert!(!denial.claimed && !denial.is_safe(), "{denial:#?}");
    // The same in a text is the same; an invented one beside it stays a claim.
    let spec = spec();
    let read = |text: &str, origin| read(text.as_bytes(), origin).unwrap();
    let logs = [
        ("text".to_owned(), read(&line, Origin::Text)),
        ("audit".to_owned(), read(&line, Origin::AuditFile)),
    ];
    let scope = Scope {
        spec: &spec,
        manifest: None,
        since: None,
        only_missing: false,
    };
    let records = explained(&logs, &scope);
    assert_eq!(records.denials.len(), 1);
    assert!(!records.denials[0].claimed);
    assert_eq!((records.counts[0].again, records.counts[1].taken), (1, 1));
    let late = Scope {
        since: Some(1_700_000_001),
        ..scope
    };
    let records = explained(&logs, &late);
    assert!(records.denials.is_empty());
    assert_eq!(records.counts[1].older, 1);
}

#[test]
fn others_and_unreadable_lines_are_counted() {
    let text = [
        seccomp("sig=31 arch=c000003e syscall=140 compat=0 ip=0x1 code=0x80000000")
            .replace("/usr/sbin/named", "/usr/bin/dhclient"),
        apparmor("operation=\"open\" profile=\"/usr/sbin/cupsd\" name=\"/a\" pid=1 comm=\"cupsd\" requested_mask=\"r\" denied_mask=\"r\""),
        apparmor("operation=\"open\" profile=\"/usr/sbin/named"),
        "nothing of it\n".to_owned(),
    ]
    .concat();
    let records = of(&text, Origin::Text);
    assert!(records.denials.is_empty(), "{records:#?}");
    assert_eq!(
        (records.counts[0].others, records.counts[0].unreadable),
        (2, 1)
    );
}

#[test]
fn hostile_names_come_into_no_command() {
    let hex = |text: &str| {
        text.bytes()
            .map(|byte| format!("{byte:02X}"))
            .collect::<String>()
    };
    for name in [
        "/a\" rwx,\n/** rwx,",
        "/etc/x\u{1b}[2J",
        "/a'; rm -rf /",
        "/../etc/shadow",
        "/etc/shadow",
        "/proc/1/mem",
    ] {
        let denial = one(&apparmor(&format!(
            "operation=\"open\" profile=\"named\" name={} pid=8 comm={} requested_mask=\"r\" denied_mask=\"r\"",
            hex(name),
            hex("$(id)")
        )));
        let odd = |c: char| c.is_control();
        assert!(!denial.advice.contains(odd), "{denial:#?}");
        assert!(!denial.advice.contains("/** rwx"), "{denial:#?}");
        assert!(!denial.advice.contains("$("), "{denial:#?}");
        if name != "/a'; rm -rf /" {
            assert_eq!(denial.remedy, Remedy::None, "{denial:#?}");
        }
    }
    let end = "scontext=u:r:named_t:s0 tcontext=u:r:default_t:s0 tclass=file";
    let denial = one(&format!(
        "type=AVC msg={HEAD} avc:  denied  {{ read }} for  pid=9 comm={} path={} {end}\n",
        hex("x;id"),
        hex("/srv/a'$(id)\u{7}")
    ));
    assert!(
        !denial.advice.contains("$(id)") && !denial.advice.contains("x;id"),
        "{denial:#?}"
    );
}
