//! Arguments, output and exit codes: the only place that reads one and writes the other.
#![forbid(unsafe_code)]

mod apparmors;
mod args;
mod asking;
mod attacks;
mod checks;
mod completions;
mod direct;
mod exports;
mod generations;
mod guards;
mod incidents;
mod metrics;
mod output;
mod perms;
mod registries;
mod sarif;
mod screen;
mod specs;
mod table;
mod top;
mod traces;
mod trials;
mod units;
mod upgrades;
mod watching;
mod whys;

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::fs::Mode as FileMode;

use crate::error::Kind;
use crate::plan::{FIRST_PASSED, Mode};
use crate::run::Ended;
use crate::run::log::Line;
use crate::run::manager::Manager;
use crate::run::sockets::{self, Offers};
use crate::run::supervise::Handed;
use crate::verbs::{
    self, Beginning, BisectOptions, Event, Incomplete, LearnOptions, MinimizeOptions, Places,
    Verdict, Way,
};
use crate::{Doing, Error, Result, sys};
use args::{Arguments, Learn, Named, Spec, Trace, Verb};
use direct::Direct;
use output::Output;

/// Exit code for findings above the threshold, and, as LSB has it, for a service that does not
/// run.
const FINDINGS: u8 = 3;

/// Exit code of `spec diff` for specs that differ (`diff(1)`).
const DIFFERENT: u8 = 1;

/// For how long `top --once` looks: what is used is the difference.
const LOOK_FOR: Duration = Duration::from_secs(1);

/// The longest line that a held service's supervisor reads.
const LONGEST_ANSWER: u64 = 64;

/// Added to a signal's number, as shells do.
const KILLED_BY: i32 = 128;

/// Runs the command line and answers with its exit code.
pub fn main() -> ExitCode {
    // Before anything is opened: nothing of the caller's may reach a jail (CVE-2024-21626), but the
    // sockets that it hands over by name.
    let manager = Manager::of_environment();
    let passed = manager.as_ref().map_or(0, |manager| manager.sockets.len());
    let first = FIRST_PASSED.saturating_add(u32::try_from(passed).unwrap_or(0));
    if let Err(errno) = sys::close::close_from(first) {
        return fail(&Error::setup("close the inherited descriptors", errno));
    }
    if let Err(error) = not_set_user_id() {
        return fail(&error);
    }
    // Nor may its umask decide who can write what gaoler makes; that of the service is the spec's.
    rustix::process::umask(FileMode::WGRP | FileMode::WOTH);
    let result = match direct::direct(std::env::args_os()) {
        Some(Direct::Run { places, name, exec }) => {
            let mode = if exec { Mode::Exec } else { Mode::Supervised };
            run(&places, &name, mode, manager)
        }
        Some(Direct::Attest { places, name }) => attest(&places, &name),
        Some(Direct::Supervise {
            places,
            name,
            take_over: true,
            ..
        }) => take_over(&places, &name),
        Some(Direct::Supervise {
            places,
            name,
            sockets,
            ..
        }) => supervise(&places, &name, Mode::Supervised, sockets),
        None => perform(Arguments::parse(), manager),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(&error),
    }
}

/// Installed set-user-ID, it would do for anybody what it does for root: run any command. What was
/// worst in others needed that (CVE-2016-8659, CVE-2026-41163).
fn not_set_user_id() -> Result<()> {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    if (getuid(), getgid()) == (geteuid(), getegid()) {
        return Ok(());
    }
    Err(
        Error::setup("run gaoler", "its file is set-user-ID or set-group-ID")
            .hint("take that away: chmod ug-s on the program; those who may use it can use sudo"),
    )
}

/// Prints the error once. A closed standard error is no reason to panic.
fn fail(error: &Error) -> ExitCode {
    let mut text = format!("gaoler: {error}\n");
    if let Some(next) = error.next() {
        for (line, first) in next
            .lines()
            .zip(std::iter::once(true).chain(std::iter::repeat(false)))
        {
            text += &format!("{}{line}\n", if first { "  hint: " } else { "        " });
        }
    }
    match io::stderr().write_all(text.as_bytes()) {
        Ok(()) | Err(_) => ExitCode::from(error.exit_code()),
    }
}

