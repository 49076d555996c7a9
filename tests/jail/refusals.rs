//! When `up` must not do it, and how it says so.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use crate::machine::{Done, Machine, eventually, machine, zone_file};

fn refused(m: &Machine, own: &[i32]) -> Done {
    let done = m.gaoler(&["up", "named"]);
    assert_eq!(done.code, 125, "{done:#?}");
    assert!(!Path::new("/etc/gaoler/named.toml").exists(), "{done:#?}");
    assert!(!Path::new("/var/lib/gaoler/named").exists());
    m.nothing_left("named", own);
    done
}

#[test]
fn the_hosts_own_copy_runs() {
    machine(|m| {
        let host = m.background(&["named", "-f", "-u", "bind"]);
        eventually(|| m.dig(&["localhost"]), |answer| answer == "127.0.0.1");
        let done = refused(m, &[host.pid()]);
        let wanted = format!("the host's own copy runs: process {}", host.pid());
        assert!(done.err.contains(&wanted), "{done:#?}");
        assert_eq!(m.dig(&["localhost"]), "127.0.0.1", "it goes on");
        drop(host);
        m.up();
    });
}

#[test]
fn somebody_holds_the_port() {
    machine(|m| {
        let own = format!("port 53 is taken by process {}", std::process::id());
        let tcp = TcpListener::bind("127.0.0.1:53").unwrap();
        let done = refused(m, &[]);
        assert!(done.err.contains(&format!("TCP {own}")), "{done:#?}");
        drop(tcp);
        let udp = UdpSocket::bind("127.0.0.1:53").unwrap();
        let done = refused(m, &[]);
        assert!(done.err.contains(&format!("UDP {own}")), "{done:#?}");
        drop(udp);
        m.up();
        m.gaoler(&["stop", "named"]).ok();
        let _udp = UdpSocket::bind("127.0.0.1:53").unwrap();
        let done = m.gaoler(&["start", "named"]);
        assert_eq!(done.code, 125, "{done:#?}");
        assert!(done.err.contains(&format!("UDP {own}")), "{done:#?}");
        m.nothing_left("named", &[]);
    });
}

#[test]
fn somebody_holds_a_port_of_the_configuration() {
    machine(|m| {
        m.configure("listen-on port 5300 { any; }; listen-on-v6 { none; };", "");
        let _udp = UdpSocket::bind("127.0.0.1:5300").unwrap();
        let done = refused(m, &[]);
        let wanted = format!("port 5300 is taken by process {}", std::process::id());
        assert!(done.err.contains(&wanted), "{done:#?}");
    });
}

#[test]
fn a_broken_configuration() {
    machine(|m| {
        m.write(
            "/etc/bind/named.conf.local",
            "zone \"x\" { nonsense yes; };\n",
        );
        let done = refused(m, &[]);
        assert!(
            done.err
                .contains("named.conf.local:1: unknown option 'nonsense'"),
            "{done:#?}"
        );
        m.write("/srv/dns/bad", "@ IN SOA only-half-of-it\n");
        m.write(
            "/etc/bind/named.conf.local",
            "zone \"bad.test\" { type primary; file \"/srv/dns/bad\"; };\n",
        );
        let done = refused(m, &[]);
        assert!(done.err.contains("bad.test"), "{done:#?}");
    });
}

#[test]
fn a_reload_with_a_broken_configuration() {
    machine(|m| {
        m.write("/srv/dns/good", &zone_file(1, "192.0.2.1"));
        let zone = "zone \"good.test\" { type primary; file \"/srv/dns/good\"; };\n";
        m.configure("", zone);
        let pid = m.up();
        m.write(
            "/etc/bind/named.conf.local",
            &format!("{zone}nonsense {{ }};\n"),
        );
        let done = m.gaoler(&["reload", "named"]);
        assert_eq!(done.code, 1, "{done:#?}");
        assert!(
            done.err
                .contains("named.conf.local:2: unknown option 'nonsense'"),
            "{done:#?}"
        );
        assert_eq!(m.pid("named"), pid);
        m.answers(&["www.good.test"], "192.0.2.1");
        m.write("/etc/bind/named.conf.local", zone);
        m.gaoler(&["reload", "named"]).ok();
        m.sound("named");
    });
}

/// As systemd-resolved and dnsmasq do: the port, at an address that named does not ask for.
#[test]
fn somebody_holds_the_port_elsewhere() {
    machine(|m| {
        let _stub = UdpSocket::bind("127.0.0.53:53").unwrap();
        let _stub_tcp = TcpListener::bind("127.0.0.53:53").unwrap();
        m.up();
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["localhost"], "127.0.0.1");
    });
}
