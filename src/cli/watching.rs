//! What `list`, `tree`, `netstats` and `monitor` print.

use serde_json::{Value, json};

use super::specs::shown;
use super::table::table;
use super::units::{bytes, duration, or_none};
use crate::run::events::Event;
use crate::verbs::{List, Listed, Places};
use crate::watch::processes::Role;
use crate::watch::sockets::{Activity, Socket, Sockets};
use crate::watch::tree::{Node, Tree};

/// `list`.
pub(super) fn list(list: &List, places: &Places, running: bool) -> String {
    if list.jails.is_empty() {
        let what = if running { "no jail runs" } else { "no jail" };
        return format!("{what} (specs: {})\n", shown(&places.etc.to_string_lossy()));
    }
    let heading = [
        "NAME",
        "PID",
        "STATE",
        "USER",
        "GENERATION",
        "SCORE",
        "RESTARTS",
        "FOR",
        "COMMAND",
    ];
    let rows = list.jails.iter().map(row);
    let mut text = table(&heading.map(str::to_owned), rows);
    for jail in &list.jails {
        if let Some(problem) = &jail.problem {
            text += &format!("{}: {}\n", jail.name, shown(problem));
        }
    }
    text
}

fn row(jail: &Listed) -> [String; 9] {
    [
        jail.name.clone(),
        or_none(jail.pid.map(|pid| pid.to_string())),
        jail.state.word().to_owned(),
        or_none(jail.user.as_deref().map(shown)),
        or_none(jail.generation.map(|number| number.to_string())),
        or_none(jail.score.map(|score| format!("{score:.1}"))),
        jail.restarts.to_string(),
        or_none(jail.uptime_s.map(duration)),
        or_none(jail.command.as_deref().map(shown)),
    ]
}

/// `tree --json`.
pub(super) fn trees_json(trees: &[Tree]) -> Value {
    json!({ "jails": trees })
}

/// `tree`.
pub(super) fn trees(trees: &[Tree]) -> String {
    if trees.is_empty() {
        return "no jail runs\n".to_owned();
    }
    trees.iter().map(tree).collect::<Vec<_>>().join("\n")
}

fn tree(tree: &Tree) -> String {
    let mut text = format!("{}  generation {}\n", tree.name, tree.generation);
    // For each depth, whether something of that depth is still to come.
    let mut open: Vec<bool> = Vec::new();
    for (at, node) in tree.processes.iter().enumerate() {
        let rest = tree.processes.get(at + 1..).unwrap_or_default();
        let more = rest
            .iter()
            .take_while(|other| other.depth >= node.depth)
            .any(|other| other.depth == node.depth);
        open.truncate(node.depth);
        text += "  ";
        for (depth, is_open) in open.iter().enumerate().skip(1) {
            debug_assert!(depth < node.depth, "those below are cut off");
            text += if *is_open { "│  " } else { "   " };
        }
        if node.depth > 0 {
            text += if more { "├─ " } else { "└─ " };
        }
        open.push(more);
        text += &process(node);
        text.push('\n');
    }
    text
}

fn process(node: &Node) -> String {
    let inside = match node.inner_pid == node.pid {
        true => String::new(),
        false => format!(" ({})", node.inner_pid),
    };
    let threads = match node.threads {
        0 | 1 => String::new(),
        many => format!(" {many} threads"),
    };
    let ended = if node.state == 'Z' { " ended" } else { "" };
    let role = match node.role {
        Role::Supervisor => " [supervisor]",
        Role::Init => " [init]",
        Role::Service | Role::Process => "",
    };
    let (user, command) = (shown(&node.user), shown(&node.command));
    format!(
        "{}{inside} {user}{role}{threads}{ended} {command}",
        node.pid
    )
}

/// `netstats --json`.
pub(super) fn sockets_json(sockets: &[Sockets]) -> Value {
    json!({ "jails": sockets })
}

/// `netstats`.
pub(super) fn sockets(jails: &[Sockets]) -> String {
    if jails.is_empty() {
        return "no jail runs\n".to_owned();
    }
    jails
        .iter()
        .map(jail_sockets)
        .collect::<Vec<_>>()
        .join("\n")
}

fn jail_sockets(jail: &Sockets) -> String {
    let heading = [
        "  PROTOCOL",
        "STATE",
        "ADDRESS",
        "PEER",
        "RECEIVED",
        "SENT",
        "ALLOWED",
        "PROCESS",
    ];
    let (received, sent) = (bytes(jail.received), bytes(jail.sent));
    let mut text = format!("{}  received {received}, sent {sent}\n", jail.name);
    match jail.sockets.is_empty() {
        true => text += "  no sockets\n",
        false => {
            text += &table(&heading.map(str::to_owned), jail.sockets.iter().map(socket));
        }
    }
    text
}

fn socket(socket: &Socket) -> [String; 8] {
    let pids = socket.pids.iter().map(i32::to_string);
    let peer = place(socket.peer_address.as_deref(), socket.peer_port);
    let peer = match socket.peer_pid {
        Some(pid) => format!("{peer} (process {pid})")
            .trim_start_matches("- ")
            .to_owned(),
        None => peer,
    };
    [
        format!("  {}", socket.protocol),
        match socket.activity {
            Activity::Listening => "listening",
            Activity::Incoming => "incoming",
            Activity::Outgoing => "outgoing",
            Activity::Connected => "connected",
            Activity::Other => "other",
        }
        .to_owned(),
        place(socket.address.as_deref(), socket.port),
        peer,
        or_none(socket.received.map(bytes)),
        or_none(socket.sent.map(bytes)),
        or_none(
            socket
                .allowed
                .map(|allowed| if allowed { "yes" } else { "NO" }.to_owned()),
        ),
        pids.collect::<Vec<_>>().join(" "),
    ]
}

