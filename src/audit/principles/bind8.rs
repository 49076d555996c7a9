//! "Chroot-BIND8 HOWTO".

use super::{Principle, built_in, by_rules};

pub(super) const WARNINGS: &[Principle] = &[
    by_rules(
        "a jail is a supplement to running the latest version, not a replacement for it",
        &["tree.stale", "live.stale"],
    ),
    by_rules(
        "there are known security holes in old versions: make very sure that you run the latest",
        &["tree.stale"],
    ),
    by_rules(
        "building with StackGuard would be a good idea for even more protection",
        &["elf.stack-protector"],
    ),
    by_rules(
        "it is not a good idea to run it as root",
        &["spec.root", "live.uid"],
    ),
    built_in(
        "never use an existing generic user like nobody",
        "a spec that names one is refused",
        ("tests/refusals/specs.rs", "a_generic_user_and_root"),
    )
    .and(&["shared.generic-user", "shared.uid"]),
    by_rules(
        "make sure that the uid and gid are unique on your system",
        &["host.same-number", "shared.uid", "shared.processes"],
    ),
    by_rules(
        "the shell is /bin/false because this user will never need to log in",
        &["host.login-shell"],
    ),
    by_rules(
        "the truly paranoid put the jail on a separate volume",
        &["place.volume"],
    ),
    by_rules(
        "named writes to its directory of zones: make it the owner of that, and of /var/run, only",
        &["spec.config-writable"],
    ),
    built_in(
        "exactly what libraries are required depends on your system",
        "the closure is computed as the dynamic linker does",
        (
            "tests/build/programs.rs",
            "a_library_that_only_the_cache_knows_is_found_by_the_jails_own_cache",
        ),
    ),
    built_in(
        "the command to create a device node varies from system to system",
        "a spec names devices, and knows only those that give or take bytes",
        ("tests/refusals/specs.rs", "an_unknown_device"),
    )
    .and(&["tree.device"]),
    built_in(
        "the gid in the jail's group file must match the real one",
        "the jail's files are written from the host's numbers, and a start is refused when these \
         have changed",
        ("src/build/users.rs", "only_the_services_account_is_there"),
    ),
    built_in(
        "without /dev/log in the jail it cannot log any more",
        "the supervisor listens there",
        ("tests/jail/logging.rs", "syslog_has_the_true_pid"),
    ),
    built_in(
        "parts of the package refer to the same directories by different names",
        "a path is the same inside and outside",
        ("tests/jail/zones.rs", "a_directory_of_relative_zones"),
    ),
    built_in(
        "chmod 000 the installed copy, so that you don't accidentally run the non-chrooted one",
        "gaoler guard does it so that it survives upgrades, masks the units, and undoes both",
        (
            "tests/jail/guarding.rs",
            "the_hosts_copy_is_guarded_and_everything_of_gaolers_works",
        ),
    )
    .and(&["host.guard", "host.outside"]),
    built_in(
        "only two parts of the package have to live inside",
        "the tree holds what the spec lists and what that loads",
        (
            "tests/build/named.rs",
            "named_runs_in_a_small_tree_where_nothing_is_writable",
        ),
    )
    .and(&["spec.looser"]),
    built_in(
        "kill any old versions still running before this",
        "a start is refused while the host's own copy runs",
        ("tests/refusals/running.rs", "the_hosts_own_copy_runs"),
    )
    .and(&["host.outside"]),
    by_rules(
        "it should say that it chrooted and which user it runs as; if not, you have a problem",
        &["live.root", "live.uid", "live.gid"],
    ),
    by_rules(
        "don't forget to kill and restart it after an upgrade, or the old, vulnerable version \
         will still be running",
        &["live.stale", "live.executable", "tree.stale"],
    ),
];
