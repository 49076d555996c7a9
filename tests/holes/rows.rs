//! The table: each published hole, what gaoler does about it, the mistake by which the test is
//! shown to be able to fail, and the tests. `tests/docs` makes docs/cve.md of it.

/// One hole.
pub struct Row {
    /// CVE numbers, or the issues and commits where there is no number.
    pub id: &'static str,
    /// How it worked.
    pub mechanism: &'static str,
    /// Why gaoler does not have it, in one sentence.
    pub stance: &'static str,
    /// What the wrong launcher or builder of the tests does.
    pub wrong: &'static str,
    /// Where it is tried: directory of tests, file, function.
    pub tests: &'static [&'static str],
}

pub const ROWS: &[Row] = &[
    Row {
        id: "CVE-2019-5736 (runc); firejail#2401",
        mechanism: "the payload opens /proc/PID/exe of the launcher and overwrites it",
        stance: "There is no /proc unless the spec binds it; even then, and as root, Landlock opens no program from outside the tree, and a script whose interpreter is /proc/self/exe is not built.",
        wrong: "waits as root beside the payload, with /proc mounted",
        tests: &[
            "holes::launcher::the_launchers_program_is_out_of_reach",
            "holes::launcher::a_script_that_the_launcher_would_interpret",
        ],
    },
    Row {
        id: "CVE-2024-21626 (runc)",
        mechanism: "a directory descriptor of the host stays open, and the working directory is /proc/self/fd/N",
        stance: "Everything above 2 is closed at the very start and again before execve, getcwd must begin with /, and a working directory in /proc, or through a link there, is refused.",
        wrong: "leaves a descriptor open; changes to a directory outside the root",
        tests: &[
            "holes::descriptors::a_directory_descriptor_and_a_working_directory_outside",
            "holes::descriptors::a_working_directory_that_is_a_descriptor",
            "refusals::launch::a_thousand_inherited_descriptors_and_a_directory",
        ],
    },
    Row {
        id: "nsjail PR #328, #294",
        mechanism: "close_range is refused and /proc hidden, so that descriptors above 1023 survive",
        stance: "A close_range that fails ends the launch before anything else is done.",
        wrong: "closes 3 to 1023 instead",
        tests: &["holes::descriptors::close_range_that_is_refused"],
    },
    Row {
        id: "nsjail PR #288, #320",
        mechanism: "setgroups fails and that is ignored: the caller's groups stay",
        stance: "Every step that fails ends the launch, and the groups are read back.",
        wrong: "ignores the failure",
        tests: &[
            "holes::ids::setgroups_that_is_refused",
            "refusals::launch::the_callers_groups_do_not_survive",
        ],
    },
    Row {
        id: "CVE-2025-31133 (runc)",
        mechanism: "the root's /dev/null is a link, and is mounted over what shall be masked",
        stance: "Nothing is masked; a device of the tree, and the host's /dev/null, are used only if the opened node is the device of that number.",
        wrong: "mounts the root's dev/null over a file, through the link",
        tests: &[
            "holes::links::a_null_device_that_is_a_link",
            "holes::links::a_host_whose_null_device_is_something_else",
        ],
    },
    Row {
        id: "CVE-2025-52565 (runc)",
        mechanism: "a link at /dev/console, or /dev/pts swapped for one in a race, is mounted on",
        stance: "There is no terminal and no /dev/pts in a jail; each place to mount on is opened once, beneath the root, and a link at its end is refused.",
        wrong: "looks first, and mounts by path a moment later",
        tests: &["holes::races::a_directory_that_becomes_a_link_while_it_is_mounted"],
    },
    Row {
        id: "CVE-2025-52881, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642 (runc)",
        mechanism: "writes to /proc go to a /proc that the container chose",
        stance: "gaoler writes nothing to /proc to start a jail, refuses to work with one that is not the kernel's, and reads back what it set.",
        wrong: "changes a mode through /proc/self/fd of a /proc that is only a directory",
        tests: &[
            "holes::hosts::a_proc_that_is_somebodys",
            "holes::hosts::what_was_set_is_what_the_kernel_says",
        ],
    },
    Row {
        id: "CVE-2026-41579 (runc), CVE-2026-47766 (crun)",
        mechanism: "the root's /dev is a link, and devices are made where it leads",
        stance: "Devices are made in a new tree that nobody else can reach, beneath a descriptor, and never in one that is there.",
        wrong: "calls mknod by path",
        tests: &["holes::links::a_directory_of_devices_that_is_a_link"],
    },
    Row {
        id: "CVE-2026-87766 (bubblewrap); bubblewrap#801",
        mechanism: "directories and files are made through a parent that is a link to the old root; the remedy broke /var/run",
        stance: "A launch makes no file or directory, and places to mount on are found beneath the root only, where an ordinary /var/run -> /run is followed.",
        wrong: "calls mkdir and open by path",
        tests: &[
            "holes::links::parents_that_are_links_through_the_old_root",
            "holes::links::an_ordinary_link_is_followed_inside",
        ],
    },
    Row {
        id: "CVE-2021-30465, CVE-2024-45310 (runc)",
        mechanism: "a directory is swapped for a link between the look at it and its use",
        stance: "Every path of a build is opened by openat2 beneath the tree, without links, and what is to be mounted or mounted on is never looked up twice.",
        wrong: "looks first, and makes a file or mounts by path a moment later",
        tests: &[
            "holes::races::directories_that_are_renamed_during_a_build",
            "holes::races::the_same_race_against_a_builder_that_looks_first",
            "holes::races::a_directory_that_becomes_a_link_while_it_is_mounted",
        ],
    },
    Row {
        id: "CVE-2017-5226 (bubblewrap#142), CVE-2016-7545 (firejail), CVE-2019-7303 (snapd)",
        mechanism: "TIOCSTI types into the caller's terminal; a filter is passed with a bit set in the high half of the number",
        stance: "A supervised service has a session of its own, and the filter compares the half of the number that the kernel reads.",
        wrong: "keeps the session, without a filter or with one that compares the whole number",
        tests: &["holes::calls::nothing_is_typed_into_the_callers_terminal"],
    },
    Row {
        id: "CVE-2022-31214 (firejail)",
        mechanism: "join believes files in a sandbox that somebody faked",
        stance: "Not applicable: there is no verb that enters a jail; those that signal a service believe only a file that root alone could write, on the host.",
        wrong: "signals the process that a file names",
        tests: &[
            "holes::processes::a_jail_that_says_it_is_another_process",
            "refusals::planted::a_state_file_that_somebody_planted",
        ],
    },
    Row {
        id: "CVE-2019-12589 (firejail#2718)",
        mechanism: "the filter is a file that the jail can write to, and the next one to join has none",
        stance: "No spec, plan, manifest or state can be reached in the jail, and whatever is executed there has the same filter.",
        wrong: "leaves its policy where the payload may write; installs no filter",
        tests: &["holes::launcher::no_policy_is_in_the_jail_and_a_second_program_is_filtered_too"],
    },
    Row {
        id: "CVE-2020-17367, CVE-2020-17368 (firejail)",
        mechanism: "arguments reach a shell",
        stance: "No shell is run for any word of a spec or a command line: each is one argument of execve.",
        wrong: "joins the words and calls system(3)",
        tests: &["holes::launcher::words_of_a_spec_reach_no_shell"],
    },
    Row {
        id: "CVE-2016-8659, CVE-2026-41163 (bubblewrap)",
        mechanism: "a user attaches to the process that sets the jail up, or uses a set-user-ID launcher",
        stance: "What becomes the service is not dumpable from its change of ids until execve, and gaoler refuses to run set-user-ID.",
        wrong: "makes itself dumpable",
        tests: &[
            "holes::launcher::a_process_of_the_same_user_cannot_attach_while_it_is_set_up",
            "holes::launcher::it_does_not_run_set_user_id",
        ],
    },
    Row {
        id: "CVE-2019-12439 (bubblewrap#304)",
        mechanism: "a directory in /tmp with a name that can be guessed, where a link was planted",
        stance: "Nothing is made in /tmp; gaoler's directories are root's, below directories that nobody else can write to, and a link in their place is refused.",
        wrong: "makes a directory in /tmp and takes one that is there",
        tests: &[
            "holes::links::nothing_is_made_where_everybody_can_guess_it",
            "refusals::planted::a_link_in_the_place_of_a_jails_state",
            "refusals::planted::a_log_directory_that_is_a_link",
        ],
    },
    Row {
        id: "CVE-2019-14271 (docker), CVE-2025-32463 (sudo), uutils#10327",
        mechanism: "after the change of root, names are looked up: NSS loads the jail's libraries as root",
        stance: "Names are made numbers on the host, and gaoler is static and has no name services to load.",
        wrong: "calls getpwnam after pivot_root",
        tests: &["holes::ids::the_jails_name_services_are_not_loaded_by_root"],
    },
    Row {
        id: "CVE-2022-27650 (crun)",
        mechanism: "the inheritable capabilities are not empty",
        stance: "The inheritable set is exactly what the spec gives, which the ambient set needs, and is read back.",
        wrong: "leaves the caller's",
        tests: &["holes::ids::inheritable_capabilities_of_the_caller"],
    },
    Row {
        id: "CVE-2026-30892 (crun)",
        mechanism: "a user is read as another one",
        stance: "A user is a name and never a number, begins with no digit, and is found in /etc/passwd by exactly that name.",
        wrong: "reads the digits that it begins with",
        tests: &[
            "holes::ids::a_user_is_read_as_exactly_one_name",
            "refusals::specs::a_generic_user_and_root",
        ],
    },
    Row {
        id: "FreeBSD jails (VuXML a88f5b2d)",
        mechanism: "jails that share a directory hand each other their roots over a socket, and leave both",
        stance: "A root that is handed over has nothing above it, being the root of a mount namespace, and Landlock opens nothing through it.",
        wrong: "uses plain chroot",
        tests: &["holes::neighbours::a_root_that_another_jail_hands_over"],
    },
    Row {
        id: "landrun#43, greywall#55, sandlock PR #95",
        mechanism: "a socket of a daemon of the host can be connected to, though the file system is read-only",
        stance: "No socket of the host is in the tree, unless in a directory that the spec binds, and Landlock keeps abstract ones out (Linux 6.12).",
        wrong: "mounts the directory that the socket is in; shares abstract sockets",
        tests: &["holes::neighbours::sockets_of_the_hosts_daemons"],
    },
    Row {
        id: "firejail 0.9.68 (#4780)",
        mechanism: "the working directory stays outside of the new root",
        stance: "The working directory is the root's as soon as that is changed, and then the spec's.",
        wrong: "calls chroot without chdir",
        tests: &["holes::descriptors::from_the_callers_working_directory_nothing_can_be_reached"],
    },
    Row {
        id: "OpenShell#803, systemd#22760, nsjail PR #285",
        mechanism: "a protection is silently off",
        stance: "Mounts, ids, capabilities and no_new_privs are read back, and what Landlock and the filter must refuse is tried, before the service is executed.",
        wrong: "believes that a call which answered success was carried out",
        tests: &["holes::hosts::a_protection_that_is_silently_off"],
    },
    Row {
        id: "firejail 0.9.42",
        mechanism: "calls through the x32 or i386 entry pass the filter",
        stance: "A call by another architecture's number ends the process.",
        wrong: "lets other architectures through",
        tests: &["holes::calls::calls_of_another_architecture_kill"],
    },
    Row {
        id: "nsjail PR #341",
        mechanism: "what is done to a process by its number is done to whoever has that by then",
        stance: "No user namespace is mapped; a process is known by number, start time and pidfd, and signalled through a pidfd that was compared after it was opened.",
        wrong: "signals the number",
        tests: &[
            "holes::processes::a_number_that_somebody_else_has_by_now",
            "holes::processes::a_service_that_ends_while_it_is_reloaded",
            "refusals::running::a_number_that_is_used_again",
        ],
    },
    Row {
        id: "firecracker PR #5631, #5956",
        mechanism: "copying into the jail follows links, and chown is raced",
        stance: "A build copies into a new tree only, and an owner is changed through a descriptor, of a file with a single name that was made meanwhile.",
        wrong: "opens and chowns by path",
        tests: &[
            "holes::links::files_that_are_links_are_not_copied_over",
            "holes::links::what_is_swapped_before_its_owner_is_changed",
            "refusals::planted::what_was_planted_in_a_tree_is_reported_and_a_new_build_leaves_it_alone",
        ],
    },
    Row {
        id: "\"Best practices for UNIX chroot() operations\"; \"Setuid Demystified\"",
        mechanism: "root leaves a chroot by a second one; who keeps a saved uid of 0 becomes root again",
        stance: "The root is changed by pivot_root, all four uids and gids are set and read back, and no capability stays that the spec does not give.",
        wrong: "chroots and stays root; sets the effective uid only",
        tests: &[
            "holes::ids::a_way_back_to_root_and_out_of_a_chroot",
            "refusals::hostile::every_attempt_is_refused_inside",
        ],
    },
];
