//! What the lines of strace mean: the calls, the paths as the service asked for them with what
//! was done to them, and the sockets. Written from the manual pages, apart from the learner's own
//! tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use gaoler::learn::trace::{SocketUse, Use};

use crate::addresses::{self, bound_to, family_of};
use crate::strace::{Line, Outcome, integer, leads_to, string};

/// A use of a path, and the errno that came of it: 0 for success.
pub type Effect = (Use, i32);

/// An action on a socket, family, address and port; of a new socket, family, type and protocol.
pub type Socket = (SocketUse, u16, String, u16);

/// What one path was used for.
#[derive(Debug, Default)]
pub struct Effects {
    /// For certain.
    pub must: BTreeSet<Effect>,
    /// What a line alone does not tell: whether open with `O_CREAT` made the file.
    pub may: BTreeSet<Effect>,
}

/// Everything that a run showed.
#[derive(Debug, Default)]
pub struct Seen {
    pub calls: BTreeMap<String, u64>,
    pub paths: BTreeMap<PathBuf, Effects>,
    pub sockets: BTreeSet<Socket>,
}

impl Seen {
    /// Adds what another run showed.
    pub fn add(&mut self, other: Self) {
        for (call, count) in other.calls {
            *self.calls.entry(call).or_default() += count;
        }
        for (path, effects) in other.paths {
            let seen = self.paths.entry(path).or_default();
            seen.must.extend(effects.must);
            seen.may.extend(effects.may);
        }
        self.sockets.extend(other.sockets);
    }
}

/// Calls whose arguments are strings that begin with a slash and yet no paths, or paths that the
/// kernel wrote.
const NO_PATHS: &[&str] = &[
    "getcwd", "prctl", "pread64", "pwrite64", "read", "recvfrom", "sendto", "write",
];

/// The ports that the kernel picks for clients begin here: `ip_local_port_range`.
pub const FIRST_PICKED: u16 = 32768;

/// How a thread sees the file system: the host's paths.
#[derive(Clone, Debug)]
struct View {
    root: PathBuf,
    cwd: PathBuf,
}

/// A path among the arguments.
#[derive(Clone)]
enum Place {
    /// A text that may be relative to the working directory.
    Cwd(usize),
    /// A text that may be relative to a descriptor: both arguments.
    At(usize, usize),
    /// What a descriptor leads to.
    Open(usize),
}

struct Reader {
    seen: Seen,
    views: Vec<View>,
    view_of: BTreeMap<i32, usize>,
    process_of: BTreeMap<i32, i32>,
    /// Of each thread that was made: its maker, and the flags.
    makers: BTreeMap<i32, (i32, i64)>,
    /// Who sent something: sending there is an answer.
    peers: BTreeSet<(String, u16)>,
}

/// What these lines show.
pub fn read(lines: &[Line]) -> Seen {
    let first = lines.first().expect("strace saw nothing").tid;
    let root = View {
        root: "/".into(),
        cwd: "/".into(),
    };
    let mut reader = Reader {
        seen: Seen::default(),
        views: vec![root],
        view_of: BTreeMap::from([(first, 0)]),
        process_of: BTreeMap::from([(first, first)]),
        makers: lines.iter().filter_map(made).collect(),
        peers: BTreeSet::new(),
    };
    for line in lines {
        *reader.seen.calls.entry(line.name.clone()).or_default() += 1;
        reader.paths(line);
        reader.sockets(line);
        reader.moved(line);
    }
    reader.seen
}

/// The thread that a call has made.
fn made(line: &Line) -> Option<(i32, (i32, i64))> {
    let Outcome::Value(child) = line.outcome else {
        return None;
    };
    let flags = match line.name.as_str() {
        "clone" | "clone3" => line.arguments.iter().find_map(|text| {
            let flags = text.split_once("flags=")?.1;
            integer(flags.split([',', '}']).next()?)
        })?,
        "fork" | "vfork" => 0,
        _ => return None,
    };
    Some((i32::try_from(child).unwrap(), (line.tid, flags)))
}

