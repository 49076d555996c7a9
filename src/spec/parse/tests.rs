use super::*;
use crate::spec::{Demand, Device, DeviceRule, Direction, FileKind, Log, LogSink, LogTo, Protocol};

/// A whole file with every key.
const WHOLE: &str = r#"
format = 1
name = "web"

[service]
command = ["/usr/sbin/web", "-f"]
user = "web"
group = "web"
groups = ["tls"]
workdir = "/srv/web"
umask = "0027"
config_test = ["/usr/sbin/web", "-t"]
ready = ["tcp:80", "quiet:500"]
reload_signal = "HUP"
stop = ["/usr/sbin/web", "stop"]
stop_timeout_s = 3
pid_file = "/run/web/web.pid"
forks = true
writable_executable = true

[service.environment]
PATH = "/usr/bin"
"odd name" = ""

[[exercise]]
name = "page"
command = ["curl", "http://127.0.0.1/"]
expect = 1
output = "hello"
because = "it answers"

[tree]
files = [
  { path = "/etc/web.conf", kind = "data", because = "observed: read" },
  { path = "/usr/sbin/web", kind = "program", because = "observed: executed" },
]
binds = [{ path = "/srv/web", because = "pages" }]
scratch = [{ path = "/tmp", size_kib = 64, because = "uploads" }]
devices = [{ path = "/dev/null", device = "null", because = "observed" }]

[allow]
capabilities = [{ capability = "CAP_NET_BIND_SERVICE", because = "port 80" }]
calls = [{ call = "read", because = "observed", evidence = "observed: start 3, serve 1" }]
families = [{ family = "AF_INET", because = "observed" }]
ports = [{ direction = "bind", protocol = "tcp", port = 80, because = "observed" }]

[limits]
core_bytes = 0
memory_bytes = 1048576

[protections]
landlock = "prefer"
"#;

fn whole_with(from: &str, to: &str) -> String {
    assert_eq!(WHOLE.matches(from).count(), 1, "{from}");
    WHOLE.replace(from, to)
}

fn refusal(text: &str) -> String {
    match parse(text, "web.toml") {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
    }
}

#[test]
fn every_key_is_read() {
    let spec = parse(WHOLE, "web.toml").unwrap();
    assert_eq!(spec.name, "web");
    assert_eq!(spec.service.command, ["/usr/sbin/web", "-f"]);
    assert_eq!(spec.service.umask, 0o027);
    assert_eq!(spec.service.ready, [Ready::Tcp(80), Ready::Quiet(500)]);
    assert_eq!(spec.service.reload, Some(Reload::Signal(1)));
    assert_eq!(spec.service.environment["odd name"], "");
    assert_eq!((spec.service.stop_timeout_s, spec.service.forks), (3, true));
    assert_eq!(spec.exercises[0].output, "hello");
    assert_eq!(spec.files[1].kind, FileKind::Program);
    assert!(!spec.binds[0].writable);
    assert_eq!(spec.scratch[0].size_kib, 64);
    let path = PathBuf::from("/dev/null");
    let null = DeviceRule {
        path,
        device: Device::Null,
        because: "observed".to_owned(),
        evidence: crate::spec::Evidence::Person,
    };
    assert_eq!(spec.devices, [null]);
    assert_eq!(spec.capabilities[0].capability, 10);
    assert_eq!(
        spec.calls[0].number,
        crate::sys::calls::number("read").unwrap()
    );
    assert_eq!(
        spec.calls[0].evidence.to_string(),
        "observed: start 3, serve 1"
    );
    assert_eq!(spec.files[0].evidence, crate::spec::Evidence::Person);
    assert_eq!(spec.incomplete, None);
    assert_eq!(spec.families[0].family, 2);
    let port = &spec.ports[0];
    assert_eq!(
        (port.direction, port.protocol, port.port),
        (Direction::Bind, Protocol::Tcp, 80)
    );
    assert_eq!(
        (spec.limits.core, spec.limits.memory),
        (Some(0), Some(1_048_576))
    );
    assert_eq!(spec.protections.landlock, Demand::Prefer);
    assert_eq!(spec.protections.seccomp, Demand::Require);
}