fn perform(arguments: Arguments, manager: Result<Manager>) -> Result<u8> {
    let places = arguments.places();
    let output = Output::new();
    let report = |event: Event| output.event(&event);
    match arguments.verb {
        Verb::Up(up) => {
            let json = up.learn.json;
            let done = verbs::up(&places, &options(up.learn), &report)?;
            output.show(json, &screen::up_json(&done), || screen::up(&done))
        }
        Verb::Learn(learn) => {
            let json = learn.json;
            let learned = verbs::learn(&places, &options(learn), &report)?;
            output.show(json, &learned.trace, || screen::learned(&learned))
        }
        Verb::Build(build) => {
            let incomplete = Incomplete::accept_if(build.accept_incomplete);
            match build.standalone {
                Some(directory) => {
                    let made =
                        verbs::standalone(&places, &build.name, &directory, incomplete, &report)?;
                    output.show(build.json, &screen::built_json(&made), || {
                        screen::standalone(&made, &directory)
                    })
                }
                None => {
                    report(Event::Doing(format!(
                        "building the root tree of {}",
                        build.name
                    )));
                    let (jail, built) = verbs::build(&places, &build.name, incomplete, &report)?;
                    output.show(build.json, &screen::built_json(&built), || {
                        screen::built(&jail, &built)
                    })
                }
            }
        }
        Verb::Plan(Named { name, json }) => {
            let jail = verbs::plan(&places, &name, Mode::Supervised, &report)?;
            output.show(json, &screen::plan_json(&jail.plan), || {
                screen::plan(&jail.plan)
            })
        }
        Verb::Run(asked) => run(&places, &asked.name, asked.mode(), manager),
        Verb::Start(args::Start {
            name,
            json,
            complain,
        }) => {
            let started = verbs::start(&places, &name, complain, &report)?;
            let status = after_trial(&places, &name, &report)?;
            output.show(json, &status, || {
                screen::started(&status, started.is_none())
            })
        }
        Verb::Stop(Named { name, json }) => {
            let ran = verbs::stop(&places, &name, &report)?;
            let status = after_trial(&places, &name, &report)?;
            output.show(json, &status, || screen::stopped(&name, ran))
        }
        Verb::Restart(Named { name, json }) => {
            verbs::restart(&places, &name, &report)?;
            let status = after_trial(&places, &name, &report)?;
            output.show(json, &status, || screen::started(&status, false))
        }
        Verb::Reload(Named { name, json }) => {
            verbs::reload(&places, &name, &report)?;
            let status = verbs::status(&places, &name, &report)?;
            output.show(json, &status, || {
                format!("{name} has read its configuration again\n")
            })
        }
        Verb::Status(Named { name, json }) => {
            let status = after_trial(&places, &name, &report)?;
            output.show(json, &status, || screen::status(&status))?;
            Ok(if status.pid.is_some() { 0 } else { FINDINGS })
        }
        Verb::Logs(asked) => logs(&places, asked, &output),
        Verb::Upgrade(asked) => upgrades::upgrade(&places, &asked, &output),
        Verb::Generations(asked) => {
            let prune = asked.prune.map(usize::from);
            let found = verbs::generations(&places, &asked.name, prune, &report)?;
            output.show(asked.json, &found, || generations::generations(&found))
        }
        Verb::Rollback(asked) => {
            let done = verbs::rollback(&places, &asked.name, asked.generation, &report)?;
            output.show(asked.json, &done, || generations::rolled_back(&done))
        }
        Verb::Sbom(asked) => sbom(&places, asked, &output),
        Verb::Export(asked) => exports::export(&places, &asked, &output),
        Verb::AppArmor(asked) => apparmors::apparmor(&places, &asked, &output),
        Verb::Push(asked) => {
            let pushed = verbs::push(&places, &asked.options(), &report)?;
            output.show(asked.registry.json, &pushed, || registries::pushed(&pushed))
        }
        Verb::Pull(asked) => {
            let pulled = verbs::pull(&asked.options(), &report)?;
            output.show(asked.registry.json, &pulled, || {
                registries::pulled(&pulled, &asked.output)
            })
        }
        Verb::List(asked) => {
            let found = verbs::list(&places, asked.running)?;
            output.show(asked.json, &found, || {
                watching::list(&found, &places, asked.running)
            })
        }
        Verb::Tree(asked) => {
            let trees = verbs::tree(&places, asked.name.as_deref())?;
            output.show(asked.json, &watching::trees_json(&trees), || {
                watching::trees(&trees)
            })
        }
        Verb::Top(asked) => top(&places, &asked, &output),
        Verb::Netstats(asked) => {
            let found = verbs::netstats(&places, asked.name.as_deref())?;
            output.show(asked.json, &watching::sockets_json(&found), || {
                watching::sockets(&found)
            })
        }
        Verb::Monitor(asked) => monitor(&places, &asked),
        Verb::Incidents(asked) => match asked.verb {
            Some(args::IncidentsVerb::Show { id, json }) => {
                let found = verbs::incident(&places, id)?;
                output.show(json, &found, || incidents::incident(&found))
            }
            None => {
                let found = verbs::incidents(&places, &asked.options(), &report)?;
                output.show(asked.json, &found, || incidents::incidents(&found))
            }
        },
        Verb::Freeze(Named { name, json }) => {
            let processes = verbs::freeze(&places, &name, "by hand")?;
            let status = verbs::status(&places, &name, &report)?;
            output.show(json, &status, || incidents::frozen(&name, processes))
        }
        Verb::Thaw(Named { name, json }) => {
            let was_frozen = verbs::thaw(&places, &name)?;
            let status = verbs::status(&places, &name, &report)?;
            output.show(json, &status, || incidents::thawed(&name, was_frozen))
        }
        Verb::Metrics(asked) => metrics::metrics(&places, &asked, manager, &output),
        Verb::Check(asked) => check(&places, &asked, &output),
        Verb::Attack(attack) if attack.list => {
            let probes = crate::attack::probes()?;
            output.show(attack.json, &probes, || attacks::listed(&probes))
        }
        Verb::AttackWorker => {
            verbs::attack_worker(&mut io::stdin().lock(), &mut say_line).map(|()| 0)
        }
        Verb::Attack(attack) => {
            let (json, all) = (attack.json, attack.all);
            let found = verbs::attack(&places, &attack.options(), &report)?;
            output.show(json, &found, || attacks::attacked(&found, all))?;
            Ok(if found.escaped == 0 { 0 } else { FINDINGS })
        }
        Verb::Perms(asked) if asked.script => {
            output.print_bytes(&verbs::perms_script(&places, &asked.name)?)
        }
        Verb::Perms(asked) => {
            let found = verbs::perms(&places, &asked.name, asked.fix, &report)?;
            output.show(asked.json, &found, || perms::permissions(&found))?;
            Ok(if found.drift.is_empty() { 0 } else { FINDINGS })
        }
        Verb::Guard(asked) => {
            let found = match (asked.undo, asked.status) {
                (true, _) => verbs::guard_undo(&places, &asked.name)?,
                (false, true) => verbs::guard_status(&places, &asked.name)?,
                (false, false) => verbs::guard(&places, &asked.name, &report)?,
            };
            output.show(asked.json, &found, || guards::guarded(&found))?;
            Ok(if found.holds || asked.undo {
                0
            } else {
                FINDINGS
            })
        }
        Verb::Bisect(bisect) => {
            let json = bisect.json;
            let options = BisectOptions {
                name: bisect.name,
                exercises: bisect.exercise,
                test: bisect.test,
                in_place: bisect.in_place,
            };
            let found = verbs::bisect(&places, &options, &report)?;
            output.show(json, &found, || trials::bisected(&found))?;
            let is_jail = found.verdict != Verdict::NotTheJail;
            Ok(if is_jail { 0 } else { FINDINGS })
        }
        Verb::Minimize(minimize) => {
            let processors = || std::thread::available_parallelism().map_or(1, usize::from);
            let options = MinimizeOptions {
                name: minimize.name,
                remove: minimize.remove,
                again: minimize.again,
                in_place: minimize.in_place,
                only: minimize.only,
                jobs: minimize.jobs.map_or_else(processors, usize::from),
            };
            let found = verbs::minimize(&places, &options, &report)?;
            output.show(minimize.json, &found, || trials::minimized(&found))
        }
        Verb::TrialWorker(worker) => trial_worker(&places, &worker),
        Verb::TrialKeeper { name } => {
            verbs::trial_keeper(&places, &name, &mut io::stdin().lock(), &report).map(|()| 0)
        }
        Verb::Spec(Spec::Diff(diff)) => {
            // Of diff(1): what differs is told from what could not be compared.
            let other = diff.other.as_deref();
            let changes = verbs::spec_diff(&places, &diff.one, other)
                .map_err(|error| error.kind(Kind::Usage))?;
            output.show(diff.json, &specs::diff_json(&changes), || {
                specs::diff(&changes, diff.verbose)
            })?;
            Ok(if changes.is_empty() { 0 } else { DIFFERENT })
        }
        Verb::Spec(Spec::Show { name }) => output.print(&verbs::spec_show(&places, &name)?),
        Verb::Trace(Trace::Show(Named { name, json })) => {
            let shown = verbs::trace_show(&places, &name)?;
            output.show(json, &shown, || traces::show(&shown))
        }
        Verb::Why(why) => {
            let options = verbs::WhyOptions {
                name: why.name,
                apply: why.apply,
                allow: why.allow,
                logs: why.log,
            };
            let plain = !why.json && !options.apply && options.allow.is_empty();
            let mut found = verbs::why(&places, &options, &report)?;
            if plain && output.is_dialogue() {
                return dialogue(&places, &mut found, &output);
            }
            output.show(why.json, &whys::json(&found), || whys::text(&found))?;
            Ok(if found.works() { 0 } else { FINDINGS })
        }
        Verb::Completions { shell } => output.print(&completions::script(shell)),
        Verb::Man { directory } => completions::man_pages(&directory).map(|()| 0),
        Verb::Attest { name } => attest(&places, &name),
        Verb::Supervise(beside) if beside.take_over => take_over(&places, &beside.name),
        Verb::Supervise(beside) => supervise(&places, &beside.name, beside.mode(), beside.sockets),
    }
}

