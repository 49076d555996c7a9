//! The last part of a launch: who the service is, what it may still do, and the hand-over.

use std::path::Path;

use super::NOTIFY_SOCKET;
use super::assemble::{Assembly, Inputs, Mode};
use super::step::{Phase, Resource, Step};
use super::{policy, restrict, sockets};
use crate::build::LOG_DIRECTORY;
use crate::host::notifications::{VARIABLE, WATCHDOG};
use crate::spec::{Demand, Exercise, Ready, Spec};
use crate::{Error, Result};

impl Assembly<'_> {
    pub(super) fn ids(&mut self) {
        let Inputs {
            spec,
            uid,
            gid,
            groups,
            host,
            ..
        } = self.inputs;
        let limits = &spec.limits;
        let wanted = [
            (Resource::CoreFile, Some(limits.core.unwrap_or(0))),
            (Resource::Descriptors, limits.descriptors),
            (Resource::FileSize, limits.file_size),
        ];
        for (resource, value) in wanted {
            if let Some(value) = value {
                self.add(
                    Phase::Ids,
                    Step::Limit { resource, value },
                    "before the ids go: only lowered, so it needs no capability",
                );
            }
        }
        self.add(
            Phase::Ids,
            Step::Umask {
                mask: spec.service.umask,
            },
            "what the service creates is as closed as the spec says",
        );
        let keep = capability_bits(spec);
        self.add(
            Phase::Ids,
            Step::DropBoundingSet {
                keep,
                last: host.last_capability,
            },
            "while CAP_SETPCAP lasts; afterwards no execve can bring one back",
        );
        if self.is_ordinary() {
            self.own_ids();
            return;
        }
        self.add(
            Phase::Ids,
            Step::SetGroups {
                groups: groups.to_vec(),
            },
            "the exact list, also when it is empty: the caller's groups would stay",
        );
        let (final_uid, final_gid) = if spec.service.start_as_root {
            (0, 0)
        } else {
            (uid, gid)
        };
        self.add(
            Phase::Ids,
            Step::SetGids { gid: final_gid },
            "the group before the user, who may not change it",
        );
        self.add(
            Phase::Ids,
            Step::SetUids { uid: final_uid },
            "all forms, or the saved uid is a way back (\"Setuid Demystified\")",
        );
        self.add(
            Phase::Ids,
            Step::SetCapabilities { keep },
            "a change from uid 0 clears them, unless kept; this sets the exact sets",
        );
        let ambient = if spec.service.start_as_root { 0 } else { keep };
        self.add(
            Phase::Ids,
            Step::SetAmbient { keep: ambient },
            "after the uid, whose change wipes it",
        );
        self.add(
            Phase::Ids,
            Step::VerifyIds {
                uid: final_uid,
                gid: final_gid,
                groups: groups.to_vec(),
                capabilities: keep,
                ambient,
            },
            "a drop that was half done is never recovered from",
        );
    }

    pub(super) fn restrictions(&mut self) -> Result<()> {
        self.add(
            Phase::Restrict,
            Step::NoNewPrivs,
            "set-user-ID files and file capabilities mean nothing from here on; Landlock and \
             the filter need it",
        );
        let spec = self.inputs.spec;
        let missing = (self.inputs.host.landlock_abi == 0).then_some("this kernel has no Landlock");
        if self.wants("landlock", spec.protections.landlock, missing)? {
            let rules = restrict::landlock(&self.inputs)?;
            self.add(
                Phase::Restrict,
                Step::Landlock(rules),
                "after the mounts, which it forbids; it holds even where a mount is too wide; a \
                 directory without a rule is opened, to see that it is there",
            );
        }
        if self.wants("seccomp", spec.protections.seccomp, None)? {
            let mode = self.inputs.mode;
            if let Some(program) = policy::quiet_filter(spec, mode)? {
                self.add(
                    Phase::Restrict,
                    Step::Seccomp {
                        program,
                        listener: false,
                        refuses: false,
                        logs: false,
                    },
                    "clone3 answers ENOSYS, which every program expects: no record of that is \
                     wanted, and the next filter leaves it to this one",
                );
            }
            self.add(
                Phase::Restrict,
                Step::Seccomp {
                    program: policy::filter(spec, mode)?,
                    listener: policy::listens(spec, mode),
                    refuses: mode != Mode::Complaining,
                    logs: mode != Mode::Complaining && !self.inputs.tried,
                },
                "last, so that it need not allow what the steps before it do; a call that it \
                 refuses is made, to see that it is there",
            );
        } else if self.inputs.mode == Mode::Traced {
            self.add(
                Phase::Restrict,
                Step::Seccomp {
                    program: policy::holding_filter(spec)?,
                    listener: true,
                    refuses: false,
                    logs: false,
                },
                "it allows everything, but for the last step, which waits for the tracer",
            );
        }
        Ok(())
    }

    /// What has an end when the service is ready.
    ///
    /// # Errors
    /// Nobody would hear what ends it.
    pub(super) fn ready(&mut self) -> Result<()> {
        let spec = self.inputs.spec;
        let exercises: Vec<Exercise> = spec
            .exercises
            .iter()
            .filter(|exercise| exercise.is_of_start())
            .cloned()
            .collect();
        let filtered = spec.protections.seccomp != Demand::Off;
        let calls = match filtered {
            true => policy::start_calls(spec),
            false => Vec::new(),
        };
        if filtered && self.inputs.mode == Mode::Complaining {
            self.add(
                Phase::Ready,
                Step::Complain {
                    directory: state_of(self.inputs.tree).to_owned(),
                    only_at_start: calls,
                    signs: spec.service.ready.clone(),
                    exercises,
                },
                "to see everything that the filter would refuse, in one run: the kernel waits for \
                 an answer to each such call, which is written down first",
            );
            return Ok(());
        }
        if calls.is_empty() && exercises.is_empty() {
            return Ok(());
        }
        if let Some(sign) = policy::unheard(spec, self.inputs.mode) {
            return Err(unheard(spec, sign));
        }
        if let Some(sign) = policy::shows_at_once(spec) {
            return Err(too_early(spec, sign));
        }
        self.add(
            Phase::Ready,
            Step::EndStart {
                calls,
                signs: spec.service.ready.clone(),
                exercises,
            },
            "only starting needs them: while the service starts they wait for an answer that is \
             always yes, and once nobody listens any more the kernel answers ENOSYS",
        );
        Ok(())
    }

    pub(super) fn execute(&mut self) -> Result<()> {
        let notify = self.is_notified()?;
        let liveness = self.inputs.spec.liveness.as_ref().filter(|_| notify);
        let watchdog = liveness.and_then(|liveness| liveness.watchdog_ms);
        let arguments = policy::arguments(self.inputs.spec, self.inputs.interpreter);
        let environment = self
            .inputs
            .spec
            .service
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .chain(notify.then(|| format!("{VARIABLE}={LOG_DIRECTORY}/{NOTIFY_SOCKET}")))
            .chain(watchdog.map(|ms| format!("{WATCHDOG}={}", u64::from(ms) * 1000)))
            .chain(sockets::environment(self.inputs.spec))
            .collect();
        self.add(
            Phase::Execute,
            Step::Execute {
                arguments,
                environment,
            },
            "through the descriptor: no path is looked up again",
        );
        Ok(())
    }
}

