//! What a script says is read back here by other code than what wrote it.

use proptest::prelude::*;

use super::{accounted, built, subject, tame};
use crate::export::{Item, Subject, bubblewrap, item};
use crate::filter::Instruction;
use crate::filter::evaluate::{Call, evaluate};
use crate::plan::native_architecture;
use crate::spec::{Demand, generate};
use crate::sys::seccomp::answers;
use crate::sys::{calls, families};

/// The words of a line as `sh` splits it: quotes, and no expansion.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' | '"' => {
                let text: String = rest.by_ref().take_while(|it| *it != c).collect();
                word.get_or_insert_default().push_str(&text);
            }
            '\\' => word.get_or_insert_default().extend(rest.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Lines, of which one within quotes goes on in the next.
pub fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.split('\n') {
        match lines.last_mut().filter(|_| open) {
            Some(last) => *last += &format!("\n{line}"),
            None => lines.push(line.to_owned()),
        }
        let comment = !open && line.starts_with('#');
        let mut marks = line.chars();
        while let Some(c) = marks.next().filter(|_| !comment) {
            match c {
                '\\' if !open => drop(marks.next()),
                '\'' => open = !open,
                _ => {}
            }
        }
    }
    assert!(!open);
    lines
}

struct Read<'a> {
    subject: Subject<'a>,
    lines: Vec<String>,
    /// The arguments of bubblewrap.
    arguments: Vec<String>,
    filter: Option<Vec<Instruction>>,
}

fn read<'a>(subject: Subject<'a>, text: &str) -> Read<'a> {
    let lines = lines(text);
    let mut arguments = Vec::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix("set -- ")) {
        arguments.extend(words(line).into_iter().filter(|word| word != "$@"));
    }
    Read {
        subject,
        lines,
        arguments,
        filter: text.split_once("<<'END'\n").map(|(_, rest)| {
            let coded = rest.split_once("END\n").unwrap().0;
            decoded(&coded.replace('\n', ""))
        }),
    }
}

fn decoded(text: &str) -> Vec<Instruction> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = Vec::new();
    for c in text.chars().filter(|c| *c != '=') {
        let value = digits.find(c).unwrap();
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|it| u8::try_from(byte(it)).unwrap())
        .collect();
    assert!(bytes.len().is_multiple_of(8));
    let instruction = |it: &[u8]| Instruction {
        code: u16::from_ne_bytes([it[0], it[1]]),
        jt: it[2],
        jf: it[3],
        k: u32::from_ne_bytes([it[4], it[5], it[6], it[7]]),
    };
    bytes.chunks(8).map(instruction).collect()
}

