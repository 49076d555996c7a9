//! What a plain chroot with a user and limits does not say of a spec.

use super::{Beginning, portable};
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::{Direction, Protocol, Reload};
use crate::sys::families;

/// The first port that needs no root.
const FIRST_OPEN_PORT: u16 = 1024;

/// The families that are there too.
const COMMON: [&str; 3] = ["inet", "inet6", "unix"];

/// Accounts for everything but the command and the limits.
pub fn account(subject: &Subject<'_>, beginning: Beginning, ledger: &mut Ledger) {
    identity(subject, beginning, ledger);
    capabilities(subject, beginning, ledger);
    life(subject, beginning, ledger);
    tree(subject, ledger);
    calls(subject, ledger);
    network(subject, beginning, ledger);
    rest(subject, ledger);
}

/// A size that a shell cannot count.
pub fn rounded(ledger: &mut Ledger, name: &'static str) {
    ledger.gap(
        [Item::Limit(name)],
        Loss::Lost,
        Severity::Info,
        "a shell counts in blocks of 512 bytes: the limit is up to 511 bytes lower",
    );
}

fn identity(subject: &Subject<'_>, beginning: Beginning, ledger: &mut Ledger) {
    let user = &subject.spec.service.user;
    match beginning {
        Beginning::AsUser => {
            ledger.said(&Item::User);
            ledger.said(&Item::Groups);
        }
        Beginning::UntilOption => ledger.gap(
            [Item::User, Item::Groups],
            Loss::Loosened,
            Severity::Medium,
            format!(
                "it is root until it has become {user} by its own option: it needs root for what the \
                 spec gives it as capabilities"
            ),
        ),
        Beginning::AsRoot => {
            ledger.said(&Item::User);
            ledger.gap(
                [Item::Groups],
                Loss::Loosened,
                Severity::Info,
                "it begins with the groups of root",
            );
        }
    }
}

fn capabilities(subject: &Subject<'_>, beginning: Beginning, ledger: &mut Ledger) {
    let kept = subject.spec.capabilities.iter();
    let kept: Vec<Item> = kept.map(|it| Item::Capability(it.capability)).collect();
    if beginning == Beginning::AsUser {
        ledger.gap(
            kept,
            Loss::Lost,
            Severity::Medium,
            "there are none there: what needs one fails for a user. For low ports FreeBSD has \
             mac_portacl(4)",
        );
        ledger.said(&Item::NoOtherCapability);
    } else {
        for item in &kept {
            ledger.said(item);
        }
        let severity = match beginning {
            Beginning::AsRoot => Severity::High,
            _ => Severity::Medium,
        };
        ledger.gap(
            [Item::NoOtherCapability],
            Loss::Loosened,
            severity,
            "as root it may do everything, and leave the chroot: there is nothing between that and a \
             user",
        );
    }
    ledger.gap(
        [Item::NoNewPrivileges],
        Loss::Loosened,
        Severity::Low,
        "a set-user-ID program gives what its file says; the script refuses to start over a tree that \
         has one, and does not see one that comes later",
    );
}

fn life(subject: &Subject<'_>, beginning: Beginning, ledger: &mut Ledger) {
    let service = &subject.spec.service;
    match (&service.pid_file, beginning) {
        (Some(_), Beginning::AsUser) => ledger.said(&Item::Forks),
        (Some(_), _) => ledger.gap(
            [Item::Forks],
            Loss::Loosened,
            Severity::Low,
            "root ends the process that a file of the service's names; rc.subr compares the program's \
             name alone",
        ),
        (None, _) => ledger.gap(
            [Item::Forks],
            Loss::Loosened,
            Severity::Low,
            "it says nowhere which process it is: another one of the same name is taken for it",
        ),
    }
    match service.workdir.as_os_str() == "/" {
        true => ledger.said(&Item::WorkingDirectory),
        false => ledger.gap(
            [Item::WorkingDirectory],
            Loss::Lost,
            Severity::Info,
            "chroot(8) starts it in /: that is where it looks for what is named without a directory",
        ),
    }
    match &service.reload {
        Some(Reload::Signal(number)) if portable(*number).is_none() => ledger.gap(
            [Item::Reload],
            Loss::Lost,
            Severity::Info,
            "rc.subr and kill(1) know no real-time signals by name",
        ),
        _ => ledger.said(&Item::Reload),
    }
    ledger.gap(
        service.ready.iter().cloned().map(Item::Ready),
        Loss::Lost,
        Severity::Info,
        match service.forks {
            true => "it is taken for started when its first process has ended",
            false => "it is taken for started when it has lived for a second",
        },
    );
    ledger.without_gaoler();
    ledger.gap(
        [Item::Restart, Item::Liveness],
        Loss::Lost,
        Severity::Info,
        "nobody stays beside it, looks whether it answers and starts it again",
    );
    let sockets = subject.spec.sockets.iter();
    ledger.gap(
        sockets.map(|socket| Item::Socket(socket.name.clone())),
        Loss::Lost,
        Severity::Medium,
        "rc.subr hands over no sockets: a service that cannot open them by itself does not start",
    );
}

