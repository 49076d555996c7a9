//! The daemons. `@DIR@` stands for the directory of the row.

/// One daemon, with a small configuration of its own.
pub struct Row {
    /// The jail's name.
    pub name: &'static str,
    /// What must be installed.
    pub needs: &'static [&'static str],
    /// The Debian packages that have it.
    pub packages: &'static str,
    /// Who owns the directory `own`.
    pub user: &'static str,
    /// Files in the row's directory.
    pub files: &'static [(&'static str, &'static str)],
    /// What is run before each start, as sh -c.
    pub prepare: &'static str,
    /// Signs of readiness and further options of `learn`.
    pub options: &'static [&'static str],
    /// The daemon's command; it stays in the foreground.
    pub command: &'static [&'static str],
    /// Done with it, one after another; each must succeed.
    pub exercises: &'static [&'static str],
    /// Calls that one run makes and another need not, with the reason.
    pub timing: &'static [(&'static str, &'static str)],
    /// Names of files with a part that is made up in each run, as with a pid: that part is `*`.
    pub made_up: &'static [&'static str],
}

const NONE: Row = Row {
    name: "",
    needs: &[],
    packages: "",
    user: "www-data",
    files: &[],
    prepare: ":",
    options: &[],
    command: &[],
    exercises: &[],
    timing: &[],
    made_up: &[],
};

const GET: &str = "/bin/bash @DIR@/client 80 'GET / HTTP/1.0\\r\\n\\r\\n' 'a page'";
const MISSING: &str = "/bin/bash @DIR@/client 80 'GET /none HTTP/1.0\\r\\n\\r\\n' 404";
// A query that comes while a server opens its sockets anew is lost.
const DIG: &str = "dig @127.0.0.1 +short +tries=20 +time=1 www.example.test";
const DIG_TCP: &str = "dig @127.0.0.1 +tcp +short +tries=8 +time=3 www.example.test";

const ZONE: (&str, &str) = (
    "zone",
    "$TTL 60
@ SOA ns root 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
www A 192.0.2.7
",
);

