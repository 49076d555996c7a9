//! The launchers of this host: how each starts an exported service, and the prober in its place. What is
//! exported stays as it is but for the program: the prober lies on that, and is told its own arguments.

use std::fs;
use std::path::{Path, PathBuf};

use gaoler::spec::Spec;

/// An exported service.
pub struct Exported<'a> {
    pub spec: &'a Spec,
    /// What the export has written.
    pub directory: PathBuf,
    /// A directory for what is written here.
    pub own: PathBuf,
}

/// A launcher.
pub struct Launcher {
    pub name: &'static str,
    /// What `export --to` calls it.
    pub to: &'static str,
    /// The command that starts the service.
    pub start: fn(&Exported<'_>) -> Vec<String>,
    /// A script for sh that starts the prober in its place.
    pub probe: fn(&Exported<'_>) -> String,
}

pub static LAUNCHERS: [Launcher; 4] = [
    Launcher {
        name: "runc",
        to: "oci",
        start: |exported| {
            let (state, bundle) = (exported.own("runc"), exported.written(""));
            let name = exported.spec.name.clone();
            ["runc", "--root", &state, "run", "--bundle", &bundle, &name]
                .map(str::to_owned)
                .to_vec()
        },
        probe: |exported| {
            let script = exported.own("prober.py");
            fs::write(&script, include_str!("prober.py")).unwrap();
            let (bundle, state) = (exported.written(""), exported.own("containers"));
            format!("exec python3 {script} {bundle} {state}\n")
        },
    },
    Launcher {
        name: "podman",
        to: "oci",
        start: |exported| vec!["sh".to_owned(), podman(exported)],
        probe: |exported| {
            let (script, program) = (podman(exported), exported.program());
            format!(
                "words='\"{program}\"'\n\
                 for word in $ARGUMENTS; do\n    words=\"$words,\\\"$word\\\"\"\ndone\n\
                 exec sh {script} --volume \"$PROBER:{program}:ro\" --entrypoint \"[$words]\"\n"
            )
        },
    },
    Launcher {
        name: "bubblewrap",
        to: "bubblewrap",
        start: |exported| vec![exported.written("bwrap.sh")],
        probe: |exported| {
            let program = exported.program();
            let text = fs::read_to_string(exported.written("bwrap.sh")).unwrap();
            let tree = "tree=$(readlink";
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let tree = lines.iter().position(|line| line.starts_with(tree));
            lines[tree.unwrap()] += &format!("\nmount --bind -- \"$PROBER\" \"$tree{program}\"");
            // The last words are the command.
            let words = "set -- \"$@\" ";
            let command = lines.iter().rposition(|line| line.starts_with(words));
            lines[command.unwrap()] = format!("{words}{program} $ARGUMENTS");
            let script = exported.own("probed.bwrap.sh");
            fs::write(&script, lines.join("\n") + "\n").unwrap();
            format!("exec sh {script}\n")
        },
    },
    Launcher {
        name: "firejail",
        to: "firejail",
        start: |exported| vec!["sh".to_owned(), exported.written("firejail.sh")],
        probe: |exported| {
            let program = exported.program();
            let text = fs::read_to_string(exported.written("firejail.sh")).unwrap();
            let mut lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
            // The last words are the command; the profile lies beside the script.
            *lines.last_mut().unwrap() = format!("    {program} $ARGUMENTS");
            let script = exported.directory.join("probed.firejail.sh");
            fs::write(&script, lines.join("\n") + "\n").unwrap();
            format!(
                "exec unshare --mount --propagation private sh -c \
                 'mount --bind -- \"$PROBER\" {program} && exec sh {}'\n",
                script.display()
            )
        },
    },
];

/// The launcher of this name.
pub fn launcher(name: &str) -> &'static Launcher {
    LAUNCHERS.iter().find(|it| it.name == name).unwrap()
}

impl Exported<'_> {
    /// The service's program.
    fn program(&self) -> &str {
        &self.spec.service.command[0]
    }

    /// A file of the export, by the end of its name; without one, the bundle.
    fn written(&self, end: &str) -> String {
        let name = &self.spec.name;
        let name = match end {
            "" => name.clone(),
            end => format!("{name}.{end}"),
        };
        self.directory.join(name).display().to_string()
    }

    /// A file here.
    fn own(&self, name: &str) -> String {
        self.own.join(name).display().to_string()
    }
}

/// A script for podman, with everything of its own in a directory here.
fn podman(exported: &Exported<'_>) -> String {
    let own = exported.own("podman");
    fs::create_dir_all(&own).unwrap();
    // A limit that the host does not have cannot be raised.
    let configuration = "[containers]\ndefault_ulimits = []\n";
    fs::write(Path::new(&own).join("containers.conf"), configuration).unwrap();
    let script = format!("{own}/run.sh");
    // Where the spec has no limit, podman takes more than this host may have.
    let limit = match exported.spec.limits.descriptors {
        Some(_) => "",
        None => "--ulimit nofile=$(ulimit -Hn) --ulimit nproc=$(ulimit -Hp)",
    };
    let text = format!(
        "export CONTAINERS_CONF={own}/containers.conf PATH={own}:$PATH\n\
         exec {}/podman.sh --rm --replace {limit} \"$@\"\n",
        exported.written("")
    );
    fs::write(&script, text).unwrap();
    let program = format!("{own}/podman");
    let text = format!(
        "#!/bin/sh\nexec /usr/bin/podman --root {own}/store --runroot {own}/run --tmpdir {own}/tmp \
         --storage-driver vfs --runtime runc --cgroup-manager cgroupfs --events-backend file \"$@\"\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    script
}