impl Read<'_> {
    /// Whether these words stand one after the other before the program.
    fn has(&self, words: &[&str]) -> bool {
        let end = self.arguments.iter().position(|word| word == "--").unwrap();
        self.arguments[..end]
            .windows(words.len())
            .any(|it| it == words)
    }

    fn line(&self, line: &str) -> bool {
        self.lines.iter().any(|it| it == line)
    }

    /// The words of the lines that start bubblewrap.
    fn start(&self) -> Vec<String> {
        words(
            self.lines
                .iter()
                .find(|line| line.starts_with("prlimit "))
                .unwrap(),
        )
    }

    fn answer_on(&self, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let call = Call {
            architecture,
            number,
            arguments,
        };
        evaluate(self.filter.as_ref().unwrap(), &call)
            .unwrap()
            .answer
    }

    fn answer(&self, name: &str, arguments: [u64; 6]) -> u32 {
        let number = calls::number(name).unwrap();
        self.answer_on(native_architecture().unwrap(), number, arguments)
    }

    fn lists(&self, name: &str) -> bool {
        let mut rules = self.subject.spec.calls.iter();
        rules.any(|rule| calls::number(name) == Some(rule.number))
    }

    /// A call that changes ids and is not made where setpriv has done it.
    fn is_for_the_user(&self, number: u32) -> bool {
        let service = &self.subject.spec.service;
        let option = ["-u".to_owned(), service.user.clone()];
        let mut rules = self.subject.spec.calls.iter();
        !service.start_as_root
            && service.command.get(1..3) == Some(&option[..])
            && calls::CHANGE_IDS.contains(&item::call(number).as_str())
            && rules.any(|rule| rule.number == number && rule.start_only)
    }

    fn allows(&self, number: u32) -> bool {
        let spec = self.subject.spec;
        let name = item::call(number);
        let family = spec.families.first().map(|rule| u64::from(rule.family));
        let arguments = match name.as_str() {
            "socket" | "socketpair" => match family {
                Some(family) => [family, 0, 0, 0, 0, 0],
                None => return self.lists(&name),
            },
            // It is answered as where it does not exist, and clone comes instead.
            "clone3" => {
                let clone = self.answer("clone", [0; 6]);
                return self.lists("clone3") && clone == answers::ALLOW;
            }
            _ => [0; 6],
        };
        let answer = self.answer_on(native_architecture().unwrap(), number, arguments);
        answer == answers::ALLOW || (name == "setgroups" && answer == answers::ERRNO)
    }

    fn says(&self, item: &Item) -> bool {
        let spec = self.subject.spec;
        let service = &spec.service;
        let refused = |answer: u32| answer & answers::ACTION_FULL == answers::ERRNO;
        match item {
            Item::Command => {
                let mut command = service.command.clone();
                let option = ["-u".to_owned(), service.user.clone()];
                if !service.start_as_root && command.get(1..3) == Some(&option[..]) {
                    assert_eq!(command.drain(1..3).count(), 2);
                }
                let mut parts = self.arguments.splitn(3, |word| word == "--");
                parts.nth(2).unwrap() == command
            }
            Item::User => {
                self.arguments.contains(&"--reuid=995".to_owned()) != service.start_as_root
            }
            Item::Groups => {
                let groups = match service.groups.is_empty() {
                    true => "--clear-groups".to_owned(),
                    false => format!("--groups={}", service.groups.join(",")),
                };
                let gid = if service.start_as_root { 0 } else { 995 };
                let start = self.start();
                start.contains(&groups) && start.contains(&format!("--regid={gid}"))
            }
            Item::WorkingDirectory => self.has(&["--chdir", service.workdir.to_str().unwrap()]),
            Item::Umask => {
                let mut lines = self
                    .lines
                    .iter()
                    .filter_map(|line| line.strip_prefix("umask "));
                u32::from_str_radix(lines.next_back().unwrap(), 8) == Ok(service.umask)
            }
            Item::Environment => false,
            Item::Forks => self.line("while [ -n \"$(service)\" ]; do sleep 1; done"),
            Item::Ready(_) | Item::Socket(_) | Item::Restart | Item::Liveness => false,
            Item::Check | Item::Incidents | Item::Log | Item::Logged => false,
            Item::HostPidFile => false,
            Item::Reload => {
                let mut traps = self.lines.iter().filter(|line| line.starts_with("trap "));
                traps.any(|line| line.ends_with(" HUP"))
            }
            Item::Stop => {
                let looks = format!("    looks={}", u64::from(service.stop_timeout_s) * 10);
                self.line(&looks) && self.line("    tell TERM") && self.line("trap stop INT TERM")
            }
            Item::NoWritableExecutable => {
                refused(self.answer("mmap", [0, 0, 6, 0x22, 0, 0]))
                    && refused(self.answer("mprotect", [0, 0, 4, 0, 0, 0]))
            }
            Item::File(_) => self.has(&["--ro-bind", "$tree", "/"]),
            Item::Bind(path, writable) => {
                let path = path.to_str().unwrap();
                let option = if *writable { "--bind" } else { "--ro-bind" };
                self.has(&[option, path, path]) && self.line(&format!("without_programs {path}"))
            }
            Item::Scratch(path) => {
                let at = spec
                    .scratch
                    .iter()
                    .position(|rule| rule.path == *path)
                    .unwrap();
                let stage = format!("$stage/{at}");
                let size = format!("size={}k,mode=0700,", spec.scratch[at].size_kib);
                let end = format!(",noexec gaoler \"{stage}\"");
                self.has(&["--bind", &stage, path.to_str().unwrap()])
                    && self
                        .lines
                        .iter()
                        .any(|line| line.contains(&size) && line.ends_with(&end))
            }
            Item::Device(path) => {
                let rule = spec.devices.iter().find(|rule| rule.path == *path).unwrap();
                let device = rule.device.path().to_str().unwrap();
                self.has(&["--dev-bind", device, path.to_str().unwrap()])
            }
            Item::NothingElse => false,
            Item::Capability(number) => self.has(&["--cap-add", &item::capability(*number)]),
            Item::NoOtherCapability => {
                let mut kept = String::new();
                for rule in &spec.capabilities {
                    let name = item::capability(rule.capability).to_lowercase();
                    kept += &format!(",+{}", &name[4..]);
                }
                let own = if service.start_as_root {
                    ""
                } else {
                    kept.as_str()
                };
                let option = |name: &str, kept: &str| {
                    self.arguments.contains(&format!("--{name}=-all{kept}"))
                };
                self.has(&["--cap-drop", "ALL"])
                    && option("bounding-set", &kept)
                    && option("inh-caps", own)
                    && option("ambient-caps", own)
            }
            Item::Call(number) => self.is_for_the_user(*number) || self.allows(*number),
            Item::StartOnly(number) => self.is_for_the_user(*number),
            Item::NoOtherCall => false,
            Item::NoOtherArchitecture => self.answer_on(3, 1, [0; 6]) == answers::KILL_PROCESS,
            Item::Arguments("clone") => refused(self.answer("clone", [0x1000_0000, 0, 0, 0, 0, 0])),
            Item::Arguments("ioctl") => refused(self.answer("ioctl", [0, 0x5412, 0, 0, 0, 0])),
            Item::Arguments("setgroups") => true,
            Item::Arguments(_) => false,
            Item::Family(number) => {
                !self.lists("socket")
                    || self.answer("socket", [u64::from(*number), 0, 0, 0, 0, 0]) == answers::ALLOW
            }
            Item::NoOtherFamily => {
                let mut others = families::names().filter_map(families::number);
                others.all(|number| {
                    spec.families.iter().any(|rule| rule.family == number)
                        || refused(self.answer("socket", [u64::from(number), 0, 0, 0, 0, 0]))
                })
            }
            Item::Port(..) => true,
            Item::NoOtherPort(..) | Item::NoAbstractSocket => false,
            Item::NoPassedDirectory | Item::NothingBelieved => false,
            Item::Limit(name) => {
                let limits = &spec.limits;
                let option = match *name {
                    "core" => format!("--core={}", limits.core.unwrap()),
                    "descriptors" => format!("--nofile={}", limits.descriptors.unwrap()),
                    "file_size" => format!("--fsize={}", limits.file_size.unwrap()),
                    _ => return false,
                };
                self.start().contains(&option)
            }
            Item::Namespace("mount_namespace") => true,
            Item::Namespace(name) => self.has(&[&format!("--unshare-{}", &name[..3])]),
            Item::NoNewPrivileges => true,
        }
    }
}

