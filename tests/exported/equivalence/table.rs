//! The table of services and launchers, and the page that is made of it: `docs/equivalence.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::announced::{ANNOUNCED, announces};

const BEGIN: &str = include_str!("page.md");

pub const SERVICES: [&str; 3] = ["named", "nginx", "apache2"];

pub const GAOLER: &str = "gaoler";

pub const LAUNCHERS: [&str; 7] = [
    GAOLER,
    "systemd",
    "AppArmor",
    "runc",
    "podman",
    "bubblewrap",
    "firejail",
];

/// What was not run, and why.
pub const NOT_RUN: &[(&str, &str, &str)] = &[
    ("systemd", "named", EMULATED),
    ("systemd", "nginx", EMULATED),
    ("systemd", "apache2", EMULATED),
    ("AppArmor", "named", EMULATED),
    ("AppArmor", "nginx", EMULATED),
    ("AppArmor", "apache2", EMULATED),
    (
        "firejail",
        "nginx",
        "its place in memory is /run, where firejail has files of its own: it does not start",
    ),
];

const EMULATED: &str =
    "the machine is emulated, and did not get through it in the time that there was";

/// What came of one service under one launcher.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub launcher: String,
    pub service: String,
    /// How many of its exercises passed, and how many there are.
    pub passed: usize,
    pub exercises: usize,
    /// How many probes were stopped.
    pub stopped: usize,
    /// Probes that got through and that the spec allows.
    pub allowed: Vec<String>,
    /// Others that got through.
    pub through: Vec<String>,
    /// Those of which nothing can be said.
    pub unproven: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn path() -> PathBuf {
    root().join("docs/equivalence.md")
}

fn table() -> PathBuf {
    root().join("tests/exported/equivalence/table.tsv")
}

impl Row {
    /// As a line of the table.
    pub fn line(&self) -> String {
        let counts = [self.passed, self.exercises, self.stopped].map(|count| count.to_string());
        let lists = [&self.allowed, &self.through, &self.unproven].map(|list| list.join(" "));
        let mut fields = vec![self.launcher.clone(), self.service.clone()];
        fields.extend(counts);
        fields.extend(lists);
        fields.join("\t")
    }

    /// From a line of it.
    pub fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [launcher, service, passed, exercises, stopped, lists @ ..] = fields.as_slice() else {
            panic!("{line:?} is no row")
        };
        let count = |text: &str| text.parse().unwrap();
        let list = |at: usize| lists[at].split_whitespace().map(str::to_owned).collect();
        Self {
            launcher: (*launcher).to_owned(),
            service: (*service).to_owned(),
            passed: count(passed),
            exercises: count(exercises),
            stopped: count(stopped),
            allowed: list(0),
            through: list(1),
            unproven: list(2),
        }
    }

    /// How many probes were tried that the spec does not allow, and that would get through elsewhere.
    fn tried(&self) -> usize {
        self.stopped + self.through.len()
    }
}

/// All rows, in the order of launchers and services.
pub fn rows() -> Vec<Row> {
    let text = fs::read_to_string(table()).unwrap_or_default();
    text.lines().map(Row::parse).collect()
}

/// Writes the page anew.
pub fn write() {
    let lock = fs::File::open(root()).unwrap();
    lock.lock().unwrap();
    fs::write(path(), page(&rows())).unwrap();
}

/// Puts a row in, and writes the page.
pub fn add(row: Row) {
    // Others write theirs.
    let lock = fs::File::open(root()).unwrap();
    lock.lock().unwrap();
    let mut all = rows();
    all.retain(|one| (&one.launcher, &one.service) != (&row.launcher, &row.service));
    all.push(row);
    let place = |row: &Row| {
        let launcher = LAUNCHERS.iter().position(|name| *name == row.launcher);
        let service = SERVICES.iter().position(|name| *name == row.service);
        (launcher.unwrap(), service.unwrap())
    };
    all.sort_by_key(place);
    let lines: Vec<String> = all.iter().map(|row| row.line() + "\n").collect();
    fs::write(table(), lines.concat()).unwrap();
    fs::write(path(), page(&all)).unwrap();
}

