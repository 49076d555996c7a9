//! A spec taken apart into what can be compared one by one.

use std::collections::BTreeMap;

use super::Cost;
use crate::spec::names::{ready_text, signal_name};
use crate::spec::{
    Accepted, Allowance, Demand, Device, Evidence, Exercise, FileKind, Incidents, Limits, Liveness,
    Log, LogSink, Protections, Reload, Restart, Service, SocketRule, Spec, duration_text,
};

/// Something in a spec that can be compared.
pub(super) struct Item {
    pub cost: Cost,
    pub fields: BTreeMap<&'static str, String>,
    pub because: String,
    pub evidence: String,
}

/// The items of a spec by name. Everything is taken apart by name, so that what is added to a
/// spec cannot be forgotten here.
#[derive(Default)]
struct Items(BTreeMap<String, Item>);

/// The items of a spec.
pub(super) fn items(spec: &Spec) -> BTreeMap<String, Item> {
    let Spec {
        name,
        incomplete,
        service,
        sockets,
        exercises,
        limits,
        protections,
        restart,
        liveness,
        check,
        incidents,
        log,
        accepted,
        ..
    } = spec;
    let mut items = Items::default();
    items.set(Cost::Service, "name", name);
    items.set_if(Cost::Service, "incomplete", incomplete.as_ref());
    items.service(service);
    sockets.iter().for_each(|socket| items.socket(socket));
    exercises
        .iter()
        .for_each(|exercise| items.exercise(exercise));
    for allowance in Allowance::all_of(spec) {
        items.allowance(&allowance);
    }
    accepted
        .iter()
        .for_each(|accepted| items.accepted(accepted));
    items.limits(limits);
    items.protections(protections);
    items.set(Cost::Protection, "check.every", check);
    items.restart(restart);
    items.liveness(liveness.as_ref());
    items.incidents(incidents);
    items.log(log);
    items.0
}

impl Items {
    /// Something that has one value.
    fn set(&mut self, cost: Cost, name: &str, value: impl ToString) {
        let fields = BTreeMap::from([("value", value.to_string())]);
        let item = Item {
            cost,
            fields,
            because: String::new(),
            evidence: String::new(),
        };
        self.0.insert(name.to_owned(), item);
    }

