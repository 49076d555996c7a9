use std::path::Path;

use proptest::prelude::*;

use super::environment::{value_of, words, words_with_pid};
use super::*;
use crate::sys::calls;

fn named() -> Knowledge {
    shipped("named").unwrap().unwrap()
}

fn named_text() -> &'static str {
    let mut all = SHIPPED.iter();
    all.find(|(origin, _)| origin.ends_with("named.toml"))
        .unwrap()
        .1
}

fn with_options(text: &'static str) -> impl Fn(&Path) -> Option<String> {
    move |path: &Path| (path == Path::new("/etc/default/named")).then(|| text.to_owned())
}

#[test]
fn every_shipped_file_is_sound_and_found_by_all_its_names() {
    for &(origin, text) in SHIPPED {
        let knowledge = read::knowledge(text, origin).unwrap();
        for name in knowledge.aliases.iter().chain([&knowledge.name]) {
            assert_eq!(shipped(name).unwrap().as_ref(), Some(&knowledge));
        }
    }
    assert_eq!(shipped("bind9").unwrap(), shipped("named").unwrap());
    assert_eq!(shipped("no-such-service").unwrap(), None);
}

#[test]
fn an_unknown_key_in_knowledge_is_refused() {
    let text = format!("colour = 1\n{}", named_text());
    let error = read::knowledge(&text, "x.toml").unwrap_err();
    assert!(error.to_string().contains("x.toml:1:1"), "{error}");
}

#[test]
fn debian_s_named() {
    let named = named();
    let resolved = named
        .resolve(&with_options("RESOLVCONF=no\n# x\nOPTIONS=\"-u bind\"\n"))
        .unwrap();
    assert_eq!(
        resolved.knowledge.command,
        ["/usr/sbin/named", "-f", "-u", "bind"]
    );
    assert_eq!(resolved.knowledge.user, "bind");
    assert_eq!(
        resolved.config.as_deref(),
        Some(Path::new("/etc/bind/named.conf"))
    );
    assert_eq!((resolved.root, resolved.port), (None, None));
    let test = ["/usr/bin/named-checkconf", "-z", "/etc/bind/named.conf"];
    assert_eq!(resolved.knowledge.config_test, test);
    let paths = resolved.knowledge.config_paths.unwrap();
    assert_eq!(
        paths.command,
        ["/usr/bin/named-checkconf", "-p", "/etc/bind/named.conf"]
    );
    assert!(
        named
            .calls
            .iter()
            .any(|rule| Some(rule.number) == calls::number("rename"))
    );
}

#[test]
fn options_reach_the_configuration_test() {
    let options = "OPTIONS='-u dns -t /var/lib/named/ -c/etc/n.conf -p 5353 -4'";
    let resolved = named().resolve(&with_options(options)).unwrap();
    let test = [
        "/usr/bin/named-checkconf",
        "-z",
        "-t",
        "/var/lib/named",
        "/etc/n.conf",
    ];
    assert_eq!(resolved.knowledge.config_test, test);
    assert_eq!(resolved.root.as_deref(), Some(Path::new("/var/lib/named")));
    assert_eq!(resolved.knowledge.user, "dns");
    assert_eq!(
        resolved.knowledge.places[0].path,
        Path::new("/var/lib/named/etc/bind")
    );
    let pid_file = Path::new("/var/lib/named/run/named/named.pid");
    assert_eq!(resolved.knowledge.pid_file.as_deref(), Some(pid_file));
    assert_eq!(resolved.port, Some(5353));
    let exercises = resolved.knowledge.exercises_on(Some(5353));
    assert!(exercises[0].command.contains(&"5353".to_owned()));
    assert!(
        exercises
            .iter()
            .all(|e| e.command.iter().all(|word| !word.contains('$')))
    );
}

#[test]
fn without_the_file_there_are_no_options() {
    let resolved = named().resolve(&|_| None).unwrap();
    assert_eq!(resolved.knowledge.command, ["/usr/sbin/named", "-f"]);
}

#[test]
fn a_relative_configuration_is_refused() {
    let error = named()
        .resolve(&with_options("OPTIONS=\"-c ../named.conf\""))
        .unwrap_err();
    assert!(error.to_string().contains("../named.conf"), "{error}");
}

#[test]
fn an_unreadable_line_is_named() {
    let options = "# one\nRESOLVCONF=no\nOPTIONS=\"-u $(whoami)\"\n";
    let error = named().resolve(&with_options(options)).unwrap_err();
    assert!(
        error.to_string().contains("/etc/default/named:3"),
        "{error}"
    );
    assert!(error.to_string().contains("substitution"), "{error}");
}