impl Reader {
    /// The view of a thread that was made takes its maker's, or a copy.
    fn view(&mut self, tid: i32) -> usize {
        if let Some(view) = self.view_of.get(&tid) {
            return *view;
        }
        let (maker, flags) = *(self.makers.get(&tid)).unwrap_or_else(|| panic!("who made {tid}?"));
        let mut view = self.view(maker);
        const FS: i64 = 0x200;
        if flags & FS == 0 {
            self.views.push(self.views[view].clone());
            view = self.views.len() - 1;
        }
        const THREAD: i64 = 0x10000;
        let process = if flags & THREAD == 0 {
            tid
        } else {
            self.process_of[&maker]
        };
        self.process_of.insert(tid, process);
        self.view_of.insert(tid, view);
        view
    }

    /// chdir, fchdir and chroot that worked.
    fn moved(&mut self, line: &Line) {
        if !matches!(line.outcome, Outcome::Value(0)) {
            return;
        }
        let place = match line.name.as_str() {
            "chdir" | "chroot" => Place::Cwd(0),
            "fchdir" => Place::Open(0),
            _ => return,
        };
        let view = self.view(line.tid);
        let asked = self.asked(line, &place).unwrap();
        let View { root, cwd } = &mut self.views[view];
        let host = root.join(asked.strip_prefix("/").unwrap());
        let host = fs::canonicalize(&host).unwrap_or(host);
        if line.name == "chroot" {
            *root = host;
        } else {
            *cwd = host;
        }
    }

    fn paths(&mut self, line: &Line) {
        for (place, must, may) in places(line) {
            let Some(asked) = self.asked(line, &place) else {
                continue;
            };
            if let Some(interpreter) = interpreter(line, &asked) {
                self.used(line, interpreter, &must, &may);
            }
            self.used(line, asked, &must, &may);
        }
    }

    fn used(&mut self, line: &Line, asked: PathBuf, must: &[Use], may: &[Use]) {
        let errno = match &line.outcome {
            Outcome::Value(_) => 0,
            Outcome::Error(name) => errno(name),
            Outcome::None => errno("EINTR"),
            Outcome::Interrupted => return,
        };
        let effects = self.seen.paths.entry(asked).or_default();
        effects.must.extend(must.iter().map(|used| (*used, errno)));
        effects.may.extend(may.iter().map(|used| (*used, errno)));
    }

