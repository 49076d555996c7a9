use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::plan::{Phase, Plan, PlannedStep, Step};
use crate::run::Ended;
use crate::run::attempt::Attempt;
use crate::spec::{self, Spec};
use crate::sys::calls;
use crate::sys::seccomp::{always, answers};

fn policy(more: &str) -> Spec {
    let text = format!(
        "format = 1\nname = \"web\"\n[service]\ncommand = [\"/usr/sbin/web\"]\nuser = \"web\"\n\
         group = \"web\"\nready = [\"tcp:80\"]\n{more}"
    );
    spec::parse(&text, "web.toml").unwrap()
}

fn probe(id: &str) -> Probe {
    let found = probes().unwrap().into_iter().find(|probe| probe.id == id);
    found.unwrap()
}

/// The names between quotes that begin the lines of the prober's tables.
fn known_to_the_prober() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("prober/probes");
    let mut names = BTreeSet::new();
    for file in fs::read_dir(directory).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let name = line
                .strip_prefix("    (\"")
                .and_then(|rest| rest.split_once("\", "));
            if let Some((name, _)) = name.filter(|_| line.ends_with("),")) {
                assert!(names.insert(name.to_owned()), "{name} twice");
            }
        }
    }
    names
}

#[test]
fn the_table_and_the_prober_have_the_same_probes() {
    let table = probes().unwrap();
    assert!(table.len() >= 70, "{}", table.len());
    let ids: BTreeSet<String> = table.iter().map(|probe| probe.id.clone()).collect();
    assert_eq!(ids.len(), table.len(), "one comes twice");
    assert_eq!(ids, known_to_the_prober());
    for probe in &table {
        assert!(!probe.layers.is_empty(), "{}", probe.id);
        assert!(!probe.tries.is_empty() && !probe.source.is_empty());
    }
}

#[test]
fn the_prober_is_a_static_program() {
    let file = object::File::parse(PROBER).unwrap();
    use object::{Object, ObjectKind};
    assert_eq!(file.kind(), ObjectKind::Executable);
    assert_eq!(file.imports().unwrap().count(), 0);
}

fn answer(code: i32, words: &str) -> Answer {
    Answer::of(&Attempt {
        ended: Some(Ended::Exited(code)),
        words: words.to_owned(),
    })
}

#[test]
fn the_end_of_a_prober_is_its_answer() {
    assert_eq!(
        answer(240, "through: read a file outside\n"),
        Answer::Through("read a file outside".to_owned())
    );
    let refused = answer(1, "refused 1 a5 10 20 0 0 0 0: mount a tmpfs\n");
    let Answer::Refused { errno, call, step } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((*errno, step.as_str()), (1, "mount a tmpfs"));
    assert_eq!(*call, Some([0xa5, 0x10, 0x20, 0, 0, 0, 0]));
    assert_eq!(refused.evidence(), "mount a tmpfs: EPERM");
    // It may not have been able to tell.
    assert_eq!(answer(2, "").evidence(), "ENOENT");
    assert_eq!(answer(1, "refused 1 zz: x").evidence(), "EPERM");
    // As launchers pass the signal of their child on.
    assert_eq!(answer(159, ""), Answer::Killed(31));
    assert_eq!(answer(0, ""), Answer::Failed(0));
    assert_eq!(answer(239, ""), Answer::Nothing(String::new()));
    let endless = Attempt {
        ended: None,
        words: String::new(),
    };
    assert_eq!(Answer::of(&endless), Answer::TimedOut);
}

fn verdict(probe: &Probe, spec: &Spec, inside: &Answer, outside: &Answer) -> Verdict {
    let confined = Confined {
        answer: inside,
        spec: Some(spec),
        filters: &[],
        architecture: 0xC000_003E,
        without: &[],
        serving: true,
    };
    let unconfined = Unconfined {
        root: outside.clone(),
        most: "root",
        user: answer(1, ""),
    };
    judge(probe, confined, &unconfined)
}

