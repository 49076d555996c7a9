//! Records of seccomp, from Linux 3.2 on.

use super::*;

#[test]
fn of_today() {
    let record = one(
        "[22111.625196] audit: type=1326 audit(1795322002.842:79): auid=4294967295 uid=5 gid=60 \
         ses=4294967295 subj=unconfined pid=7652 comm=\"hostile\" exe=\"/tmp/a/hostile\" sig=31 \
         arch=c000003e syscall=165 compat=0 ip=0x401d52 code=0x80000000",
    );
    let process = Process {
        pid: Some(7652),
        uid: Some(5),
        gid: Some(60),
        login: None,
        comm: Some("hostile".into()),
        exe: Some("/tmp/a/hostile".into()),
        label: Some("unconfined".into()),
    };
    assert_eq!(record.process, process);
    let seccomp = seccomp_of(&record);
    assert_eq!(seccomp.call.arch, Arch::named("x86_64"));
    assert_eq!(seccomp.call.number, Some(165));
    if seccomp.call.arch.unwrap().is_native() {
        assert_eq!(seccomp.call.name.as_deref(), Some("mount"));
    }
    assert_eq!(seccomp.compat, Some(false));
    assert_eq!(seccomp.signal, Some(31));
    assert_eq!(seccomp.action, Some(Action::KillProcess));
    assert_eq!(seccomp.instruction_pointer, Some(0x40_1d52));
}

#[test]
fn of_before_seccomp_had_a_type() {
    // Ubuntu 12.04 with Linux 3.2 and 3.5; the error number is in the code.
    let record = one(
        "Sep 27 10:08:45 ws kernel: [179599.99] type=1701 audit(1348733325.650:64): auid=4294967295 \
         uid=1000 gid=1000 ses=4294967295 pid=26544 comm=\"chrome\" reason=\"seccomp\" sig=0 \
         syscall=39 compat=0 ip=0x7fd83f0bc6d9 code=0x50001",
    );
    let seccomp = seccomp_of(&record);
    assert_eq!(seccomp.action, Some(Action::Errno(1)));
    // Without an architecture the number has no name.
    let call = Call {
        number: Some(39),
        ..Call::default()
    };
    assert_eq!(seccomp.call, call);
    let record = one(
        "type=ANOM_ABEND msg=audit(1330000000.650:64): auid=500 uid=500 gid=500 ses=1 pid=26544 \
         comm=\"vsftpd\" reason=\"seccomp\" sig=9 syscall=41",
    );
    let seccomp = seccomp_of(&record);
    assert_eq!(seccomp.signal, Some(9));
    assert_eq!((seccomp.compat, seccomp.action), (None, None));
    assert_eq!(record.process.exe, None);
}

#[test]
fn of_other_tables_of_calls() {
    let line = |arch: &str, number: &str, compat: u8| {
        let record = one(&format!(
            "type=SECCOMP msg=audit(1700000000.123:456): auid=1000 uid=0 gid=0 ses=1 pid=1 \
             comm=\"a\" exe=\"/a\" sig=31 arch={arch} syscall={number} compat={compat} ip=0x1 code=0x0"
        ));
        let call = seccomp_of(&record).call.clone();
        (call.arch.unwrap().name(), call.number)
    };
    assert_eq!(line("40000003", "20", 1), (Some("i386"), Some(20)));
    assert_eq!(line("c000003e", "1073741863", 0), (Some("x32"), Some(39)));
    assert_eq!(line("c000003e", "39", 0), (Some("x86_64"), Some(39)));
    assert_eq!(line("c00000b7", "39", 0), (Some("aarch64"), Some(39)));
    assert_eq!(line("40000028", "39", 1), (Some("arm"), Some(39)));
    assert_eq!(line("80000016", "39", 0), (Some("s390x"), Some(39)));
    assert_eq!(
        line("c00000f3", "1073741863", 0),
        (Some("riscv64"), Some(0x4000_0027))
    );
    assert_eq!(line("deadbeef", "39", 0), (None, Some(39)));
    // A tracer took the call away.
    assert_eq!(line("c000003e", "-1", 0), (Some("x86_64"), None));
    assert!(!Arch(0xC000_003E, Abi::X32).is_native());
}

#[test]
fn names_come_from_this_machine_or_from_auditd() {
    let enriched = "type=SECCOMP msg=audit(1700000000.123:456): auid=1000 uid=0 gid=0 ses=1 pid=1 \
                    comm=\"a\" exe=\"/a\" sig=31 arch=40000003 syscall=20 compat=1 ip=0x1 \
                    code=0x80000000\x1dAUID=\"joe\" UID=\"root\" GID=\"root\" ARCH=i386 SYSCALL=getpid";
    // Terminals and web pages lose the separator.
    let pasted = enriched.replace('\x1d', "");
    let spaced = enriched.replace('\x1d', " ");
    for line in [enriched, &pasted, &spaced] {
        let record = one(line);
        let seccomp = seccomp_of(&record);
        assert_eq!(seccomp.call.name.as_deref(), Some("getpid"), "{line}");
        assert_eq!(seccomp.action, Some(Action::KillProcess), "{line}");
        assert_eq!(record.process.login, Some(1000), "{line}");
    }
}