/// The whole page.
pub fn page(rows: &[Row]) -> String {
    let mut page = BEGIN.to_owned();
    page += &format!("\n| Under | {} |\n", SERVICES.join(" | "));
    page += &format!("|---{}|\n", "|---".repeat(SERVICES.len()));
    for launcher in LAUNCHERS {
        let cells = SERVICES.map(|service| cell(rows, launcher, service));
        page += &format!("| {launcher} | {} |\n", cells.join(" | "));
    }
    page += "\nNot run:\n\n";
    for (launcher, service, why) in NOT_RUN {
        page += &format!("- {service} under {launcher}: {why}.\n");
    }
    page += "\n## What gets through, and the gap that says so\n";
    for launcher in LAUNCHERS {
        page += &through(rows, launcher);
    }
    page += "\n## What the specs allow\n\n";
    page += &lists(rows, |row| &row.allowed);
    page += "\n## What cannot be told\n\n";
    page += &lists(rows, |row| &row.unproven);
    page
}

fn cell(rows: &[Row], launcher: &str, service: &str) -> String {
    let mut rows = rows.iter();
    match rows.find(|row| row.launcher == launcher && row.service == service) {
        Some(row) => format!(
            "{} of {}; {} of {}",
            row.passed,
            row.exercises,
            row.stopped,
            row.tried()
        ),
        None => "not run".to_owned(),
    }
}

/// Probes with the services of which they are said, unless it is all of them.
fn with_services(of: &BTreeMap<String, BTreeSet<String>>) -> String {
    let one = |(id, services): (&String, &BTreeSet<String>)| {
        let names: Vec<&str> = SERVICES
            .into_iter()
            .filter(|name| services.contains(*name))
            .collect();
        match names.len() == SERVICES.len() {
            true => format!("`{id}`"),
            false => format!("`{id}` ({})", names.join(", ")),
        }
    };
    of.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The probes that get through under a launcher, by the gap that announces them.
fn through(rows: &[Row], launcher: &str) -> String {
    let mut by_gap: Vec<BTreeMap<String, BTreeSet<String>>> =
        vec![BTreeMap::new(); ANNOUNCED.len()];
    let own: Vec<&Row> = rows.iter().filter(|row| row.launcher == launcher).collect();
    for row in &own {
        for id in &row.through {
            // Of one that nothing announces the tests say so.
            let Some(at) = announces(launcher, id) else {
                continue;
            };
            let services = by_gap[at].entry(id.clone()).or_default();
            services.insert(row.service.clone());
        }
    }
    let mut text = format!("\n### {launcher}\n\n");
    match (own.is_empty(), by_gap.iter().all(BTreeMap::is_empty)) {
        (true, _) => return text + "It was not run.\n",
        (false, true) => return text + "Nothing.\n",
        (false, false) => {}
    }
    text += "| The gap is about | and says | Gets through |\n|---|---|---|\n";
    for (gap, of) in ANNOUNCED.iter().zip(by_gap) {
        if !of.is_empty() {
            let ids = with_services(&of);
            text += &format!("| {} | {} | {ids} |\n", gap.item, gap.says);
        }
    }
    text
}

/// One list of each row, by launcher.
fn lists(rows: &[Row], list: fn(&Row) -> &Vec<String>) -> String {
    let mut text = String::new();
    for launcher in LAUNCHERS {
        let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.launcher == launcher) {
            for id in list(row) {
                let services = of.entry(id.clone()).or_default();
                services.insert(row.service.clone());
            }
        }
        if !of.is_empty() {
            text += &format!("- {launcher}: {}\n", with_services(&of));
        }
    }
    text
}