#[test]
fn what_does_not_succeed_outside_proves_nothing() {
    let (probe, spec) = (probe("mount-tmpfs"), policy(""));
    let (through, refused) = (answer(240, ""), answer(1, ""));
    let outcome = |inside, outside| verdict(&probe, &spec, inside, outside).outcome;
    assert_eq!(outcome(&refused, &through), Outcome::Blocked);
    assert_eq!(outcome(&refused, &refused), Outcome::NotProven);
    assert_eq!(outcome(&through, &through), Outcome::Escaped);
    assert_eq!(outcome(&through, &refused), Outcome::Escaped);
    assert_eq!(outcome(&Answer::TimedOut, &through), Outcome::NotProven);
    assert_eq!(outcome(&Answer::Failed(125), &through), Outcome::NotProven);
    let not_tried = answer(241, "");
    assert_eq!(outcome(&not_tried, &through), Outcome::Blocked);
    // By the filter, for want of memory, and by a mistake of the prober's own.
    let [filter, memory, fault] = [31, 9, 11].map(Answer::Killed);
    assert_eq!(outcome(&filter, &through), Outcome::Blocked);
    assert_eq!(outcome(&memory, &through), Outcome::Blocked);
    assert_eq!(outcome(&fault, &through), Outcome::NotProven);
}

#[test]
fn what_the_spec_has_is_allowed_and_nothing_less() {
    let through = answer(240, "");
    let outcome = |id: &str, more: &str| {
        let spec = policy(more);
        verdict(&probe(id), &spec, &through, &through).outcome
    };
    let family = "[allow]\nfamilies = [{ family = \"NETLINK\", because = \"a test\" }]\n";
    assert_eq!(outcome("socket-netlink", family), Outcome::AllowedBySpec);
    assert_eq!(outcome("socket-packet", family), Outcome::Escaped);
    let call = "[allow]\ncalls = [{ call = \"mount\", because = \"a test\" }]\n";
    let capability = "capabilities = [{ capability = \"SYS_ADMIN\", because = \"a test\" }]\n";
    assert_eq!(outcome("mount-tmpfs", call), Outcome::Escaped);
    let both = format!("{call}{capability}");
    assert_eq!(outcome("mount-tmpfs", &both), Outcome::AllowedBySpec);
    assert_eq!(outcome("limit-memory", ""), Outcome::AllowedBySpec);
    let limit = "[limits]\nmemory_bytes = 1000000\n";
    assert_eq!(outcome("limit-memory", limit), Outcome::Escaped);
}

#[test]
fn the_filter_itself_says_whether_it_was_it() {
    let (probe, spec) = (probe("mount-tmpfs"), policy(""));
    let mount = calls::number("mount").unwrap();
    let inside = answer(1, &format!("refused 1 {mount:x} 0 0 0 0 0 0: mount"));
    let outside = Unconfined {
        most: "root",
        root: answer(240, ""),
        user: answer(1, ""),
    };
    let layer = |answers, serving, without: &[Layer]| {
        let filter = always(answers);
        let confined = Confined {
            answer: &inside,
            spec: Some(&spec),
            filters: &[&filter],
            architecture: 0xC000_003E,
            without,
            serving,
        };
        judge(&probe, confined, &outside).layer
    };
    assert_eq!(layer(answers::ERRNO | 1, true, &[]), Some(Layer::Seccomp));
    assert_eq!(layer(answers::ALLOW, true, &[]), Some(Layer::Capabilities));
    // While the service starts, what asks runs.
    let asks = answers::USER_NOTIF;
    assert_eq!(layer(asks, false, &[]), Some(Layer::Capabilities));
    assert_eq!(layer(asks, true, &[]), Some(Layer::Seccomp));
    let without = [Layer::Capabilities];
    assert_eq!(layer(asks, false, &without), Some(Layer::Landlock));
}

fn plan(steps: Vec<(Phase, Step)>) -> Plan {
    let steps = steps.into_iter().map(|(phase, step)| PlannedStep {
        phase,
        step,
        reason: String::new(),
    });
    Plan {
        name: "web".to_owned(),
        generation: 1,
        forks: false,
        steps: steps.collect(),
        ready: Vec::new(),
        lacking: Vec::new(),
        check_every_s: 0,
        living: crate::plan::Living::default(),
        log: Default::default(),
    }
}