    /// The path as the process would write it, absolute in its own root; `None` if there is none.
    fn asked(&mut self, line: &Line, place: &Place) -> Option<PathBuf> {
        let index = self.view(line.tid);
        let view = &self.views[index];
        let inside = |host: &Path| match host.strip_prefix(&view.root) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => host.to_owned(),
        };
        let open = |index: usize| {
            let path = leads_to(&line.arguments[index])?;
            path.starts_with('/').then(|| PathBuf::from(path))
        };
        let text = |index: usize| string(&line.arguments[index]).map(as_path);
        let path = match *place {
            Place::Open(index) => inside(&open(index)?),
            Place::Cwd(index) => inside(&view.cwd).join(text(index)?),
            Place::At(base, index) => {
                let text = text(index)?;
                if text.as_os_str().is_empty() {
                    return None;
                }
                match open(base) {
                    Some(base) => inside(&base).join(text),
                    None => text,
                }
            }
        };
        let process = self.process_of[&line.tid].to_string();
        Some(plain(&path, &view.root, &process))
    }

    fn sockets(&mut self, line: &Line) {
        let done = matches!(line.outcome, Outcome::Value(_));
        match line.name.as_str() {
            "socket" | "socketpair" if done => {
                let number = |index: usize| {
                    integer(&line.arguments[index]).unwrap_or_else(|| panic!("{line:?}"))
                };
                let about = format!("type {} protocol {}", number(1) & 0xf, number(2));
                let family = u16::try_from(number(0)).unwrap();
                (self.seen.sockets).insert((SocketUse::Create, family, about, 0));
            }
            "bind" => self.bound(line),
            "listen" if done => {
                let (family, address, port) = bound_to(&line.arguments[0]);
                self.saw(SocketUse::Listen, family, address, port);
            }
            "connect" => self.connected(line, &line.arguments[1]),
            "recvfrom" | "recvmsg" | "recvmmsg" if done => {
                let all = line.arguments[1..].join(" ");
                let senders = addresses::all(&all)
                    .into_iter()
                    .filter(|(.., port)| *port != 0);
                (self.peers).extend(senders.map(|(_, address, port)| (address, port)));
            }
            "sendto" | "sendmsg" | "sendmmsg" => self.sent(line),
            _ => {}
        }
    }

    fn saw(&mut self, action: SocketUse, family: u16, address: String, port: u16) {
        let port = picked(port);
        self.seen.sockets.insert((action, family, address, port));
    }

    fn bound(&mut self, line: &Line) {
        let action = match &line.outcome {
            Outcome::Error(name) => SocketUse::BindFailed(errno(name)),
            _ => SocketUse::Bind,
        };
        for (family, address, port) in addresses::all(&line.arguments[1]) {
            self.named_socket(line, family, &address, Use::Create);
            self.saw(action.clone(), family, address, port);
        }
    }

    fn connected(&mut self, line: &Line, text: &str) {
        for (family, address, port) in addresses::all(text) {
            // AF_UNSPEC takes the peer away.
            if family == 0 {
                continue;
            }
            let mut line = line.clone();
            if line.outcome == Outcome::Error("EINPROGRESS".to_owned()) {
                line.outcome = Outcome::Value(0);
            }
            self.named_socket(&line, family, &address, Use::Connect);
            // An address of IP version 4 may be given to a socket of version 6.
            let family = family_of(&line.arguments[0]).unwrap_or(family);
            self.saw(SocketUse::Connect, family, address, port);
        }
    }

    /// A message with an address connects, unless it is an answer. Of several, those that were
    /// sent.
    fn sent(&mut self, line: &Line) {
        let sent = match line.outcome {
            Outcome::Value(count) if line.name == "sendmmsg" => usize::try_from(count).unwrap(),
            _ => usize::MAX,
        };
        let all = line.arguments[1..].join(" ");
        for text in addresses::texts(&all).into_iter().take(sent) {
            let Some((_, address, port)) = addresses::address(text) else {
                continue;
            };
            if !self.peers.contains(&(address, port)) {
                self.connected(line, text);
            }
        }
    }

    /// The path of a UNIX socket is a path like any other.
    fn named_socket(&mut self, line: &Line, family: u16, address: &str, used: Use) {
        const UNIX: u16 = 1;
        if family != UNIX || address.is_empty() || address.starts_with('@') {
            return;
        }
        let mut named = line.clone();
        named.arguments = vec![format!("\"{address}\"")];
        let asked = self.asked(&named, &Place::Cwd(0)).unwrap();
        self.used(line, asked, &[used], &[]);
    }
}

/// What the kernel executes for a script (`execve(2)`).
fn interpreter(line: &Line, script: &Path) -> Option<PathBuf> {
    if line.name != "execve" {
        return None;
    }
    let text = std::fs::read(script).ok()?;
    let first = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n');
    let words = String::from_utf8_lossy(first.into_iter().next()?).into_owned();
    words.split_whitespace().next().map(PathBuf::from)
}

/// A port that the kernel picked says nothing later.
pub fn picked(port: u16) -> u16 {
    port.min(FIRST_PICKED)
}

