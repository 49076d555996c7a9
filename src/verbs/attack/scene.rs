//! What there is outside a jail to get at, put up for the probes: a secret, sockets, shared memory,
//! a process of the same user. All of it is in `STATE/.attack-NAME`, and goes when it is over.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::super::{is_ordinary, must_be_ours};
use super::host_log::HostLog;
use super::prober::Prober;
use super::setting::{SHARED, Setting};
use super::told::{above, host_root, in_directory, in_jail, limits};
use crate::host::cgroup::Cgroups;
use crate::run::cgroup;
use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result, build, plan};

/// The owner of a set-user-ID file: nobody's number, so that it makes nobody anybody.
const STRANGER: u32 = 4_242_424;

/// What probes make in a place that the service can write to, and may not be able to remove.
const LEFT: [&str; 10] = [
    NEW_PID_FILE,
    ".gaoler-below",
    ".gaoler-file",
    ".gaoler-large",
    LINK,
    LOG_FILE,
    ".gaoler-node",
    PID_FILE,
    ".gaoler-probe",
    ".gaoler-written",
];

/// What probes leave there for the host, as `prober/probes/planted.rs` has it.
pub(super) const PID_FILE: &str = ".gaoler-pid";
pub(super) const NEW_PID_FILE: &str = "..gaoler-pid.gaoler";
pub(super) const LOG_FILE: &str = ".gaoler-log";
pub(super) const LINK: &str = ".gaoler-link";

/// What is in the directory that a link leads to.
pub(super) const INSIDE: &str = "inside";

/// The directory of an attack, taken by this process.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    label: String,
    /// A socket in a place of the service's, to be removed with it.
    shared: Option<PathBuf>,
    /// The places of the host that probes write to.
    written: Vec<PathBuf>,
    /// The directory above, if there was none before: where no jail has been built yet.
    made_above: Option<PathBuf>,
    /// Given up by whoever ends.
    _lock: OwnedFd,
}

impl Drop for Place {
    /// After a failure; what cannot be removed now is by the next attack.
    fn drop(&mut self) {
        match self.remove() {
            Ok(()) | Err(_) => {}
        }
    }
}

impl Place {
    fn remove(&self) -> Result<()> {
        for directory in &self.written {
            remove(directory, &LEFT)?;
        }
        if let Some(directory) = self.shared.as_deref().and_then(Path::parent) {
            remove(directory, &[SHARED])?;
        }
        clear(&self.directory, &self.label)?;
        match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).doing(|| format!("remove {}", self.directory.display()));
            }
            Ok(()) | Err(_) => {}
        }
        match self.made_above.as_deref().map(fs::remove_dir) {
            // Meanwhile somebody has built a jail there.
            Some(Err(error)) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
            Some(removed) => {
                removed.doing(|| format!("remove what is above {}", self.directory.display()))
            }
            None => Ok(()),
        }
    }
}

/// Everything that was put up.
#[derive(Debug)]
pub(super) struct Scene {
    runtime: PathBuf,
    terminal: Option<PathBuf>,
    inside: Vec<String>,
    outside: Vec<String>,
    host_log: HostLog,
    // Before its directory, in which it has a socket.
    stand: Child,
    /// What is held open for the probes: a terminal and a port.
    _held: (Option<OwnedFd>, TcpListener),
    place: Place,
}

