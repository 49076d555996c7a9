//! docs/why.md: its output is what gaoler prints.

use std::fs;

use crate::{gaoler, same};

const SPEC: &str = r#"format = 1
name = "named"
[service]
command = ["/usr/sbin/named", "-f"]
user = "games"
group = "games"
[[tree.binds]]
path = "/var/cache/bind"
writable = true
because = "journals"
"#;

/// Four layers of a Debian, a Fedora and a kernel with Landlock.
const LOG: &str = r#"type=SECCOMP msg=audit(1700000000.123:41): auid=4294967295 uid=53 gid=53 ses=4294967295 pid=812 comm="isc-net-0000" exe="/usr/sbin/named" sig=31 arch=c000003e syscall=140 compat=0 ip=0x7f31c0001234 code=0x80000000
Jan  7 12:00:00 ns kernel: [   40.1] audit: type=1400 audit(1700000001.000:42): apparmor="DENIED" operation="mknod" profile="named" name="/var/cache/bind/keys.bind.jnl" pid=812 comm="isc-net-0000" requested_mask="c" denied_mask="c" fsuid=53 ouid=53
type=AVC msg=audit(1700000002.000:43): avc:  denied  { read } for  pid=812 comm="named" path="/srv/zones/example.zone" dev="dm-0" ino=77 scontext=system_u:system_r:named_t:s0 tcontext=system_u:object_r:default_t:s0 tclass=file permissive=0
type=LANDLOCK_ACCESS msg=audit(1700000003.000:44): domain=1a6fdc679 blockers=net.bind_tcp src=8053
type=SYSCALL msg=audit(1700000003.000:44): arch=c000003e syscall=49 success=no exit=-13 a0=3 a1=7ffd a2=10 a3=0 items=0 ppid=1 pid=812 auid=4294967295 uid=53 gid=53 ses=1 comm="named" exe="/usr/sbin/named" key=(null)
type=SECCOMP msg=audit(1700000004.000:45): auid=0 uid=0 gid=0 ses=1 pid=9 comm="curl" exe="/usr/bin/curl" sig=31 arch=c000003e syscall=140 compat=0 ip=0x1 code=0x80000000
"#;

#[test]
fn the_page_on_why_shows_what_it_prints() {
    let places = tempfile::tempdir().unwrap();
    let place = |name: &str| places.path().join(name);
    fs::create_dir(place("etc")).unwrap();
    fs::write(place("etc/named.toml"), SPEC).unwrap();
    fs::write(place("audit.log"), LOG).unwrap();
    let output = gaoler()
        .current_dir(places.path())
        .args(["--etc", "etc", "--state", "state", "--run", "run"])
        .args(["why", "named", "--log", "audit.log"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let page = format!("{INTRODUCTION}```\n$ gaoler why named --log audit.log\n{shown}```\n{END}");
    same("docs/why.md", &page);
}

const INTRODUCTION: &str = "\
# Why something does not work in a jail

Generated in part by `tests/docs`.

`gaoler why NAME` runs the service in its jail under a tracer, with its exercises, and explains each
denial: what was denied, what decided it, the smallest change of the spec that allows it, what that
costs in the score of `check`, and what `check` would say against it. Sources:

| Source | What it is | `--apply` may take it |
|---|---|---|
| `tree` | the tree is not as it was built | yes |
| `run` | the service did it in its jail: paths, calls, capabilities, ports, limits | what is safe |
| `complaint` | complain mode wrote it down (`start --complain`) | what is safe |
| `output` | the service printed a message of the dynamic linker | never: a jail prints what it likes |
| `audit` | the kernel's audit records: seccomp, AppArmor, SELinux, Landlock | never: a process chooses its name and path |

Safe is a call that reaches neither other processes nor the machine, a file that everybody may read,
a usual family of sockets, a port. A capability, a device, a place to write, a whole directory, a
protection and a limit are for a person: `--allow SUBJECT`, or the dialogue on a terminal, which asks
one by one: (a)llow, (d)eny, (g)lob (the directory instead, with what that gives beyond), (v)iew,
(f)inish, (q)uit.

## What decided

- ENOENT: the jail does not have it, the host has.
- EROFS: a read-only bind, or the jail's root.
- EACCES, EPERM of a path, in this order: mode bits or the owner of the host's file (then the jail did
  not decide, and the advice is a command for the host); noexec or nodev of a bind or scratch place;
  a Landlock rule.
- EPERM, ENOSYS, EAFNOSUPPORT of a call: the filter, with thread and function. A call of another
  architecture kills (SIGSYS).
- EMFILE, EFBIG, EAGAIN of `clone`, ENOMEM, ENOSPC, SIGKILL: the spec's limit, its cgroup's, a scratch
  place's size; or the host's, with its value.

## Records of another machine

`--log FILE` (`-` is standard input) explains the audit records of a file against the spec, and runs
nothing. Lines of text that claim to be the kernel's are marked so.

";

const END: &str = "
A jail that runs in complain mode is not run again: what it was let do is explained while its
processes can be looked at. Keys of `--json`: [json.md](json.md#why).
";
