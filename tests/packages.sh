#!/bin/sh
# tests/packages.sh [PACKAGE...]
# Installs the Debian packages that the tests need (or these), those that are missing, without starting any
# service of theirs. On another system, or without root, it only says what is missing.
set -eu

PACKAGES='bind9 bind9-dnsutils bind9-utils bubblewrap firejail gcc libc6-dev strace jailkit nginx-light memcached
redis-server lighttpd unbound apache2-bin haproxy python3 python3-pip runc podman catatonit netavark iptables skopeo dnsmasq-base nsd chrony
openssh-server openssh-client postgresql mosquitto mosquitto-clients vsftpd opensmtpd curl iproute2
util-linux bsdutils procps openssl openbsd-inetd snmpd snmp tinyproxy-bin apache2 dnsmasq
prometheus docker-registry qemu-system-x86 debootstrap e2fsprogs secilc bzip2'

POLICY=/usr/sbin/policy-rc.d

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "packages: not a Debian system; this needs what Debian calls: ${*:-$PACKAGES}" >&2
    exit 0
fi

missing=
[ $# -gt 0 ] || set -- $PACKAGES
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "packages: not root, so these cannot be installed:$missing" >&2
    exit 1
fi

echo "packages: installing$missing"
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' HUP INT TERM
    # 101: the action is not allowed (invoke-rc.d(8)).
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update </dev/null
apt-get -q -y --no-install-recommends install $missing </dev/null
