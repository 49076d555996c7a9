//! Sockets that are bound before anything is given up, and passed on.

use super::assemble::Assembly;
use super::step::{Phase, Socket, Step};
use crate::spec::{Listen, SocketRule, Spec};

/// How many sockets are passed on (`sd_listen_fds(3)`).
const COUNT: &str = "LISTEN_FDS";

/// Their names, with `:` between.
const NAMES: &str = "LISTEN_FDNAMES";

/// Whom they are for. In a plan it has no value: that is written when the process has its number.
pub(super) const PROCESS: &str = "LISTEN_PID=";

impl Assembly<'_> {
    /// The sockets of the spec, on the host.
    pub(super) fn open_sockets(&mut self) {
        let owners = self.inputs.socket_owners.iter().copied();
        let owners = owners.chain(std::iter::repeat((0, 0)));
        for (rule, (uid, gid)) in self.inputs.spec.sockets.iter().zip(owners) {
            let why = match rule.listen {
                Listen::Manager => {
                    "handed over to gaoler by name; nothing else of what a manager hands over gets in"
                }
                _ => {
                    "bound by the launcher, so that the service needs neither the right to nor a \
                     capability; kept when it is started again, so that nobody is refused meanwhile"
                }
            };
            let socket = Socket {
                name: rule.name.clone(),
                listen: rule.listen.clone(),
                backlog: rule.backlog,
                only_ipv6: rule.only_ipv6,
                reuse_port: rule.reuse_port,
                mode: rule.mode,
                uid,
                gid,
            };
            let reason = format!("{}: {why}", rule.because);
            self.add(Phase::Host, Step::OpenSocket { socket }, reason);
        }
    }

    pub(super) fn pass_sockets(&mut self) {
        let names = names(self.inputs.spec);
        if !names.is_empty() {
            self.add(
                Phase::Descriptors,
                Step::PassSockets { names },
                "sd_listen_fds(3) looks for them there; what the launcher itself needs to its end \
                 comes after them",
            );
        }
    }
}

/// What tells the service of its sockets.
pub(super) fn environment(spec: &Spec) -> Vec<String> {
    let names = names(spec);
    if names.is_empty() {
        return Vec::new();
    }
    vec![
        format!("{COUNT}={}", names.len()),
        format!("{NAMES}={}", names.join(":")),
        PROCESS.to_owned(),
    ]
}

fn names(spec: &Spec) -> Vec<String> {
    let name = |socket: &SocketRule| socket.name.clone();
    spec.sockets.iter().map(name).collect()
}
