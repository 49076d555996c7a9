# The first process of a test's machine: makes private copies of what BIND and gaoler use, runs
# the test, and reaps what the test leaves. Its end takes everything with it.
set -eu
scratch=$1 cgroup=$2
shift 2

mount -t tmpfs tmpfs "$scratch"
for place in etc var srv opt; do
	mkdir -p "$scratch/$place/upper" "$scratch/$place/work"
	mount -t overlay overlay -o "lowerdir=/$place,upperdir=$scratch/$place/upper,workdir=$scratch/$place/work" "/$place"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/lock

# An own /dev, for an own /dev/log.
mkdir "$scratch/dev"
mount -t tmpfs -o mode=755 tmpfs "$scratch/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
	name=${device%%:*} number=${device#*:}
	mknod -m 666 "$scratch/dev/$name" c "${number%:*}" "${number#*:}"
done
mkdir "$scratch/dev/pts"
mkdir -m 1777 "$scratch/dev/shm"
ln -s /proc/self/fd "$scratch/dev/fd"
mount --bind /dev/pts "$scratch/dev/pts"
ln -s pts/ptmx "$scratch/dev/ptmx"
mount --move "$scratch/dev" /dev

# Jails of the same name in other tests have other cgroups.
for hierarchy in /sys/fs/cgroup/cpuacct /sys/fs/cgroup/pids /sys/fs/cgroup/memory /sys/fs/cgroup/unified /sys/fs/cgroup; do
	[ ! -d "$hierarchy/$cgroup" ] || mount --bind "$hierarchy/$cgroup" "$hierarchy"
done

ip link set lo up
ip address add 127.0.0.2/8 dev lo
rm -rf /etc/gaoler /var/lib/gaoler /var/cache/bind/* /var/lib/bind/* /run/named
mkdir -m 775 /run/named
# A machine without BIND does for the tests of other services.
! getent group bind >/dev/null || chgrp bind /run/named
printf 'RESOLVCONF=no\nOPTIONS="-u bind"\n' >/etc/default/named

set +e
"$@"
exit $?
