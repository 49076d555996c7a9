//! "Best practices for UNIX chroot() operations".

use super::{Principle, built_in, by_rules};

pub(super) const PRINCIPLES: &[Principle] = &[
    built_in(
        "who is root inside breaks out by a second chroot with the working directory left outside",
        "the old root is detached after pivot_root, and chroot is not among the calls that a spec \
         lets through unasked",
        (
            "tests/refusals/hostile.rs",
            "every_attempt_is_refused_inside",
        ),
    )
    .and(&[
        "spec.root",
        "spec.capability",
        "spec.protection",
        "live.root",
    ]),
    by_rules(
        "run in the jail as a non-root user",
        &["spec.root", "live.uid", "spec.capability", "spec.group"],
    ),
    by_rules(
        "give up permissions correctly: no way back by a saved uid",
        &[
            "live.uid",
            "live.gid",
            "live.groups",
            "live.capabilities",
            "live.no-new-privs",
        ],
    ),
    built_in(
        "explicitly chdir into the jail",
        "the plan enters the new root in a step of its own, and compares what getcwd(2) says",
        (
            "src/plan/tests.rs",
            "without_a_mount_namespace_it_is_chdir_then_chroot",
        ),
    )
    .and(&["live.directory"]),
    by_rules(
        "keep as little in the jail as possible",
        &[
            "tree.shell",
            "tree.compiler",
            "tree.tool",
            "spec.looser",
            "spec.execute",
            "tree.dangling",
        ],
    ),
    by_rules(
        "the wrapper that changes the root must not be found in the jail",
        &["tree.launcher", "live.executable", "live.init"],
    ),
    by_rules(
        "limit non-jail running of jailed binaries",
        &["host.outside"],
    ),
    built_in(
        "have root own as many jailed files as possible, directories too",
        "the build gives everything in the tree to root, and mounts it read-only",
        (
            "tests/build/named.rs",
            "named_runs_in_a_small_tree_where_nothing_is_writable",
        ),
    )
    .and(&[
        "tree.mode",
        "spec.config-writable",
        "live.mount",
        "tree.hard-link",
    ]),
    by_rules(
        "drastically limit all permissions of files and directories; /dev is passed through, not \
         listed",
        &["tree.mode", "tree.setuid", "spec.umask", "tree.device"],
    ),
    built_in(
        "create a permissions-setting script, with its reasons",
        "the manifest has owner, mode and reason of everything, and each build sets them from it",
        (
            "tests/build/drift.rs",
            "each_kind_of_drift_is_found_and_no_link_followed",
        ),
    )
    .and(&["tree.drift"]),
    built_in(
        "try to do the chroot operation inside the daemon, so that an intruder cannot infect the \
         binary",
        "the program is inside, and neither it nor anything beside it can be changed from there",
        (
            "tests/refusals/hostile.rs",
            "nothing_that_is_read_only_can_be_changed",
        ),
    )
    .and(&["spec.protection", "live.mount", "live.executable"]),
    built_in(
        "preload dynamically loaded objects before the door is closed",
        "what was loaded at run time is learned, and what name lookups load is closed over",
        (
            "src/build/inventory/tests.rs",
            "modules_come_only_with_a_libc_that_loads_them",
        ),
    ),
    built_in(
        "syslog operations fall in this category too",
        "the jail has a /dev/log of its own",
        ("tests/jail/logging.rs", "syslog_has_the_true_pid"),
    ),
    built_in(
        "map names to uid and gid before the root is changed, and avoid the jailed /etc/passwd",
        "users and groups are numbers in the plan, looked up on the host; the jail's files are \
         written by gaoler and read-only",
        ("src/build/users.rs", "only_the_services_account_is_there"),
    )
    .and(&["tree.accounts", "tree.drift"]),
    by_rules(
        "a writable descriptor that was kept can change a file that cannot be written by its name",
        &["live.writable-descriptor"],
    ),
    built_in(
        "close file descriptors aggressively before chrooting",
        "everything above standard error is closed twice",
        (
            "tests/refusals/launch.rs",
            "a_thousand_inherited_descriptors_and_a_directory",
        ),
    )
    .and(&["live.descriptor", "shared.socket"]),
    built_in(
        "link config files from the outside to the inside of the jail",
        "what is bound has one path inside and outside, so that tools of the host find it",
        ("tests/jail/zones.rs", "zones_in_odd_places_follow_the_host"),
    ),
    by_rules(
        "a symbolic link from inside the jail to the outside does not work for the jail",
        &["tree.dangling", "place.link"],
    ),
    built_in(
        "update environment variables to reflect the new root; remove what leaks",
        "the environment is the spec's, nothing else",
        (
            "tests/refusals/launch.rs",
            "the_environment_is_exactly_the_specs",
        ),
    )
    .and(&["spec.environment"]),
];
