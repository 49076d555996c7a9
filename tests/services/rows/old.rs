//! Daemons as they were written decades ago: first processes that go away or never come back,
//! helpers by their absolute paths, plug-ins, FIFOs, control sockets.

use super::{NONE, Row};

/// A helper by its absolute path, a plug-in, a FIFO, a control socket.
const NINETIES: Row = Row {
    needs: &["/usr/bin/gcc", "/usr/bin/python3"],
    packages: "gcc libc6-dev python3",
    files: &[
        (
            "hello.c",
            "char *say() { return \"hello from the plug-in\"; }\n",
        ),
        (
            "libexec/helper",
            "#!/bin/sh\nls -l @DIR@/own >/dev/null\necho \"helper for $1\"\n",
        ),
        ("ask", include_str!("../nineties.sh")),
    ],
    prepare: concat!(
        "cd @DIR@
        chmod 755 libexec libexec/helper
        mkdir plug
        gcc -shared -fPIC -o plug/hello.so hello.c
        gcc -std=gnu89 -w -O -o nineties ",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/services/nineties.c -ldl"
    ),
    exercises: &["sh @DIR@/ask"],
    logs: "did HELP",
    removes: &["@DIR@/own/ctl", "@DIR@/own/sock"],
    ..NONE
};

const TINYPROXY: &str = "User www-data
Group www-data
Port 8888
Listen 127.0.0.1
Timeout 60
LogFile \"@DIR@/own/log\"
PidFile \"@DIR@/own/tinyproxy.pid\"
MaxClients 20
Allow 127.0.0.1
StatHost \"stat.example.test\"
";

const SNMPD: &str = "rocommunity public 127.0.0.1
agentaddress udp:127.0.0.1:161
extend hello /bin/echo a page
";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "nineties",
        command: &["@DIR@/nineties", "@DIR@", "1990", "www-data"],
        ..NINETIES
    },
    // Its first process never comes back from going to the background.
    Row {
        name: "waits-for-ever",
        command: &["@DIR@/nineties", "@DIR@", "1990", "www-data", "wait"],
        ..NINETIES
    },
    // Sets its groups although it is not root, extends itself by a program, and is slow to learn
    // from: it reads all of /proc.
    Row {
        name: "snmpd",
        needs: &["/usr/sbin/snmpd", "/usr/bin/snmpget"],
        packages: "snmpd snmp",
        user: "Debian-snmp",
        files: &[("snmpd.conf", SNMPD)],
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
        exercises: &["sh -c 'snmpget -v2c -cpublic 127.0.0.1 \
             1.3.6.1.4.1.8072.1.3.2.3.1.2.5.104.101.108.108.111 | grep -q \"a page\"'"],
        ..NONE
    },
    // Starts as many threads as it has clients, having forked before.
    Row {
        name: "tinyproxy",
        needs: &["/usr/bin/tinyproxy"],
        packages: "tinyproxy-bin",
        files: &[("tinyproxy.conf", TINYPROXY)],
        command: &["/usr/bin/tinyproxy", "-c", "@DIR@/tinyproxy.conf"],
        exercises: &[
            "/bin/bash @DIR@/client 8888 'GET http://stat.example.test/ HTTP/1.0\\r\\n\\r\\n' \
             '200 OK'",
        ],
        removes: &["@DIR@/own/tinyproxy.pid"],
        ..NONE
    },
];