fn tree(subject: &Subject<'_>, ledger: &mut Ledger) {
    let spec = subject.spec;
    let files = spec.files.iter().map(|it| Item::File(it.path.clone()));
    ledger.gap(
        files.chain([Item::NothingElse]),
        Loss::Lost,
        Severity::Medium,
        "the tree is yours to make: gaoler's is of Linux programs, which do not run there. Nothing \
         compares what is in it with the spec",
    );
    let binds = spec.binds.iter();
    ledger.gap(
        binds.map(|it| Item::Bind(it.path.clone(), it.writable)),
        Loss::Lost,
        Severity::Low,
        "nothing is mounted: what is at these places has to be put into the tree, or mounted in \
         fstab(5) (nullfs on FreeBSD, null on NetBSD) with noexec and nosuid",
    );
    let scratch = spec.scratch.iter();
    ledger.gap(
        scratch.map(|it| Item::Scratch(it.path.clone())),
        Loss::Lost,
        Severity::Low,
        "nothing is mounted: it needs a directory there, whose size nobody limits, or a tmpfs in \
         fstab(5)",
    );
    let devices = spec.devices.iter();
    ledger.gap(
        devices.map(|it| Item::Device(it.path.clone())),
        Loss::Lost,
        Severity::Info,
        "the script makes no devices: FreeBSD has devfs(5) with rules for it, NetBSD mknod(8)",
    );
    ledger.gap(
        [Item::Namespace("mount_namespace")],
        Loss::Lost,
        Severity::Low,
        "it is a plain chroot: not read-only, and no place for who becomes root in it",
    );
    ledger.gap(
        ["ipc_namespace", "pid_namespace", "uts_namespace"].map(Item::Namespace),
        Loss::Lost,
        Severity::Low,
        "a chroot is one of files: it sees the processes and the shared memory of the host. FreeBSD's \
         jail(8) would hide them",
    );
}

fn calls(subject: &Subject<'_>, ledger: &mut Ledger) {
    let calls = subject.spec.calls.iter();
    let numbers = calls.flat_map(|it| [Item::Call(it.number), Item::StartOnly(it.number)]);
    ledger.gap(
        numbers.chain([
            Item::NoOtherCall,
            Item::NoOtherArchitecture,
            Item::NoOtherFamily,
            Item::NoWritableExecutable,
            Item::Arguments("clone"),
            Item::Arguments("execve"),
            Item::Arguments("ioctl"),
            Item::Arguments("setgroups"),
        ]),
        Loss::Lost,
        Severity::Medium,
        "no call is refused: the whole kernel can be reached, and its calls are not those of Linux",
    );
    ledger.gap(
        [Item::Logged],
        Loss::Lost,
        Severity::Info,
        "nothing is refused, so that nothing is logged",
    );
}

fn network(subject: &Subject<'_>, beginning: Beginning, ledger: &mut Ledger) {
    let spec = subject.spec;
    let common = COMMON.map(families::number);
    for rule in &spec.families {
        if common.contains(&Some(rule.family)) {
            ledger.said(&Item::Family(rule.family));
        }
    }
    let linux = spec.families.iter().map(|rule| rule.family);
    let linux = linux.filter(|family| !common.contains(&Some(*family)));
    ledger.gap(
        linux.map(Item::Family),
        Loss::Lost,
        Severity::Info,
        "these families are Linux's",
    );
    let mut low = Vec::new();
    for rule in &spec.ports {
        let item = Item::Port(rule.direction, rule.protocol, rule.port);
        let needs_root =
            rule.direction == Direction::Bind && (1..FIRST_OPEN_PORT).contains(&rule.port);
        match needs_root && beginning == Beginning::AsUser {
            true => low.push(item),
            false => ledger.said(&item),
        }
    }
    ledger.gap(
        low,
        Loss::Lost,
        Severity::Info,
        "ports below 1024 are root's, and it is none: it has to listen at others, or FreeBSD's \
         mac_portacl(4) gives it these",
    );
    ledger.gap(
        [
            Item::NoOtherPort(Direction::Bind, Protocol::Tcp),
            Item::NoOtherPort(Direction::Connect, Protocol::Tcp),
            Item::NoAbstractSocket,
        ],
        Loss::Loosened,
        Severity::Low,
        "it binds any port that its user may, and connects to any port and socket",
    );
}

fn rest(subject: &Subject<'_>, ledger: &mut Ledger) {
    ledger.gap(
        ["memory_bytes", "processes"].map(Item::Limit),
        Loss::Lost,
        Severity::Low,
        "a shell limits one process, and not all of a service: FreeBSD's rctl(8) limits those of a \
         user",
    );
    ledger.gap(
        [Item::Check, Item::Incidents],
        Loss::Lost,
        Severity::Info,
        "nobody compares the running service with what was started, or notices what may be an attack",
    );
    ledger.gap(
        [Item::Log],
        Loss::Lost,
        Severity::Info,
        match subject.spec.service.forks {
            true => {
                "what it prints is lost; by syslog(3) it is heard if syslogd has a socket in the tree"
            }
            false => {
                "what it prints goes to logger(1) alone; by syslog(3) it is heard if syslogd has a socket \
                 in the tree"
            }
        },
    );
}
