//! What a jail shows of the host.

use super::Probes;
use crate::raw;
use crate::scene::{DIRECTORY, Path, READ, Scene, WRITE, open};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("proc-processes", processes),
    ("proc-command-line", command_line),
    ("proc-kallsyms", kallsyms),
    ("proc-kcore", kcore),
    ("proc-mounts", mounts),
    ("proc-sysrq", sysrq),
    ("proc-core-pattern", core_pattern),
    ("proc-modprobe", modprobe),
    ("sys-read", sys_read),
    ("sys-write", sys_write),
    ("sys-kernel-debug", kernel_debug),
    ("sys-cgroup", cgroup),
    ("sys-release-agent", release_agent),
];

fn any(
    paths: &[&core::ffi::CStr],
    flags: usize,
    step: &'static str,
    gained: &'static str,
) -> Tried {
    let mut last = Err(Stop::Nothing("there is none"));
    for path in paths {
        match open(path, flags) {
            Ok(_) => return Ok(gained),
            refused => last = refused.at(step).map(|_| ""),
        }
    }
    last
}

fn processes(_: Scene) -> Tried {
    any(
        &[c"/proc/1/status"],
        READ,
        "look at the first process",
        "sees the first process",
    )
}

fn command_line(scene: Scene) -> Tried {
    let path = Path::new()
        .with(b"/proc/")
        .with_number(scene.number("victim")?)
        .with(b"/cmdline");
    open(path.text(), READ).at("read the command line of a process outside")?;
    Ok("read the command line of a process outside")
}

fn kallsyms(_: Scene) -> Tried {
    any(
        &[c"/proc/kallsyms"],
        READ,
        "read the kernel's symbols",
        "read the kernel's symbols",
    )
}

fn kcore(_: Scene) -> Tried {
    any(
        &[c"/proc/kcore", c"/proc/vmcore"],
        READ,
        "open the kernel's memory",
        "opened the kernel's memory",
    )
}

fn mounts(_: Scene) -> Tried {
    let paths = [c"/proc/self/mountinfo", c"/proc/mounts", c"/etc/mtab"];
    any(&paths, READ, "read what is mounted", "read what is mounted")
}

fn sysrq(_: Scene) -> Tried {
    let paths = [c"/proc/sysrq-trigger"];
    any(
        &paths,
        WRITE,
        "open the system request trigger",
        "may trigger system requests",
    )
}

/// Whoever names the handler of core files runs it as root, outside (`core(5)`).
fn core_pattern(_: Scene) -> Tried {
    let paths = [c"/proc/sys/kernel/core_pattern"];
    any(
        &paths,
        WRITE,
        "open the name of the core handler",
        "may name the core handler",
    )
}

fn modprobe(_: Scene) -> Tried {
    let paths = [c"/proc/sys/kernel/modprobe", c"/sys/kernel/uevent_helper"];
    any(
        &paths,
        WRITE,
        "open the name of a helper of the kernel's",
        "may name a helper of the kernel's",
    )
}

fn sys_read(_: Scene) -> Tried {
    any(&[c"/sys"], DIRECTORY, "open /sys", "sees /sys")
}

fn sys_write(_: Scene) -> Tried {
    let paths = [
        c"/sys/power/state",
        c"/sys/kernel/mm/ksm/run",
        c"/sys/kernel/profiling",
        c"/sys/kernel/mm/transparent_hugepage/enabled",
    ];
    any(
        &paths,
        WRITE,
        "open a setting of the kernel for writing",
        "may change a setting of the kernel",
    )
}

fn kernel_debug(_: Scene) -> Tried {
    let paths = [
        c"/sys/kernel/debug",
        c"/sys/kernel/tracing",
        c"/sys/kernel/security",
    ];
    any(
        &paths,
        DIRECTORY,
        "open a debugging interface",
        "opened a debugging interface",
    )
}

/// Where its own limits are.
fn cgroup(_: Scene) -> Tried {
    any(
        &[c"/sys/fs/cgroup"],
        DIRECTORY,
        "open the cgroups",
        "sees the cgroups",
    )
}

/// The kernel runs the release agent as root, outside (CVE-2022-0492).
fn release_agent(scene: Scene) -> Tried {
    let place = scene.text("directory")?;
    let mount = |controller: &core::ffi::CStr| {
        let words = [
            c"cgroup".into(),
            place.into(),
            c"cgroup".into(),
            0.into(),
            controller.into(),
        ];
        raw::call(numbers::MOUNT, words)
    };
    // One that is mounted already can be once more; one that version 2 has cannot.
    mount(c"rdma")
        .or_else(|_| mount(c"pids"))
        .or_else(|_| mount(c"memory"))
        .at("mount a cgroup hierarchy")?;
    let path = Path::new().with(place.to_bytes()).with(b"/release_agent");
    open(path.text(), WRITE).at("open the release agent")?;
    Ok("may name the release agent")
}
