//! How long the start of a jail takes: from just before the launcher is started until it has
//! ended, with `true` as the service, which ends at once. Run it as root:
//!
//! ```text
//! cargo bench --bench launch [-- ROUNDS]
//! ```
//!
//! **Compared:** a bare start; `bare`, a C program that makes the system calls of gaoler's plan
//! and nothing else (`launch/bare.c`, the lower bound); the launchers that a Debian has;
//! gaoler with its supervisor, and with `--exec`, which leaves none.
//!
//! **Why it is fair:** one static program for all, which only ends, so that neither a dynamic
//! linker nor the start of a C library is timed with the launch. All run it in one run, in turn,
//! each round beginning with another. `bare` and bubblewrap get the very filter that gaoler
//! compiles, of the size that a real service needs.
//!
//! **Which bubblewrap:** the row `bubblewrap` has of the layers of gaoler's plan those that it can
//! have without a user namespace, and not one more. It stays root, has no Landlock and no log
//! socket, writes no file that says what runs, and ends before the jail's first process has: gaoler
//! leaves nothing behind. `bubblewrap, own user` also changes the user, as gaoler does; bubblewrap
//! can only do that in a user namespace. `bubblewrap --unshare-all` is what its manual recommends
//! and what wrappers around it use, with `/proc` and `/dev`; it also has a network namespace,
//! which a service that is to be reached cannot have, and which is the dearest of them.
//!
//! runc, firejail and systemd-nspawn also mount a `/proc`, `/dev` and more, and runc makes
//! cgroups: they show what one pays today, not what the same jail costs. firejail cannot have a
//! tree of its own in Debian's configuration, so it runs the program on a read-only host.
//!
//! **How to read it:** medians; the middle half says how quiet the machine was. If it is wide,
//! run it again, or run the built program under `chrt --fifo 50`: all contenders inherit the
//! priority, and what else runs on the machine waits (runc does not start then where the kernel
//! groups real-time processes by cgroup; `nice -n -20` does less and lets it). In a virtual
//! machine much of each launcher's own start is the C library asking for the processor's features
//! (`cpuid`, which the host answers, about a hundred times with glibc 2.36): the row `a C library's
//! start`, a static program whose `main` returns at once, less the row without one. No launcher
//! that is linked with that library can be faster than that, a fork into the namespaces, the steps
//! of the jail and the end of it together: that is `bare`.

mod shared;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use gaoler::plan::{Mode, Step};
use serde_json::{Value, json};
use shared::{Account, Contender, Place, Result, checked, quiet, time};

/// The namespaces that gaoler's plan makes too.
const OWN_LAYERS: &str = "--unshare-pid --unshare-ipc --unshare-uts";

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount"])? {
        return Ok(());
    }
    shared::facts(&[
        &["bwrap", "--version"],
        &["firejail", "--version"],
        &["runc", "--version"],
        &["systemd-nspawn", "--version"],
        &["unshare", "--version"],
        &["chroot", "--version"],
    ])?;
    let bench = Bench::new()?;
    let mut contenders = bench.contenders()?;
    shared::race(&mut contenders, shared::rounds(60));
    shared::table(
        &contenders,
        &[
            ("bubblewrap", "x bubblewrap"),
            ("bubblewrap --unshare-all", "x unshare-all"),
            ("bare", "x bare"),
        ],
    )?;
    let run = |base| shared::ratio(&contenders, "gaoler run", base);
    for base in [
        "bubblewrap",
        "bubblewrap, own user",
        "bubblewrap --unshare-all",
    ] {
        let text = format!("gaoler run <= 0.6 x {base}");
        shared::requirement(&text, run(base), |r| r <= 0.6)?;
    }
    if let Some(bound) = shared::ratio(&contenders, "bare", "bubblewrap") {
        shared::say(&format!(
            "the system calls alone, bare: {bound:.2} x bubblewrap\n"
        ))?;
    }
    shared::requirement("gaoler run <= 1.5 x bare", run("bare"), |r| r <= 1.5)?;
    drop(contenders);
    bench.place.remove()
}

