//! The table. `@DIR@` is the row's own directory, `@PORT@` a port of the loopback.

/// One service.
pub struct Row {
    /// The jail's name.
    pub name: &'static str,
    /// What must be installed.
    pub needs: &'static [&'static str],
    /// The Debian package that has it.
    pub package: &'static str,
    /// Who owns the directory `own`.
    pub user: &'static str,
    /// Files in the row's directory.
    pub files: &'static [(&'static str, &'static str)],
    /// Source and program, in C.
    pub compile: Option<(&'static str, &'static str)>,
    /// What is run before it is learned, as sh -c.
    pub prepare: &'static str,
    /// What it logs in its jail.
    pub logs: &'static str,
    /// Files that it removes when it is asked to end.
    pub removes: &'static [&'static str],
    /// Its score is below this: 1, unless it runs a shell.
    pub score_below: f64,
    /// Further options of `up`.
    pub options: &'static [&'static str],
    /// The service's command.
    pub command: &'static [&'static str],
    /// Succeeds if the service works.
    pub client: &'static [&'static str],
}

const HTTP: &[&str] = &[
    "/bin/bash",
    "@DIR@/client",
    "@PORT@",
    "GET / HTTP/1.0\\r\\n\\r\\n",
    "a page",
];

const NGINX: &str = "user www-data;
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
  server { listen 127.0.0.1:@PORT@; root @DIR@/www; }
}
";

