//! Logs of other machines, and a dialogue on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::jail::Jail;

const SLEEPER: &str = "int main(void) { for (;;) pause(); }";

/// One record of each layer, about the jail's program; and of two other programs; and a broken one.
fn log(jail: &Jail) -> String {
    let exe = jail.program();
    let head = |serial: u32| format!("msg=audit(1700000000.123:{serial}):");
    let who = format!("pid=8 comm=\"service\" exe=\"{exe}\"");
    [
        format!("type=SECCOMP {} auid=1 uid=5 gid=60 ses=1 {who} sig=31 arch=c000003e syscall=140 compat=0 ip=0x7f1 code=0x80000000", head(1)),
        format!("type=AVC {} apparmor=\"DENIED\" operation=\"open\" class=\"file\" profile=\"{exe}\" name=\"/srv/gaoler-test/a\" pid=8 comm=\"worker\" requested_mask=\"r\" denied_mask=\"r\" fsuid=5 ouid=0", head(2)),
        format!("type=AVC {} avc:  denied  {{ net_admin }} for  {who} capability=12 scontext=u:r:x_t:s0 tcontext=u:r:x_t:s0 tclass=capability permissive=0", head(3)),
        format!("type=LANDLOCK_ACCESS {} domain=1a6fdc679 blockers=net.bind_tcp src=8053", head(4)),
        format!("type=SYSCALL {} arch=c000003e syscall=49 success=no exit=-13 a0=3 a1=0 a2=10 a3=0 items=0 ppid=1 pid=8 auid=1 uid=5 gid=60 ses=1 comm=\"service\" exe=\"{exe}\" key=(null)", head(4)),
        format!("type=SECCOMP {} auid=1 uid=5 gid=60 ses=1 pid=9 comm=\"other\" exe=\"/usr/bin/other\" sig=31 arch=c000003e syscall=140 compat=0 ip=0x1 code=0x80000000", head(5)),
        format!("type=AVC {} apparmor=\"DENIED\" operation=\"open\" profile=\"broken", head(6)),
    ]
    .join("\n")
}

const SUBJECTS: [&str; 4] = [
    "call getpriority",
    "file /srv/gaoler-test/a",
    "CAP_NET_ADMIN",
    "port tcp bind 8053",
];

#[test]
fn logs_of_another_machine_are_explained_without_a_run() {
    let jail = Jail::new(SLEEPER, &[]);
    jail.write();
    let path = jail.path("audit.log");
    std::fs::write(&path, log(&jail)).unwrap();
    let file = path.to_str().unwrap();
    let before = std::fs::read_to_string(jail.spec()).unwrap();
    let found = jail.why(&["--log", file, "--apply"]);
    for subject in SUBJECTS {
        let denial = found.about(subject);
        assert_eq!(denial["source"], "audit");
        assert_eq!(
            (&denial["claimed"], &denial["safe"]),
            (&true.into(), &false.into())
        );
        assert_eq!(
            denial["patch"][0]["item"].as_str().map(str::is_empty),
            Some(false)
        );
    }
    assert_eq!(found.denials().len(), SUBJECTS.len(), "{found:#?}");
    let counts = &found.0["logs"][0];
    assert_eq!(
        (&counts["taken"], &counts["others"], &counts["unreadable"]),
        (&4.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&found.0["ran"], &found.0["works"]),
        (&false.into(), &false.into())
    );
    assert!(!jail.path("state").exists(), "something was built");
    assert_eq!(std::fs::read_to_string(jail.spec()).unwrap(), before);
    // The same by standard input.
    let mut child = jail
        .command(&["why", &jail.name, "--log", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(log(&jail).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "log      -: 4 records of its programs, 1 records of other programs, 1 lines",
        "denied   CAP_NET_ADMIN (claimed)",
        "audit2allow",
        "/etc/apparmor.d/local/",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    jail.why(&["--log", file, "--allow", "CAP_NET_ADMIN"]);
    let after = std::fs::read_to_string(jail.spec()).unwrap();
    assert!(after.to_ascii_uppercase().contains("NET_ADMIN"), "{after}");
}

/// Runs it on a terminal and types `keys` at each prompt; what was shown, and its exit code.
fn typed(jail: &Jail, words: &[&str], keys: &[&str]) -> (String, Option<i32>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let their: OwnedFd = theirs.into();
    let mut child = jail
        .command(words)
        .stdin(Stdio::from(their.try_clone().unwrap()))
        .stdout(Stdio::from(their))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ours = File::from(ours);
    let (mut shown, mut keys) = (String::new(), keys.iter());
    let mut asked = 0;
    let mut piece = [0; 4096];
    // EIO when nobody has the other side any more.
    while let Ok(length) = ours.read(&mut piece) {
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
        let prompts = shown.matches("(q)uit: ").count();
        if prompts > asked {
            asked = prompts;
            let key = keys.next().unwrap_or(&"q");
            ours.write_all(format!("{key}\n").as_bytes()).unwrap();
        }
    }
    (shown, child.wait().unwrap().code())
}

#[test]
fn a_person_is_asked_one_by_one() {
    let jail = Jail::new(SLEEPER, &[]);
    jail.write();
    let path = jail.path("audit.log");
    std::fs::write(&path, log(&jail)).unwrap();
    let words = ["why", &jail.name, "--log", path.to_str().unwrap()];
    let before = std::fs::read_to_string(jail.spec()).unwrap();
    let (shown, code) = typed(&jail, &words, &["a", "v", "q"]);
    assert!(
        shown.contains("[1/4]") && shown.contains("[2/4]") && !shown.contains("[3/4]"),
        "{shown}"
    );
    assert!(
        shown.contains("source   audit") && shown.contains("nothing was changed"),
        "{shown}"
    );
    assert_eq!(code, Some(3));
    assert_eq!(std::fs::read_to_string(jail.spec()).unwrap(), before);
    let (shown, _) = typed(&jail, &words, &["a", "d", "f"]);
    assert!(!shown.contains("[4/4]"), "{shown}");
    let after = std::fs::read_to_string(jail.spec()).unwrap();
    assert!(
        after.contains("getpriority") && !after.contains("gaoler-test"),
        "{after}"
    );
    assert_eq!(
        jail.why(&["--log", path.to_str().unwrap()])
            .about("call getpriority")["remedy"],
        "none"
    );
}