#[test]
fn as_ausearch_interprets() {
    let record = one(
        "type=SECCOMP msg=audit(03/04/2025 07:39:37.599:201) : auid=unset uid=root gid=root ses=unset \
         subj=system_u:system_r:ipsec_t:s0 pid=6464 comm=my helper exe=/usr/libexec/ipsec/addconn \
         sig=SIGSYS arch=aarch64 syscall=faccessat compat=0 ip=0xffff92e23698 code=kill-thread",
    );
    assert_eq!((record.time, record.serial), (None, Some(201)));
    assert_eq!(record.process.comm, Some("my helper".into()));
    assert_eq!(
        record.process.exe,
        Some("/usr/libexec/ipsec/addconn".into())
    );
    assert_eq!((record.process.uid, record.process.login), (None, None));
    let seccomp = seccomp_of(&record);
    assert_eq!(seccomp.signal, Some(31));
    assert_eq!(seccomp.action, Some(Action::KillThread));
    assert_eq!(seccomp.call.arch, Arch::named("aarch64"));
    assert_eq!(seccomp.call.name.as_deref(), Some("faccessat"));
    let native = Arch(crate::sys::ptrace::NATIVE_ARCH, Abi::Own)
        .name()
        .unwrap();
    let record = one(&format!(
        "type=SECCOMP msg=audit(14.11.2023 22:13:20.123:456) : auid=joe uid=named gid=named ses=3 \
         pid=9 comm=named exe=/usr/sbin/named sig=SIGSYS arch={native} syscall=openat compat=0 \
         ip=0x7f code=kill"
    ));
    let call = &seccomp_of(&record).call;
    assert_eq!(call.number, crate::sys::calls::number("openat"));
    // In such text nothing is hexadecimal.
    let record = one(
        "type=SECCOMP msg=audit(03/04/2025 07:39:37.599:201) : pid=1 comm=CAFE exe=/CAFE \
         arch=x86_64 syscall=openat code=errno",
    );
    assert_eq!(record.process.comm, Some("CAFE".into()));
}

#[test]
fn every_answer() {
    for (code, action) in [
        (0x8000_0000_u32, Action::KillProcess),
        (0, Action::KillThread),
        (0x0003_0000, Action::Trap),
        (0x0005_0000, Action::Errno(0)),
        (0x0005_0026, Action::Errno(38)),
        (0x7fc0_0000, Action::UserNotif),
        (0x7ff0_0000, Action::Trace),
        (0x7ffc_0000, Action::Log),
        (0x7fff_0000, Action::Allow),
        (0x1234_0000, Action::Other(0x1234_0000)),
    ] {
        let record = one(&format!(
            "audit: type=1326 audit(1700000000.123:456): pid=1 comm=\"a\" syscall=1 code={code:#x}"
        ));
        assert_eq!(seccomp_of(&record).action, Some(action), "{code:#x}");
    }
}

#[test]
fn strings_that_the_kernel_encodes() {
    let comm = |value: &str| {
        one(&format!(
            "audit: type=1326 audit(1700000000.123:456): pid=1 comm={value} syscall=1"
        ))
        .process
        .comm
    };
    assert_eq!(comm("\"CAFE\""), Some("CAFE".into()));
    assert_eq!(comm("6120622063"), Some("a b c".into()));
    assert_eq!(comm("22"), Some("\"".into()));
    assert_eq!(comm("(null)"), None);
    assert_eq!(comm("\"(null)\""), Some("(null)".into()));
    assert_eq!(comm("?"), None);
    assert_eq!(comm("\"\""), Some("".into()));
    // What no kernel encodes so is taken as an old one's.
    assert_eq!(comm("httpd"), Some("httpd".into()));
    assert_eq!(comm("6a6b"), Some("6a6b".into()));
    assert_eq!(comm("ABC"), Some("ABC".into()));
    use std::os::unix::ffi::OsStringExt;
    assert_eq!(
        comm("FF00"),
        Some(std::ffi::OsString::from_vec(vec![0xFF, 0]))
    );
    let record = one(
        "audit: type=1326 audit(1700000000.123:456): pid=1 comm=\"x\" \
         exe=2F746D702F61202864656C6574656429 syscall=1",
    );
    assert_eq!(record.process.exe, Some("/tmp/a (deleted)".into()));
}

#[test]
fn what_cannot_be_is_refused() {
    let head = "audit: type=1326 audit(1700000000.123:456): ";
    for (body, expected) in [
        ("pid=1 comm=\"a", Fault::Cut),
        ("pid=1 comm=\"a\" syscall=1 pid=2", Fault::Twice),
        ("pid=1 comm=\"a\"", Fault::Missing("syscall")),
        ("pid=x syscall=1", Fault::Value("pid")),
        ("pid=-1 syscall=1", Fault::Value("pid")),
        ("pid=1 syscall=0x10", Fault::Value("syscall")),
        ("pid=1 syscall=99999999999", Fault::Value("syscall")),
        ("pid=1 syscall=1 arch=1c000003e", Fault::Value("arch")),
        ("pid=1 syscall=1 arch=+1", Fault::Value("arch")),
        ("pid=1 syscall=1 code=0x180000000", Fault::Value("code")),
        ("uid=-2 syscall=1", Fault::Value("uid")),
    ] {
        assert_eq!(fault(&format!("{head}{body}")), expected, "{body}");
    }
    // The same twice says nothing new.
    assert_eq!(
        one(&format!("{head}pid=1 syscall=1 pid=1")).process.pid,
        Some(1)
    );
}
