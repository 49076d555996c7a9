//! The program and how systemd lives with it.

use super::keys;
use super::text::{argument, plain, word};
use super::unit::Unit;
use crate::audit::Severity;
use crate::export::{Item, Loss};
use crate::spec::{LogTo, Ready, Reload, When, duration_text};
use crate::{Error, Result};

/// What systemd puts into the environment of every service (`systemd.exec(5)`, "Environment
/// variables set or propagated by systemd"), but for what a protocol of its own needs.
const ADDED: [&str; 12] = [
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LOGNAME",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "PATH",
    "SHELL",
    "SYSTEMD_EXEC_PID",
    "USER",
];

/// Says the program, its life and what is left of gaoler's part in it.
pub fn say(unit: &mut Unit<'_>) -> Result<()> {
    described(unit);
    command(unit)?;
    account(unit)?;
    readiness(unit)?;
    environment(unit)?;
    orders(unit);
    restart(unit);
    liveness(unit);
    messages(unit)?;
    unit.ledger.without_gaoler();
    unit.ledger.gap(
        [Item::Check],
        Loss::Lost,
        Severity::Info,
        "nobody compares the running service with what was started",
    );
    unit.ledger.gap(
        [Item::Incidents],
        Loss::Lost,
        Severity::Info,
        "nobody notices what may be an attack and keeps what went before it; the journal has its end",
    );
    Ok(())
}

fn described(unit: &mut Unit<'_>) {
    if unit.drop_in {
        return;
    }
    let name = &unit.subject.spec.name;
    unit.set(
        "Description",
        format!("{name} in a jail of its own"),
        "what systemctl calls it",
    );
    unit.set(
        "After",
        "network-online.target nss-lookup.target",
        "the addresses that it waits at are there by then",
    );
    unit.set(
        "Wants",
        "network-online.target",
        "the addresses that it waits at are there by then",
    );
    unit.set("WantedBy", "multi-user.target", "started with the host");
}

fn command(unit: &mut Unit<'_>) -> Result<()> {
    let service = &unit.subject.spec.service;
    let command = unit.subject.command_as_user();
    let because = match command.len() == service.command.len() {
        true => "the command that was learned",
        false => "the command that was learned, without the option for what User= does",
    };
    let words: Vec<String> = command.into_iter().map(argument).collect();
    unit.say(&[Item::Command], "ExecStart", words.join(" "), because);
    unit.say(
        &[Item::WorkingDirectory],
        "WorkingDirectory",
        plain(&service.workdir.to_string_lossy())?,
        "in the jail",
    );
    unit.say(
        &[Item::Umask],
        "UMask",
        format!("{:04o}", service.umask),
        "what it creates is as closed as the spec says",
    );
    Ok(())
}

fn account(unit: &mut Unit<'_>) -> Result<()> {
    let service = &unit.subject.spec.service;
    if service.start_as_root {
        unit.set("User", "root", "it drops its privileges by itself");
        unit.ledger.said(&Item::User);
        unit.ledger.said(&Item::Groups);
        return Ok(());
    }
    let because = "its own user, from before its first instruction";
    unit.set("User", plain(&service.user)?, because);
    unit.say(&[Item::User], "Group", plain(&service.group)?, because);
    let groups: Result<Vec<String>> = service.groups.iter().map(|it| plain(it)).collect();
    let groups = groups?.join(" ");
    if !groups.is_empty() {
        unit.set(
            "SupplementaryGroups",
            groups,
            "the groups that it was learned with",
        );
    } else if unit.drop_in {
        unit.set("SupplementaryGroups", "", "none");
    }
    let others = unit.subject.other_groups;
    match others.is_empty() {
        true => unit.ledger.said(&Item::Groups),
        false => unit.ledger.gap(
            [Item::Groups],
            Loss::Loosened,
            Severity::Medium,
            format!(
                "systemd adds every group that the host's {} is in: {}",
                service.user,
                others.join(", ")
            ),
        ),
    }
    Ok(())
}

fn readiness(unit: &mut Unit<'_>) -> Result<()> {
    let service = &unit.subject.spec.service;
    let notifies = service.ready.contains(&Ready::Notify);
    let because = match (notifies, service.forks) {
        (true, _) => {
            unit.set("NotifyAccess", "main", "nobody else speaks for it");
            unit.say(
                &[Item::Ready(Ready::Notify), Item::Forks],
                "Type",
                "notify",
                "it says by itself when it is ready",
            );
            None
        }
        (false, true) => {
            if let Some(file) = &service.pid_file {
                unit.set(
                    "PIDFile",
                    plain(&file.to_string_lossy())?,
                    "which of its processes stays",
                );
            }
            unit.say(
                &[Item::Forks],
                "Type",
                "forking",
                "its first process ends when it is in the background",
            );
            Some("when its first process has ended")
        }
        (false, false) if unit.version >= keys::TYPE_EXEC => {
            unit.set("Type", "exec", "started when it has been executed");
            Some("when it has been executed")
        }
        (false, false) => {
            unit.set("Type", "simple", "it stays in the foreground");
            Some("at once")
        }
    };
    if let Some(when) = because {
        let signs = service.ready.iter().cloned().map(Item::Ready);
        unit.ledger.gap(
            signs,
            Loss::Lost,
            Severity::Info,
            format!(
                "systemd takes it for started {when}: what comes after it may ask a service that \
                 does not answer yet"
            ),
        );
    } else {
        let rest = service.ready.iter().filter(|sign| **sign != Ready::Notify);
        unit.ledger.gap(
            rest.cloned().map(Item::Ready),
            Loss::Lost,
            Severity::Info,
            "systemd takes it for started as soon as it says so",
        );
    }
    Ok(())
}

