use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use super::*;

fn on(address: &str) -> Socket {
    Socket {
        protocol: "tcp".to_owned(),
        address: address.to_owned(),
        port: Some(80),
    }
}

/// As little confined as can be.
fn naked() -> Listening {
    Listening {
        pid: 2,
        sockets: vec![on("0.0.0.0")],
        capabilities: vec!["SYS_ADMIN".to_owned()],
        ..Listening::default()
    }
}

/// As much as can be.
fn jailed() -> Listening {
    Listening {
        pid: 1,
        uid: 900,
        sockets: vec![on("127.0.0.1")],
        seccomp: true,
        no_new_privs: true,
        own_root: true,
        landlock: true,
        namespaces: vec!["pid".to_owned()],
        capabilities: vec!["NET_BIND_SERVICE".to_owned()],
        ..Listening::default()
    }
}

#[test]
fn the_weights_add_up_to_ten() {
    let sum: f64 = WEIGHTS.iter().map(|(_, weight, _)| weight).sum();
    assert_eq!(sum, 10.0);
    let worst = naked().judged();
    assert_eq!((worst.exposure, worst.because.len()), (10.0, WEIGHTS.len()));
    assert_eq!(worst.finding().severity, Severity::High);
    let best = jailed().judged();
    assert_eq!((best.exposure, best.because.len()), (0.0, 0));
    assert_eq!(best.finding().severity, Severity::Info);
}

#[test]
fn each_weight_applies_by_itself() {
    type Spoil = fn(&mut Listening);
    let spoil: [(Spoil, f64); 7] = [
        (|it| it.uid = 0, 2.5),
        (|it| it.capabilities.push("SYS_ADMIN".to_owned()), 2.5),
        (|it| it.capabilities.push("NET_RAW".to_owned()), 0.5),
        (|it| it.seccomp = false, 1.5),
        (|it| it.landlock = false, 1.0),
        (|it| it.sockets = vec![on("::")], 0.5),
        (|it| it.own_root = false, 1.0),
    ];
    for (spoil, weight) in spoil {
        let mut one = jailed();
        spoil(&mut one);
        assert_eq!(one.judged().exposure, weight);
    }
}

#[test]
fn complain_mode_confines_by_aa_unconfined_s_measure_only() {
    let with_mode = |mode: &str| {
        let mut one = jailed();
        one.landlock = false;
        one.apparmor = Some(AppArmor {
            profile: "named".to_owned(),
            mode: mode.to_owned(),
        });
        one.judged()
    };
    let (complain, enforce) = (with_mode("complain"), with_mode("enforce"));
    assert!(complain.apparmor_confined && enforce.apparmor_confined);
    assert_eq!((complain.exposure, enforce.exposure), (1.0, 0.0));
}

#[test]
fn the_worst_come_first() {
    let mut all = [jailed().judged(), naked().judged()];
    sort(&mut all);
    assert_eq!(all.map(|one| one.pid), [2, 1]);
}

#[test]
fn this_process_is_seen_while_it_listens() {
    let directory = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = directory.path().join("a socket");
    let unix = UnixListener::bind(&path).unwrap();
    let own = std::process::id().cast_signed();
    let ports = [
        ("tcp", Some(tcp.local_addr().unwrap().port())),
        ("udp", Some(udp.local_addr().unwrap().port())),
    ];
    let jail = Jailed {
        name: "web".to_owned(),
        landlock: true,
    };
    let jails = BTreeMap::from([(own, jail)]);
    let seen = |unix| {
        let all = look(&jails, unix).unwrap();
        all.into_iter().find(|one| one.pid == own).unwrap()
    };
    let without = seen(false);
    for (protocol, port) in ports {
        let has = |socket: &&Socket| socket.protocol == protocol && socket.port == port;
        assert!(
            without.sockets.iter().any(|socket| has(&socket)),
            "{without:?}"
        );
    }
    assert!(without.sockets.iter().all(|socket| socket.port.is_some()));
    assert_eq!(without.jail.as_deref(), Some("web"));
    assert!(without.landlock && !without.own_root && without.namespaces.is_empty());
    let with = seen(true);
    let address = path.to_str().unwrap();
    assert!(
        with.sockets.iter().any(|socket| socket.address == address),
        "{with:?}"
    );
    drop((tcp, udp, unix));
}
