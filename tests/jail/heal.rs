//! A jail that does not start mends itself, as far as nobody needs to be asked.

use std::fs;
use std::os::unix::fs::chown;

use gaoler::spec::{self, Allowance, Spec};
use gaoler::sys::{calls, caps};

use crate::machine::{Machine, machine};

const SPEC: &str = "/etc/gaoler/web.toml";
const CONFIGURATION: &str = "/srv/web/nginx.conf";

/// An nginx on port 80 that ends at once where it is denied something at its start.
fn up(m: &Machine) -> Spec {
    fs::create_dir_all("/srv/web/own").unwrap();
    let text = "daemon off; user www-data; pid /srv/web/own/pid; error_log stderr;\n\
        events {}\n\
        http {\n\
          client_body_temp_path /srv/web/own/a; proxy_temp_path /srv/web/own/b;\n\
          fastcgi_temp_path /srv/web/own/c; uwsgi_temp_path /srv/web/own/d;\n\
          scgi_temp_path /srv/web/own/e; access_log off;\n\
          server { listen 127.0.0.1:80; location / { return 200 'a page\\n'; } }\n\
        }\n";
    fs::write(CONFIGURATION, text).unwrap();
    // Debian's www-data, the same on every machine (base-passwd).
    chown("/srv/web/own", Some(33), Some(33)).unwrap();
    m.gaoler(&words(&["up"])).ok();
    m.gaoler(&["stop", "web"]).ok();
    read()
}

fn words<'a>(verb: &[&'a str]) -> Vec<&'a str> {
    let exercise = "curl -sf http://127.0.0.1/";
    let rest = ["web", "--user", "www-data", "--exercise", exercise];
    let command = ["--", "/usr/sbin/nginx", "-c", CONFIGURATION];
    [verb, &rest, &command].concat()
}

fn read() -> Spec {
    spec::parse(&fs::read_to_string(SPEC).unwrap(), SPEC).unwrap()
}

fn without(spec: &Spec, is: impl Fn(&Allowance) -> bool) {
    let mut changed = spec.clone();
    let all = Allowance::all_of(spec).into_iter().filter(is);
    let taken = all.filter(|one| one.take(&mut changed)).count();
    assert!(taken > 0, "there is nothing to take");
    fs::write(SPEC, spec::to_toml(&changed)).unwrap();
}

#[test]
fn up_takes_back_what_is_safe() {
    machine(|m| {
        let spec = up(m);
        let gone = ["epoll_create", "listen", "rt_sigaction"];
        let gone = gone.map(|name| calls::number(name).unwrap());
        without(
            &spec,
            |one| matches!(one, Allowance::Call(rule) if gone.contains(&rule.number)),
        );
        let done = m.gaoler(&["up", "web"]);
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(done.err.contains("healed web: call listen"), "{done:#?}");
        let healed = read();
        for number in gone {
            let rule = healed.calls.iter().find(|rule| rule.number == number);
            let because = &rule.unwrap().because;
            assert!(because.contains("it was denied in the jail"), "{because}");
        }
        assert!(fs::exists("/etc/gaoler/web.toml.old").unwrap());
        m.gaoler(&["check", "web", "--exercise"]).ok();
        m.gaoler(&["stop", "web"]).ok();
    });
}

#[test]
fn a_capability_is_a_person_s_to_give() {
    machine(|m| {
        let spec = up(m);
        without(&spec, |one| matches!(one, Allowance::Capability(_)));
        let before = fs::read_to_string(SPEC).unwrap();
        let done = m.gaoler(&["up", "web"]);
        assert_eq!(done.code, 1, "{done:#?}");
        let hint = "gaoler why web --allow 'CAP_NET_BIND_SERVICE'";
        assert!(done.err.contains(hint), "{done:#?}");
        let after = fs::read_to_string(SPEC).unwrap();
        assert!(after == before, "what did not help was taken over: {after}");
        assert_eq!(m.gaoler(&["why", "web", "--apply"]).code, 3);
        assert!(read().capabilities.is_empty());
        m.gaoler(&["why", "web", "--allow", "CAP_NET_BIND_SERVICE"])
            .ok();
        let kept: Vec<Option<&str>> = read()
            .capabilities
            .iter()
            .map(|rule| caps::name(rule.capability))
            .collect();
        assert_eq!(kept, [Some("NET_BIND_SERVICE")]);
        m.gaoler(&["up", "web"]).ok();
        m.gaoler(&["stop", "web"]).ok();
        let wrong = m.gaoler(&["why", "web", "--allow", "CAP_SYS_ADMIN"]);
        assert_eq!(
            wrong.code, 2,
            "what was not denied cannot be allowed: {wrong:#?}"
        );
    });
}

#[test]
fn learning_heals_in_the_jail() {
    machine(|m| {
        up(m);
        let learned = m.gaoler(&words(&["learn", "--heal", "--again"]));
        assert_eq!(learned.code, 0, "{learned:#?}");
        assert!(learned.out.contains("healed"), "{learned:#?}");
        m.gaoler(&["why", "web"]).ok();
    });
}

#[test]
fn a_service_that_insists_on_root_is_told_how() {
    machine(|m| {
        let daemon = "print STDERR \"begins\\n\"; die \"must be root\\n\" if $>; $) = 33; $( = 33; $< = 33; $> = 33;\n\
            sleep 1 while 1;\n";
        fs::create_dir_all("/srv/web").unwrap();
        fs::write("/srv/web/daemon", daemon).unwrap();
        let up = |more: &[&str]| {
            let words = [
                &["up", "web"],
                more,
                &["--", "/usr/bin/perl", "/srv/web/daemon"],
            ];
            m.gaoler(&words.concat())
        };
        let done = up(&["--user", "root"]);
        assert_eq!(done.code, 125, "{done:#?}");
        assert!(done.err.contains("--start-as-root is for one"), "{done:#?}");
        let done = up(&["--user", "www-data"]);
        assert_eq!(done.code, 1, "{done:#?}");
        assert!(done.err.contains("must be root"), "{done:#?}");
        assert!(
            done.err.contains("gaoler up web --again --start-as-root"),
            "{done:#?}"
        );
        up(&["--again", "--start-as-root"]).ok();
        m.gaoler(&["stop", "web"]).ok();
    });
}

#[test]
fn a_service_that_runs_and_is_not_ready_is_looked_at_too() {
    machine(|m| {
        let daemon = "use Socket; socket S, PF_INET, SOCK_STREAM, 0;\n\
            setsockopt S, SOL_SOCKET, SO_REUSEADDR, 1; bind S, sockaddr_in(8099, INADDR_LOOPBACK);\n\
            sleep 1 until listen S, 5; close C while accept C, S;\n";
        fs::create_dir_all("/srv/web").unwrap();
        fs::write("/srv/web/daemon", daemon).unwrap();
        let options = ["--user", "www-data", "--ready", "tcp:8099"];
        let command = ["--", "/usr/bin/perl", "/srv/web/daemon"];
        m.gaoler(&[&["up", "web"], &options[..], &command].concat())
            .ok();
        m.gaoler(&["stop", "web"]).ok();
        let listen = calls::number("listen").unwrap();
        without(
            &read(),
            |one| matches!(one, Allowance::Call(rule) if rule.number == listen),
        );
        let done = m.gaoler(&["up", "web"]);
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(done.err.contains("it runs but is not ready"), "{done:#?}");
        assert!(done.err.contains("healed web: call listen"), "{done:#?}");
        m.gaoler(&["stop", "web"]).ok();
    });
}
