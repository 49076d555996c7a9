# Speaks to nineties in all its ways, and succeeds if each is answered.
set -e
cd @DIR@
/bin/bash client 1990 'PLUG hello\n' 'hello from the plug-in'
/bin/bash client 1990 'HELP port\n' 'helper for port'
/usr/bin/python3 -c '
import socket
control = socket.socket(socket.AF_UNIX)
control.settimeout(5)
control.connect("own/sock")
control.sendall(b"HELP socket\n")
assert "helper for socket\n" in control.makefile().readlines()
'
[ ! -e own/answers ] || : >own/answers
echo HELP fifo >own/ctl
for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ! grep -q '^helper for fifo' own/answers 2>/dev/null || exit 0
    sleep 0.1
done
echo 'no answer through the FIFO'
exit 1