/// Shows what a jail has said, line by line.
fn logs(places: &Places, asked: args::Logs, output: &Output) -> Result<u8> {
    let options = verbs::LogsOptions {
        name: asked.name,
        lines: asked.lines,
        follow: asked.follow,
    };
    let mut show = |line: &str| match (asked.json, Line::parse(line)) {
        (false, _) => output.say(&specs::shown(line)),
        (true, Some(line)) => output.say(&serde_json::to_string(&line).unwrap_or_default()),
        // Somebody else has written that.
        (true, None) => Ok(true),
    };
    verbs::logs(places, &options, &mut show).map(|()| 0)
}

/// Tells what happens, line by line, until nobody reads it.
fn monitor(places: &Places, asked: &args::Observed) -> Result<u8> {
    let mut out = io::stdout().lock();
    let mut tell = |event: &crate::run::events::Event| {
        let line = match asked.json {
            true => {
                serde_json::to_string(event).map_err(|error| Error::new("write JSON", error))?
            }
            false => watching::event(event),
        };
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::new("write to standard output", error)),
        }
    };
    verbs::monitor(places, asked.name.as_deref(), &mut tell).map(|()| 0)
}

/// Shows what is used: on a page if a person sits there.
fn top(places: &Places, asked: &args::Top, output: &Output) -> Result<u8> {
    let mut top = verbs::Top::new(places, asked.name.as_deref())?;
    if output.is_dialogue() && !asked.once && !asked.json {
        let signal = top::show(&mut top, Duration::from_secs(asked.every))?;
        return Ok(signal.map_or(0, |signal| exit_code_of(Ended::Killed(signal))));
    }
    top.sample()?;
    std::thread::sleep(LOOK_FOR);
    let jails = top.sample()?;
    output.show(asked.json, &serde_json::json!({ "jails": jails }), || {
        top::once(&jails)
    })
}