fn environment(unit: &mut Unit<'_>) -> Result<()> {
    let variables = &unit.subject.spec.service.environment;
    let because = "the whole environment";
    if unit.drop_in {
        unit.set("Environment", "", because);
        unit.set("EnvironmentFile", "", "its options are in the command");
    }
    for (name, value) in variables {
        variable(name, value)?;
        unit.set("Environment", word(&format!("{name}={value}")), because);
    }
    let added: Vec<&str> = ADDED
        .into_iter()
        .filter(|name| !variables.contains_key(*name))
        .collect();
    let unset = unit.say(
        &[Item::Environment],
        "UnsetEnvironment",
        added.join(" "),
        "what systemd adds by itself",
    );
    if !unset {
        unit.ledger.gap(
            [Item::Environment],
            Loss::Loosened,
            Severity::Info,
            format!("this systemd adds {}", added.join(", ")),
        );
    }
    Ok(())
}

/// Refuses what systemd would leave out with a warning (`env_assignment_is_valid` of its sources).
fn variable(name: &str, value: &str) -> Result<()> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let named = plain && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    if named && !value.chars().any(|c| c.is_control() && !"\t\n".contains(c)) {
        return Ok(());
    }
    Err(Error::usage(
        format!("give the service the variable {name:?}"),
        "systemd takes names of letters, digits and _, and values without control characters",
    ))
}

/// Reload and stop: their commands are the host's, as with gaoler.
fn orders(unit: &mut Unit<'_>) {
    let service = &unit.subject.spec.service;
    let line = |words: &[String]| {
        let words: Vec<String> = words
            .iter()
            .map(|word| match word.as_str() {
                "$PID" => "$MAINPID".to_owned(),
                word => argument(word),
            })
            .collect();
        // With + it is run outside of the jail: the control program is not in it.
        format!("+{}", words.join(" "))
    };
    let reload = match &service.reload {
        Some(Reload::Command(words)) => Some(line(words)),
        Some(Reload::Signal(number)) => Some(format!("+/bin/kill -{number} $MAINPID")),
        None => None,
    };
    if let Some(reload) = reload {
        unit.say(
            &[Item::Reload],
            "ExecReload",
            reload,
            "a command of the host's, outside of the jail",
        );
    }
    if !service.stop.is_empty() {
        unit.set(
            "ExecStop",
            // With - its failure is none: TERM follows.
            format!("-{}", line(&service.stop)),
            "its own way, by a command of the host's",
        );
    }
    unit.say(
        &[Item::Stop],
        "TimeoutStopSec",
        format!("{}s", service.stop_timeout_s),
        "so long it may take to its end",
    );
}

fn restart(unit: &mut Unit<'_>) {
    let restart = unit.subject.spec.restart;
    let because = "as [restart] of the spec";
    let when = match restart.when {
        When::Never => "no",
        When::OnFailure => "on-failure",
        When::Always => "always",
    };
    unit.set("Restart", when, because);
    if restart.when == When::Never {
        unit.ledger.said(&Item::Restart);
        return;
    }
    unit.set("RestartSec", duration_text(restart.delay_ms), because);
    unit.set(
        "StartLimitIntervalSec",
        duration_text(restart.period_ms),
        because,
    );
    // The first start counts too.
    unit.set(
        "StartLimitBurst",
        restart.limit.saturating_add(1).to_string(),
        because,
    );
    let steps = doublings(restart.delay_ms, restart.longest_delay_ms);
    let grows = steps == 0
        || (unit.set("RestartSteps", steps.to_string(), because)
            && unit.set(
                "RestartMaxDelaySec",
                duration_text(restart.longest_delay_ms),
                because,
            ));
    match grows {
        true => unit.ledger.said(&Item::Restart),
        false => unit.ledger.gap(
            [Item::Restart],
            Loss::Loosened,
            Severity::Info,
            "the wait between two starts does not grow: systemd 254 is the first that can",
        ),
    }
}

/// How often a wait is doubled until it is the longest.
fn doublings(first: u32, longest: u32) -> u32 {
    let mut steps = 0;
    let mut wait = u64::from(first.max(1));
    while wait < u64::from(longest) {
        wait *= 2;
        steps += 1;
    }
    steps
}

fn liveness(unit: &mut Unit<'_>) {
    let Some(liveness) = &unit.subject.spec.liveness else {
        return;
    };
    if let Some(time) = liveness.watchdog_ms {
        unit.set(
            "WatchdogSec",
            duration_text(time),
            "it says by itself that it lives",
        );
    }
    match liveness.command.is_empty() && liveness.port.is_none() {
        true => unit.ledger.said(&Item::Liveness),
        false => unit.ledger.gap(
            [Item::Liveness],
            Loss::Lost,
            Severity::Info,
            "nobody looks whether it still answers: systemd knows its watchdog alone",
        ),
    }
}

fn messages(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    let because = "what it prints goes to the journal";
    unit.set("StandardInput", "null", "nothing can be typed into it");
    unit.set("StandardOutput", "journal", because);
    unit.set("StandardError", "journal", because);
    unit.set("SyslogIdentifier", plain(&spec.name)?, because);
    match spec.log.sink.to {
        LogTo::Auto | LogTo::Journal => unit.ledger.said(&Item::Log),
        LogTo::Syslog | LogTo::File | LogTo::Stderr | LogTo::Tcp(_) | LogTo::Udp(_) => {
            unit.ledger.gap(
                [Item::Log],
                Loss::Lost,
                Severity::Info,
                format!(
                    "its messages go to the journal, and not to {}",
                    spec.log.sink.to
                ),
            );
        }
    }
    Ok(())
}
