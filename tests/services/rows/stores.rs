//! What keeps or passes on data, and the time.

use super::{NONE, Row};

const CHRONY: &str = "driftfile @DIR@/own/drift
dumpdir @DIR@/own
pidfile @DIR@/own/chronyd.pid
bindcmdaddress @DIR@/own/socket
local stratum 10
allow 127.0.0.1
";

const MOSQUITTO: &str = "listener 1883 127.0.0.1
allow_anonymous true
persistence true
persistence_location @DIR@/own/
log_dest stdout
";

/// A message that waits for its reader, and one that a reader waits for.
const MESSAGES: &str = "set -eu
mosquitto_pub -h 127.0.0.1 -t kept -m one -r
test \"$(mosquitto_sub -h 127.0.0.1 -t kept -C 1 -W 5)\" = one
mosquitto_sub -h 127.0.0.1 -t passing -C 1 -W 5 -q 1 >@DIR@/message &
reader=$!
until mosquitto_pub -h 127.0.0.1 -t passing -m two -q 1 && sleep 0.1 && grep -qx two @DIR@/message; do :; done
wait $reader
";

// It has its port before it lets anybody in.
const SQL: &str = "set -eu
timeout 30 sh -c 'until pg_isready -q -h @DIR@/own; do sleep 0.2; done'
answer=$(runuser -u postgres -- psql -h @DIR@/own -d postgres -X -A -t -v ON_ERROR_STOP=1 -q <<-END
	create table if not exists words (word text primary key);
	insert into words values ('gaol') on conflict do nothing;
	select word, current_user from words;
	END
)
test \"$answer\" = 'gaol|postgres'
";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "chrony",
        needs: &["/usr/sbin/chronyd", "/usr/bin/chronyc"],
        packages: "chrony",
        user: "_chrony",
        files: &[("chrony.conf", CHRONY)],
        prepare: "chmod 750 @DIR@/own",
        options: &["--ready", "udp:123"],
        // -x: the clock is left alone. -U: it need not be root, which it is not in its jail.
        command: &[
            "/usr/sbin/chronyd",
            "-n",
            "-x",
            "-U",
            "-u",
            "_chrony",
            "-f",
            "@DIR@/chrony.conf",
        ],
        exercises: &[
            // Its port is there before its socket.
            "/bin/bash -c 'for i in 1 2 3 4 5 6 7 8 9; do chronyc -h @DIR@/own/socket tracking && exit; sleep 0.3; done; exit 1'",
            "chronyc -h @DIR@/own/socket sources",
            // -Q: asks, says what it would do, and does nothing.
            "chronyd -Q -U -t 10 'server 127.0.0.1 iburst maxsamples 1'",
            "chronyc -h @DIR@/own/socket dump",
        ],
        ..NONE
    },
    Row {
        name: "memcached",
        needs: &["/usr/bin/memcached"],
        packages: "memcached",
        options: &["--ready", "tcp:11211"],
        command: &["/usr/bin/memcached", "-u", "www-data", "-l", "127.0.0.1"],
        exercises: &[
            "/bin/bash @DIR@/client 11211 'set a 0 0 1\\r\\nb\\r\\nquit\\r\\n' STORED",
            "/bin/bash @DIR@/client 11211 'get a\\r\\nquit\\r\\n' 'VALUE a 0 1'",
        ],
        ..NONE
    },
    Row {
        name: "mosquitto",
        needs: &["/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"],
        packages: "mosquitto mosquitto-clients",
        user: "mosquitto",
        files: &[("mosquitto.conf", MOSQUITTO), ("messages", MESSAGES)],
        options: &["--ready", "tcp:1883"],
        command: &["/usr/sbin/mosquitto", "-c", "@DIR@/mosquitto.conf"],
        exercises: &["sh @DIR@/messages"],
        ..NONE
    },
    Row {
        name: "postgresql",
        needs: &[
            "/usr/lib/postgresql/15/bin/postgres",
            "/usr/lib/postgresql/15/bin/psql",
        ],
        packages: "postgresql",
        user: "postgres",
        files: &[("sql", SQL)],
        prepare: "cd /; runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb -D @DIR@/own/data -A peer --no-sync",
        // It refuses to be root.
        options: &["--user", "postgres", "--as-user", "--ready", "tcp:5432"],
        command: &[
            "/usr/lib/postgresql/15/bin/postgres",
            "-D",
            "@DIR@/own/data",
            "-k",
            "@DIR@/own",
        ],
        exercises: &["sh @DIR@/sql"],
        ..NONE
    },
    Row {
        name: "redis",
        needs: &["/usr/bin/redis-server", "/usr/bin/redis-cli"],
        packages: "redis-server redis-tools",
        user: "redis",
        options: &["--user", "redis", "--ready", "tcp:6379"],
        command: &[
            "/usr/bin/redis-server",
            "--bind",
            "127.0.0.1",
            "--dir",
            "@DIR@/own",
            "--appendonly",
            "yes",
        ],
        exercises: &[
            // It has its port before it has read what it kept.
            "timeout 20 sh -c 'until redis-cli ping | grep -qx PONG; do sleep 0.1; done'",
            "sh -c 'redis-cli set a b | grep -qx OK'",
            "sh -c 'redis-cli get a | grep -qx b'",
            "sh -c 'redis-cli bgsave | grep -q started'",
            // One that is still being written when it ends is killed and removed.
            "/bin/bash -c 'until redis-cli info persistence | grep -q rdb_bgsave_in_progress:0; do sleep 0.1; done'",
        ],
        ..NONE
    },
];
