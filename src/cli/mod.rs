//! Arguments, output and exit codes: the only place that reads one and writes the other.
#![forbid(unsafe_code)]

mod apparmors;
mod args;
mod asking;
mod attacks;
mod beside;
mod checks;
mod completions;
mod direct;
mod exports;
mod generations;
mod guards;
mod incidents;
mod listing;
mod making;
mod metrics;
mod output;
mod perform;
mod perms;
mod proving;
mod registries;
mod running;
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

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode as FileMode;

use crate::plan::{FIRST_PASSED, Mode};
use crate::run::Ended;
use crate::run::manager::Manager;
use crate::{Error, Result, sys};
use args::Arguments;
use direct::Direct;

/// Exit code for findings above the threshold, and, as LSB has it, for a service that does not
/// run.
const FINDINGS: u8 = 3;

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
            beside::run(&places, &name, mode, manager)
        }
        Some(Direct::Attest { places, name }) => beside::attest(&places, &name),
        Some(Direct::Supervise {
            places,
            name,
            take_over: true,
            ..
        }) => beside::take_over(&places, &name),
        Some(Direct::Supervise {
            places,
            name,
            sockets,
            ..
        }) => beside::supervise(&places, &name, Mode::Supervised, sockets),
        None => perform::perform(Arguments::parse(), manager),
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

fn exit_code_of(ended: Ended) -> u8 {
    let code = match ended {
        Ended::Exited(code) => code,
        Ended::Killed(signal) => KILLED_BY + signal,
        Ended::Unseen => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}