const LIGHTTPD: &str = "server.port = @PORT@
server.bind = \"127.0.0.1\"
server.document-root = \"@DIR@/www\"
server.username = \"www-data\"
server.groupname = \"www-data\"
server.errorlog = \"@DIR@/own/error.log\"
server.pid-file = \"@DIR@/lighttpd.pid\"
server.modules = ( \"mod_accesslog\" )
accesslog.filename = \"@DIR@/own/access.log\"
index-file.names = ( \"index.html\" )
";

const APACHE: &str = "ServerRoot @DIR@
ServerName localhost
Listen 127.0.0.1:@PORT@
PidFile /run/gaoler-t-apache-@PORT@.pid
User www-data
Group www-data
ErrorLog @DIR@/log/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
DocumentRoot @DIR@/www
DirectoryIndex index.html
<Directory @DIR@/www>
Require all granted
</Directory>
";

const UNBOUND: &str = "server:
  interface: 127.0.0.1@@PORT@
  username: unbound
  chroot: \"\"
  directory: \"@DIR@\"
  pidfile: \"@DIR@/unbound.pid\"
  do-daemonize: no
  module-config: iterator
  local-zone: example.test. static
  local-data: \"www.example.test. A 192.0.2.7\"
remote-control:
  control-enable: no
";

const HAPROXY: &str = "global
  user haproxy
  group haproxy
  maxconn 50
  nbthread 2
defaults
  mode http
  timeout client 5s
  timeout connect 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:@PORT@
  http-request return status 200 content-type text/plain string \"a page\"
";

const NONE: Row = Row {
    name: "",
    needs: &[],
    package: "",
    user: "www-data",
    files: &[],
    compile: None,
    prepare: ":",
    logs: "",
    removes: &[],
    score_below: 1.0,
    options: &[],
    command: &[],
    client: HTTP,
};

/// Every service that is tried.
pub const ROWS: &[Row] = &[
    Row {
        name: "t-httpd",
        needs: &["/usr/bin/gcc"],
        package: "gcc libc6-dev",
        compile: Some((
            concat!(env!("CARGO_MANIFEST_DIR"), "/examples/httpd.c"),
            "httpd",
        )),
        command: &["@DIR@/httpd", "-u", "www-data", "@PORT@", "@DIR@/www"],
        ..NONE
    },
    Row {
        name: "t-nginx",
        needs: &["/usr/sbin/nginx"],
        package: "nginx-light",
        files: &[("nginx.conf", NGINX)],
        command: &[
            "/usr/sbin/nginx",
            "-c",
            "@DIR@/nginx.conf",
            "-g",
            "daemon off;",
        ],
        ..NONE
    },
    Row {
        name: "t-nginx-bg",
        needs: &["/usr/sbin/nginx"],
        package: "nginx-light",
        files: &[("nginx.conf", NGINX)],
        command: &["/usr/sbin/nginx", "-c", "@DIR@/nginx.conf"],
        ..NONE
    },
    Row {
        name: "t-lighttpd",
        needs: &["/usr/sbin/lighttpd"],
        package: "lighttpd",
        files: &[("lighttpd.conf", LIGHTTPD)],
        command: &["/usr/sbin/lighttpd", "-D", "-f", "@DIR@/lighttpd.conf"],
        ..NONE
    },
    Row {
        name: "t-apache",
        needs: &["/usr/sbin/apache2"],
        package: "apache2-bin",
        files: &[("apache.conf", APACHE)],
        command: &[
            "/usr/sbin/apache2",
            "-d",
            "@DIR@",
            "-f",
            "@DIR@/apache.conf",
            "-DFOREGROUND",
        ],
        ..NONE
    },
    Row {
        name: "t-memcached",
        needs: &["/usr/bin/memcached"],
        package: "memcached",
        command: &[
            "/usr/bin/memcached",
            "-u",
            "www-data",
            "-l",
            "127.0.0.1",
            "-p",
            "@PORT@",
        ],
        client: &[
            "/bin/bash",
            "@DIR@/client",
            "@PORT@",
            "set a 0 0 1\\r\\nb\\r\\nquit\\r\\n",
            "STORED",
        ],
        ..NONE
    },
    Row {
        name: "t-redis",
        needs: &["/usr/bin/redis-server"],
        package: "redis-server",
        user: "redis",
        options: &["--user", "redis"],
        command: &[
            "/usr/bin/redis-server",
            "--port",
            "@PORT@",
            "--bind",
            "127.0.0.1",
            "--dir",
            "@DIR@/own",
            "--appendonly",
            "yes",
        ],
        client: &[
            "/bin/bash",
            "@DIR@/client",
            "@PORT@",
            "SET a b\\r\\nQUIT\\r\\n",
            "+OK",
        ],
        ..NONE
    },
    Row {
        name: "t-unbound",
        needs: &["/usr/sbin/unbound", "/usr/bin/dig"],
        package: "unbound bind9-dnsutils",
        files: &[("unbound.conf", UNBOUND)],
        command: &["/usr/sbin/unbound", "-d", "-c", "@DIR@/unbound.conf"],
        client: DIG,
        ..NONE
    },
    Row {
        name: "t-dnsmasq",
        needs: &["/usr/sbin/dnsmasq", "/usr/bin/dig"],
        package: "dnsmasq-base bind9-dnsutils",
        command: &[
            "/usr/sbin/dnsmasq",
            "-k",
            "-C",
            "/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--port=@PORT@",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--address=/www.example.test/192.0.2.7",
            "--user=www-data",
            "--group=www-data",
            "--pid-file=/run/gaoler-t-dnsmasq-@PORT@.pid",
        ],
        client: DIG,
        ..NONE
    },
    // Its own user, whose group in passwd is nogroup: it takes the group dip by itself.
    Row {
        name: "t-dnsmasq-own",
        needs: &["/usr/sbin/dnsmasq", "/usr/bin/dig"],
        package: "dnsmasq-base bind9-dnsutils",
        command: &[
            "/usr/sbin/dnsmasq",
            "-k",
            "-C",
            "/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--port=@PORT@",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--address=/www.example.test/192.0.2.7",
            "--user=dnsmasq",
            "--pid-file=",
        ],
        client: DIG,
        ..NONE
    },
    Row {
        name: "t-haproxy",
        needs: &["/usr/sbin/haproxy"],
        package: "haproxy",
        files: &[("haproxy.cfg", HAPROXY)],
        command: &["/usr/sbin/haproxy", "-db", "-f", "@DIR@/haproxy.cfg"],
        ..NONE
    },
    Row {
        name: "t-python",
        needs: &["/usr/bin/python3"],
        package: "python3",
        options: &["--user", "www-data"],
        command: &[
            "/usr/bin/python3",
            "-m",
            "http.server",
            "-b",
            "127.0.0.1",
            "-d",
            "@DIR@/www",
            "@PORT@",
        ],
        ..NONE
    },
    Row {
        name: "t-fork",
        needs: &["/usr/bin/gcc"],
        package: "gcc libc6-dev",
        compile: Some((
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/double_fork.c"),
            "fork",
        )),
        options: &["--user", "www-data"],
        command: &["@DIR@/fork", "@PORT@", "/run/gaoler-t-fork-@PORT@.pid"],
        client: &["/bin/bash", "@DIR@/client", "@PORT@", "", "hello"],
        ..NONE
    },
    Row {
        name: "t-nineties",
        command: &["@DIR@/nineties", "@DIR@", "@PORT@", "www-data"],
        ..NINETIES
    },
    // Its first process never comes back from going to the background.
    Row {
        name: "t-waits",
        command: &["@DIR@/nineties", "@DIR@", "@PORT@", "www-data", "wait"],
        ..NINETIES
    },
    // Sets its groups although it is not root, extends itself by a program, and is slow to learn
    // from: it reads all of /proc.
    Row {
        name: "t-snmpd",
        needs: &["/usr/sbin/snmpd", "/usr/bin/snmpget"],
        package: "snmpd snmp",
        user: "Debian-snmp",
        files: &[(
            "snmpd.conf",
            "rocommunity public 127.0.0.1\nagentaddress udp:127.0.0.1:@PORT@\n\
             extend hello /bin/echo a page\n",
        )],
        command: &[
            "/usr/sbin/snmpd",
            "-f",
            "-C",
            "-c",
            "@DIR@/snmpd.conf",
            "-p",
            "@DIR@/own/pid",
            "-u",
            "Debian-snmp",
            "-g",
            "Debian-snmp",
            "-Lf",
            "/dev/null",
        ],
        // What the extension printed: nsExtendOutputFull of NET-SNMP-EXTEND-MIB for `hello`.
        client: &[
            "/usr/bin/snmpget",
            "-v2c",
            "-cpublic",
            "127.0.0.1:@PORT@",
            "1.3.6.1.4.1.8072.1.3.2.3.1.2.5.104.101.108.108.111",
        ],
        ..NONE
    },
    // Starts as many threads as it has clients, having forked before.
    Row {
        name: "t-tinyproxy",
        needs: &["/usr/bin/tinyproxy"],
        package: "tinyproxy-bin",
        files: &[(
            "tinyproxy.conf",
            "User www-data\nGroup www-data\nPort @PORT@\nListen 127.0.0.1\nTimeout 60\n\
             LogFile \"@DIR@/own/log\"\nPidFile \"@DIR@/own/tinyproxy.pid\"\nMaxClients 20\n\
             Allow 127.0.0.1\nStatHost \"stat.example.test\"\n",
        )],
        command: &["/usr/bin/tinyproxy", "-c", "@DIR@/tinyproxy.conf"],
        client: &[
            "/bin/bash",
            "@DIR@/client",
            "@PORT@",
            "GET http://stat.example.test/ HTTP/1.0\\r\\n\\r\\n",
            "200 OK",
        ],
        ..NONE
    },
];

/// A daemon of the nineties: a helper by its absolute path, a plug-in, a FIFO, a control socket.
const NINETIES: Row = Row {
    needs: &["/usr/bin/gcc", "/usr/bin/python3"],
    package: "gcc libc6-dev python3",
    files: &[
        (
            "hello.c",
            "char *say() { return \"hello from the plug-in\"; }\n",
        ),
        (
            "helper",
            "#!/bin/sh\nls -l @DIR@/own >/dev/null\necho \"helper for $1\"\n",
        ),
        ("ask", include_str!("nineties.sh")),
    ],
    prepare: concat!(
        "cd @DIR@ && mkdir plug libexec && mv helper libexec && chmod 755 libexec/helper && \
         gcc -shared -fPIC -o plug/hello.so hello.c && \
         gcc -std=gnu89 -w -O -o nineties ",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/services/nineties.c -ldl"
    ),
    logs: "did HELP",
    removes: &["own/ctl", "own/sock"],
    score_below: 2.0,
    client: &["/bin/sh", "@DIR@/ask"],
    ..NONE
};

/// Exits with 9 if there is no answer.
const DIG: &[&str] = &[
    "/usr/bin/dig",
    "@127.0.0.1",
    "-p",
    "@PORT@",
    "+short",
    "+tries=1",
    "+time=3",
    "www.example.test",
];