    fn set_if(&mut self, cost: Cost, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(cost, name, value);
        }
    }

    fn rule(
        &mut self,
        cost: Cost,
        name: String,
        fields: impl IntoIterator<Item = (&'static str, String)>,
        (because, evidence): (&str, &Evidence),
    ) {
        let item = Item {
            cost,
            fields: fields.into_iter().collect(),
            because: because.to_owned(),
            evidence: evidence.to_string(),
        };
        self.0.insert(name, item);
    }

    fn service(&mut self, service: &Service) {
        let Service {
            command,
            user,
            group,
            groups,
            start_as_root,
            refuses_root,
            unaided,
            accounts,
            workdir,
            environment,
            umask,
            config_test,
            ready,
            reload,
            stop,
            stop_timeout_s,
            pid_file,
            host_pid_file,
            forks,
            writable_executable,
        } = service;
        self.set(Cost::Identity, "service.start_as_root", start_as_root);
        self.set(Cost::Identity, "service.user", user);
        self.set(Cost::Identity, "service.accounts", sorted(accounts));
        self.set(Cost::Identity, "service.group", group);
        self.set(Cost::Identity, "service.groups", sorted(groups));
        self.set(
            Cost::Protection,
            "service.writable_executable",
            writable_executable,
        );
        self.set(Cost::Service, "service.refuses_root", refuses_root);
        self.set(Cost::Service, "service.unaided", unaided);
        self.set(Cost::Service, "service.command", command.join(" "));
        self.set(Cost::Service, "service.workdir", workdir.display());
        for (name, value) in environment {
            self.set(Cost::Service, &format!("service.environment.{name}"), value);
        }
        self.set(Cost::Service, "service.umask", format!("{umask:04o}"));
        self.set(Cost::Service, "service.config_test", config_test.join(" "));
        let ready: Vec<String> = ready.iter().map(ready_text).collect();
        self.set(Cost::Service, "service.ready", sorted(&ready));
        let reload = reload.as_ref().map(|reload| match reload {
            Reload::Command(command) => command.join(" "),
            Reload::Signal(signal) => signal_name(*signal),
        });
        self.set_if(Cost::Service, "service.reload", reload);
        self.set(Cost::Service, "service.stop", stop.join(" "));
        self.set(Cost::Service, "service.stop_timeout_s", stop_timeout_s);
        let pid_file = pid_file.as_ref().map(|path| path.display());
        self.set_if(Cost::Service, "service.pid_file", pid_file);
        let pid_file = host_pid_file.as_ref().map(|path| path.display());
        self.set_if(Cost::Service, "service.host_pid_file", pid_file);
        self.set(Cost::Service, "service.forks", forks);
    }

    fn socket(&mut self, socket: &SocketRule) {
        let SocketRule {
            name,
            listen,
            backlog,
            only_ipv6,
            reuse_port,
            mode,
            user,
            group,
            because,
        } = socket;
        let owner = |name: &Option<String>| name.clone().unwrap_or_else(|| "root".to_owned());
        let fields = [
            ("listen", listen.to_string()),
            ("backlog", backlog.to_string()),
            ("only_ipv6", only_ipv6.to_string()),
            ("reuse_port", reuse_port.to_string()),
            ("mode", format!("{mode:04o}")),
            ("user", owner(user)),
            ("group", owner(group)),
        ];
        // A manager may hand over several under one name.
        let names = (1..).map(|number| match number {
            1 => format!("socket {name}"),
            more => format!("socket {name} ({more})"),
        });
        let free = names.into_iter().find(|name| !self.0.contains_key(name));
        let name = free.unwrap_or_default();
        self.rule(Cost::Port, name, fields, (because, &Evidence::Person));
    }

    fn exercise(&mut self, exercise: &Exercise) {
        let Exercise {
            name,
            command,
            expect,
            output,
            phase,
            because,
        } = exercise;
        let fields = [
            ("command", command.join(" ")),
            ("expect", expect.to_string()),
            ("output", output.clone()),
            ("phase", phase.to_string()),
        ];
        let name = format!("exercise {name}");
        self.rule(Cost::Exercise, name, fields, (because, &Evidence::Person));
    }

    fn accepted(&mut self, accepted: &Accepted) {
        let Accepted {
            check,
            subject,
            because,
            until,
        } = accepted;
        let name = format!("accepted {check}: {subject}");
        let fields = [("until", until.to_string())];
        self.rule(Cost::Risk, name, fields, (because, &Evidence::Person));
    }

    fn allowance(&mut self, allowance: &Allowance) {
        let fields = match allowance {
            Allowance::Bind(rule) => vec![("writable", rule.writable.to_string())],
            Allowance::Call(rule) => {
                let until = if rule.start_only { "start" } else { "always" };
                vec![("phase", until.to_owned())]
            }
            Allowance::Device(rule) => vec![("device", device_name(rule.device).to_owned())],
            Allowance::File(rule) => vec![("kind", kind_name(rule.kind).to_owned())],
            Allowance::Scratch(rule) => vec![("size_kib", rule.size_kib.to_string())],
            Allowance::Capability(_) | Allowance::Family(_) | Allowance::Port(_) => Vec::new(),
            // Told among what the service is.
            Allowance::Group(_) | Allowance::WritableExecutable => return,
        };
        if let Some(reason) = allowance.reason() {
            self.rule(allowance.cost(), allowance.name(), fields, reason);
        }
    }

    fn incidents(&mut self, incidents: &Incidents) {
        let Incidents {
            freeze,
            command,
            webhook,
        } = incidents;
        let freeze: Vec<&str> = freeze.iter().map(|kind| kind.name()).collect();
        self.set(Cost::Service, "incidents.freeze", freeze.join(" "));
        self.set(Cost::Service, "incidents.command", command.join(" "));
        self.set_if(Cost::Service, "incidents.webhook", webhook.as_ref());
    }

    fn log(&mut self, log: &Log) {
        let Log { sink, journal } = log;
        let LogSink {
            to,
            file_size_kib,
            old_files,
        } = sink;
        self.set(Cost::Service, "log.to", to);
        self.set(Cost::Service, "log.file_size_kib", file_size_kib);
        self.set(Cost::Service, "log.old_files", old_files);
        self.set(Cost::Service, "log.journal", journal);
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            core,
            descriptors,
            file_size,
            memory,
            processes,
        } = *limits;
        self.set_if(Cost::Limit, "limits.core_bytes", core);
        self.set_if(Cost::Limit, "limits.descriptors", descriptors);
        self.set_if(Cost::Limit, "limits.file_size_bytes", file_size);
        self.set_if(Cost::Limit, "limits.memory_bytes", memory);
        self.set_if(Cost::Limit, "limits.processes", processes);
    }

    fn restart(&mut self, restart: &Restart) {
        let Restart {
            when,
            delay_ms,
            longest_delay_ms,
            limit,
            period_ms,
        } = *restart;
        self.set(Cost::Service, "restart.when", when.name());
        self.set(Cost::Service, "restart.delay", duration_text(delay_ms));
        let longest = duration_text(longest_delay_ms);
        self.set(Cost::Service, "restart.longest_delay", longest);
        self.set(Cost::Service, "restart.limit", limit);
        self.set(Cost::Service, "restart.period", duration_text(period_ms));
    }

    fn liveness(&mut self, liveness: Option<&Liveness>) {
        let Some(Liveness {
            every_ms,
            timeout_ms,
            failures,
            command,
            port,
            watchdog_ms,
        }) = liveness
        else {
            return;
        };
        self.set(Cost::Service, "liveness.every", duration_text(*every_ms));
        let timeout = duration_text(*timeout_ms);
        self.set(Cost::Service, "liveness.timeout", timeout);
        self.set(Cost::Service, "liveness.failures", failures);
        self.set(Cost::Service, "liveness.command", command.join(" "));
        let port = port.as_ref().map(ready_text);
        self.set_if(Cost::Service, "liveness.port", port);
        let watchdog = watchdog_ms.map(duration_text);
        self.set_if(Cost::Service, "liveness.watchdog", watchdog);
    }

    fn protections(&mut self, protections: &Protections) {
        let Protections {
            cgroup,
            ipc_namespace,
            landlock,
            mount_namespace,
            pid_namespace,
            seccomp,
            uts_namespace,
        } = *protections;
        for (layer, demand) in [
            ("cgroup", cgroup),
            ("ipc_namespace", ipc_namespace),
            ("landlock", landlock),
            ("mount_namespace", mount_namespace),
            ("pid_namespace", pid_namespace),
            ("seccomp", seccomp),
            ("uts_namespace", uts_namespace),
        ] {
            let demand = match demand {
                Demand::Off => "off",
                Demand::Prefer => "prefer",
                Demand::Require => "require",
            };
            self.set(Cost::Protection, &format!("protections.{layer}"), demand);
        }
    }
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Full => "full",
        Device::Null => "null",
        Device::Random => "random",
        Device::Urandom => "urandom",
        Device::Zero => "zero",
    }
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Data => "data",
        FileKind::Directory => "directory",
        FileKind::Library => "library",
        FileKind::Program => "program",
    }
}

/// What has no order, in one.
fn sorted(words: &[String]) -> String {
    let mut words = words.to_vec();
    words.sort();
    words.join(" ")
}
