#!/sbin/openrc-run
@{heading}

description="@{name} in its jail"
extra_commands="probe"
extra_started_commands="reload"
description_reload="Test the configuration, then have it read again"
description_probe="Print what has to be done until what runs is what is configured"

depend()
{
	need localmount
	use net dns logger
	after firewall
}

# Its directories are those that the jail was exported from. An ordinary user's gaoler would look at
# that user's own jails.
gaoler()
{
	if [ "$(id -u)" != 0 ]; then
		eerror "Only root may do that"
		return 1
	fi
	@{program}@{directories} "$@"
}

start()
{
	ebegin "Starting $RC_SVCNAME in its jail"
	if [ "$RC_CMD" = restart ]; then
		gaoler restart @{name} >/dev/null
	else
		gaoler start @{name} >/dev/null
	fi
	eend $? "It does not start"
}

stop()
{
	# Restarted by gaoler in one go, its sockets stay open meanwhile: start() does both.
	if [ "$RC_CMD" = restart ]; then
		return 0
	fi
	ebegin "Stopping $RC_SVCNAME"
	gaoler stop @{name} >/dev/null
	eend $? "It does not stop"
}

status()
{
	gaoler status @{name}
	case $? in
	0) return 0 ;;
	3) ;;
	*) return 1 ;;
	esac
	# OpenRC's code for one that has ended and that nobody stopped.
	if service_started; then
		return 32
	fi
	return 3
}

reload()
{
	ebegin "Reloading $RC_SVCNAME"
	gaoler reload @{name} >/dev/null
	eend $? "It has not read its configuration again"
}

probe()
{
	# To read the configuration again costs nothing and is done here, so that no restart is asked
	# for each time.
	local told
	told=$(gaoler status @{name})
	case $? in
	0) ;;
	3)
		echo start
		return 0
		;;
	*) return 1 ;;
	esac
	# It differs from what was started, or another generation has been built.
	if printf '%s\n' "$told" | grep -Eq '^ *DRIFT|^ *STALE .*(is current|which was removed)$'; then
		echo restart
		return 0
	fi
	gaoler reload @{name} >/dev/null 2>&1
	case $? in
	# 2: its spec knows no way.
	0 | 2) ;;
	*) echo reload ;;
	esac
	return 0
}
