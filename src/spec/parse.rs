//! TOML to [`Spec`]. Every name is looked up here, and every mistake is shown with file, line
//! and column; nothing later has to doubt a spec.
pub(in crate::spec) mod document;
mod incidents;
mod living;
pub(in crate::spec) mod problem;
mod rules;
mod sockets;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use document::{AcceptedTable, Document, ExerciseTable, ServiceTable, Text};
use problem::Problems;
use value::Seen;

use super::{Accepted, Exercise, Limits, Protections, Ready, Reload, Service, Spec};
use crate::Result;

/// The version of the file format that is written and read.
pub(super) const FORMAT: i64 = 1;
/// The mask if the file does not say: others may read, only the owner writes.
const UMASK: u32 = 0o022;
/// Seconds between the service's own way to stop, TERM and KILL, if the file does not say.
const STOP_TIMEOUT_S: u32 = 10;

/// Variables that tell a service what it is handed at its start (`sd_listen_fds(3)`,
/// `sd_watchdog_enabled(3)`): a fixed value would be wrong.
const HANDED_OVER: [&str; 5] = [
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Reads a spec. `origin` names the file in errors.
///
/// # Errors
/// Everything in the text that is not a spec, each with file, line and column: an unknown key,
/// system call, capability, family, device or signal, a path that is not absolute and plain,
/// something that comes twice, an empty command or reason, a generic user.
pub fn parse(text: &str, origin: &str) -> Result<Spec> {
    let mut problems = Problems::new(text, origin);
    let document: Document = problems.read()?;
    let format = *document.format.get_ref();
    if format != FORMAT {
        problems.add_with_hint(
            document.format.span(),
            format!("format {format} is not known"),
            format!("this gaoler reads format {FORMAT}"),
        );
    }
    let spec = problems.spec(&document);
    problems.finish(spec)
}

impl Problems<'_> {
    fn spec(&mut self, document: &Document) -> Spec {
        let tree = self.tree(&document.tree);
        let limits = &document.limits;
        let protections = &document.protections;
        Spec {
            name: self.name(&document.name),
            incomplete: document.incomplete.as_ref().map(|why| self.because(why)),
            service: self.service(&document.service),
            sockets: self.sockets(&document.socket),
            exercises: self.exercises(&document.exercise),
            files: tree.files,
            binds: tree.binds,
            scratch: tree.scratch,
            devices: tree.devices,
            capabilities: self.capabilities(&document.allow.capabilities),
            calls: self.calls(&document.allow.calls),
            families: self.families(&document.allow.families),
            ports: self.ports(&document.allow.ports),
            limits: Limits {
                core: limits.core_bytes,
                descriptors: limits.descriptors,
                file_size: limits.file_size_bytes,
                memory: limits.memory_bytes,
                processes: limits.processes,
            },
            protections: Protections {
                cgroup: protections.cgroup,
                ipc_namespace: protections.ipc_namespace,
                landlock: protections.landlock,
                mount_namespace: protections.mount_namespace,
                pid_namespace: protections.pid_namespace,
                seccomp: protections.seccomp,
                uts_namespace: protections.uts_namespace,
            },
            restart: self.restart(&document.restart),
            liveness: document.liveness.as_ref().map(|table| self.liveness(table)),
            check: self.schedule(document.check.every.as_ref()),
            incidents: self.incidents(&document.incidents),
            log: self.log(&document.log),
            accepted: self.all_accepted(&document.accepted),
        }
    }

    fn service(&mut self, table: &ServiceTable) -> Service {
        let root = table.start_as_root;
        Service {
            command: self.service_command(table),
            user: self.account(&table.user, "user", root),
            group: self.account(&table.group, "group", root),
            groups: self.names(&table.groups, "group", root),
            start_as_root: root,
            refuses_root: table.refuses_root,
            unaided: table.unaided,
            accounts: self.names(&table.accounts, "user", false),
            workdir: table
                .workdir
                .as_ref()
                .map_or_else(|| PathBuf::from("/"), |path| self.workdir(path)),
            environment: self.environment(&table.environment),
            umask: table
                .umask
                .as_ref()
                .map_or(UMASK, |umask| self.umask(umask)),
            config_test: self.optional_command(table.config_test.as_ref()),
            ready: self.all_ready(&table.ready),
            reload: self.reload(table),
            stop: self.optional_command(table.stop.as_ref()),
            stop_timeout_s: table.stop_timeout_s.unwrap_or(STOP_TIMEOUT_S),
            pid_file: table
                .pid_file
                .as_ref()
                .map(|path| self.path_below_root(path)),
            host_pid_file: table
                .host_pid_file
                .as_ref()
                .map(|path| self.path_below_root(path)),
            forks: table.forks,
            writable_executable: table.writable_executable,
        }
    }

    fn service_command(&mut self, table: &ServiceTable) -> Vec<String> {
        if let Some(program) = table
            .command
            .get_ref()
            .first()
            .filter(|p| !p.get_ref().is_empty())
        {
            self.path_below_root(program);
        }
        self.command(&table.command)
    }

    /// Users or groups, each once.
    fn names(&mut self, texts: &[Text], kind: &str, root_allowed: bool) -> Vec<String> {
        let mut seen = Seen::new();
        let mut names = Vec::new();
        for text in texts {
            let name = self.account(text, kind, root_allowed);
            let what = format!("{kind} `{name}`");
            self.once(&mut seen, name.clone(), text.span(), what);
            names.push(name);
        }
        names
    }

    /// The working directory. Below /proc it could be a descriptor that leads out of the jail
    /// (CVE-2024-21626).
    fn workdir(&mut self, text: &Text) -> PathBuf {
        let path = self.path(text);
        if path.starts_with("/proc") {
            self.add_with_hint(
                text.span(),
                "a working directory in /proc",
                "CVE-2024-21626",
            );
        }
        path
    }

    pub(super) fn environment(&mut self, table: &BTreeMap<Text, Text>) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for (name, value) in table {
            if name.get_ref().is_empty() || name.get_ref().contains('=') {
                self.add(name.span(), "the name of a variable is empty or has a `=`");
            }
            if HANDED_OVER.contains(&name.get_ref().as_str()) {
                let hint = "gaoler sets it; sockets are declared under [[socket]]";
                let title = format!("`{}` is for what starts a service", name.get_ref());
                self.add_with_hint(name.span(), title, hint);
            }
            environment.insert(self.text(name), self.text(value));
        }
        environment
    }

    fn all_ready(&mut self, texts: &[Text]) -> Vec<Ready> {
        let mut seen = Seen::new();
        let mut all = Vec::new();
        for text in texts {
            let ready = self.ready(text);
            self.once(
                &mut seen,
                ready.clone(),
                text.span(),
                format!("`{}`", text.get_ref()),
            );
            all.push(ready);
        }
        all
    }

    fn reload(&mut self, table: &ServiceTable) -> Option<Reload> {
        match (&table.reload_command, &table.reload_signal) {
            (Some(_), Some(signal)) => {
                let title = "reload_command and reload_signal exclude each other";
                self.add(signal.span(), title);
                None
            }
            (Some(command), None) => Some(Reload::Command(self.command(command))),
            (None, Some(signal)) => Some(Reload::Signal(self.signal(signal))),
            (None, None) => None,
        }
    }

    fn all_accepted(&mut self, tables: &[AcceptedTable]) -> Vec<Accepted> {
        let mut seen = Seen::new();
        let mut all = Vec::new();
        for table in tables {
            let accepted = self.accepted(table);
            let key = (accepted.check.clone(), accepted.subject.clone());
            let what = format!("what is accepted of `{}`", accepted.check);
            self.once(&mut seen, key, table.subject.span(), what);
            all.push(accepted);
        }
        all
    }

    fn exercises(&mut self, tables: &[ExerciseTable]) -> Vec<Exercise> {
        let mut seen = Seen::new();
        let mut exercises = Vec::new();
        for table in tables {
            let exercise = self.exercise(table);
            let what = format!("exercise `{}`", exercise.name);
            self.once(&mut seen, exercise.name.clone(), table.name.span(), what);
            exercises.push(exercise);
        }
        exercises
    }
}