#[test]
fn a_plan_without_a_layer_lacks_that_and_nothing_else() {
    let whole = plan(vec![
        (Phase::Mounts, Step::StopPropagation),
        (Phase::Root, Step::PivotRoot),
        (Phase::Process, Step::NewSession),
        (Phase::Ids, Step::SetUids { uid: 7 }),
        (Phase::Ids, Step::SetCapabilities { keep: 1 }),
        (
            Phase::Ids,
            Step::VerifyIds {
                uid: 7,
                gid: 7,
                groups: Vec::new(),
                capabilities: 1,
                ambient: 0,
            },
        ),
        (Phase::Restrict, Step::NoNewPrivs),
    ]);
    let left = |layers: &[Layer]| -> Vec<Step> {
        let plan = without(&whole, layers, 0xff).unwrap();
        plan.steps.into_iter().map(|planned| planned.step).collect()
    };
    assert_eq!(left(&[]).len(), 7);
    assert_eq!(left(&[Layer::Root]).len(), 5);
    assert_eq!(left(&[Layer::Session]).len(), 6);
    assert!(!left(&[Layer::Ids]).contains(&Step::SetUids { uid: 7 }));
    let raised = Step::SetCapabilities { keep: 0xff };
    assert!(left(&[Layer::Capabilities]).contains(&raised));
    without(&whole, &[Layer::NoNewPrivs], 0).unwrap_err();
    without(&whole, &[Layer::Descriptors], 0).unwrap_err();
    let three = [Layer::NoNewPrivs, Layer::Seccomp, Layer::Landlock];
    assert!(!left(&three).contains(&Step::NoNewPrivs));
}

#[test]
fn the_prober_takes_the_place_of_the_program_and_of_nothing_else() {
    let path = "/usr/sbin/web".into();
    let whole = plan(vec![
        (Phase::Descriptors, Step::OpenProgram { path }),
        (Phase::Descriptors, Step::CloseRest),
        (
            Phase::Execute,
            Step::Execute {
                arguments: vec!["/usr/sbin/web".to_owned()],
                environment: vec!["A=b".to_owned()],
            },
        ),
    ]);
    let with = with_prober(&whole, &["prober".to_owned()]);
    let steps: Vec<Step> = with.steps.into_iter().map(|planned| planned.step).collect();
    let executes = Step::Execute {
        arguments: vec!["prober".to_owned()],
        environment: vec!["A=b".to_owned()],
    };
    assert_eq!(steps, [Step::TakeProgram, Step::CloseRest, executes]);
}

#[test]
fn what_is_left_for_the_host_is_stopped_by_the_host_alone() {
    let (probe, spec) = (probe("pid-file-other"), policy(""));
    let left = answer(238, "left: wrote a pid file");
    assert_eq!(left, Answer::Left("wrote a pid file".to_owned()));
    let judged = |without: &[Layer], spec, outside: &Answer| {
        let confined = Confined {
            answer: &left,
            spec,
            filters: &[],
            architecture: 0xC000_003E,
            without,
            serving: true,
        };
        let unconfined = Unconfined {
            root: outside.clone(),
            most: "root",
            user: answer(1, ""),
        };
        let verdict = judge(&probe, confined, &unconfined);
        (verdict.outcome, verdict.layer)
    };
    let through = answer(240, "");
    let blocked = (Outcome::Blocked, Some(Layer::Host));
    assert_eq!(judged(&[], Some(&spec), &through), blocked);
    let unknown = (Outcome::Blocked, None);
    assert_eq!(judged(&[Layer::Host], Some(&spec), &through), unknown);
    // Nobody was taken in outside either; and a launcher does nothing with it.
    let unproven = (Outcome::NotProven, None);
    assert_eq!(judged(&[], Some(&spec), &left), unproven);
    assert_eq!(judged(&[], None, &through), unproven);
}

#[test]
fn a_log_believes_what_a_header_says() {
    let rows: [(&str, &[u8], &[u8]); 7] = [
        (
            "log-forged-jail",
            b"<30>Jan  1 00:00:00 other/web[1]: x",
            b"<30>Jan  1 00:00:00 web/3/other/web[42]: x",
        ),
        (
            "log-forged-gaoler",
            b"<28>web/3/gaoler[42]: x",
            b"<28>web/3/-[42]: gaoler: x",
        ),
        (
            "log-forged-process",
            b"<30>web[7]: x",
            b"<30>web/3/web[42]: [7]",
        ),
        (
            "log-forged-facility",
            b"<0>kernel: x",
            b"<24>web/3/kernel[42]: <0>",
        ),
        (
            "log-forged-line",
            b"<30>web: a\n<0>b",
            b"<30>web/3/web[42]: a#012<0>b",
        ),
        (
            "log-control-characters",
            b"<30>web: \x1b[2J",
            b"<30>web/3/web[42]: #033[2J",
        ),
        ("log-huge", &[b'x'; 8193], &[b'x'; 8192]),
    ];
    for (probe, forged, rewritten) in rows {
        assert!(logged::believed(probe, forged, 7).is_some(), "{probe}");
        assert_eq!(logged::believed(probe, rewritten, 7), None, "{probe}");
    }
    let told = b"<28>web/3/gaoler[42]: 211 messages were lost here: this log did not take them";
    assert_eq!(logged::lost(told), Some(211));
    let forged = b"<28>web/3/-[42]: 211 messages were lost here: this log did not take them";
    assert_eq!(logged::lost(forged), None);
    let forged = b"<28>web/3/a/gaoler[42]: 211 messages were lost here: this log did not take them";
    assert_eq!(logged::lost(forged), None);
}

