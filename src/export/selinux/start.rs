//! Who may start it, and how it comes into its domain.
//!
//! By the type of the program: when one of these executes it, the process changes its domain. A service has
//! `no_new_privs`, and its tree is mounted `nosuid`: that stops a change, unless the policy has
//! `nnp_transition` and `nosuid_transition` (`selinux_bprm_creds_for_exec` of the kernel), and the service
//! would go on in the domain of who started it. A unit names the domain, so that it is not started then.

use super::module::{Module, Own};
use super::text;
use crate::Result;
use crate::export::systemd;
use crate::spec::{Listen, Ready};

/// Who starts services: systemd, and what it has started as a script.
const MANAGERS: [&str; 2] = ["init_t", "initrc_t"];

/// An administrator, where the policy has a module for those that nothing confines.
const ADMINISTRATOR: &str = "unconfined_t";

/// What can be done with a descriptor that somebody else has opened.
const INHERITED: [&str; 5] = ["append", "getattr", "ioctl", "read", "write"];

/// What is done with a program that is executed.
const EXECUTED: [&str; 5] = ["execute", "getattr", "map", "open", "read"];

/// Says it.
///
/// # Errors
/// The name of the jail cannot be in a pattern of paths.
pub fn say(module: &mut Module<'_>) -> Result<()> {
    for manager in MANAGERS {
        module.because("a manager of services starts it");
        by(module, manager);
    }
    mounts(module)?;
    notifies(module);
    let entry = module.own(Own::Entry);
    let name = module.name(Own::Domain);
    module.because("an administrator starts it, by gaoler or by hand");
    module.statement(&format!("(optional {name}_by_hand"));
    by(module, ADMINISTRATOR);
    module.allow(&name, ADMINISTRATOR, "unix_dgram_socket", &["sendto"]);
    module.statement(&format!(
        "(roletransition unconfined_r {entry} process system_r)\n(roleallow unconfined_r system_r)\n)"
    ));
    Ok(())
}

/// The drop-in for the unit of the jail's name.
pub fn drop_in(module: &Module<'_>) -> String {
    let name = &module.subject.spec.name;
    let lines = [
        format!(
            "{name} in its domain of SELinux, for the unit that gaoler export --to systemd writes."
        ),
        format!("Made by \"gaoler export {name} --to selinux\" from the spec of the jail {name}."),
    ];
    let heading: String = lines.iter().map(|line| format!("# {line}\n")).collect();
    format!(
        "{heading}[Service]\n# without its label the program is not started, instead of in another domain\n\
         SELinuxContext=system_u:system_r:{}:s0\n",
        module.name(Own::Domain)
    )
}

/// The change of domain, and what goes with it.
fn by(module: &mut Module<'_>, starter: &str) {
    let (domain, entry) = (module.own(Own::Domain), module.own(Own::Entry));
    module.statement(&format!(
        "(typetransition {starter} {entry} process {domain})"
    ));
    module.allow(starter, &entry, "file", &EXECUTED);
    // The kernel opens the dynamic linker for the one who executes.
    if module.has(Own::Code) {
        let code = module.name(Own::Code);
        module.allow(starter, &code, "file", &EXECUTED);
    }
    if module.has(Own::Tree) {
        let tree = module.name(Own::Tree);
        module.allow(
            starter,
            &tree,
            "dir",
            &["getattr", "open", "read", "search"],
        );
        module.allow(starter, &tree, "lnk_file", &["getattr", "read"]);
    }
    // Without rlimitinh it would begin with the limits of the first process.
    module.allow(starter, &domain, "process", &["rlimitinh", "transition"]);
    module.allow(
        starter,
        &domain,
        "process2",
        &["nnp_transition", "nosuid_transition"],
    );
    module.allow(&domain, starter, "fd", &["use"]);
    module.allow(&domain, starter, "fifo_file", &INHERITED);
    module.allow(&domain, starter, "process", &["sigchld"]);
    module.allow(
        &domain,
        starter,
        "unix_stream_socket",
        &["getattr", "ioctl", "read", "write"],
    );
    handed_in(module, starter);
}

/// Sockets that it is given. systemd makes them with the label that the service will have, gaoler with its own.
fn handed_in(module: &mut Module<'_>, starter: &str) {
    const USED: [&str; 11] = [
        "accept", "append", "getattr", "getopt", "ioctl", "listen", "read", "setopt", "shutdown",
        "write", "bind",
    ];
    let spec = module.subject.spec;
    let domain = module.name(Own::Domain);
    for socket in &spec.sockets {
        let classes: &[&str] = match socket.listen {
            Listen::Tcp(_) => &["tcp_socket"],
            Listen::Udp(_) => &["udp_socket"],
            Listen::Unix(_) => &["unix_stream_socket"],
            Listen::Manager => &["tcp_socket", "udp_socket", "unix_stream_socket"],
        };
        module.because(&socket.because);
        for class in classes {
            module.allow(&domain, starter, class, &USED);
            module.allow(&domain, "self", class, &USED);
            let made = ["create"].into_iter().chain(USED);
            module.allow(starter, &domain, class, &made.collect::<Vec<_>>());
        }
    }
}

/// The unit mounts the tree below a layer in memory, with the rights of mount(8) for whatever is read through
/// that, and systemd mounts the places of the host into it.
fn mounts(module: &mut Module<'_>) -> Result<()> {
    const MADE: [&str; 13] = [
        "add_name",
        "create",
        "getattr",
        "open",
        "read",
        "remove_name",
        "rename",
        "reparent",
        "rmdir",
        "search",
        "setattr",
        "unlink",
        "write",
    ];
    let tree = module.own(Own::Tree);
    let root = systemd::root(&module.subject.spec.name);
    let above = text::pattern(root.parent().unwrap_or(&root))?;
    let because = "where a unit mounts its tree";
    module.label(
        because,
        &format!("{above}(/(root|upper|work))?"),
        "dir",
        &tree,
    );
    module.because("a unit mounts its tree, and the places of the host into that");
    for manager in ["init_t", "mount_t"] {
        module.allow(manager, &tree, "dir", &["mounton"]);
        module.allow(manager, &tree, "dir", &MADE);
        let written = ["create", "getattr", "mounton", "open", "setattr", "write"];
        module.allow(manager, &tree, "file", &written);
    }
    for own in [Own::Entry, Own::Program, Own::Code, Own::Tree] {
        if module.has(own) {
            let kind = module.name(own);
            module.allow("mount_t", &kind, "file", &EXECUTED);
        }
    }
    module.allow("mount_t", &tree, "lnk_file", &["getattr", "read"]);
    let name = module.name(Own::Domain);
    module.statement(&format!("(optional {name}_at_boot"));
    let labelled = ["relabelfrom", "relabelto"].into_iter().chain(MADE);
    module.allow(
        "systemd_tmpfiles_t",
        &tree,
        "dir",
        &labelled.collect::<Vec<_>>(),
    );
    module.statement(")");
    Ok(())
}

/// It says by itself when it is ready.
fn notifies(module: &mut Module<'_>) {
    let spec = module.subject.spec;
    let watched = spec.liveness.as_ref();
    let says = spec.service.ready.contains(&Ready::Notify)
        || watched.is_some_and(|it| it.watchdog_ms.is_some());
    if says {
        module.because("it says there that it is ready");
        module.may("init_runtime_t", "sock_file", &["getattr", "write"]);
        module.may("init_runtime_t", "dir", &["getattr", "search"]);
        module.may("init_t", "unix_dgram_socket", &["sendto"]);
        module.may("self", "unix_dgram_socket", &super::network::USED);
    }
}
