#!/bin/sh
# Jails a name server with one command, asks it over UDP and TCP, looks at the jail from outside,
# and stops it. As root:
#
#   examples/demo.sh [GAOLER]
#
# The commands are exactly what one types on a real machine. Here they run in mount, network and
# process namespaces of their own, on copies of /etc and empty /run, /var/log, /var/lib/gaoler and
# so on in memory: nothing of the machine is changed, and all of it is gone at the end. What can
# stay is the package bind9, which is installed, not started, if it is missing and apt-get is
# there. Without it, a small web server of this directory is compiled and jailed instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
gaoler=${1:-$(command -v gaoler || true)}

fail() {
    echo "demo: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail 'it needs root'
[ -x "$gaoler" ] || fail 'no gaoler; build it with: make'
gaoler=$(realpath "$gaoler")

# Runs a command as a person would see it.
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# Everything below happens inside the namespaces.
inside() {
    work=$1
    service=$2
    mount -t tmpfs -o mode=0755 demo "$work"
    cp -a /etc "$work/etc"
    mkdir "$work/bin"
    cp "$gaoler" "$work/bin/gaoler"
    mount --bind "$work/etc" /etc
    mkdir -p /etc/gaoler
    chmod 755 /etc/gaoler
    rm -rf /etc/gaoler/*
    for place in /run /var/log /var/lib/gaoler; do
        mount -t tmpfs -o mode=0755 demo "$place"
    done
    PATH="$work/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    export PATH
    ip link set lo up
    "$service" "$work"
}

name_server() {
    for place in /var/cache/bind /var/lib/bind; do
        mount -t tmpfs -o mode=0775 demo "$place"
        chown root:bind "$place"
    done
    mkdir -m 775 /run/named
    chown bind:bind /run/named
    echo 'OPTIONS="-u bind"' >/etc/default/named
    [ -e /etc/bind/rndc.key ] || rndc-confgen -a -u bind
    cat >/etc/bind/named.conf <<'CONF'
options {
    directory "/var/cache/bind";
    listen-on { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion no;
    dnssec-validation no;
};
zone "jail.example" {
    type primary;
    file "/etc/bind/db.jail.example";
};
CONF
    cat >/etc/bind/db.jail.example <<'ZONE'
$TTL 300
@    IN SOA ns hostmaster 1 3600 600 86400 300
     IN NS  ns
ns   IN A   192.0.2.1
www  IN A   192.0.2.80
ZONE
    show gaoler up named
    answered 192.0.2.80 dig @127.0.0.1 +short www.jail.example
    answered 192.0.2.80 dig @127.0.0.1 +tcp +short www.jail.example
    show gaoler check named --live
    show gaoler status named
    show gaoler stop named
}

web_server() {
    mount -t tmpfs -o mode=0755 demo /srv
    cc -O2 -o /srv/httpd "$here/httpd.c"
    mkdir /srv/www
    echo 'Hello from the jail.' >/srv/www/index.html
    cat >/srv/ask <<'PYTHON'
#!/usr/bin/env python3
"""Asks for one page; succeeds if it comes."""
import socket
with socket.create_connection(("127.0.0.1", 8080), 5) as web:
    web.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
    answer = b"".join(iter(lambda: web.recv(4096), b"")).decode()
print(answer)
raise SystemExit(" 200 " not in answer.splitlines()[0])
PYTHON
    chmod 755 /srv/ask
    show gaoler up httpd --create-user --exercise /srv/ask --ready tcp:8080 -- \
        /srv/httpd 8080 /srv/www
    answered 'Hello from the jail.' /srv/ask
    show gaoler check httpd --live
    show gaoler status httpd
    show gaoler stop httpd
}

# Shows a command and insists on what it answers.
answered() {
    wanted=$1
    shift
    printf '\n$ %s\n' "$*"
    answer=$("$@")
    printf '%s\n' "$answer"
    case $answer in
    *"$wanted"*) ;;
    *) fail "the answer has no $wanted" ;;
    esac
}

if [ -n "${DEMO_INSIDE:-}" ]; then
    inside "$DEMO_INSIDE" "$DEMO_SERVICE"
    exit 0
fi

service=name_server
if ! sh "$here/../tests/packages.sh" bind9 bind9-dnsutils bind9-utils iproute2 >/dev/null 2>&1 ||
    ! [ -x /usr/sbin/named ]; then
    echo 'demo: bind9 cannot be installed here; jailing examples/httpd.c instead'
    service=web_server
fi
command -v ip >/dev/null || fail 'it needs ip(8), of the package iproute2'

work=$(mktemp -d /tmp/gaoler-demo.XXXXXX)
made=
[ -d /var/lib/gaoler ] || { mkdir /var/lib/gaoler && made=/var/lib/gaoler; }
clean_up() {
    rmdir "$work" ${made:+"$made"}
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

DEMO_INSIDE=$work DEMO_SERVICE=$service \
    unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$gaoler"