proptest! {
    #[test]
    fn each_item_is_said_or_a_gap(spec in generate::spec()) {
        let spec = tame(spec);
        let manifest = built(&spec);
        let subject = subject(&spec, &manifest);
        let exported = bubblewrap::export(subject).unwrap();
        let read = read(subject, &exported.files[0].text);
        prop_assert_eq!(read.filter.is_some(), spec.protections.seccomp != Demand::Off);
        accounted(&spec, &exported, |item| read.says(item))?;
        if read.filter.is_none() {
            return Ok(());
        }
        // A call that nobody speaks of is refused, and those of the gap are no more than that.
        let gap = exported.gaps.iter().find(|gap| gap.items.contains(&Item::NoOtherCall.to_string()));
        let more = gap.map_or("", |gap| gap.why.rsplit(": ").next().unwrap());
        for number in 0..=calls::highest() {
            let name = item::call(number);
            let spoken = read.lists(&name) || more.split(", ").any(|it| it == name)
                || more.contains(&format!("{name} with some arguments"))
                || (name == "clone" && read.lists("clone3"))
                || ["exit", "exit_group", "restart_syscall", "rt_sigreturn"].contains(&name.as_str());
            prop_assert!(spoken || !read.allows(number), "{name}");
        }
    }
}

#[test]
fn the_script_of_an_example() {
    let (spec, manifest) = super::example();
    let exported = bubblewrap::export(subject(&spec, &manifest)).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
    let mut sh = std::process::Command::new("sh")
        .arg("-n")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let text = &exported.files[0].text;
    std::io::Write::write_all(&mut sh.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(sh.wait().unwrap().success());
}

#[test]
fn only_the_user_that_it_is_can_be_become() {
    let (spec, manifest) = super::example();
    let subject = subject(&spec, &manifest);
    let exported = bubblewrap::export(subject).unwrap();
    let read = read(subject, &exported.files[0].text);
    let mine = [995, 995, 995, 0, 0, 0];
    assert_eq!(read.answer("setresuid", mine), answers::ALLOW);
    for other in [[0; 6], [995, 0, 995, 0, 0, 0]] {
        assert_ne!(read.answer("setresuid", other), answers::ALLOW);
    }
    // PR_CAPBSET_DROP, and PR_SET_DUMPABLE.
    assert_eq!(read.answer("prctl", [24, 0, 0, 0, 0, 0]), answers::ALLOW);
    assert_ne!(read.answer("prctl", [4, 0, 0, 0, 0, 0]), answers::ALLOW);
}

#[test]
fn a_tree_without_a_place_for_the_script_is_refused() {
    let (spec, mut manifest) = super::example();
    manifest
        .entries
        .retain(|entry| !entry.path.starts_with("/dev/gaoler"));
    let refused = bubblewrap::export(subject(&spec, &manifest)).unwrap_err();
    assert!(refused.to_string().contains("/dev/gaoler"), "{refused}");
}