#[test]
fn values_as_a_shell_reads_them() {
    let cases = [
        ("A=b", "b"),
        ("  A=b # c", "b"),
        ("A='a b'\"c d\"e", "a bc de"),
        ("A=a\\ b", "a b"),
        ("export A=\"x\\\"y\\$z\\n\"", "x\"y$z\\n"),
        ("A=1\nA=2", "2"),
        ("A=\"-4 \\\n-u bind\"", "-4 -u bind"),
        ("B=1; A=2", "2"),
        ("A=", ""),
        ("A=a#b", "a#b"),
        ("A=b\r\n", "b"),
    ];
    for (text, value) in cases {
        assert_eq!(value_of(text, "A"), Ok(Some(value.to_owned())), "{text}");
    }
    assert_eq!(value_of("B=1", "A"), Ok(None));
}

#[test]
fn what_only_a_shell_can_read_is_refused() {
    let cases = [
        ("A=`id`", 1),
        ("A=$B", 1),
        ("A=\"${B}\"", 1),
        ("\nA=b c", 2),
        ("A='b", 1),
        ("if true; then", 1),
        ("A=b & c", 1),
        ("A=b>c", 1),
        ("1A=b", 1),
        ("A = b", 1),
        ("A=b\\", 1),
    ];
    for (text, line) in cases {
        let error = value_of(text, "A").expect_err(text);
        assert_eq!(error.line, line, "{text}");
    }
}

#[test]
fn words_keep_their_quotes_together() {
    assert_eq!(
        words("-u bind  -D 'a b'").unwrap(),
        ["-u", "bind", "-D", "a b"]
    );
    assert_eq!(words(" \t").unwrap(), Vec::<String>::new());
}

#[test]
fn the_word_pid_stays_in_exercises() {
    assert_eq!(
        words_with_pid("kill -HUP $PID").unwrap(),
        ["kill", "-HUP", "$PID"]
    );
    assert_eq!(words_with_pid("$PID 'a b'").unwrap(), ["$PID", "a b"]);
    for other in ["kill $PIDS", "kill x$PID", "echo $HOME", "echo \"$PID\""] {
        assert!(words_with_pid(other).is_err(), "{other}");
    }
    assert!(words("kill $PID").is_err());
}

/// What `named-checkconf -p` of BIND 9.18.49 prints, shortened.
const DUMP: &str = r#"
logging {
	channel "q" {
		file "log/q.log" versions 3 size 5242880;
		severity info;
		print-time yes;
	};
	category "queries" {
		"q";
	};
};
options {
	directory "/srv/dns";
	dump-file "d.db";
	managed-keys-directory "mk";
	pid-file none;
	session-keyfile "/run/named/s.key";
	statistics-file "../stats/st";
	listen-on-v6  {
		"any";
	};
	new-zones-directory "nz";
	key-directory "keys";
};
tls "t" {
	key-file "/etc/ssl/private/k.pem";
	cert-file "/etc/ssl/certs/c.pem";
};
view "in" {
	match-clients {
		127.0.0.1/32;
	};
	zone "a.example" {
		type primary;
		file "zo\"ne.db";
		journal "a.jnl";
		key-directory "keys/a";
		dnssec-policy "default";
	};
	zone "b.example" {
		type secondary;
		file "zo\"ne.db";
	};
};
"#;

#[test]
fn paths_of_a_configuration() {
    let paths = named().config_paths.unwrap();
    let found = config_paths(DUMP, &paths);
    let expected = [
        ("/srv/dns/log/q.log", false),
        ("/srv/dns", true),
        ("/srv/dns/d.db", false),
        ("/srv/dns/mk", true),
        ("/run/named/s.key", false),
        ("/srv/stats/st", false),
        ("/srv/dns/nz", true),
        ("/srv/dns/keys", true),
        ("/etc/ssl/private/k.pem", false),
        ("/etc/ssl/certs/c.pem", false),
        ("/srv/dns/zo\"ne.db", false),
        ("/srv/dns/a.jnl", false),
        ("/srv/dns/keys/a", true),
    ];
    let expected: Vec<_> = expected.map(|(path, is)| (PathBuf::from(path), is)).into();
    assert_eq!(found, expected);
}

#[test]
fn the_default_base_and_comments() {
    let paths = named().config_paths.unwrap();
    let found = config_paths(
        "/* file \"x\"; */ # file \"y\";\nzone \"z\" { file \"db.z\"; };",
        &paths,
    );
    assert_eq!(found, [(PathBuf::from("/var/cache/bind/db.z"), false)]);
    assert_eq!(
        config_paths("file ; \"x\"; files \"y\"; file \"", &paths),
        []
    );
}

proptest! {
    /// The configuration is a person's, the file may be broken: no text makes it panic, and
    /// every path is absolute.
    #[test]
    fn any_dump_is_survived(text in "(?s)(file|directory|[\"\\\\/*# ;{}a-z.]|\\PC){0,40}") {
        for (path, _) in config_paths(&text, &named().config_paths.unwrap()) {
            prop_assert!(path.is_absolute(), "{:?}", path);
        }
    }

    #[test]
    fn any_variable_file_is_survived(text in "(?s)(A=|[\"'\\\\ ;#$\n]|\\PC){0,30}") {
        let lines = text.matches('\n').count() + 1;
        if let Err(error) = value_of(&text, "A") {
            prop_assert!(error.line <= lines);
        }
    }

    /// Quoted by the shell's rules, any words come back.
    #[test]
    fn quoted_words_come_back(list in proptest::collection::vec("[^']{0,8}", 0..5)) {
        let text: Vec<String> = list.iter().map(|word| format!("'{word}'")).collect();
        prop_assert_eq!(words(&text.join(" ")).unwrap(), list);
    }
}

