//! Servers that are not daemons of Debian, and one that goes to the background in two steps.

use super::web::GET;
use super::{NONE, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "double-fork",
        needs: &["/usr/bin/gcc"],
        packages: "gcc libc6-dev",
        compile: Some((
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/double_fork.c"),
            "fork",
        )),
        options: &["--user", "www-data"],
        command: &["@DIR@/fork", "80", "/run/double-fork.pid"],
        exercises: &["/bin/bash @DIR@/client 80 '' hello"],
        ..NONE
    },
    Row {
        name: "httpd",
        needs: &["/usr/bin/gcc", "/usr/bin/curl"],
        packages: "gcc libc6-dev curl",
        compile: Some((
            concat!(env!("CARGO_MANIFEST_DIR"), "/examples/httpd.c"),
            "httpd",
        )),
        command: &["@DIR@/httpd", "-u", "www-data", "80", "@DIR@/www"],
        exercises: &[GET],
        ..NONE
    },
    Row {
        name: "python",
        needs: &["/usr/bin/python3", "/usr/bin/curl"],
        packages: "python3 curl",
        options: &["--user", "www-data"],
        command: &[
            "/usr/bin/python3",
            "-m",
            "http.server",
            "-b",
            "127.0.0.1",
            "-d",
            "@DIR@/www",
            "80",
        ],
        exercises: &[GET],
        ..NONE
    },
];
