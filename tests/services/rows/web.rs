//! Web servers, and what stands in front of one.

use super::{NONE, Row};

pub(super) const GET: &str = "sh -c 'curl -sf http://127.0.0.1/ | grep -qx \"a page\"'";
pub(super) const MISSING: &str =
    "sh -c 'test $(curl -s -o /dev/null -w \"%{http_code}\" http://127.0.0.1/none) = 404'";

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
  server { listen 127.0.0.1:80; root @DIR@/www; }
}
";

const LIGHTTPD: &str = "server.port = 80
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
Listen 127.0.0.1:80
PidFile /run/apache.pid
User www-data
Group www-data
ErrorLog @DIR@/log/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
TypesConfig /etc/mime.types
StartServers 2
DocumentRoot @DIR@/www
DirectoryIndex index.html
ScriptSock @DIR@/own/cgi
ScriptAlias /words @DIR@/cgi/words.pl
<Directory @DIR@>
Require all granted
</Directory>
";

/// It uses some of Perl's modules, one of which is loaded while it runs.
const WORDS: &str = "#!/usr/bin/perl
use strict;
use warnings;
use Text::ParseWords;
my $query = $ENV{QUERY_STRING};
my @words = shellwords($query);
require Time::Local;
my $then = Time::Local::timegm(0, 0, 0, 1, 0, 100);
print \"Content-Type: text/plain\\n\\n\", scalar(@words), \" words, $then\\n\";
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
frontend outside
  bind 127.0.0.1:80
  default_backend inside
backend inside
  server one 127.0.0.1:8080
";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "apache",
        needs: &["/usr/sbin/apache2", "/usr/bin/perl", "/usr/bin/curl"],
        packages: "apache2-bin perl curl",
        files: &[("apache.conf", APACHE), ("cgi/words.pl", WORDS)],
        prepare: "chmod 755 @DIR@/cgi/words.pl",
        options: &["--ready", "tcp:80"],
        command: &[
            "/usr/sbin/apache2",
            "-d",
            "@DIR@",
            "-f",
            "@DIR@/apache.conf",
            "-DFOREGROUND",
        ],
        exercises: &[
            GET,
            MISSING,
            "sh -c 'curl -sf http://127.0.0.1/words?one+two | grep -qx \"1 words, 946684800\"'",
        ],
        ..NONE
    },
    Row {
        name: "haproxy",
        needs: &["/usr/sbin/haproxy", "/usr/bin/python3", "/usr/bin/curl"],
        packages: "haproxy python3 curl",
        files: &[("haproxy.cfg", HAPROXY)],
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
        options: &["--ready", "tcp:80"],
        command: &["/usr/sbin/haproxy", "-db", "-f", "@DIR@/haproxy.cfg"],
        exercises: &[GET, MISSING],
        ..NONE
    },
    Row {
        name: "lighttpd",
        needs: &["/usr/sbin/lighttpd", "/usr/bin/curl"],
        packages: "lighttpd curl",
        files: &[("lighttpd.conf", LIGHTTPD)],
        options: &["--ready", "tcp:80"],
        command: &["/usr/sbin/lighttpd", "-D", "-f", "@DIR@/lighttpd.conf"],
        exercises: &[GET, MISSING],
        ..NONE
    },
    Row {
        name: "nginx",
        needs: &["/usr/sbin/nginx", "/usr/bin/curl"],
        packages: "nginx-light curl",
        files: &[("nginx.conf", NGINX)],
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
        name: "nginx-in-the-background",
        needs: &["/usr/sbin/nginx", "/usr/bin/curl"],
        packages: "nginx-light curl",
        files: &[("nginx.conf", NGINX)],
        command: &["/usr/sbin/nginx", "-c", "@DIR@/nginx.conf"],
        exercises: &[GET],
        ..NONE
    },
];
