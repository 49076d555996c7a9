//! Sockets that a service is given: bound by gaoler and kept from one run to the next, or handed
//! over by a manager.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{Answer, DONE, GID, NOT_SET_UP, Place, UID, USAGE, USER, eventually, port};

/// A jail whose service answers at each socket that it is given.
fn served(sockets: &[(&str, &str)]) -> Place {
    let mut place = Place::with("managed", &["serve"]);
    for (name, more) in sockets {
        place.text.tables +=
            &format!("[[socket]]\nname = \"{name}\"\n{more}\nbecause = \"a test\"\n");
    }
    place.allow_managed();
    // What it would need to make them itself.
    place
        .text
        .calls
        .retain(|call| !["bind", "listen"].contains(call));
    place
}

fn ask(port: u16) -> std::io::Result<String> {
    let mut text = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn ask_file(path: &std::path::Path) -> String {
    let mut text = String::new();
    UnixStream::connect(path)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn a_service_is_given_what_it_could_not_bind() {
    // Below 1024: its user has no right to it, and it keeps no capability.
    let low = (600..1000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let directory = tempfile::tempdir_in("/run").unwrap();
    let path = directory.path().join("sock");
    let tcp = format!("listen = \"tcp:127.0.0.1:{low}\"\nbacklog = 7");
    let udp = format!("listen = \"udp:127.0.0.1:{low}\"");
    let six = format!("listen = \"tcp:[::1]:{low}\"\nonly_ipv6 = true\nreuse_port = true");
    let unix = format!(
        "listen = \"unix:{}\"\nmode = \"0620\"\nuser = \"{USER}\"\ngroup = \"{USER}\"",
        path.display()
    );
    let place = served(&[
        ("web", &tcp),
        ("six", &six),
        ("names", &udp),
        ("file", &unix),
    ]);
    place.start();
    let wanted = "mine 4 web:six:names:file\n";
    assert_eq!(ask(low).unwrap(), wanted);
    let mut text = String::new();
    TcpStream::connect(("::1", low))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, wanted);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client.send_to(b"x", ("127.0.0.1", low)).unwrap();
    let mut answer = [0; 64];
    let length = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..length], wanted.as_bytes());
    assert_eq!(ask_file(&path), wanted);
    let file = fs::metadata(&path).unwrap();
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o777),
        (UID, GID, 0o620)
    );
    // They are its own, and nothing else of gaoler's is open in it.
    let numbers: Vec<String> = fs::read_dir(format!("/proc/{}/fd", place.pid()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(numbers.len(), 7, "{numbers:?}");
    let check = place.gaoler(&["check", &place.name, "--live"]);
    assert!(!check.out.contains("live."), "{check:?}");
    let plan = place.verb("plan").out;
    assert!(
        plan.contains(&format!("bind the socket web to tcp:127.0.0.1:{low}")),
        "{plan}"
    );
    place.verb("stop").is(DONE, &["stopped"]);
    assert!(ask(low).is_err());
    // The file that is left is in nobody's way.
    place.verb("start").is(DONE, &["started"]);
    assert_eq!(ask_file(&path), wanted);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn nobody_who_connects_is_refused_while_it_is_restarted() {
    let port = port();
    let listen = format!("listen = \"tcp:127.0.0.1:{port}\"");
    let datagrams = format!("listen = \"udp:127.0.0.1:{port}\"");
    let place = served(&[("web", &listen), ("names", &datagrams)]);
    place.start();
    let (over, answered, sent) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let ask_on = || {
            while !over.load(Ordering::SeqCst) {
                let text = ask(port).unwrap();
                assert_eq!(text, "mine 2 web:names\n");
                answered.fetch_add(1, Ordering::SeqCst);
            }
        };
        let ask_in_datagrams = || {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(("127.0.0.1", port)).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            while !over.load(Ordering::SeqCst) {
                client.send(b"x").unwrap();
                client.recv(&mut [0; 64]).unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
        };
        let asking = [
            scope.spawn(ask_on),
            scope.spawn(ask_on),
            scope.spawn(ask_in_datagrams),
        ];
        let mut before = place.pid();
        for _ in 0..5 {
            let counted = answered.load(Ordering::SeqCst);
            let restarted = place.verb("restart");
            if restarted.code != Some(DONE) {
                over.store(true, Ordering::SeqCst);
            }
            restarted.is(DONE, &["started"]);
            let now = place.pid();
            assert_ne!(now, before);
            before = now;
            eventually("more are answered", || {
                answered.load(Ordering::SeqCst) > counted + 4
                    || asking.iter().any(|it| it.is_finished())
            });
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(answered.load(Ordering::SeqCst) > 20);
    assert!(sent.load(Ordering::SeqCst) > 5);
    place.verb("stop").is(DONE, &["stopped"]);
    assert!(ask(port).is_err());
    place.nothing_runs();
}

/// What was kept is not what is wanted any more.
#[test]
fn a_restart_takes_another_address_from_the_spec() {
    let (old, new) = (port(), port());
    let listen = |port: u16| format!("listen = \"tcp:127.0.0.1:{port}\"");
    let mut place = served(&[("web", &listen(old))]);
    place.start();
    assert!(ask(old).is_ok());
    place.text.tables = place
        .text
        .tables
        .replace(&old.to_string(), &new.to_string());
    place.write();
    place.verb("restart").is(DONE, &["started"]);
    assert!(ask(new).is_ok());
    assert!(ask(old).is_err(), "what is not declared any more is closed");
    // The same address, in another way: it must be closed before it is bound.
    place.text.tables = place
        .text
        .tables
        .replace("backlog", "")
        .replace(&listen(new), &format!("{}\nreuse_port = true", listen(new)));
    place.write();
    place.verb("restart").is(DONE, &["started"]);
    assert!(ask(new).is_ok());
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn an_address_that_somebody_has_is_told_and_nothing_is_started() {
    let directory = tempfile::tempdir_in("/run").unwrap();
    let path = directory.path().join("sock");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let there = UnixListener::bind(&path).unwrap();
    for listen in [
        format!("tcp:127.0.0.1:{port}"),
        format!("unix:{}", path.display()),
    ] {
        let place = served(&[("web", &format!("listen = \"{listen}\""))]);
        place.write();
        place
            .verb("start")
            .is(NOT_SET_UP, &["bind the socket web to", "in use"]);
        place.nothing_runs();
    }
    drop(there);
    // Others can write there: they could put something else in its place.
    let place = served(&[("web", &format!("listen = \"unix:{}\"", path.display()))]);
    place.write();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    place.verb("start").is(NOT_SET_UP, &["others can write in"]);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    place
        .verb("start")
        .is(NOT_SET_UP, &["something else is there"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("/tmp", &link).unwrap();
    let place = served(&[("web", &format!("listen = \"unix:{}/sock\"", link.display()))]);
    place.write();
    place.verb("start").is(NOT_SET_UP, &["symbolic link"]);
    place.nothing_runs();
}

/// Runs `gaoler run` as a manager would that hands these over: `tcp`, `udp`, `directory`.
fn handing_over(place: &Place, kinds: &[&str], names: &str, words: &[&str]) -> Command {
    let script = r#"
import os, socket, sys
port, kinds, names, command = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3], sys.argv[4:]
held = []
for kind in kinds:
    if kind == "directory":
        held.append(os.open("/", os.O_RDONLY))
        continue
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    if kind == "tcp":
        made.listen(9)
    held.append(os.dup(made.detach()))
held = [os.dup2(number, 100 + place) for place, number in enumerate(held)]
for place, number in enumerate(held):
    os.dup2(number, 3 + place, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)))
if names != "none":
    os.environ["LISTEN_FDNAMES"] = names
os.execv(command[0], command)
"#;
    let mut command = Command::new("python3");
    command
        .args(["-c", script])
        .arg(PORT.with(|port| port.get().to_string()))
        .args([&kinds.join(","), names, crate::common::GAOLER])
        .args(place.arguments(&[&["run", place.name.as_str()], words].concat()))
        .stdin(Stdio::null());
    command
}

thread_local! {
    /// The port of what the manager of this test hands over.
    static PORT: std::cell::Cell<u16> = std::cell::Cell::new(port());
}

#[test]
fn what_a_manager_hands_over_reaches_the_service() {
    let own = "listen = \"manager\"";
    for (names, way) in [("b:a", &[][..]), ("none", &[]), ("b:a", &["--exec"])] {
        let place = served(&[("a", own), ("b", own)]);
        place.write();
        place.verb("build").is(DONE, &[]);
        let kinds = if names == "none" {
            ["tcp", "udp"]
        } else {
            ["udp", "tcp"]
        };
        let mut child = handing_over(&place, &kinds, names, way).spawn().unwrap();
        let port = PORT.with(std::cell::Cell::get);
        eventually("it answers", || ask(port).is_ok());
        assert_eq!(ask(port).unwrap(), "mine 2 a:b\n");
        let check = place.gaoler(&["check", &place.name, "--live"]);
        assert!(!check.out.contains("live."), "{check:?}");
        let pid = place.pid().to_string();
        Command::new("kill").arg(&pid).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        place.nothing_runs_after(way);
    }
}

#[test]
fn what_is_not_declared_does_not_get_in() {
    let manager = "listen = \"manager\"";
    let refused = |sockets: &[(&str, &str)], kinds: &[&str], names: &str, words: &[&str]| {
        let place = served(sockets);
        place.write();
        place.verb("build").is(DONE, &[]);
        let output = handing_over(&place, kinds, names, &[]).output().unwrap();
        Answer::of(output).is(NOT_SET_UP, words);
        place.nothing_runs();
    };
    refused(
        &[],
        &["tcp"],
        "web",
        &["does not have", "web", "[[socket]]"],
    );
    refused(
        &[("web", manager)],
        &["tcp", "udp"],
        "web:x",
        &["does not have", "\"x\""],
    );
    refused(
        &[("web", manager)],
        &["tcp"],
        "x",
        &["nobody hands over the socket web"],
    );
    refused(
        &[("web", manager)],
        &["directory"],
        "web",
        &["is no socket"],
    );
    // Nobody hands anything over.
    let place = served(&[("web", manager)]);
    place.write();
    place
        .verb("start")
        .is(NOT_SET_UP, &["nobody hands over the socket web"]);
    place.nothing_runs();
}

/// They are meant for another process: the variables came from further above.
#[test]
fn what_is_handed_to_somebody_else_is_closed() {
    let place = served(&[]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let mut command = place.careless(&[], &["run", &place.name]);
    command.envs([
        ("LISTEN_PID", "1"),
        ("LISTEN_FDS", "2"),
        ("LISTEN_FDNAMES", "a:b"),
    ]);
    let mut child = command.spawn().unwrap();
    eventually("it runs", || place.status()["pid"].as_i64().is_some());
    let pid = place.pid();
    // Until it is executed, its launcher has some.
    eventually("it has its three", || {
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() == 3
    });
    Command::new("kill").arg(pid.to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    place.nothing_runs();
}

#[test]
fn mistakes_in_sockets_are_shown_where_they_are() {
    for (more, wanted) in [
        ("listen = \"tcp:80\"", "no place to listen at"),
        (
            "listen = \"udp:127.0.0.1:7\"\nbacklog = 3",
            "backlog is for",
        ),
        (
            "listen = \"tcp:127.0.0.1:7\"\nbacklog = 0",
            "no connection could wait",
        ),
        (
            "listen = \"tcp:127.0.0.1:7\"\nonly_ipv6 = true",
            "only_ipv6 is for",
        ),
        (
            "listen = \"manager\"\nreuse_port = true",
            "reuse_port is for",
        ),
        ("listen = \"manager\"\nmode = \"0600\"", "mode is for unix"),
        ("listen = \"unix:/run/x\"\nmode = \"0900\"", "octal"),
        ("listen = \"manager\"\nsize = 7", "unknown field `size`"),
    ] {
        let place = served(&[("web", more)]);
        place.write();
        place.verb("build").is(USAGE, &[wanted, ".toml:"]);
    }
    let mut place = served(&[
        ("web", "listen = \"tcp:127.0.0.1:7\""),
        ("web", "listen = \"tcp:127.0.0.1:8\""),
    ]);
    place.write();
    place
        .verb("build")
        .is(USAGE, &["socket `web` is here twice"]);
    place = served(&[]);
    place.text.tables += "[service.environment]\nLISTEN_FDS = \"1\"\n";
    place.write();
    place
        .verb("build")
        .is(USAGE, &["`LISTEN_FDS` is for what starts a service"]);
}

/// Debian's web server, which takes its port from systemd otherwise.
#[test]
fn lighttpd_is_given_its_port_and_keeps_it() {
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(files.path().join("index.html"), "hello\n").unwrap();
    let (place, port) = (Place::new(&[]), port());
    let configuration = files.path().join("lighttpd.conf");
    let text = format!(
        "server.document-root = \"{}\"\nserver.port = {port}\nserver.bind = \"127.0.0.1\"\n\
         index-file.names = (\"index.html\")\nserver.systemd-socket-activation = \"enable\"\n",
        files.path().display()
    );
    fs::write(&configuration, text).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let exercise = format!("curl -sf {url}");
    let learn = [
        "learn",
        &place.name,
        "--user",
        "www-data",
        "--ready",
        "log:server started",
        "--exercise",
        &exercise,
        "--for",
        "0",
        "--",
        "/usr/sbin/lighttpd",
        "-D",
        "-f",
        configuration.to_str().unwrap(),
    ];
    place.gaoler(&learn).is(DONE, &["learned"]);
    // What it does with a port of its own it does not need any more; it asks what it was given.
    let learned = fs::read_to_string(place.spec()).unwrap();
    let needed = |line: &&str| {
        !["\"bind\"", "\"listen\"", "\"getsockname\""]
            .iter()
            .any(|call| line.contains(call))
    };
    let mut spec: String = learned
        .lines()
        .filter(needed)
        .map(|line| format!("{line}\n"))
        .collect();
    let asks = "calls = [\n  { call = \"getsockname\", because = \"a test\" },\n";
    spec = spec.replacen("calls = [\n", asks, 1);
    spec += &format!(
        "[[socket]]\nname = \"web\"\nlisten = \"tcp:127.0.0.1:{port}\"\nbecause = \"its clients\"\n"
    );
    fs::write(place.spec(), &spec).unwrap();
    place.verb("start").is(DONE, &["started"]);
    let over = AtomicBool::new(false);
    let curl = || {
        let answer = Command::new("curl").args(["-sf", &url]).output().unwrap();
        assert_eq!(answer.stdout, b"hello\n", "{answer:?}");
    };
    curl();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
            }
        });
        let restarted = place.verb("restart");
        over.store(true, Ordering::SeqCst);
        restarted.is(DONE, &["started"]);
    });
    curl();
    let check = place.gaoler(&["check", &place.name, "--live"]);
    assert!(!check.out.contains("live."), "{check:?}");
    place.verb("stop").is(DONE, &["stopped"]);
    // The port ends no start: it is there before the first instruction.
    let early = spec.replace("log:server started", &format!("tcp:{port}"));
    fs::write(place.spec(), early).unwrap();
    place
        .verb("start")
        .is(NOT_SET_UP, &["shows before it has begun"]);
    place.nothing_runs();
}
