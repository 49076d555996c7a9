#!/bin/sh
@{heading}
### BEGIN INIT INFO
# Provides:          @{name}
# Required-Start:    $local_fs $remote_fs $network
# Required-Stop:     $local_fs $remote_fs $network
# Should-Start:      $syslog
# Should-Stop:       $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: @{name} in its jail
# Description:       gaoler starts @{name} in a jail of its own, and stays beside it.
### END INIT INFO
# The same for chkconfig(8), and that the script knows "probe":
# chkconfig: 2345 55 45
# description: @{name} in its jail
# probe: true

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

program=@{program}
jail=@{name}
spec=@{spec}

# Its directories are those that the jail was exported from.
gaoler()
{
	"$program"@{directories} "$@"
}

complain()
{
	printf '%s: %s\n' "$jail" "$1" >&2
}

# In LSB's codes, what is in the way. An ordinary user's gaoler would look at that user's own jails.
is_possible()
{
	if [ "$(id -u)" != 0 ]; then
		complain 'only root may do that'
		return 4
	fi
	if [ ! -x "$program" ]; then
		complain "$program is not installed"
		return 5
	fi
	if [ ! -f "$spec" ]; then
		complain "there is no spec $spec"
		return 6
	fi
}

# gaoler's 2 is a mistake in the spec; its 125, that nothing was started, has no number in LSB.
answer()
{
	case $1 in
	0) exit 0 ;;
	2) exit 6 ;;
	*) exit 1 ;;
	esac
}

# Whether it has ended and nobody had stopped it.
has_failed()
{
	gaoler list | {
		while read -r name _ condition _; do
			case "$name $condition" in
			"$jail failed" | "$jail restarting") exit 0 ;;
			esac
		done
		exit 1
	}
}

# 0: it runs, 1: it has failed, 3: it does not run, 4: that cannot be known.
state()
{
	is_possible || return 4
	gaoler status "$jail"
	case $? in
	0) return 0 ;;
	3) ;;
	*) return 4 ;;
	esac
	if has_failed; then
		return 1
	fi
	return 3
}

# Goes on if it runs; if not, ends with this code.
must_run()
{
	state >/dev/null
	case $? in
	0) ;;
	1 | 3)
		[ "$1" = 0 ] || complain 'it does not run'
		exit "$1"
		;;
	*) exit 1 ;;
	esac
}

case "$1" in
start | stop | restart)
	is_possible || exit
	gaoler "$1" "$jail"
	answer $?
	;;
try-restart | condrestart)
	is_possible || exit
	must_run 0
	gaoler restart "$jail"
	answer $?
	;;
reload | force-reload)
	is_possible || exit
	must_run 7
	gaoler reload "$jail"
	code=$?
	# It runs, so its spec was read without a mistake: this one knows no way.
	if [ "$code" = 2 ] && [ "$1" = reload ]; then
		exit 3
	fi
	if [ "$code" = 2 ]; then
		gaoler restart "$jail"
		code=$?
	fi
	answer "$code"
	;;
status)
	state
	exit $?
	;;
probe)
	# Prints what else has to be done until what runs is what is configured. To read the
	# configuration again costs nothing and is done here, so that no restart is asked for each time.
	is_possible || exit
	told=$(state)
	case $? in
	0) ;;
	1 | 3)
		echo start
		exit 0
		;;
	*) exit 1 ;;
	esac
	# It differs from what was started, or another generation has been built.
	if printf '%s\n' "$told" | grep -Eq '^ *DRIFT|^ *STALE .*(is current|which was removed)$'; then
		echo restart
		exit 0
	fi
	gaoler reload "$jail" >/dev/null 2>&1
	case $? in
	# 2: its spec knows no way.
	0 | 2) ;;
	*) echo reload ;;
	esac
	exit 0
	;;
*)
	echo "Usage: $0 {start|stop|status|restart|try-restart|reload|force-reload|probe}" >&2
	exit 2
	;;
esac