/// Every daemon that is tried.
pub const ROWS: &[Row] = &[
    Row {
        name: "bind",
        needs: &["/usr/sbin/named", "/usr/sbin/rndc", "/usr/bin/dig"],
        packages: "bind9 bind9-utils bind9-dnsutils",
        user: "bind",
        files: &[
            ZONE,
            (
                "named.conf",
                "options {
  directory \"@DIR@/own\";
  pid-file \"@DIR@/own/named.pid\";
  session-keyfile \"@DIR@/own/session.key\";
  listen-on { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
};
zone example.test { type primary; file \"@DIR@/zone\"; };
",
            ),
        ],
        command: &[
            "/usr/sbin/named",
            "-f",
            "-u",
            "bind",
            "-c",
            "@DIR@/named.conf",
        ],
        options: &["--ready", "udp:53", "--ready", "tcp:53"],
        exercises: &[
            DIG,
            DIG_TCP,
            "rndc status",
            "rndc stats",
            "rndc reload",
            DIG,
        ],
        made_up: &["tmp-*"],
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
        files: &[(
            "unbound.conf",
            "server:
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
",
        )],
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
    Row {
        name: "nsd",
        needs: &["/usr/sbin/nsd", "/usr/bin/dig"],
        packages: "nsd bind9-dnsutils",
        user: "nsd",
        files: &[
            ZONE,
            (
                "nsd.conf",
                "server:
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
",
            ),
        ],
        options: &["--ready", "udp:53"],
        command: &["/usr/sbin/nsd", "-d", "-c", "@DIR@/nsd.conf"],
        exercises: &[DIG, DIG_TCP, "nsd-control -c @DIR@/nsd.conf reload", DIG],
        made_up: &[
            "nsd-xfr-*",
            "nsd.*.task.0",
            "nsd.*.task.1",
            "nsd.*.zstat.0",
            "nsd.*.zstat.1",
        ],
        ..NONE
    },
    Row {
        name: "nginx",
        needs: &["/usr/sbin/nginx"],
        packages: "nginx-light",
        files: &[(
            "nginx.conf",
            "user www-data;
worker_processes 2;
pid @DIR@/nginx.pid;
error_log @DIR@/log/error.log;
events { worker_connections 64; }
http {
  access_log @DIR@/log/access.log;
  client_body_temp_path @DIR@/own/body;
  proxy_temp_path @DIR@/own/proxy;
  fastcgi_temp_path @DIR@/own/fastcgi;
  uwsgi_temp_path @DIR@/own/uwsgi;
  scgi_temp_path @DIR@/own/scgi;
  server { listen 127.0.0.1:80; root @DIR@/www; }
}
",
        )],
        options: &["--ready", "tcp:80"],
        command: &[
            "/usr/sbin/nginx",
            "-c",
            "@DIR@/nginx.conf",
            "-g",
            "daemon off;",
        ],
        exercises: &[GET, MISSING, "nginx -c @DIR@/nginx.conf -s reload", GET],
        ..NONE
    },
    Row {
        name: "apache",
        needs: &["/usr/sbin/apache2"],
        packages: "apache2-bin",
        files: &[(
            "apache.conf",
            "ServerRoot @DIR@
ServerName localhost
Listen 127.0.0.1:80
PidFile @DIR@/apache.pid
User www-data
Group www-data
ErrorLog @DIR@/log/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
TypesConfig /etc/mime.types
StartServers 2
DocumentRoot @DIR@/www
DirectoryIndex index.html
<Directory @DIR@/www>
Require all granted
</Directory>
",
        )],
        options: &["--ready", "tcp:80"],
        command: &[
            "/usr/sbin/apache2",
            "-d",
            "@DIR@",
            "-f",
            "@DIR@/apache.conf",
            "-DFOREGROUND",
        ],
        exercises: &[GET, MISSING],
        timing: &[(
            "poll",
            "a request may be there when it is first read, or not yet",
        )],
        made_up: &["apache.pid.*"],
        ..NONE
    },
    Row {
        name: "redis",
        needs: &["/usr/bin/redis-server"],
        packages: "redis-server",
        user: "redis",
        options: &["--user", "redis", "--ready", "tcp:6379"],
        command: &[
            "/usr/bin/redis-server",
            "--bind",
            "127.0.0.1",
            "--dir",
            "@DIR@/own",
            "--appendonly",
            "yes",
        ],
        exercises: &[
            "/bin/bash @DIR@/client 6379 'SET a b\\r\\nQUIT\\r\\n' +OK",
            "/bin/bash @DIR@/client 6379 'BGSAVE\\r\\nQUIT\\r\\n' started",
            // One that is still being written when it ends is killed and removed.
            "/bin/bash -c 'until /bin/bash @DIR@/client 6379 \"INFO persistence\\r\\nQUIT\\r\\n\" rdb_bgsave_in_progress:0; do sleep 0.1; done'",
        ],
        made_up: &["temp-*.rdb", "temp-rewriteaof-*.aof"],
        ..NONE
    },
    Row {
        name: "memcached",
        needs: &["/usr/bin/memcached"],
        packages: "memcached",
        options: &["--ready", "tcp:11211"],
        command: &["/usr/bin/memcached", "-u", "www-data", "-l", "127.0.0.1"],
        exercises: &["/bin/bash @DIR@/client 11211 'set a 0 0 1\\r\\nb\\r\\nquit\\r\\n' STORED"],
        ..NONE
    },
    Row {
        name: "dnsmasq",
        needs: &["/usr/sbin/dnsmasq", "/usr/bin/dig"],
        packages: "dnsmasq-base bind9-dnsutils",
        files: &[
            ("hosts", "192.0.2.7 www.example.test\n"),
            (
                "dnsmasq.conf",
                "listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts=@DIR@/hosts
user=www-data
group=www-data
pid-file=@DIR@/dnsmasq.pid
",
            ),
        ],
        options: &["--ready", "udp:53"],
        command: &["/usr/sbin/dnsmasq", "-k", "-C", "@DIR@/dnsmasq.conf"],
        exercises: &[DIG, DIG_TCP],
        ..NONE
    },
    Row {
        name: "chrony",
        needs: &["/usr/sbin/chronyd", "/usr/bin/chronyc"],
        packages: "chrony",
        user: "_chrony",
        files: &[
            // A client's question of NTP version 4 (RFC 5905), without the rest, which is zeros.
            ("question", "\x23"),
            (
                "chrony.conf",
                "driftfile @DIR@/own/drift
dumpdir @DIR@/own
pidfile @DIR@/chronyd.pid
bindcmdaddress @DIR@/own/socket
local stratum 10
allow 127.0.0.1
",
            ),
        ],
        prepare: "chmod 750 @DIR@/own; truncate -s 48 @DIR@/question",
        options: &["--ready", "udp:123"],
        command: &[
            "/usr/sbin/chronyd",
            "-n",
            "-x",
            "-u",
            "_chrony",
            "-f",
            "@DIR@/chrony.conf",
        ],
        exercises: &[
            // Its port is there before its socket.
            "/bin/bash -c 'for i in 1 2 3 4 5 6 7 8 9; do chronyc -h @DIR@/own/socket tracking && exit; sleep 0.3; done; exit 1'",
            "chronyc -h @DIR@/own/socket sources",
            "/bin/bash -c 'exec 3<>/dev/udp/127.0.0.1/123; cat @DIR@/question >&3; read -t 5 -N 1 <&3; test $? -lt 2'",
            "chronyc -h @DIR@/own/socket dump",
        ],
        made_up: &["chronyc.*.sock"],
        ..NONE
    },
    Row {
        name: "sshd",
        needs: &["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"],
        packages: "openssh-server openssh-client",
        files: &[(
            "sshd.conf",
            "ListenAddress 127.0.0.1
HostKey @DIR@/host
PidFile @DIR@/sshd.pid
AuthorizedKeysFile @DIR@/client-key.pub
StrictModes no
UsePAM no
",
        )],
        prepare: "mkdir -p -m 755 /run/sshd
            grep -q ^truth: /etc/passwd || echo 'truth:*:4242:4242::@DIR@:/bin/sh' >>/etc/passwd
            for key in host client-key; do ssh-keygen -q -t ed25519 -N '' -f @DIR@/$key; done",
        options: &["--user", "www-data", "--ready", "tcp:22"],
        command: &["/usr/sbin/sshd", "-D", "-e", "-f", "@DIR@/sshd.conf"],
        exercises: &[
            "ssh -F none -i @DIR@/client-key -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null truth@127.0.0.1 true",
        ],
        ..NONE
    },
];
