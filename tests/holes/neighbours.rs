//! Other jails, and the host's daemons, over sockets.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Answer, DONE, Place, eventually, mode};
use crate::lab::{Room, WAYS, bind, finish, jail, lines, odd, rig, run, tells_apart};

const UNIX: &str = "[[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"a test\"\n";

/// Starts the one that hands its root over, then runs the one that takes it.
fn hand_over(mut first: Command, second: impl FnOnce() -> Answer, socket: &Path) -> Answer {
    let mut first = first.stdout(Stdio::null()).spawn().unwrap();
    let listens = || fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    eventually("it listens", listens);
    let answer = second();
    drop(first.kill());
    first.wait().unwrap();
    answer
}

/// Directories above the root that was handed over.
fn climbed(answer: &Answer) -> Vec<String> {
    assert_eq!(
        lines(answer, &["receive: "]),
        ["receive: done"],
        "{answer:#?}"
    );
    lines(answer, &["climbed "])
}

/// FreeBSD's advisory: two jails that share a directory, and so a socket, could hand each other
/// their roots and leave both.
#[test]
fn a_root_that_another_jail_hands_over() {
    let mut first = jail(&[]);
    let shared = first.bind("shared", true);
    let socket = shared.join("socket");
    let words = |verb: &str| format!("{verb}={}", socket.display());
    let with = |place: &mut Place, verb: &str| {
        place.text.command.push(words(verb));
        place.text.tables += UNIX;
        place.write();
    };
    with(&mut first, "offer");
    let mut second = jail(&[]);
    second.text.tables += &bind(&shared, true);
    with(&mut second, "take");
    let mut right = Vec::new();
    for way in WAYS {
        first.verb("build").is(DONE, &[]);
        let command = first.command(&["run", "--exec", &first.name]);
        let answer = hand_over(command, || run(&second, way, &[]), &socket);
        // Landlock knows no rule for what came from elsewhere.
        answer.is(DONE, &["receive: done", "received: EACCES"]);
        right.push(answer);
        first.nothing_runs_after(&["--exec"]);
        fs::remove_file(&socket).unwrap();
    }
    let room = Room::new();
    let shared = room.path("shared");
    let [a, b] = ["a", "b"].map(|name| room.path(name));
    fs::create_dir(&shared).unwrap();
    mode(&shared, 0o777);
    for root in [&a, &b] {
        fs::create_dir_all(root.join("shared")).unwrap();
        fs::copy(crate::lab::program("payload"), root.join("payload")).unwrap();
    }
    let launcher = |root: &Path, word: &str| {
        let mut command = Command::new(crate::lab::program("wrong"));
        command.args(["chroot", root.to_str().unwrap(), "/payload", word]);
        rig(&[odd::over(&shared, &root.join("shared"))], &command)
    };
    let offer = launcher(&a, "offer=/shared/socket");
    let take = launcher(&b, "take=/shared/socket");
    let wrong = hand_over(offer, || finish(take), &shared.join("socket"));
    let right: Vec<&Answer> = right.iter().collect();
    tells_apart(climbed, &right, &wrong);
}

/// Sockets of daemons that answered.
fn reached(answer: &Answer) -> Vec<String> {
    let lines = answer
        .out
        .lines()
        .filter(|line| line.ends_with(" reach: done"));
    lines.map(str::to_owned).collect()
}

/// Where daemons listen that do for a caller what only root may, and a few that tell everything.
const DAEMONS: [&str; 8] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/systemd/private",
    "/run/systemd/notify",
    "/run/dbus/system_bus_socket",
    "/run/nscd/socket",
    "/var/run/nscd/socket",
];

#[test]
fn sockets_of_the_hosts_daemons() {
    let mut place = jail(&[]);
    let daemons = place.path("daemons");
    fs::create_dir(&daemons).unwrap();
    let path = daemons.join("daemon.sock");
    let listener = UnixListener::bind(&path).unwrap();
    mode(&path, 0o666);
    let hidden = format!("gaoler-holes-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&hidden).unwrap();
    let abstract_listener = UnixListener::bind_addr(&address).unwrap();
    let own = [
        format!("reach={}", path.display()),
        format!("reach=@{hidden}"),
    ];
    let known = DAEMONS.map(|path| format!("reach={path}"));
    place.text.command.extend(known.iter().chain(&own).cloned());
    place.text.tables += UNIX;
    place.write();
    let right = WAYS.map(|way| run(&place, way, &[]));
    for answer in &right {
        answer.is(DONE, &[&format!("@{hidden} reach: EPERM")]);
        for path in DAEMONS.iter().copied().chain([path.to_str().unwrap()]) {
            answer.is(DONE, &[&format!("{path} reach: ENOENT")]);
        }
    }
    let [supervised, exec] = &right;
    let room = Room::new();
    // Read-only or not: a socket can be connected to.
    fs::create_dir(room.root().join("run")).unwrap();
    let host = [odd::over(&daemons, &room.root().join("run"))];
    for word in ["reach=/run/daemon.sock", &own[1]] {
        let wrong = room.wrong("none", &host, &["/payload", word]);
        tells_apart(reached, &[supervised, exec], &wrong);
    }
    drop((listener, abstract_listener));
}