/// Checks one jail, or everything that listens.
fn check(places: &Places, asked: &args::Check, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let colour = output.colour();
    let score = match &asked.name {
        Some(name) => {
            let look = verbs::Look {
                live: asked.live,
                exercise: asked.exercise,
            };
            let found = verbs::check(places, name, look, &report)?;
            let spec = places.spec(name);
            let sarif = || sarif::log(&found.findings, found.score, Some(&spec));
            match asked.sarif {
                true => output.show(true, &sarif(), String::new)?,
                false => output.show(asked.json, &found, || checks::check(&found, colour))?,
            };
            found.score
        }
        None => {
            let found = verbs::scan(places, asked.unix)?;
            let sarif = || sarif::log(&found.findings, found.score, None);
            match asked.sarif {
                true => output.show(true, &sarif(), String::new)?,
                false => output.show(asked.json, &found, || checks::scan(&found, colour))?,
            };
            found.score
        }
    };
    let above = asked.fail_above.is_some_and(|limit| score > limit);
    Ok(if above { FINDINGS } else { 0 })
}

/// Prints a bill of materials, or writes it into a file.
fn sbom(places: &Places, asked: args::Sbom, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let format = asked.format.into();
    let bill = verbs::sbom(places, &asked.name, asked.generation, format, &report)?;
    let Some(file) = asked.output else {
        return output.show(true, &bill, String::new);
    };
    let mut text = serde_json::to_string_pretty(&bill)
        .map_err(|error| Error::new("write the bill of materials", error))?;
    text.push('\n');
    verbs::sbom_write(&file, &text).map(|()| 0)
}