#[test]
fn the_log_of_the_host_takes_the_place_of_the_jails_own() {
    let bind = |source: &str| Step::Bind {
        path: "/dev/gaoler".into(),
        source: source.into(),
        writable: false,
    };
    let directory = "/run/gaoler/web/log".into();
    let whole = plan(vec![
        (Phase::Host, Step::OpenLogSocket { directory }),
        (Phase::Mounts, bind("/run/gaoler/web/log")),
        (Phase::Mounts, bind("/srv/web")),
    ]);
    let with = with_log_of_host(&whole, Path::new("/host"));
    let steps: Vec<Step> = with.steps.into_iter().map(|planned| planned.step).collect();
    assert_eq!(steps[1..], [bind("/host"), bind("/srv/web")]);
}

#[test]
fn a_launcher_that_fails_is_no_refusal() {
    let under = |code, words: &str| {
        Answer::under(&Attempt {
            ended: Some(Ended::Exited(code)),
            words: words.to_owned(),
        })
    };
    // What `bwrap` and others end with when they cannot start it is EPERM's number.
    assert_eq!(under(1, "bwrap: no such directory\n"), Answer::Failed(1));
    let refused = under(
        1,
        "refused 1 a5 0 0 0 0 0 0: mount a tmpfs\nIt has ended.\n",
    );
    assert_eq!(refused.evidence(), "mount a tmpfs: EPERM");
    assert!(under(240, "").is_through());
    assert_eq!(under(159, ""), Answer::Killed(31));
}

#[test]
fn of_another_launcher_the_layers_are_not_known() {
    let outside = Unconfined {
        most: "root",
        root: Answer::Through(String::new()),
        user: answer(1, ""),
    };
    let judged = |answer: &Answer| {
        let confined = Confined {
            answer,
            spec: None,
            filters: &[],
            architecture: 0xC000_003E,
            without: &[],
            serving: true,
        };
        judge(&probe("kernel-bpf"), confined, &outside)
    };
    let refused = judged(&answer(1, "refused 1 a5 0 0 0 0 0 0: make a BPF map"));
    assert_eq!((refused.outcome, refused.layer), (Outcome::Blocked, None));
    assert_eq!(judged(&Answer::Killed(31)).layer, Some(Layer::Seccomp));
    assert_eq!(judged(&Answer::Killed(9)).layer, None);
    assert_eq!(
        judged(&Answer::Through(String::new())).outcome,
        Outcome::Escaped
    );
}

#[test]
fn a_launcher_is_started_by_a_plan_that_confines_nothing_itself() {
    let arguments = vec!["bwrap".to_owned(), "prober".to_owned()];
    let plan = launched("x", "/usr/bin/bwrap".into(), arguments, Vec::new());
    let ids = |step: &Step| matches!(step, Step::SetUids { .. } | Step::CloseRest);
    assert!(!plan.steps.iter().any(|planned| ids(&planned.step)));
    assert!(plan.steps.iter().any(|planned| planned.step
        == Step::OpenProgram {
            path: "/usr/bin/bwrap".into()
        }));
}

#[test]
fn a_shell_is_allowed_where_the_tree_has_one() {
    let calls = "[allow]\ncalls = [{ call = \"execve\", because = \"it does\" }]\n";
    let file = |path: &str, kind: &str| {
        format!(
            "[tree]\nfiles = [{{ path = \"{path}\", kind = \"{kind}\", because = \"it does\" }}]\n"
        )
    };
    let allowed = |more: &str| probe("code-shell").allowed_by(&policy(more)).is_some();
    assert!(allowed(&(file("/usr/bin/dash", "program") + calls)));
    assert!(!allowed(&file("/usr/bin/dash", "program")));
    assert!(!allowed(&(file("/usr/bin/dash", "data") + calls)));
    assert!(!allowed(&(file("/usr/bin/perl", "program") + calls)));
}
