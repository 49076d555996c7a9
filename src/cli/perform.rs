//! Each verb of the command line, and who does it.

use std::io;

use super::args::{Arguments, Spec, Trace, Verb};
use super::output::Output;
use super::{
    apparmors, beside, completions, exports, listing, making, metrics, proving, running, upgrades,
};
use crate::run::manager::Manager;
use crate::{Result, verbs};

/// Does what was asked, and answers with the exit code.
pub(super) fn perform(arguments: Arguments, manager: Result<Manager>) -> Result<u8> {
    let places = &arguments.places();
    let output = &Output::new();
    match arguments.verb {
        Verb::Up(asked) => making::up(places, asked, output),
        Verb::Learn(asked) => making::learn(places, asked, output),
        Verb::Build(asked) => making::build(places, &asked, output),
        Verb::Plan(asked) => making::plan(places, &asked, output),
        Verb::Sbom(asked) => making::sbom(places, asked, output),
        Verb::Run(asked) => beside::run(places, &asked.name, asked.mode(), manager),
        Verb::Start(asked) => running::start(places, &asked, output),
        Verb::Stop(asked) => running::stop(places, &asked, output),
        Verb::Restart(asked) => running::restart(places, &asked, output),
        Verb::Reload(asked) => running::reload(places, &asked, output),
        Verb::Status(asked) => running::status(places, &asked, output),
        Verb::Freeze(asked) => running::freeze(places, &asked, output),
        Verb::Thaw(asked) => running::thaw(places, &asked, output),
        Verb::Logs(asked) => running::logs(places, asked, output),
        Verb::Upgrade(asked) => upgrades::upgrade(places, &asked, output),
        Verb::Generations(asked) => making::generations(places, &asked, output),
        Verb::Rollback(asked) => making::rollback(places, &asked, output),
        Verb::Export(asked) => exports::export(places, &asked, output),
        Verb::AppArmor(asked) => apparmors::apparmor(places, &asked, output),
        Verb::Push(asked) => making::push(places, &asked, output),
        Verb::Pull(asked) => making::pull(&asked, output),
        Verb::List(asked) => listing::list(places, &asked, output),
        Verb::Tree(asked) => listing::tree(places, &asked, output),
        Verb::Top(asked) => listing::top(places, &asked, output),
        Verb::Netstats(asked) => listing::netstats(places, &asked, output),
        Verb::Monitor(asked) => listing::monitor(places, &asked),
        Verb::Incidents(asked) => listing::incidents(places, &asked, output),
        Verb::Metrics(asked) => metrics::metrics(places, &asked, manager, output),
        Verb::Check(asked) => proving::check(places, &asked, output),
        Verb::Attack(asked) => proving::attack(places, asked, output),
        Verb::Perms(asked) => proving::perms(places, &asked, output),
        Verb::Guard(asked) => proving::guard(places, &asked, output),
        Verb::Bisect(asked) => proving::bisect(places, asked, output),
        Verb::Minimize(asked) => proving::minimize(places, asked, output),
        Verb::Why(asked) => proving::why(places, asked, output),
        Verb::Spec(Spec::Diff(asked)) => making::spec_diff(places, &asked, output),
        Verb::Spec(Spec::Show { name }) => output.print(&verbs::spec_show(places, &name)?),
        Verb::Trace(Trace::Show(asked)) => making::trace_show(places, &asked, output),
        Verb::Completions { shell } => output.print(&completions::script(shell)),
        Verb::Man { directory } => completions::man_pages(&directory).map(|()| 0),
        Verb::AttackWorker => {
            verbs::attack_worker(&mut io::stdin().lock(), &mut beside::say_line).map(|()| 0)
        }
        Verb::TrialWorker(asked) => beside::trial_worker(places, &asked),
        Verb::TrialKeeper { name } => beside::trial_keeper(places, &name, output),
        Verb::Attest { name } => beside::attest(places, &name),
        Verb::Supervise(asked) if asked.take_over => beside::take_over(places, &asked.name),
        Verb::Supervise(asked) => {
            beside::supervise(places, &asked.name, asked.mode(), asked.sockets)
        }
    }
}