/// Asks about each denial, and takes over what is allowed.
fn dialogue(places: &Places, found: &mut verbs::Why, output: &Output) -> Result<u8> {
    output.print(&whys::summary(found))?;
    let mut input = io::stdin().lock();
    let answers = asking::ask(found, &mut input, &mut io::stdout())
        .map_err(|error| Error::new("ask what shall be allowed", error))?;
    if answers.quit {
        output.print("nothing was changed\n")?;
    } else {
        let report = |event: Event| output.event(&event);
        verbs::why_take(places, found, answers.taken, &report)?;
        output.print(&whys::end(found))?;
    }
    Ok(if found.works() { 0 } else { FINDINGS })
}

/// Runs a jail in the foreground, with what the manager hands over.
fn run(places: &Places, name: &str, mode: Mode, manager: Result<Manager>) -> Result<u8> {
    let manager = manager.map_err(Error::nothing_started)?;
    verbs::run(places, name, mode, manager).map(exit_code_of)
}

/// Beside a jail: lines for whoever started it, then what the jail says for as long as that is
/// read.
fn supervise(places: &Places, name: &str, mode: Mode, sockets: bool) -> Result<u8> {
    let kept = match sockets {
        true => sockets::receive(rustix::stdio::stdin())?,
        false => Vec::new(),
    };
    let handed = Handed {
        listener: output::standard_output_as_listener(),
        sockets: Offers {
            kept,
            ..Offers::default()
        },
        ..Handed::default()
    };
    let mut announce = |word: &verbs::Announcement| {
        let mut line = serde_json::to_string(word).unwrap_or_default();
        line.push('\n');
        let said = io::stdout()
            .write_all(line.as_bytes())
            .and_then(|()| io::stdout().flush());
        match said {
            Ok(()) => {}
            // Whoever started it may be gone; the jail is not the worse for it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            // One that is still there would wait for ever.
            Err(error) => return Err(error).doing(|| format!("tell how {name} was started")),
        }
        match word {
            verbs::Announcement::Forked(_) => return wait_for_a_line(),
            _ => output::leave_standard_output(),
        }
        Ok(())
    };
    verbs::supervise(places, name, mode, handed, &mut announce).map(|()| 0)
}