/// What all contenders use.
struct Bench {
    place: Place,
    account: Account,
    /// The static `true` on the host; in gaoler's tree it has the same path.
    program: PathBuf,
    /// A tree with `true` at its top, for the others.
    tree: PathBuf,
    filter: PathBuf,
    bundle: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        let account = Account::find()?;
        let source = place.path().join("true.c");
        fs::write(&source, "int main(void) { return 0; }\n")?;
        shared::compile(&source, &place.path().join("true-with-library"))?;
        let program = place.path().join("true");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/launch");
        shared::compile_with(&["-nostdlib"], &sources.join("true.c"), &program)?;
        shared::compile(&sources.join("bare.c"), &place.path().join("bare"))?;
        let command = [program.to_string_lossy().into_owned()];
        place.build(
            "bench",
            &shared::spec_of("bench", &command, &account, "\"/\""),
        )?;
        let tree = place.path().join("tree");
        for name in [
            "dev/gaoler",
            "etc",
            "home",
            "proc",
            "root",
            "run",
            "sys",
            "tmp",
            "usr",
            "var",
        ] {
            fs::create_dir_all(tree.join(name))?;
        }
        fs::copy(&program, tree.join("true"))?;
        let bench = Self {
            filter: place.path().join("filter"),
            bundle: place.path().join("bundle"),
            place,
            account,
            program,
            tree,
        };
        bench.write_filter()?;
        bench.write_bundle()?;
        Ok(bench)
    }

    /// The filter of gaoler's plan, as the kernel takes it.
    fn write_filter(&self) -> Result<()> {
        let places = gaoler::verbs::Places {
            etc: self.place.path().join("etc"),
            state: self.place.path().join("state"),
            run: self.place.path().join("run"),
        };
        let jail = gaoler::verbs::plan(&places, "bench", Mode::Supervised, &|_| ())?;
        let program = jail
            .plan
            .steps
            .iter()
            .filter_map(|planned| match &planned.step {
                Step::Seccomp { program, .. } => Some(program),
                _ => None,
            })
            .next_back();
        let mut bytes = Vec::new();
        for instruction in program.ok_or("the plan has no filter")? {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jt, instruction.jf]);
            bytes.extend(instruction.k.to_ne_bytes());
        }
        shared::say(&format!(
            "the filter has {} instructions\n\n",
            bytes.len() / 8
        ))?;
        Ok(fs::write(&self.filter, bytes)?)
    }

    /// What `runc spec` gives, with the program, the ids and no capability.
    fn write_bundle(&self) -> Result<()> {
        fs::create_dir(&self.bundle)?;
        if shared::installed("runc").is_none() {
            return Ok(());
        }
        checked(
            Command::new("runc")
                .args(["spec", "--bundle"])
                .arg(&self.bundle),
        )?;
        let path = self.bundle.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["user"] = json!({"uid": self.account.uid, "gid": self.account.gid});
        config["process"]["args"] = json!(["/true"]);
        config["process"]["capabilities"] = json!({});
        // Root lacks CAP_SYS_RESOURCE in some virtual machines, and no limit is compared here.
        config["process"]["rlimits"] = json!([]);
        config["root"] = json!({"path": self.tree, "readonly": true});
        // runc looks at /proc with fstatfs(2) after it has installed the filter.
        let names: Vec<&str> = shared::CALLS
            .split_whitespace()
            .chain(["fstatfs"])
            .collect();
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
        });
        Ok(fs::write(&path, serde_json::to_vec(&config)?)?)
    }

    fn contenders(&self) -> Result<Vec<Contender<'_>>> {
        let Account { uid, gid, .. } = &self.account;
        let tree = self.tree.display();
        let fixed = |program: &str, name: &str, arguments: String| {
            let mut command = quiet(shared::installed(program).unwrap_or_else(|| program.into()));
            command.args(arguments.split_whitespace());
            Contender::of(program, name, move || time(&mut command))
        };
        let mut direct = quiet(&self.program);
        let mut library = quiet(self.place.path().join("true-with-library"));
        let mut bare = quiet(self.place.path().join("bare"));
        bare.arg(&self.tree).arg(&self.filter);
        bare.args([uid.to_string(), gid.to_string(), "/true".into()]);
        bare.arg(self.place.path().join("run/log"));
        let gaoler = |more: &'static str| {
            move || {
                let mut command = self.place.gaoler();
                command.args(["run", "bench"]).args(more.split_whitespace());
                time(&mut command)
            }
        };
        Ok(vec![
            Contender::new("exec, no jail", move || time(&mut direct)),
            Contender::new("a C library's start", move || time(&mut library)),
            Contender::new("bare", move || time(&mut bare)),
            Contender::new("gaoler run", gaoler("")),
            Contender::new("gaoler run --exec", gaoler("--exec")),
            fixed(
                "chroot",
                "chroot",
                format!("--userspec={uid}:{gid} {tree} /true"),
            ),
            fixed(
                "unshare",
                "unshare",
                format!(
                    "--mount --pid --fork --ipc --uts --kill-child --root={tree} --wd=/ \
                     --setgid {gid} --setuid {uid} /true"
                ),
            ),
            Contender::of("bwrap", "bubblewrap", || self.bubblewrap(OWN_LAYERS)),
            Contender::of("bwrap", "bubblewrap, own user", move || {
                self.bubblewrap(&format!(
                    "{OWN_LAYERS} --unshare-user --uid {uid} --gid {gid}"
                ))
            }),
            Contender::of("bwrap", "bubblewrap --unshare-all", || {
                self.bubblewrap("--unshare-all --proc /proc --dev /dev")
            }),
            fixed(
                "firejail",
                "firejail",
                format!(
                    "--quiet --noprofile --caps.drop=all --nonewprivs --seccomp --ipc-namespace \
                     --read-only=/ {}",
                    self.program.display()
                ),
            ),
            Contender::of("runc", "runc", || self.runc()),
            fixed(
                "systemd-nspawn",
                "systemd-nspawn",
                format!(
                    "-q --register=no --keep-unit --as-pid2 --read-only --resolv-conf=off \
                     --timezone=off -D {tree} /true"
                ),
            ),
        ])
    }

    /// bubblewrap reads the filter from a descriptor: here its standard input.
    fn bubblewrap(&self, options: &str) -> Result<std::time::Duration> {
        let mut command = quiet("bwrap");
        command
            .args("--new-session --die-with-parent --cap-drop ALL --seccomp 0".split(' '))
            .arg("--ro-bind")
            .arg(&self.tree)
            .arg("/")
            .args(options.split(' '))
            .arg("/true")
            .stdin(File::open(&self.filter)?);
        time(&mut command)
    }

    fn runc(&self) -> Result<std::time::Duration> {
        let mut command = quiet("runc");
        command
            .arg("--root")
            .arg(self.place.path().join("run/runc"))
            .args(["run", "--bundle"])
            .arg(&self.bundle)
            .arg(format!("gaoler-bench-{}", std::process::id()));
        time(&mut command)
    }
}