impl Scene {
    /// Puts everything up; what is left of an attack that was killed is removed first.
    ///
    /// # Errors
    /// Another command attacks the jail; something cannot be made.
    pub(super) fn put_up(setting: &Setting) -> Result<Self> {
        let path = setting.directory();
        let owner = setting.owner;
        let made_above = (!setting.state.exists()).then(|| setting.state.clone());
        build::make_directory(&setting.state, 0o711)?;
        let place = Place {
            _lock: take(&path, &setting.name)?,
            directory: path,
            label: setting.label.clone(),
            shared: setting.shared.clone(),
            written: setting.bound.clone(),
            made_above,
        };
        let Place {
            directory, label, ..
        } = &place;
        let doing = || format!("put up what is attacked in {}", directory.display());
        clear(directory, label)?;
        let token = random();
        let made = Made { directory, owner };
        made.files(&token).doing(doing)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).doing(doing)?;
        let port = listener.local_addr().doing(doing)?.port();
        let free = TcpListener::bind(("127.0.0.1", 0)).doing(doing)?;
        let free = free.local_addr().doing(doing)?.port();
        let terminal = terminal().doing(doing)?;
        let (terminal, terminal_path) =
            terminal.map_or_else(Default::default, |(master, path)| (Some(master), path));
        let mut both = vec![
            format!("token={token}"),
            format!("secret={}", directory.join("secret").display()),
            format!("socket={}", directory.join("place/socket").display()),
            format!("abstract={label}-{token}"),
            format!("key={}", u32::from_str_radix(&token[..7], 16).unwrap_or(1)),
            format!("queue=gaoler-{token}"),
            format!("policy={}", setting.policy.display()),
            format!("port={port}"),
            format!("free={free}"),
        ];
        if !is_ordinary() {
            let stranger = directory.join("stranger");
            both.push(format!("setuid={}", stranger.display()));
            both.push(format!("stranger={STRANGER}"));
        }
        if terminal.is_some() {
            both.push(format!("terminal={terminal_path}"));
        }
        both.extend(host_root()?);
        both.extend(limits(&setting.limits));
        both.push(format!("handle={}", above(&setting.tree)?));
        let shared = setting.shared.as_deref();
        let stood = shared.map(|path| format!("shared={}", path.display()));
        let (stand, address) = stand(&both, stood, owner)?;
        both.push(format!("victim={}", stand.id()));
        both.push(format!("address={address}"));
        made.precious(stand.id()).doing(doing)?;
        let host_log = HostLog::open(directory.join("syslog"))?;
        both.push(format!("host_log={}", host_log.path().display()));
        both.push(format!("precious={}", directory.join("precious").display()));
        both.push(format!("kept={}", directory.join("kept").display()));
        let mut inside = both.clone();
        inside.extend(in_jail(setting));
        both.extend(in_directory(directory, &setting.tree));
        Ok(Self {
            runtime: directory.join("run"),
            terminal: terminal.as_ref().map(|_| terminal_path.into()),
            inside,
            outside: both,
            host_log,
            stand,
            _held: (terminal, listener),
            place,
        })
    }

    /// The directory of the jail's log.
    pub(super) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// What its cgroups are called.
    pub(super) fn label(&self) -> &str {
        &self.place.label
    }

    /// A terminal that probes may get at, where there are any.
    pub(super) fn terminal(&self) -> Option<&Path> {
        self.terminal.as_deref()
    }

    /// What a prober in the jail is told.
    pub(super) fn inside(&self) -> &[String] {
        &self.inside
    }

    /// What a prober outside is told.
    pub(super) fn outside(&self) -> &[String] {
        &self.outside
    }

    /// The host's log.
    pub(super) fn log(&self) -> &HostLog {
        &self.host_log
    }

    /// The process that stands outside.
    pub(super) fn victim(&self) -> u32 {
        self.stand.id()
    }

    /// The places that a prober in the jail, or outside, may leave something in.
    pub(super) fn places(&self, inside: bool) -> Vec<PathBuf> {
        match inside {
            true => self.place.written.clone(),
            false => vec![self.place.directory.join("place")],
        }
    }

    /// The directory that a link leads to.
    pub(super) fn kept(&self) -> PathBuf {
        self.place.directory.join("kept")
    }

    /// Whether somebody wrote to the file that a link leads to, or gave it away.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn precious_has_changed(&self) -> Result<bool> {
        let path = self.place.directory.join("precious");
        let doing = || format!("look at {}", path.display());
        let metadata = fs::symlink_metadata(&path).doing(doing)?;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        let same = fs::read_to_string(&path).doing(doing)? == precious(self.victim());
        Ok(!same || !is_own)
    }

    /// Removes what a probe has left in the places of the host and in its log.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn tidy(&self) -> Result<()> {
        for directory in self.places(true).iter().chain(&self.places(false)) {
            remove(directory, &LEFT)?;
        }
        self.host_log.read().map(drop)
    }

    /// Makes anew what a link leads to, after it was followed.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn restore(&self) -> Result<()> {
        let directory = &self.place.directory;
        let doing = || format!("make {} anew", directory.join("precious").display());
        let own = rustix::process::geteuid().as_raw();
        let made = Made {
            directory,
            owner: (own, rustix::process::getegid().as_raw()),
        };
        made.precious(self.victim()).doing(doing)
    }

    /// Takes everything down.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub(super) fn take_down(mut self) -> Result<()> {
        let doing = || "end the process that stood outside";
        // Its standard input ends, and it removes what it has made.
        drop(self.stand.stdin.take());
        self.stand.wait().doing(doing)?;
        self.place.remove()
    }
}

/// Makes the directory and takes it.
fn take(directory: &Path, name: &str) -> Result<OwnedFd> {
    let doing = || format!("make {}", directory.display());
    match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o711)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    must_be_ours(directory, &doing())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(directory, flags, Mode::empty()).doing(doing)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(Error::setup(
            format!("attack {name}"),
            "another command does that now",
        )
        .hint("wait for it, or end it")),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// Removes everything in it, and its cgroups.
