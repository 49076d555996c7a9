//! A spec taken apart into what can be compared one by one.

use std::collections::BTreeMap;

use super::Cost;
use crate::spec::names::{ready_text, signal_name};
use crate::spec::{
    BindRule, CallRule, CapabilityRule, Demand, Device, DeviceRule, Direction, Evidence, Exercise,
    FamilyRule, FileKind, FileRule, Limits, PortRule, Protections, Protocol, Reload, ScratchRule,
    Service, Spec,
};
use crate::sys::{calls, caps, families};

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
        exercises,
        files,
        binds,
        scratch,
        devices,
        capabilities,
        calls,
        families,
        ports,
        limits,
        protections,
    } = spec;
    let mut items = Items::default();
    items.set(Cost::Service, "name", name);
    items.set_if(Cost::Service, "incomplete", incomplete.as_ref());
    items.service(service);
    exercises
        .iter()
        .for_each(|exercise| items.exercise(exercise));
    files.iter().for_each(|rule| items.file(rule));
    binds.iter().for_each(|rule| items.bind(rule));
    scratch.iter().for_each(|rule| items.scratch(rule));
    devices.iter().for_each(|rule| items.device(rule));
    capabilities.iter().for_each(|rule| items.capability(rule));
    calls.iter().for_each(|rule| items.call(rule));
    families.iter().for_each(|rule| items.family(rule));
    ports.iter().for_each(|rule| items.port(rule));
    items.limits(limits);
    items.protections(protections);
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

    fn rule<const N: usize>(
        &mut self,
        cost: Cost,
        name: String,
        fields: [(&'static str, String); N],
        (because, evidence): (&str, &Evidence),
    ) {
        let item = Item {
            cost,
            fields: BTreeMap::from(fields),
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
        self.set(Cost::Service, "service.forks", forks);
    }

    fn exercise(&mut self, exercise: &Exercise) {
        let Exercise {
            name,
            command,
            expect,
            output,
            because,
        } = exercise;
        let fields = [
            ("command", command.join(" ")),
            ("expect", expect.to_string()),
            ("output", output.clone()),
        ];
        let name = format!("exercise {name}");
        self.rule(Cost::Exercise, name, fields, (because, &Evidence::Person));
    }

    fn file(&mut self, rule: &FileRule) {
        let FileRule {
            path,
            kind,
            because,
            evidence,
        } = rule;
        let (cost, kind) = match kind {
            FileKind::Data => (Cost::Readable, "data"),
            FileKind::Directory => (Cost::Readable, "directory"),
            FileKind::Library => (Cost::Readable, "library"),
            FileKind::Program => (Cost::Program, "program"),
        };
        let name = format!("file {}", path.display());
        self.rule(cost, name, [("kind", kind.to_owned())], (because, evidence));
    }

    fn bind(&mut self, rule: &BindRule) {
        let BindRule {
            path,
            writable,
            because,
            evidence,
        } = rule;
        let cost = if *writable {
            Cost::Writable
        } else {
            Cost::Readable
        };
        let name = format!("bind {}", path.display());
        let fields = [("writable", writable.to_string())];
        self.rule(cost, name, fields, (because, evidence));
    }

    fn scratch(&mut self, rule: &ScratchRule) {
        let ScratchRule {
            path,
            size_kib,
            because,
            evidence,
        } = rule;
        let name = format!("scratch {}", path.display());
        let fields = [("size_kib", size_kib.to_string())];
        self.rule(Cost::Writable, name, fields, (because, evidence));
    }

    fn device(&mut self, rule: &DeviceRule) {
        let DeviceRule {
            path,
            device,
            because,
            evidence,
        } = rule;
        let device = match device {
            Device::Full => "full",
            Device::Null => "null",
            Device::Random => "random",
            Device::Urandom => "urandom",
            Device::Zero => "zero",
        };
        let name = format!("device {}", path.display());
        let fields = [("device", device.to_owned())];
        self.rule(Cost::Device, name, fields, (because, evidence));
    }

    fn capability(&mut self, rule: &CapabilityRule) {
        let CapabilityRule {
            capability,
            because,
            evidence,
        } = rule;
        let name = named("capability", caps::name(*capability), capability);
        self.rule(Cost::Capability, name, [], (because, evidence));
    }

    fn call(&mut self, rule: &CallRule) {
        let CallRule {
            number,
            start_only,
            because,
            evidence,
        } = rule;
        let name = named("call", calls::name(*number), number);
        let until = if *start_only { "start" } else { "always" };
        let fields = [("phase", until.to_owned())];
        self.rule(Cost::Call, name, fields, (because, evidence));
    }

    fn family(&mut self, rule: &FamilyRule) {
        let FamilyRule {
            family,
            because,
            evidence,
        } = rule;
        let name = named("family", families::name(*family), family);
        self.rule(Cost::Family, name, [], (because, evidence));
    }

    fn port(&mut self, rule: &PortRule) {
        let PortRule {
            direction,
            protocol,
            port,
            because,
            evidence,
        } = rule;
        let direction = match direction {
            Direction::Bind => "bind",
            Direction::Connect => "connect",
        };
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let port = match port {
            0 => "any".to_owned(),
            port => port.to_string(),
        };
        let name = format!("port {protocol} {direction} {port}");
        self.rule(Cost::Port, name, [], (because, evidence));
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

fn named(kind: &str, name: Option<&str>, number: impl ToString) -> String {
    match name {
        Some(name) => format!("{kind} {name}"),
        None => format!("{kind} {}", number.to_string()),
    }
}

/// What has no order, in one.
fn sorted(words: &[String]) -> String {
    let mut words = words.to_vec();
    words.sort();
    words.join(" ")
}
