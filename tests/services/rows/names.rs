//! Name servers.

use super::{NONE, Row};

// A query is lost that comes while a server opens its sockets anew, and refused while it loads its
// zones.
pub(super) const DIG: &str = "timeout 20 sh -c 'until dig @127.0.0.1 +short +tries=5 +time=1 \
                   www.example.test | grep -qx 192.0.2.7; do sleep 0.2; done'";
pub(super) const DIG_TCP: &str = "timeout 20 sh -c 'until dig @127.0.0.1 +tcp +short +tries=2 +time=3 \
                       www.example.test | grep -qx 192.0.2.7; do sleep 0.2; done'";

pub(super) const ZONE: (&str, &str) = (
    "zone",
    "$TTL 60
@ SOA ns root 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
www A 192.0.2.7
",
);

const NAMED: &str = "options {
  directory \"@DIR@/own\";
  pid-file \"@DIR@/own/named.pid\";
  session-keyfile \"@DIR@/own/session.key\";
  listen-on { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
};
zone example.test { type primary; file \"@DIR@/zone\"; };
";

const UNBOUND: &str = "server:
  interface: 127.0.0.1
  username: unbound
  chroot: \"@DIR@\"
  directory: \"@DIR@\"
  pidfile: \"@DIR@/own/unbound.pid\"
  do-daemonize: no
  num-threads: 2
  module-config: iterator
  local-zone: example.test. static
  local-data: \"www.example.test. A 192.0.2.7\"
remote-control:
  control-enable: yes
  control-use-cert: no
  control-interface: \"@DIR@/own/control\"
";

const NSD: &str = "server:
  ip-address: 127.0.0.1
  username: nsd
  server-count: 2
  database: \"\"
  zonesdir: \"@DIR@\"
  pidfile: \"@DIR@/own/nsd.pid\"
  zonelistfile: \"@DIR@/own/zone.list\"
  xfrdfile: \"@DIR@/own/xfrd.state\"
  xfrdir: \"@DIR@/own\"
remote-control:
  control-enable: yes
  control-interface: \"@DIR@/own/control\"
zone:
  name: example.test
  zonefile: zone
";

const DNSMASQ: &str = "listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts=@DIR@/hosts
";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "bind",
        needs: &["/usr/sbin/named", "/usr/sbin/rndc", "/usr/bin/dig"],
        packages: "bind9 bind9-utils bind9-dnsutils",
        user: "bind",
        files: &[ZONE, ("named.conf", NAMED)],
        // A copy, which gaoler does not know.
        prepare: "install -D /usr/sbin/named /opt/names/named",
        options: &["--ready", "udp:53", "--ready", "tcp:53"],
        command: &[
            "/opt/names/named",
            "-f",
            "-u",
            "bind",
            "-c",
            "@DIR@/named.conf",
        ],
        exercises: &[
            DIG,
            DIG_TCP,
            "rndc status",
            "rndc stats",
            "rndc reload",
            DIG,
        ],
        ..NONE
    },
    Row {
        name: "dnsmasq",
        needs: &["/usr/sbin/dnsmasq", "/usr/bin/dig"],
        packages: "dnsmasq-base bind9-dnsutils",
        files: &[
            ("hosts", "192.0.2.7 www.example.test\n"),
            ("dnsmasq.conf", DNSMASQ),
        ],
        options: &["--ready", "udp:53"],
        command: &[
            "/usr/sbin/dnsmasq",
            "-k",
            "-C",
            "@DIR@/dnsmasq.conf",
            "--user=www-data",
            "--group=www-data",
            "--pid-file=@DIR@/dnsmasq.pid",
        ],
        exercises: &[DIG, DIG_TCP],
        ..NONE
    },
    // Its own user, whose group in passwd is nogroup: it takes the group dip by itself.
    Row {
        name: "dnsmasq-as-its-own-user",
        needs: &["/usr/sbin/dnsmasq", "/usr/bin/dig"],
        packages: "dnsmasq-base bind9-dnsutils",
        files: &[
            ("hosts", "192.0.2.7 www.example.test\n"),
            ("dnsmasq.conf", DNSMASQ),
        ],
        command: &[
            "/usr/sbin/dnsmasq",
            "-k",
            "-C",
            "@DIR@/dnsmasq.conf",
            "--user=dnsmasq",
            "--pid-file=",
        ],
        exercises: &[DIG],
        ..NONE
    },
    Row {
        name: "nsd",
        needs: &["/usr/sbin/nsd", "/usr/bin/dig"],
        packages: "nsd bind9-dnsutils",
        user: "nsd",
        files: &[ZONE, ("nsd.conf", NSD)],
        options: &["--ready", "udp:53"],
        command: &["/usr/sbin/nsd", "-d", "-c", "@DIR@/nsd.conf"],
        exercises: &[DIG, DIG_TCP, "nsd-control -c @DIR@/nsd.conf reload", DIG],
        ..NONE
    },
    Row {
        name: "unbound",
        needs: &[
            "/usr/sbin/unbound",
            "/usr/sbin/unbound-control",
            "/usr/bin/dig",
        ],
        packages: "unbound bind9-dnsutils",
        user: "unbound",
        files: &[("unbound.conf", UNBOUND)],
        options: &["--ready", "udp:53"],
        command: &["/usr/sbin/unbound", "-d", "-c", "@DIR@/unbound.conf"],
        exercises: &[
            DIG,
            DIG_TCP,
            "unbound-control -c @DIR@/unbound.conf stats",
            "unbound-control -c @DIR@/unbound.conf reload",
            DIG,
        ],
        ..NONE
    },
];
