#!/bin/sh
#
# PROVIDE: @{id}
# REQUIRE: DAEMON
# KEYWORD: shutdown
#
@{heading}
#
# Its place is /usr/local/etc/rc.d on FreeBSD and /etc/rc.d on NetBSD.
# In /etc/rc.conf, where each default below can be replaced:
#	@{id}_enable=YES
#	@{id}_chrootdir=/var/chroot/@{id}
# A service that calls syslog(3) needs a socket of syslogd's in the tree:
#	syslogd_flags="-s -l /var/chroot/@{id}/var/run/log"			on FreeBSD
#	syslogd_flags="-s -p /var/run/log -p /var/chroot/@{id}/var/run/log"	on NetBSD

. /etc/rc.subr

name=@{id}
desc="@{name} in a chroot"
rcvar=@{id}_enable

load_rc_config "$name"

# NetBSD's scripts are enabled by a variable without _enable.
: "${@{id}_enable:=${@{id}:-NO}}"
# A directory of root's, with this system's own programs in it.
: "${@{id}_chrootdir:=/var/chroot/@{id}}"
# As in [service] of the spec.
@{defaults}

command=$@{id}_program
@{pidfile}
start_precmd=@{id}_prestart
start_cmd=@{id}_start
stop_cmd=@{id}_stop
@{reload}

# What chroot(8) cannot see to: that nobody but root changes the root directory, and that no program in
# it gives back what the service has given up.
@{id}_prestart()
{
	if [ "$@{id}_chrootdir" = / ] || [ -z "$(find "$@{id}_chrootdir" -prune -type d -user root \
	    ! -perm -0020 ! -perm -0002 2>/dev/null)" ]; then
		warn "$@{id}_chrootdir is no directory of root's that nobody else can write to"
		return 1
	fi
	if [ ! -x "$@{id}_chrootdir$command" ]; then
		warn "there is no program $@{id}_chrootdir$command"
		return 1
	fi
	if [ -n "$(find "$@{id}_chrootdir" -xdev -type f \( -perm -4000 -o -perm -2000 \) -print |
	    head -n 1)" ]; then
		warn "there are set-user-ID or set-group-ID programs in $@{id}_chrootdir"
		return 1
	fi
}
@{lower}
# Becomes the service: umask and limits as in the spec, the whole environment, its user.
@{id}_execute()
{
	umask "$@{id}_umask" || exit 1
@{limits}	exec /usr/bin/env -i --@{environment} \
	    /usr/sbin/chroot@{identity} "$@{id}_chrootdir" "$command" "$@"
}

# rc_flags are words for the shell, as rc.subr(8) takes them.
@{id}_start()
{
	# rc.subr of NetBSD looks at that for commands of its own alone.
	if [ -n "$rc_pid" ]; then
		echo "$name is running already (pid $rc_pid)" >&2
		return 1
	fi
	eval "set -- $rc_flags"
	echo "Starting $name."
@{start}
}

@{id}_signal()
{
@{signal}
}

# Waits as long as the spec has it; answers whether all have ended.
@{id}_ends()
{
	waited=0
	for pid in $rc_pid; do
		while kill -0 "$pid" 2>/dev/null; do
			[ "$waited" -lt @{timeout} ] || return 1
			sleep 1
			waited=$((waited + 1))
		done
	done
}

@{id}_stop()
{
	if [ -z "$rc_pid" ]; then
		echo "$name is not running?" >&2
		return 1
	fi
	echo "Stopping $name."
@{stop}	@{id}_signal TERM
	@{id}_ends && return 0
	@{id}_signal KILL
	@{id}_ends
}
@{reload_command}
run_rc_command "$1"
