//! Daemons as Debian ships them, each with a small configuration and real clients. Those who use
//! them have a machine of their own, so each has its usual port. `@DIR@` stands for the directory
//! of the row.

mod known;
mod logins;
mod mail;
mod names;
mod old;
mod others;
mod stores;
mod web;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::machine::{Machine, Running, eventually};

/// The directory of the row; /srv is the machine's own. Not below /tmp: a service that makes a
/// file there gets a private one.
pub const DIRECTORY: &str = "/srv/row";

/// Sends its second argument to a port and succeeds if the answer contains the third.
const CLIENT: &str = include_str!("../client.sh");

/// One daemon.
pub struct Row {
    /// The jail's name.
    pub name: &'static str,
    /// What must be installed.
    pub needs: &'static [&'static str],
    /// The Debian packages that have it.
    pub packages: &'static str,
    /// Who owns the directory `own`, as /var/lib/SERVICE of most.
    pub user: &'static str,
    /// Files in the row's directory.
    pub files: &'static [(&'static str, &'static str)],
    /// Source and program, in C.
    pub compile: Option<(&'static str, &'static str)>,
    /// What is run before its first start, as sh -e -c.
    pub prepare: &'static str,
    /// A server that it is in front of, left running.
    pub beside: &'static [&'static str],
    /// Signs of readiness and further options of `learn`.
    pub options: &'static [&'static str],
    /// The daemon's command.
    pub command: &'static [&'static str],
    /// Done with it, one after another; each must succeed.
    pub exercises: &'static [&'static str],
    /// What is known of its jail's name, for one that gaoler knows and that is learned from that
    /// alone, on Debian's own configuration; without a command then.
    pub known: Option<Known>,
    /// What it tells syslog in its jail.
    pub logs: &'static str,
    /// Files that it removes when it is asked to end.
    pub removes: &'static [&'static str],
}

/// A service that gaoler knows.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its name, which is the jail's.
    pub service: &'static str,
    /// What real clients do with the jailed service, which was not learned with that, as sh -e -c.
    pub clients: &'static [&'static str],
    /// What is known of it and that Debian's configuration alone, without a network, cannot show.
    pub unseen: &'static [(&'static str, &'static str)],
}

/// Fills up the others.
const NONE: Row = Row {
    name: "",
    needs: &[],
    packages: "",
    user: "www-data",
    files: &[],
    compile: None,
    prepare: ":",
    beside: &[],
    options: &[],
    command: &[],
    exercises: &[],
    known: None,
    logs: "",
    removes: &[],
};

/// Every daemon.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        known::ROWS,
        logins::ROWS,
        mail::ROWS,
        names::ROWS,
        old::ROWS,
        others::ROWS,
        stores::ROWS,
        web::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row of this name.
pub fn row(name: &str) -> &'static Row {
    let row = all().find(|row| row.name == name).unwrap();
    for program in row.needs {
        assert!(
            Path::new(program).exists(),
            "{program} is missing: apt-get install --no-install-recommends {}",
            row.packages
        );
    }
    row
}

/// A template with the row's directory in it, and what else is named in it.
pub fn text(template: &str) -> String {
    let filled = known::COMMANDS.iter();
    let filled = filled.fold(template.to_owned(), |text, (name, command)| {
        text.replace(name, command)
    });
    filled.replace("@DIR@", DIRECTORY)
}

/// Makes a program of a file in C.
pub fn compile(source: &str, program: &Path) {
    let mut compiler = Command::new("gcc");
    let compiled = compiler.args(["-O2", "-fstack-protector-strong", "-o"]);
    let compiled = compiled.arg(program).arg(source);
    assert!(compiled.status().unwrap().success());
}

impl Row {
    /// The jail's name.
    pub fn jail(&self) -> &'static str {
        self.known.map_or(self.name, |known| known.service)
    }

    /// The command.
    pub fn words(&self) -> Vec<String> {
        self.command.iter().map(|word| text(word)).collect()
    }

    /// Everything as it is before a first start. What is answered runs beside the daemon.
    pub fn prepare(&self, machine: &Machine) -> Option<Running> {
        let directory = Path::new(DIRECTORY);
        if directory.exists() {
            fs::remove_dir_all(directory).unwrap();
        }
        for name in ["", "www", "own", "log"] {
            fs::create_dir(directory.join(name)).unwrap();
            fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let ids = |option: &str| -> u32 {
            let done = machine.run(&["id", option, self.user]);
            done.ok().trim().parse().unwrap()
        };
        chown(directory.join("own"), Some(ids("-u")), Some(ids("-g"))).unwrap();
        fs::write(directory.join("www/index.html"), "a page\n").unwrap();
        fs::write(directory.join("client"), CLIENT).unwrap();
        for (name, template) in self.files {
            let file = directory.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text(template)).unwrap();
        }
        if let Some((source, program)) = self.compile {
            compile(source, &directory.join(program));
        }
        machine.run(&["sh", "-e", "-c", &text(self.prepare)]).ok();
        self.beside(machine)
    }

    fn beside(&self, machine: &Machine) -> Option<Running> {
        let words: Vec<String> = self.beside.iter().map(|word| text(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() {
            return None;
        }
        let running = machine.background(&words);
        let listening = || fs::read_to_string("/proc/net/tcp").unwrap();
        eventually(listening, |table| table.contains(" 0A "));
        Some(running)
    }
}