fn clear(directory: &Path, label: &str) -> Result<()> {
    cgroup::remove(&plan::cgroup_directories(label, &Cgroups::probe()?))?;
    let doing = || format!("empty {}", directory.display());
    let inside = Beneath::open(directory).doing(doing)?;
    for name in inside.names(Path::new("."), 64).doing(doing)? {
        inside.remove_tree(Path::new(&name)).doing(doing)?;
    }
    Ok(())
}

/// The files of a scene.
struct Made<'a> {
    directory: &'a Path,
    owner: (u32, u32),
}

impl Made<'_> {
    fn files(&self, token: &str) -> std::io::Result<()> {
        self.directory("run", 0o755)?;
        self.file("secret", token.as_bytes(), 0o644)?;
        // As the spec of a jail, for a launcher that has none.
        self.file("policy", b"", 0o600)?;
        // The prober as a file, for a launcher that is told a path: with nothing else beside it.
        self.directory("bin", 0o755)?;
        let prober = Prober::path_in(self.directory);
        fs::write(&prober, crate::attack::PROBER)?;
        fs::set_permissions(&prober, fs::Permissions::from_mode(0o755))?;
        // As the service's program would be for somebody who is not in a jail.
        self.file("program", b"", 0o755)?;
        self.directory("place", 0o755)?;
        self.file("place/null", b"", 0o666)?;
        chown(
            self.directory.join("place"),
            Some(self.owner.0),
            Some(self.owner.1),
        )?;
        for name in [
            "tree", "tree/etc", "tree/dev", "tree/usr", "tree/lib", "below", "kept", "syslog",
        ] {
            self.directory(name, 0o755)?;
        }
        self.file("tree/etc/passwd", b"", 0o644)?;
        if is_ordinary() {
            // Who could be given to nobody else is no stranger.
            return Ok(());
        }
        self.file("stranger", crate::attack::PROBER, 0o755)?;
        chown(
            self.directory.join("stranger"),
            Some(STRANGER),
            Some(STRANGER),
        )?;
        // After the owner, whose change takes the bit away.
        self.mode("stranger", 0o4755)
    }

    /// What links of the service's lead to: a pid file that names the one outside.
    fn precious(&self, victim: u32) -> std::io::Result<()> {
        self.file("precious", precious(victim).as_bytes(), 0o644)?;
        self.file("kept/inside", b"", 0o644)
    }

    fn directory(&self, name: &str, mode: u32) -> std::io::Result<()> {
        fs::create_dir(self.directory.join(name))?;
        self.mode(name, mode)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> std::io::Result<()> {
        fs::write(self.directory.join(name), content)?;
        self.mode(name, mode)
    }

    fn mode(&self, name: &str, mode: u32) -> std::io::Result<()> {
        fs::set_permissions(self.directory.join(name), fs::Permissions::from_mode(mode))
    }
}

fn precious(victim: u32) -> String {
    format!("{victim}\n")
}

/// 16 hexadecimal digits that nobody can guess.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// A pseudo-terminal: its master, and the path of its slave; `None` where there are none, or
/// none for an ordinary user.
fn terminal() -> rustix::io::Result<Option<(OwnedFd, String)>> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = match openpt(flags) {
        Ok(master) => master,
        Err(Errno::NOENT | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?;
    Ok(Some((master, path.to_string_lossy().into_owned())))
}

/// Starts the one outside, as the service's user; it tells where its memory is.
fn stand(both: &[String], shared: Option<String>, owner: (u32, u32)) -> Result<(Child, u64)> {
    let doing = || "start the process that stands outside";
    let prober = Prober::new()?;
    let mut stand = Command::new(format!("/proc/self/fd/{}", prober.program().as_raw_fd()))
        .args(["stand", "quiet", "now"])
        .args(both)
        .args(shared)
        .env_clear()
        .current_dir("/")
        .uid(owner.0)
        .gid(owner.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .doing(doing)?;
    let mut address = [0; 8];
    let told = match &mut stand.stdout {
        Some(output) => output.read_exact(&mut address),
        None => Err(std::io::ErrorKind::BrokenPipe.into()),
    };
    match told {
        Ok(()) => Ok((stand, u64::from_ne_bytes(address))),
        Err(_) => {
            let status = stand.wait().doing(doing)?;
            Err(Error::new(doing(), format!("it ended with {status}")))
        }
    }
}

/// Removes these from a place that the service can write to: nothing is followed.
fn remove(directory: &Path, names: &[&str]) -> Result<()> {
    let doing = || format!("remove what probes left in {}", directory.display());
    let directory = Beneath::open(directory).doing(doing)?;
    for name in names {
        match directory.remove_tree(Path::new(name)) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(())
}