#[test]
fn a_program_is_known_by_whatever_name_it_is_jailed() {
    let known = shipped_program(Path::new("/usr/sbin/named"))
        .unwrap()
        .unwrap();
    let command = ["/usr/sbin/named", "-c", "/srv/b/$x.conf", "-p", "54"].map(str::to_owned);
    let resolved = known.resolve_command(&command).unwrap();
    assert_eq!(resolved.knowledge.command, command);
    assert_eq!(resolved.port, Some(54));
    assert_eq!(resolved.knowledge.calls, known.calls);
    assert!(
        resolved
            .knowledge
            .config_test
            .contains(&"/srv/b/$x.conf".to_owned())
    );
    // Those of another instance on the same machine.
    assert!(resolved.knowledge.stop.is_empty() && resolved.knowledge.places.is_empty());
    assert_eq!(resolved.knowledge.reload, None);
    assert_eq!(shipped_program(Path::new("/usr/sbin/other")).unwrap(), None);
}

/// A command of a person's own is not tested as Debian's, nor waited for at Debian's port.
#[test]
fn what_a_command_does_elsewhere_is_not_guessed() {
    let resolved = |command: &[&str]| {
        let known = shipped_program(Path::new(command[0])).unwrap().unwrap();
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        known.resolve_command(&command).unwrap().knowledge
    };
    let redis = resolved(&["/usr/bin/redis-server", "/srv/redis.conf"]);
    assert!(redis.ready.is_empty() && redis.port_lines.is_none() && redis.refuses_root);
    let told = resolved(&["/usr/bin/redis-server", "--port", "7000"]);
    assert_eq!(told.ready, [Ready::Tcp(6379)], "on_port moves it");
    let nginx = resolved(&["/usr/sbin/nginx", "-c", "/srv/nginx.conf"]);
    assert!(nginx.config_test.is_empty() && nginx.port_lines.is_none());
    assert!(nginx.ready.is_empty() && nginx.port_default.is_none());
    let sshd = resolved(&["/usr/sbin/sshd", "-D", "-f", "/srv/sshd.conf"]);
    let names_its_own = |words: &[String]| words.contains(&"/srv/sshd.conf".to_owned());
    assert!(names_its_own(&sshd.config_test));
    assert!(names_its_own(&sshd.port_lines.unwrap().command) && sshd.start_as_root);
    let keyed = resolved(&["/usr/sbin/sshd", "-D", "-h", "/srv/key"]);
    assert!(keyed.config_test.is_empty() && keyed.ready.is_empty());
    let postgres = resolved(&["/usr/lib/postgresql/15/bin/postgres", "-D", "/srv/data"]);
    assert!(postgres.refuses_root && postgres.places.is_empty() && postgres.ready.is_empty());
}

#[test]
fn the_newest_version_that_is_there_is_taken() {
    let known = shipped("postgres").unwrap().unwrap();
    let has = |path: &Path| path.to_str().unwrap().contains("/14/").then(String::new);
    let resolved = known.resolve(&has).unwrap().knowledge;
    assert_eq!(resolved.command[0], "/usr/lib/postgresql/14/bin/postgres");
    let text = format!("{resolved:?}").replace("version_file: Some(\"/etc/postgresql/$VERSION", "");
    assert!(!text.contains("$VERSION"), "{text}");
    assert!(
        known
            .resolve(&|_| None)
            .unwrap_err()
            .to_string()
            .contains("/etc/postgresql")
    );
}

#[test]
fn exercises_without_a_port_are_those_that_need_none() {
    let known = shipped("haproxy").unwrap().unwrap();
    assert_eq!(known.port_default, None);
    let names: Vec<String> = known
        .exercises_on(None)
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["reload"]);
    assert_eq!(known.exercises_on(Some(80)).len(), known.exercises.len());
}

#[test]
fn options_may_stand_in_lines() {
    let known = shipped("memcached").unwrap().unwrap();
    let text = "# x\n-d\nlogfile /x\n-m 64 # MB\n#-p 1\n\n-p 11212\n-u memcache\n";
    let read = |path: &Path| (path == Path::new("/etc/memcached.conf")).then(|| text.to_owned());
    let resolved = known.resolve(&read).unwrap();
    let words = [
        "/usr/bin/memcached",
        "-m",
        "64",
        "-p",
        "11212",
        "-u",
        "memcache",
    ];
    assert_eq!(resolved.knowledge.command, words);
    assert_eq!(resolved.port, Some(11212));
    assert_eq!(
        known.resolve(&|_| None).unwrap().knowledge.command,
        words[..1]
    );
}