/// The refusal of a start that would end before it has begun.
fn too_early(spec: &Spec, sign: &Ready) -> Error {
    Error::setup(
        format!("plan the jail {}", spec.name),
        format!(
            "its sign {sign} shows before it has begun, because that port is bound for it: the \
             calls that only starting needs would end at once"
        ),
    )
    .hint(
        "set service.ready to notify, log: or quiet:; or give an exercise phase = \"start\"; or \
         take phase = \"start\" out of its calls",
    )
}

/// The refusal of a start that would never end.
fn unheard(spec: &Spec, sign: &Ready) -> Error {
    let name = &spec.name;
    Error::setup(
        format!("plan the jail {name} to be run with --exec"),
        format!("with --exec nobody hears {sign}, so its start would have no end"),
    )
    .hint(format!(
        "gaoler start {name}, or gaoler run {name} without --exec; or set service.ready to what can \
         be seen from outside: tcp:, udp:, file: or quiet:"
    ))
}

/// The jail's own directory below `/var/lib/gaoler`: `generations/N/root` is the tree.
fn state_of(tree: &Path) -> &Path {
    tree.ancestors().nth(3).unwrap_or(tree)
}

fn capability_bits(spec: &Spec) -> u64 {
    spec.capabilities
        .iter()
        .fold(0, |bits, rule| bits | 1_u64 << (rule.capability & 63))
}
