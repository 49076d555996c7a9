//! The rows of `docs/equivalence.md` for systemd and AppArmor, made in the machine:
//! `GAOLER_BLESS=1 cargo test equivalence`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gaoler::spec::{self, Spec};
use gaoler::sys::caps;
use rustix::process::{Pid, Signal, kill_process};

use crate::equivalence::announced::are_announced;
use crate::equivalence::exercised;
use crate::equivalence::prober::{self, Outcomes};
use crate::equivalence::table::{self, Row};
use crate::image::Image;
use crate::inside::exported::{OUT, installed, removed};
use crate::inside::{done, eventually};
use crate::machine::{self, Inside};

/// What a line of a row begins with.
const ROW: &str = "row\t";

/// Where the machine has what belongs to the prober.
const OWN: &str = "/srv/probed";

#[test]
fn those_of_systemd_and_apparmor() {
    if std::env::var_os("GAOLER_BLESS").is_none() {
        return;
    }
    let told = machine::run(&Inside {
        image: Image::of_the_rows(),
        tests: "equivalence_rows::in_the_machine::",
        longest: Duration::from_secs(3 * 3600),
    });
    let rows = told.lines().filter_map(|line| line.strip_prefix(ROW));
    for row in rows {
        table::add(Row::parse(row));
    }
    assert!(told.contains("\nend: 0\n"), "{told}");
}

mod in_the_machine {
    macro_rules! rows {
        ($($service:ident: $by_systemd:ident, $by_apparmor:ident,)*) => {
            $(
                #[test]
                #[ignore = "in the machine of the rows"]
                fn $by_systemd() {
                    super::row(stringify!($service), super::under_systemd);
                }

                #[test]
                #[ignore = "in the machine of the rows"]
                fn $by_apparmor() {
                    super::row(stringify!($service), super::under_apparmor);
                }
            )*
        };
    }

    rows! {
        apache2: systemd_apache2, apparmor_apache2,
        named: systemd_named, apparmor_named,
        nginx: systemd_nginx, apparmor_nginx,
    }
}

/// One service under one of them, from learning to its row.
fn row(service: &str, under: fn(&Spec, &Path)) {
    done("systemctl disable --now named nginx apache2");
    let policy = PathBuf::from(format!("/etc/gaoler/{service}.toml"));
    if !policy.exists() {
        done(&format!("gaoler up {service}"));
        done(&format!("gaoler stop {service}"));
    }
    fs::create_dir_all(OWN).unwrap();
    let program = Path::new(OWN).join("prober");
    fs::write(&program, gaoler::attack::PROBER).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let spec = spec::parse(&fs::read_to_string(&policy).unwrap(), service).unwrap();
    under(&spec, &policy);
}

fn under_systemd(spec: &Spec, policy: &Path) {
    let name = &spec.name;
    let exported = installed(name, "");
    done(&format!("systemctl start {name}"));
    let passed = exercised::exercise(spec);
    done(&format!("systemctl stop {name}"));

    // The unit as it is, but for the program: the prober lies on that.
    let program = &spec.service.command[0];
    let directory = format!("/run/systemd/system/{name}.service.d");
    fs::create_dir_all(&directory).unwrap();
    let text = format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRestart=no\nExecReload=\nExecStop=\n\
         ExecStart=\nExecStart={program} $ARGUMENTS\nEnvironmentFile={OWN}/arguments\n\
         StandardOutput=truncate:{OWN}/said\nBindReadOnlyPaths={OWN}/prober:{program}\n"
    );
    fs::write(format!("{directory}/prober.conf"), text).unwrap();
    done("systemctl daemon-reload");
    let launch = format!(
        "printf 'ARGUMENTS=\"%s\"\\n' \"$ARGUMENTS\" >{OWN}/arguments\n\
         systemctl start {name} 2>{OWN}/failed\ncat {OWN}/said\n\
         eval \"$(systemctl show -p ExecMainCode -p ExecMainStatus {name})\"\n\
         # 1: it has exited by itself (CLD_EXITED of sigaction(2)).\n\
         [ \"$ExecMainCode\" = 1 ] || ExecMainStatus=$((ExecMainStatus + 128))\n\
         exit \"$ExecMainStatus\"\n"
    );
    attacked("systemd", spec, policy, &launch, passed);
    fs::remove_dir_all(&directory).unwrap();
    removed(&exported);
}