fn place(address: Option<&str>, port: Option<u16>) -> String {
    match (address, port) {
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port)) => format!("{address}:{port}"),
        (Some(path), None) => shown(path),
        (None, _) => or_none(None),
    }
}

/// A line of `monitor`.
pub(super) fn event(event: &Event) -> String {
    let jail = if event.jail.is_empty() {
        "-"
    } else {
        &event.jail
    };
    let pid = or_none(event.pid.map(|pid| pid.to_string()));
    format!(
        "{}  {}  {:<8} {pid:>7}  {}",
        shown(&event.time),
        shown(jail),
        shown(&event.event),
        shown(&event.detail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_event_reaches_the_terminal_as_a_command() {
        let one = Event {
            time: "2026-11-22T11:40:20Z".to_owned(),
            jail: String::new(),
            event: "exec".to_owned(),
            pid: Some(7),
            detail: "a\u{1b}[2J\nb\u{202e}".to_owned(),
        };
        let text = event(&one);
        let wanted = "2026-11-22T11:40:20Z  -  exec           7  a\u{fffd}[2J\u{fffd}b\u{fffd}";
        assert_eq!(text, wanted);
    }
    use crate::watch::standing::Condition;

    fn jail(name: &str, pid: Option<i32>) -> Listed {
        Listed {
            name: name.to_owned(),
            pid,
            state: pid.map_or(Condition::Failed, |_| Condition::Running),
            user: Some("bind".to_owned()),
            generation: Some(3),
            score: pid.map(|_| 0.2),
            checked: None,
            restarts: 1,
            uptime_s: pid.map(|_| 93_784),
            command: pid.map(|_| "/usr/sbin/named \u{1b}]0;owned\u{7}\n-f".to_owned()),
            problem: None,
        }
    }

    #[test]
    fn the_text_of_a_list() {
        let mut odd = jail("odd", None);
        odd.problem = Some("read state.json: somebody\u{1b}[2J else".to_owned());
        let jails = vec![jail("named", Some(4711)), odd];
        let text = list(&List { jails }, &Places::default(), false);
        insta::assert_snapshot!(text);
        let empty = List { jails: Vec::new() };
        assert!(list(&empty, &Places::default(), true).starts_with("no jail runs"));
    }

    #[test]
    fn the_text_of_a_tree() {
        let node = |(pid, inner_pid, depth, role, command): (i32, i32, usize, Role, &str)| Node {
            pid,
            inner_pid,
            parent: 1,
            depth,
            role,
            uid: 102,
            user: "bind".to_owned(),
            state: if pid == 16 { 'Z' } else { 'S' },
            threads: if pid == 13 { 4 } else { 1 },
            uptime_s: 7,
            command: command.to_owned(),
        };
        let processes = [
            (11, 11, 0, Role::Supervisor, "gaoler supervise named"),
            (12, 1, 1, Role::Init, "gaoler supervise named"),
            (13, 2, 2, Role::Service, "/usr/sbin/named -f"),
            (14, 3, 3, Role::Process, "sh -c \u{1b}[31mid\u{202e}"),
            (15, 4, 4, Role::Process, "sleep 9"),
            (16, 5, 3, Role::Process, "[sh]"),
            (17, 6, 2, Role::Process, "left\nalone"),
        ];
        let one = Tree {
            name: "named".to_owned(),
            generation: 3,
            processes: processes.map(node).to_vec(),
        };
        insta::assert_snapshot!(trees(&[one]));
    }

    #[test]
    fn the_text_of_sockets() {
        let socket = |protocol, activity, address: &str, port, peer: Option<(&str, u16)>| Socket {
            protocol,
            activity,
            address: Some(address.to_owned()),
            port,
            peer_address: peer.map(|(address, _)| address.to_owned()),
            peer_port: peer.map(|(_, port)| port),
            peer_pid: None,
            received: peer.map(|_| 1234),
            sent: peer.map(|_| 5_678_901),
            allowed: port.map(|port| port != 31_337),
            pids: vec![12, 13],
        };
        let mut unix = socket(
            "unix",
            Activity::Connected,
            "/run/a\u{1b}[2J\nb",
            None,
            None,
        );
        (unix.peer_pid, unix.pids) = (Some(7), vec![12]);
        let sockets_of_jail = vec![
            socket("tcp", Activity::Listening, "127.0.0.1", Some(53), None),
            socket("tcp", Activity::Listening, "::", Some(31_337), None),
            socket(
                "tcp",
                Activity::Outgoing,
                "::1",
                Some(40_000),
                Some(("::1", 853)),
            ),
            unix,
        ];
        let jails = [
            Sockets {
                name: "named".to_owned(),
                received: 1234,
                sent: 5_678_901,
                sockets: sockets_of_jail,
            },
            Sockets {
                name: "quiet".to_owned(),
                received: 0,
                sent: 0,
                sockets: Vec::new(),
            },
        ];
        insta::assert_snapshot!(sockets(&jails));
    }
}