#[test]
fn defaults_are_the_documented_ones() {
    let text =
        "format = 1\nname = \"a\"\n[service]\ncommand = [\"/a\"]\nuser = \"a\"\ngroup = \"a\"\n";
    let spec = parse(text, "a.toml").unwrap();
    assert_eq!(spec.service.workdir, PathBuf::from("/"));
    assert_eq!(spec.service.umask, 0o022);
    assert_eq!(spec.service.stop_timeout_s, 10);
    assert_eq!(spec.protections, Protections::default());
    assert_eq!(spec.limits, Limits::default());
}

#[test]
fn restart_and_liveness_are_read() {
    let text =
        "format = 1\nname = \"a\"\n[service]\ncommand = [\"/a\"]\nuser = \"a\"\ngroup = \"a\"\n";
    let with = |tables: &str| parse(&format!("{text}{tables}"), "a.toml");
    let spec = with("").unwrap();
    assert_eq!((spec.restart, spec.liveness), (Default::default(), None));
    let spec = with(
        "[restart]\nwhen = \"on-failure\"\ndelay = \"500ms\"\nlimit = 7\n\
         [liveness]\nport = \"udp:53\"\nwatchdog = \"2m\"\n",
    )
    .unwrap();
    assert_eq!(spec.restart.when, crate::spec::When::OnFailure);
    assert_eq!((spec.restart.delay_ms, spec.restart.limit), (500, 7));
    let liveness = spec.liveness.unwrap();
    assert_eq!(liveness.port, Some(Ready::Udp(53)));
    assert_eq!(
        (liveness.every_ms, liveness.watchdog_ms),
        (30_000, Some(120_000))
    );
    for (tables, why) in [
        ("[restart]\nwhen = \"often\"\n", "often"),
        ("[restart]\ndelay = \"1\"\n", "this is no time"),
        ("[restart]\nlimit = 0\n", "at least 1"),
        ("[restart]\nlimit = 65\n", "at most 64"),
        (
            "[restart]\ndelay = \"2s\"\nlongest_delay = \"1s\"\n",
            "shorter than the first",
        ),
        ("[restart]\nwait = \"2s\"\n", "unknown field"),
        ("[liveness]\n", "nothing says whether it lives"),
        ("[liveness]\nport = \"quiet:5\"\n", "this is no port"),
        ("[liveness]\ncommand = []\n", "an empty command"),
    ] {
        let error = with(tables).unwrap_err().to_string();
        assert!(error.contains(why), "{tables}: {error}");
    }
}

