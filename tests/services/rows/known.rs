//! Services that gaoler knows, on the configuration that Debian ships.

use super::names::{DIG, DIG_TCP, ZONE};
use super::web::{GET, MISSING};
use super::{Known, NONE, Row};

/// A page, at the place where Debian has them.
const PAGE: &str = "echo 'a page' >/var/www/html/index.html";

const HAPROXY: &str = "cat >>/etc/haproxy/haproxy.cfg <<-END
	frontend outside
	  bind 127.0.0.1:80
	  default_backend inside
	backend inside
	  server one 127.0.0.1:8080
	END
";

const SSH: &str = "ssh -F none -i @DIR@/key -o BatchMode=yes -o StrictHostKeyChecking=no \
                   -o UserKnownHostsFile=/dev/null guest@127.0.0.1";

const PSQL: &str = "cd /; runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1";

const fn known(
    service: &'static str,
    clients: &'static [&'static str],
    unseen: &'static [(&'static str, &'static str)],
) -> Option<Known> {
    Some(Known {
        service,
        clients,
        unseen,
    })
}

const NO_NETWORK: &str = "it asks other servers only where there is a network";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "known-apache2",
        needs: &["/usr/sbin/apache2", "/etc/apache2/apache2.conf", "/usr/bin/curl"],
        packages: "apache2 curl",
        prepare: PAGE,
        known: known(
            "apache2",
            &[GET, MISSING],
            &[("/var/cache/apache2/mod_cache_disk", "mod_cache_disk is not enabled")],
        ),
        ..NONE
    },
    Row {
        name: "known-dnsmasq",
        needs: &["/usr/sbin/dnsmasq", "/etc/dnsmasq.conf", "/usr/bin/dig"],
        packages: "dnsmasq bind9-dnsutils",
        prepare: "echo '192.0.2.7 www.example.test' >>/etc/hosts",
        known: known(
            "dnsmasq",
            &[DIG, DIG_TCP],
            &[
                ("connect udp 53", NO_NETWORK),
                ("connect tcp 53", NO_NETWORK),
                ("bind udp 0", NO_NETWORK),
            ],
        ),
        ..NONE
    },
    Row {
        name: "known-haproxy",
        needs: &["/usr/sbin/haproxy", "/usr/bin/python3", "/usr/bin/curl"],
        packages: "haproxy python3 curl",
        prepare: HAPROXY,
        beside: &[
            "/usr/bin/python3",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
            "@DIR@/www",
            "8080",
        ],
        known: known("haproxy", &[GET, MISSING], &[]),
        ..NONE
    },
    Row {
        name: "known-lighttpd",
        needs: &["/usr/sbin/lighttpd", "/usr/bin/perl", "/usr/bin/curl"],
        packages: "lighttpd perl curl",
        prepare: PAGE,
        known: known(
            "lighttpd",
            &[GET, MISSING],
            &[("/var/cache/lighttpd", "Debian's site takes no bodies and keeps nothing")],
        ),
        ..NONE
    },
    Row {
        name: "known-memcached",
        needs: &["/usr/bin/memcached", "/etc/memcached.conf"],
        packages: "memcached",
        known: known(
            "memcached",
            &[
                "bash @DIR@/client 11211 'set a 0 0 1\\r\\nb\\r\\nquit\\r\\n' STORED",
                "bash @DIR@/client 11211 'get a\\r\\nquit\\r\\n' 'VALUE a 0 1'",
            ],
            &[],
        ),
        ..NONE
    },
    Row {
        name: "known-mosquitto",
        needs: &["/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"],
        packages: "mosquitto mosquitto-clients",
        known: known(
            "mosquitto",
            &[
                "mosquitto_pub -t kept -m one -r",
                "test \"$(mosquitto_sub -t kept -C 1 -W 5)\" = one",
            ],
            &[],
        ),
        ..NONE
    },
    Row {
        name: "known-nginx",
        needs: &["/usr/sbin/nginx", "/usr/bin/curl"],
        packages: "nginx-light curl",
        prepare: PAGE,
        known: known(
            "nginx",
            &[GET, MISSING],
            &[("/var/lib/nginx", "Debian's site takes no bodies, and stands before no server")],
        ),
        ..NONE
    },
    Row {
        name: "known-nsd",
        needs: &["/usr/sbin/nsd", "/usr/bin/dig"],
        packages: "nsd bind9-dnsutils",
        files: &[ZONE],
        // The keys of nsd-control are root's alone in Debian, and nsd is its user from the start; a
        // name server without a zone has nothing to say.
        prepare: "chgrp nsd /etc/nsd/nsd_server.*
            chmod g+r /etc/nsd/nsd_server.*
            cp @DIR@/zone /etc/nsd/example.test
            printf 'zone:\n name: example.test\n zonefile: example.test\n' >/etc/nsd/nsd.conf.d/zone.conf",
        known: known(
            "nsd",
            &[DIG, DIG_TCP, "nsd-control status | grep -q version"],
            &[("connect tcp 53", NO_NETWORK), ("connect udp 53", NO_NETWORK)],
        ),
        ..NONE
    },
    Row {
        name: "known-postgresql",
        needs: &["/usr/lib/postgresql/15/bin/postgres", "/etc/postgresql/15/main"],
        packages: "postgresql",
        known: known(
            "postgresql",
            &[
                "@PSQL@ -c 'create database words'",
                "@PSQL@ -d words -c \"create table words as select 'gaol' as word\" -c vacuum",
                "test \"$(@PSQL@ -d words -c 'select word from words')\" = gaol",
                "@PSQL@ -c 'drop database words'",
            ],
            &[],
        ),
        ..NONE
    },
    Row {
        name: "known-redis",
        needs: &["/usr/bin/redis-server", "/usr/bin/redis-cli"],
        packages: "redis-server redis-tools",
        known: known(
            "redis",
            &[
                "test \"$(redis-cli rpush list one two)\" = 2",
                "test \"$(redis-cli lrange list 1 1)\" = two",
                "test \"$(redis-cli save)\" = OK; test -s /var/lib/redis/dump.rdb",
            ],
            &[],
        ),
        ..NONE
    },
    Row {
        name: "known-sshd",
        needs: &["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/etc/ssh/sshd_config"],
        packages: "openssh-server openssh-client",
        prepare: "mkdir -p @DIR@/guest/.ssh
            grep -q ^guest: /etc/passwd || echo 'guest:*:4242:4242::@DIR@/guest:/bin/sh' >>/etc/passwd
            ssh-keygen -q -t ed25519 -N '' -f @DIR@/key
            cp @DIR@/key.pub @DIR@/guest/.ssh/authorized_keys
            chmod 700 @DIR@/guest/.ssh
            chown -R guest @DIR@/guest",
        // Who logs in, and what they do there, nobody can know but who runs it.
        exercises: &["@SSH@ echo it works"],
        known: known("sshd", &["test \"$(@SSH@ echo it works still)\" = 'it works still'"], &[]),
        ..NONE
    },
    Row {
        name: "known-unbound",
        needs: &["/usr/sbin/unbound", "/usr/libexec/unbound-helper", "/usr/bin/dig"],
        packages: "unbound bind9-dnsutils",
        // What its unit does before each start.
        prepare: "/usr/libexec/unbound-helper root_trust_anchor_update",
        known: known(
            "unbound",
            &[
                "dig @127.0.0.1 +short localhost | grep -qx 127.0.0.1",
                "dig @127.0.0.1 +short +tcp -x 127.0.0.1 | grep -qx localhost.",
            ],
            &[
                ("/var/lib/unbound", "the trust anchor stays as it is without a network"),
                ("connect tcp 53", NO_NETWORK),
                ("connect tcp 853", NO_NETWORK),
            ],
        ),
        ..NONE
    },
];

/// What stands for the longer commands here.
pub(super) const COMMANDS: [(&str, &str); 2] = [("@PSQL@", PSQL), ("@SSH@", SSH)];