fn under_apparmor(spec: &Spec, policy: &Path) {
    let name = &spec.name;
    let told = done(&format!(
        "gaoler export {name} --to apparmor --host-files -o {OUT} --json"
    ));
    let exported: serde_json::Value = serde_json::from_str(&told).unwrap();
    let profile = exported["files"][0]["path"].as_str().unwrap();
    done(&format!("apparmor_parser -r {OUT}/{profile}"));
    let starter = starter(spec);
    let mut started = Command::new("sh")
        .args(["-c", &format!("exec {starter} \"$@\""), "sh"])
        .args(&spec.service.command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let passed = exercised::exercise(spec);
    let pid = exercised::pid(spec).unwrap();
    let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
    assert_eq!(label.trim(), format!("{name} (enforce)"));
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    eventually("it ends", || started.try_wait().unwrap().is_some());

    let program = &spec.service.command[0];
    let launch = format!(
        "exec unshare --mount --propagation private sh -c \
         'mount --bind -- \"$PROBER\" {program} && exec {starter} {program} $ARGUMENTS'\n"
    );
    attacked("AppArmor", spec, policy, &launch, passed);
    done(&format!("apparmor_parser -R {OUT}/{profile}"));
}

/// The words that make whoever follows them the service's user: what a profile leaves to others.
fn starter(spec: &Spec) -> String {
    let service = &spec.service;
    let kept = spec.capabilities.iter();
    let kept: Vec<String> = kept
        .filter_map(|rule| caps::name(rule.capability))
        .map(|name| format!(",+{}", name.to_ascii_lowercase()))
        .collect();
    let sets = ["inh-caps", "ambient-caps", "bounding-set"];
    let sets = sets.map(|set| format!("--{set}=-all{}", kept.concat()));
    let variables = service.environment.iter();
    let variables: Vec<String> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let groups = match service.groups.is_empty() {
        true => "--clear-groups".to_owned(),
        false => format!("--groups={}", service.groups.join(",")),
    };
    format!(
        "env -i -C {} {} setpriv --reuid={} --regid={} {groups} {} --",
        service.workdir.display(),
        variables.join(" "),
        service.user,
        service.group,
        sets.join(" ")
    )
}

/// Attacks it, and prints its row.
fn attacked(launcher: &str, spec: &Spec, policy: &Path, launch: &str, passed: usize) {
    let under = prober::under(Path::new(OWN), spec, policy, launch);
    let attack = Command::new("gaoler")
        .args(["attack", "--json", "--user", &spec.service.user])
        .args(["--under", &under])
        .output()
        .unwrap();
    assert!(
        [Some(0), Some(3)].contains(&attack.status.code()),
        "{attack:?}"
    );
    let report = String::from_utf8(attack.stdout).unwrap();
    println!("\n{}", prober::seen(&report));
    let outcomes = Outcomes::of(&report, spec);
    let row = Row {
        launcher: launcher.to_owned(),
        service: spec.name.clone(),
        passed,
        exercises: spec.exercises.len(),
        stopped: outcomes.stopped.len(),
        allowed: outcomes.allowed,
        through: outcomes.through,
        unproven: outcomes.unproven,
    };
    // The name of the test stands at the beginning of the line.
    println!("\n{ROW}{}", row.line());
    let gaps = fs::read(Path::new(OUT).join(format!("{}.gaps.json", spec.name))).unwrap();
    are_announced(
        launcher,
        &row.through,
        &serde_json::from_slice(&gaps).unwrap(),
    );
}