/// What is wrong, the place, and the hint: each mistake must show all three.
#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        (
            r#"call = "read""#,
            r#"call = "raed""#,
            "unknown system call `raed`",
            "did you mean `read`?",
        ),
        (
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BIND",
            "unknown capability `CAP_NET_BIND`",
            "",
        ),
        (
            "AF_INET",
            "AF_INTE",
            "unknown address family `AF_INTE`",
            "did you mean `inet`?",
        ),
        (
            r#"signal = "HUP""#,
            r#"signal = "HUB""#,
            "unknown signal `HUB`",
            "did you mean `HUP`?",
        ),
        (
            "device = \"null\"",
            "device = \"nul\"",
            "unknown variant `nul`",
            "did you mean `null`?",
        ),
        (
            "landlock",
            "lanlock",
            "unknown field `lanlock`",
            "did you mean `landlock`?",
        ),
        (
            "expect = 1",
            "phase = \"strat\"\nexpect = 1",
            "unknown variant `strat`",
            "did you mean `start`?",
        ),
        (
            "\"prefer\"",
            "\"perfer\"",
            "unknown variant `perfer`",
            "did you mean `prefer`?",
        ),
        (
            "writable_executable",
            "writeable_executable",
            "unknown field",
            "`writable_executable`?",
        ),
        (
            "\"quiet:500\"",
            "\"quite:500\"",
            "`quite:500` is no sign of readiness",
            "tcp:PORT",
        ),
        (
            "\"0027\"",
            "\"0028\"",
            "`0028` is not an octal mask",
            "0022",
        ),
        (
            "\"0027\"",
            "\"+027\"",
            "`+027` is not an octal mask",
            "0022",
        ),
        (
            "\"/srv/web\", because",
            "\"srv/web\", because",
            "the path is not absolute",
            "begin with",
        ),
        (
            "\"/etc/web.conf\"",
            "\"/etc/../web\"",
            "the path is not plain",
            "without `..`",
        ),
        ("\"/tmp\"", "\"/\"", "the whole root cannot stand here", ""),
        (
            "\"/tmp\"",
            "\"/srv/web\"",
            "path `/srv/web` is here twice",
            "first on line 37",
        ),
        (
            "= \"pages\"",
            "= \" \"",
            "an empty reason",
            "say what needs it",
        ),
        (
            "[\"/usr/sbin/web\", \"-f\"]",
            "[]",
            "an empty command",
            "name a program",
        ),
        (
            "[\"/usr/sbin/web\", \"-f\"]",
            "[\"web\"]",
            "the path is not absolute",
            "begin with",
        ),
        (
            "name = \"web\"",
            "name = \"../web\"",
            "`../web` cannot be a name",
            "letters",
        ),
        (
            "user = \"web\"",
            "user = \"nobody\"",
            "the generic user `nobody`",
            "its own user",
        ),
        (
            "group = \"web\"",
            "group = \"nogroup\"",
            "the generic group `nogroup`",
            "its own group",
        ),
        (
            "user = \"web\"",
            "user = \"root\"",
            "the user `root`",
            "start_as_root = true",
        ),
        (
            "user = \"web\"",
            "user = \"0\"",
            "`0` cannot be the name of a user",
            "not a number",
        ),
        (
            "[\"tls\"]",
            "[\"tls\", \"tls\"]",
            "group `tls` is here twice",
            "first on line 9",
        ),
        (
            "format = 1",
            "format = 2",
            "format 2 is not known",
            "reads format 1",
        ),
        ("port = 80", "port = 65536", "65536", ""),
        ("size_kib = 64", "size_kib = 0", "a size of nothing", ""),
        (
            "workdir = \"/srv/web\"",
            "workdir = \"/proc/self/fd/7\"",
            "in /proc",
            "CVE-2024-21626",
        ),
        ("\"odd name\"", "\"odd=name\"", "the name of a variable", ""),
        (
            "\"tcp:80\", ",
            "\"tcp:80\", \"tcp:80\", ",
            "`tcp:80` is here twice",
            "first on line 13",
        ),
        (
            "forks = true",
            "forks = true\nforks = true",
            "duplicate key",
            "",
        ),
        (
            "forks = true",
            "forks = true\nreload_command = [\"x\"]",
            "exclude each other",
            "",
        ),
        ("kind = \"data\", ", "", "missing field `kind`", ""),
        ("\"-t\"]", "\"\\u0000\"]", "a NUL character", ""),
        ("format = 1", "format = ", "", ""),
        (
            "start 3, serve 1",
            "serve 1, start 3",
            "`observed: serve 1, start 3` is no evidence",
            "leave it out",
        ),
        (
            "name = \"web\"",
            "name = \"web\"\nincomplete = \"\"",
            "an empty reason",
            "",
        ),
    ];
    for (from, to, why, hint) in cases {
        let text = whole_with(from, to);
        let shown = refusal(&text);
        assert!(shown.contains(why), "{why} not in:\n{shown}");
        assert!(shown.contains(hint), "{hint} not in:\n{shown}");
        let (line, column) = place(&shown).unwrap_or_else(|| panic!("no place in:\n{shown}"));
        assert!(
            line >= 1 && column >= 1 && line <= text.lines().count(),
            "{shown}"
        );
        assert!(shown.contains('^'), "no caret in:\n{shown}");
    }
}