/// Beside a jail that another one was beside of, until that was killed.
fn take_over(places: &Places, name: &str) -> Result<u8> {
    let mut announce = |word: &verbs::Announcement| {
        say_line(&serde_json::to_string(word).unwrap_or_default());
        output::leave_standard_output();
        Ok(())
    };
    let taken = verbs::take_over(places, name, &mut announce);
    if let Err(error) = &taken {
        let (what, why, hint) = error.parts();
        let hint = hint.map(str::to_owned);
        announce(&verbs::Announcement::Failed(
            what.to_owned(),
            why.to_owned(),
            hint,
        ))?;
    }
    taken.map(|()| 0)
}

/// Lines for the supervisor, which logs them.
fn attest(places: &Places, name: &str) -> Result<u8> {
    let told = verbs::attest(places, name).inspect_err(|error| say_line(&error.to_string()))?;
    told.iter().for_each(|line| say_line(line));
    Ok(0)
}

/// Until whoever started this has a tracer at the service. If that one is gone, nobody waits for
/// the service, and it shall not run.
fn wait_for_a_line() -> Result<()> {
    let mut line = String::new();
    match io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut line) {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(Error::setup(
            "hold the service for its tracer",
            "there is none any more",
        )),
    }
}

/// Whether a jail runs; says so if a command that was killed has left it stopped.
fn after_trial(places: &Places, name: &str, report: &verbs::Report<'_>) -> Result<verbs::Status> {
    let status = verbs::status(places, name, report)?;
    if let Some(told) = verbs::killed_trial(places, name, status.pid.is_some()) {
        report(Event::Note(told));
    }
    Ok(status)
}

/// One end of the pipes to whoever tries variants of a spec out.
fn trial_worker(places: &Places, worker: &args::TrialWorker) -> Result<u8> {
    let way = match worker.isolated {
        true => Way::Isolated,
        false => Way::InPlace,
    };
    let way = (way, worker.inside);
    let mut input = io::stdin().lock();
    verbs::trial_worker(places, &worker.name, way, &mut input, &mut say_line).map(|()| 0)
}

/// A line for whoever gives a worker its jobs. One who does not listen any more has ended, and this
/// process with it.
fn say_line(line: &str) {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) | Err(_) => {}
    }
}

fn exit_code_of(ended: Ended) -> u8 {
    let code = match ended {
        Ended::Exited(code) => code,
        Ended::Killed(signal) => KILLED_BY + signal,
        Ended::Unseen => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}

fn options(learn: Learn) -> LearnOptions {
    LearnOptions {
        name: learn.name,
        command: learn.command,
        exercises: learn.exercise,
        start_exercises: learn.start_exercise,
        serve_for: learn.serve_for,
        ready: learn.ready,
        user: learn.user,
        group: learn.group,
        beginning: match (learn.as_user, learn.start_as_root) {
            (true, _) => Some(Beginning::AsUser),
            (_, true) => Some(Beginning::StaysRoot),
            _ => None,
        },
        unaided: learn.unaided,
        create_user: learn.create_user,
        again: learn.again,
        merge: learn.merge,
        incomplete: Incomplete::accept_if(learn.accept_incomplete),
        passes: learn.passes,
        heal: learn.heal,
    }
}
