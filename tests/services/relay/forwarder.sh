# forwarder SPOOL UID MAILER...: takes the whole messages out of a jail's spool and gives each to the
# mailer, envelope in SENDER and RECIPIENT. Whoever rules the jail rules the spool, so nothing in it is
# trusted: only small plain files of the jail's user with one name count, and they are opened once.
# For bash.
spool=$1 uid=$2
shift 2
cd -P "$spool" || exit 1
while :; do
	for message in message.*; do
		[ -f "$message" ] && [ ! -L "$message" ] || continue
		exec 3<"$message" || continue
		# What was opened, whatever has the name now.
		[ "$(stat -L -c '%F %u %h' /proc/self/fd/3)" = "regular file $uid 1" ] || continue
		[ "$(stat -L -c %s /proc/self/fd/3)" -lt 2000000 ] || continue
		IFS= read -r SENDER <&3 && IFS= read -r RECIPIENT <&3 || continue
		export SENDER RECIPIENT
		"$@" <&3 3<&- && rm -f -- "$message"
	done
	sleep 0.1
done
