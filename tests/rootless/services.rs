//! From nothing to a jail that holds, without root.

use std::collections::BTreeSet;
use std::fs;

use crate::machine::machine;
use crate::user::{HOME, User};

const MEMCACHED: [&str; 7] = [
    "/usr/bin/memcached",
    "-l",
    "127.0.0.1",
    "-p",
    "21211",
    "-U",
    "0",
];

/// Its client.
const VERSION: &str = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/21211; printf \"version\\r\\nquit\\r\\n\" >&3; grep -q VERSION <&3'";

fn up(user: &User<'_>, words: &[&str]) -> String {
    let service = ["--ready", "tcp:21211", "--exercise", VERSION, "--"];
    user.gaoler(&[&["up", "cache"], words, &service, &MEMCACHED].concat())
        .ok()
}

#[test]
fn memcached_needs_nothing_but_a_port() {
    machine(|m| {
        let user = User::new(m);
        let screen = up(&user, &[]);
        assert!(screen.contains("rootless.owner"), "{screen}");
        assert!(screen.contains("compares nothing"), "{screen}");
        assert_eq!(
            user.findings("cache"),
            BTreeSet::from(["rootless.owner".into()])
        );
        user.holds("cache");
        user.stop("cache");
        let status = user.gaoler(&["status", "cache"]);
        assert_eq!(status.code, 3, "{status:#?}");

        // Again from what is there, and without a process in between.
        user.gaoler(&["start", "cache"]).ok();
        user.gaoler(&["restart", "cache"]).ok();
        user.stop("cache");
        let command = user.words(&[crate::user::GAOLER, "run", "cache", "--exec"]);
        let running = m.background(&command);
        crate::machine::eventually(|| user.gaoler(&["status", "cache"]).code, |code| *code == 0);
        assert_eq!(user.pid("cache"), running.pid());
        drop(running);
        user.gaoler(&["status", "cache"]);
    });
}

#[test]
fn groups_that_cannot_be_left_are_told() {
    machine(|m| {
        let user = User::new(m).in_the_crowd();
        up(&user, &[]);
        let wanted = ["rootless.groups", "rootless.owner"].map(str::to_owned);
        assert_eq!(user.findings("cache"), BTreeSet::from(wanted));
        let plan = user.json(&["plan", "cache"]);
        let lacking = plan["lacking"].to_string();
        assert!(
            lacking.contains("supplementary groups 4712 stay"),
            "{lacking}"
        );
        let steps = plan["steps"].to_string();
        assert!(
            steps.contains("enter a user namespace in which only uid 4711"),
            "{steps}"
        );
        user.holds("cache");
        user.stop("cache");
    });
}

#[test]
fn nginx_has_its_configuration_in_the_home() {
    machine(|m| {
        let user = User::new(m);
        let (web, pages) = (user.file("web", None), user.file("pages", None));
        user.file("pages/index.html", Some("from the home\n"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {web}/{kind};\n"))
            .concat();
        let configuration = user.file(
            "nginx.conf",
            Some(&format!(
                "daemon off; worker_processes 1; pid {web}/pid; error_log {web}/error.log;\n\
                 events {{ worker_connections 64; }}\n\
                 http {{ access_log {web}/access.log;\n{temporary}\
                 server {{ listen 127.0.0.1:8080; location / {{ root {pages}; }} }} }}\n"
            )),
        );
        let error_log = format!("{web}/error.log");
        let get = "curl -sf http://127.0.0.1:8080/";
        let words = ["up", "web", "--ready", "tcp:8080", "--exercise", get, "--"];
        let command = ["/usr/sbin/nginx", "-c", &configuration, "-e", &error_log];
        user.gaoler(&[&words[..], &command].concat()).ok();
        let page = m.run(&["curl", "-sf", "http://127.0.0.1:8080/"]).ok();
        assert_eq!(page, "from the home\n");
        // Not the whole home, in which gaoler's own places are.
        let spec = fs::read_to_string(format!("{HOME}/.config/gaoler/web.toml")).unwrap();
        assert!(!spec.contains(&format!("path = \"{HOME}\"")), "{spec}");
        user.holds("web");
        user.stop("web");
    });
}

#[test]
fn redis_has_data_and_a_device() {
    machine(|m| {
        let user = User::new(m);
        let data = user.file("data", None);
        let set = "redis-cli -p 6479 set colour green";
        let get = "redis-cli -p 6479 get colour";
        let save = "redis-cli -p 6479 save";
        let words = [
            "up",
            "store",
            "--ready",
            "tcp:6479",
            "--exercise",
            set,
            "--exercise",
            get,
            "--exercise",
            save,
            "--",
        ];
        let command = [
            "/usr/bin/redis-server",
            "--port",
            "6479",
            "--bind",
            "127.0.0.1",
            "--dir",
            &data,
        ];
        user.gaoler(&[&words[..], &command].concat()).ok();
        user.holds("store");
        let plan = user.json(&["plan", "store"]).to_string();
        assert!(plan.contains("mount the host's /dev/urandom"), "{plan}");
        assert_eq!(
            user.findings("store"),
            BTreeSet::from(["rootless.owner".into()])
        );
        user.gaoler(&["restart", "store"]).ok();
        let answer = m.run(&["redis-cli", "-p", "6479", "get", "colour"]).ok();
        assert_eq!(answer, "green\n");
        user.stop("store");
    });
}

#[test]
fn named_serves_a_zone_of_the_home() {
    machine(|m| {
        let user = User::new(m);
        let dns = user.file("dns", None);
        let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n\
                    www A 192.0.2.1\n";
        user.file("dns/example.org", Some(zone));
        let configuration = user.file(
            "dns/named.conf",
            Some(&format!(
                "options {{ directory \"{dns}\"; pid-file \"{dns}/named.pid\"; recursion no;\n\
                 session-keyfile \"{dns}/session.key\"; listen-on-v6 {{ none; }};\n\
                 listen-on port 5353 {{ 127.0.0.1; }}; }};\ncontrols {{ }};\n\
                 zone \"example.org\" {{ type primary; file \"example.org\"; }};\n"
            )),
        );
        let ask = "dig @127.0.0.1 -p 5353 +short www.example.org";
        let words = ["up", "named", "--ready", "udp:5353", "--ready", "tcp:5353"];
        let exercises = ["--exercise", ask, "--exercise", &format!("{ask} +tcp")];
        let command = ["--", "/usr/sbin/named", "-f", "-c", &configuration];
        user.gaoler(&[&words[..], &exercises, &command].concat())
            .ok();
        let answers = || {
            let question: Vec<&str> = ask.split(' ').collect();
            assert_eq!(m.run(&question).ok(), "192.0.2.1\n");
        };
        answers();
        assert_eq!(
            user.findings("named"),
            BTreeSet::from(["rootless.owner".into()])
        );
        user.holds("named");
        user.gaoler(&["restart", "named"]).ok();
        answers();
        user.stop("named");
    });
}