/// The paths of a call: where, what it does with each for certain, and perhaps.
fn places(line: &Line) -> Vec<(Place, Vec<Use>, Vec<Use>)> {
    use Place::{At, Cwd, Open};
    let number = |index: usize| integer(&line.arguments[index]).unwrap();
    let one = |place: Place, used: Use| vec![(place, vec![used], vec![])];
    match line.name.as_str() {
        "access" | "getxattr" | "lgetxattr" | "listxattr" | "llistxattr" | "lstat" | "readlink"
        | "stat" | "statfs" => one(Cwd(0), Use::Look),
        "faccessat" | "faccessat2" | "newfstatat" | "readlinkat" | "statx" => {
            one(At(0, 1), Use::Look)
        }
        "inotify_add_watch" => one(Cwd(1), Use::Look),
        "open" => opened(Cwd(0), number(1)),
        "openat" => opened(At(0, 1), number(2)),
        "creat" => vec![(Cwd(0), vec![Use::Write], vec![Use::Create])],
        "execve" => one(Cwd(0), Use::Execute),
        "chdir" => one(Cwd(0), Use::Enter),
        "fchdir" => one(Open(0), Use::Enter),
        "chroot" => one(Cwd(0), Use::Root),
        "mkdir" | "mknod" => one(Cwd(0), Use::Create),
        "mkdirat" | "mknodat" => one(At(0, 1), Use::Create),
        "symlink" => one(Cwd(1), Use::Create),
        "symlinkat" => one(At(1, 2), Use::Create),
        "rmdir" | "unlink" => one(Cwd(0), Use::Delete),
        "unlinkat" => one(At(0, 1), Use::Delete),
        "rename" => [one(Cwd(0), Use::Delete), one(Cwd(1), Use::Create)].concat(),
        "renameat" | "renameat2" => {
            [one(At(0, 1), Use::Delete), one(At(2, 3), Use::Create)].concat()
        }
        "link" => [one(Cwd(0), Use::Look), one(Cwd(1), Use::Create)].concat(),
        "linkat" => [one(At(0, 1), Use::Look), one(At(2, 3), Use::Create)].concat(),
        "chmod" | "chown" | "lchown" | "utime" | "utimes" => one(Cwd(0), Use::Change),
        "fchmod" | "fchown" => one(Open(0), Use::Change),
        "fchmodat" | "fchownat" => one(At(0, 1), Use::Change),
        // Without a path it is about the descriptor.
        "utimensat" if line.arguments[1] == "NULL" => one(Open(0), Use::Change),
        "utimensat" => one(At(0, 1), Use::Change),
        "truncate" => one(Cwd(0), Use::Write),
        "ftruncate" => one(Open(0), Use::Write),
        "flock" if number(1) & 2 != 0 => one(Open(0), Use::Write),
        "mmap" if number(2) & 4 != 0 && number(3) & 0x20 == 0 => one(Open(4), Use::Map),
        name => {
            let unknown = (line.arguments.iter()).any(|text| text.starts_with("\"/"));
            assert!(!unknown || NO_PATHS.contains(&name), "a path? {line:?}");
            Vec::new()
        }
    }
}

/// open(2). Reading a directory and reading a file look the same.
fn opened(place: Place, flags: i64) -> Vec<(Place, Vec<Use>, Vec<Use>)> {
    const CREAT: i64 = 0o100;
    const TRUNC: i64 = 0o1000;
    const PATH: i64 = 0o10000000;
    const TMPFILE: i64 = 0o20200000;
    let mut may = Vec::new();
    let mut must = match flags & 3 {
        _ if flags & PATH != 0 => vec![Use::Look],
        _ if flags & TMPFILE == TMPFILE => vec![Use::Write, Use::Create],
        0 => vec![Use::Read],
        1 => vec![Use::Write],
        _ => vec![Use::Read, Use::Write],
    };
    if flags & TRUNC != 0 && !must.contains(&Use::Write) {
        must.push(Use::Write);
    }
    if flags & CREAT != 0 {
        may.push(Use::Create);
    }
    vec![(place, must, may)]
}

/// Without `.`, with `..` followed, and with `self` for the process's own number in /proc.
fn plain(path: &Path, root: &Path, process: &str) -> PathBuf {
    let mut path = path.to_owned();
    if path.components().any(|part| part == Component::ParentDir) {
        let host = root.join(path.strip_prefix("/").unwrap_or(&path));
        let host = fs::canonicalize(&host).unwrap_or_else(|_| lexical(&host));
        path = Path::new("/").join(host.strip_prefix(root).unwrap_or(&host));
    }
    let own = Path::new("/proc").join(process);
    if let Ok(rest) = path.strip_prefix(&own) {
        path = Path::new("/proc/self").join(rest);
    }
    if let Ok(rest) = path.strip_prefix("/proc/self/task") {
        let mut parts = rest.components();
        if parts.next().is_some() {
            path = Path::new("/proc/thread-self").join(parts.as_path());
        }
    }
    path.components().collect()
}

fn lexical(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            part => found.push(part),
        }
    }
    found
}

fn as_path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn errno(name: &str) -> i32 {
    let number = gaoler::sys::errno::number(name);
    number.unwrap_or_else(|| panic!("{name}?")).into()
}