/// The first `web.toml:LINE:COLUMN` in a refusal.
fn place(shown: &str) -> Option<(usize, usize)> {
    shown.split("web.toml:").skip(1).find_map(|rest| {
        let place = rest.split_whitespace().next()?;
        let (line, column) = place.split_once(':')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    })
}

#[test]
fn the_rendering_is_that_of_the_compiler() {
    let shown = refusal(&whole_with("call = \"read\"", "call = \"raed\""));
    insta::assert_snapshot!(shown, @r#"
    cannot read web.toml: unknown system call `raed`
      --> web.toml:43:19
       |
    43 | calls = [{ call = "raed", because = "observed", evidence = "observed: start 3, serve 1" }]
       |                   ^^^^^^ did you mean `read`?
    "#);
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = whole_with("call = \"read\"", "call = \"raed\"").replace("AF_INET", "AF_INTE");
    let shown = refusal(&text);
    assert!(
        shown.contains("`raed`") && shown.contains("`AF_INTE`"),
        "{shown}"
    );
}

#[test]
fn twice_the_same_rule_is_refused() {
    for (list, key) in [
        (
            "calls = [{ call = \"read\", because = \"observed\", evidence = \"observed: start 3, serve 1\" }",
            "system call `read`",
        ),
        (
            "families = [{ family = \"AF_INET\", because = \"observed\" }",
            "family `AF_INET`",
        ),
        (
            "capabilities = [{ capability = \"CAP_NET_BIND_SERVICE\", because = \"port 80\" }",
            "capability `CAP_NET_BIND_SERVICE`",
        ),
    ] {
        let (_, rule) = list.split_once('[').unwrap();
        let shown = refusal(&whole_with(list, &format!("{list}, {rule}")));
        assert!(shown.contains(&format!("{key} is here twice")), "{shown}");
    }
}

#[test]
fn root_is_possible_if_asked_for() {
    let text = whole_with("user = \"web\"", "user = \"root\"\nstart_as_root = true");
    assert_eq!(parse(&text, "web.toml").unwrap().service.user, "root");
}

proptest::proptest! {
    /// The file may come from anybody: any text gives a spec or an error, never a panic.
    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        prop_survives(&text);
    }

    /// As above, near a real file: a piece of it is replaced by anything.
    #[test]
    fn any_change_is_survived(start in 0..WHOLE.len(), length in 0..80usize, new in "(?s).{0,12}") {
        let end = (start + length).min(WHOLE.len());
        let mut text = WHOLE.to_owned();
        text.replace_range(start..end, &new);
        prop_survives(&text);
    }
}

fn prop_survives(text: &str) {
    if let Err(error) = parse(text, "web.toml") {
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("web.toml"), "{error}");
    }
}

#[test]
fn where_it_logs_is_read_and_what_is_no_place_is_told() {
    let with = |lines: &str| {
        let log = format!("[log]\n{lines}\n\n[protections]");
        parse(&whole_with("[protections]", &log), "web.toml")
    };
    let spec = with("to = \"tcp:192.0.2.1:514\"\nold_files = 0\njournal = true").unwrap();
    let sink = LogSink {
        to: LogTo::Tcp("192.0.2.1:514".parse().unwrap()),
        old_files: 0,
        ..LogSink::default()
    };
    let expected = Log {
        sink,
        journal: true,
    };
    assert_eq!(spec.log, expected);
    let wrong = [
        (
            "to = \"tcp:logs.example.org:514\"",
            "is no place for messages",
        ),
        ("file_size_kib = 1", "1 is too much or too little"),
        ("old_files = 100", "100 is too much or too little"),
        ("too = \"file\"", "unknown field `too`"),
    ];
    for (line, why) in wrong {
        let error = with(line).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("web.toml"), "{error}");
    }
}
