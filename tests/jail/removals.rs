//! Something is taken away from a jail that works: `why` names it, and its change mends the jail.

use std::fs;
use std::path::{Path, PathBuf};

use gaoler::spec::{self, Allowance, Spec};
use serde_json::Value;

use crate::machine::{Machine, machine};

const SPEC: &str = "/etc/gaoler/named.toml";
const GENERATIONS: &str = "/var/lib/gaoler/named/generations";

/// So many are drawn in each of the four machines, unless `GAOLER_DRAWS` has another number.
const DRAWN: usize = 2;

/// One in so many may be beyond `why`: 95 of 100 must not.
const MISSED: usize = 20;

/// Something that a jail can lose.
#[derive(Clone, Debug)]
enum Loss {
    /// The spec does not allow it any more.
    Allowance(Box<Allowance>),
    /// It is gone from the tree.
    File(PathBuf),
    /// The line is gone from the tree's passwd or group.
    Line(PathBuf, String),
}

impl Loss {
    /// Whether a denial is about it.
    fn is_named_by(&self, denial: &Value) -> bool {
        let subject = denial["subject"].as_str().unwrap();
        match self {
            Loss::Allowance(one) => match &**one {
                Allowance::Capability(_) => subject == one.name().replace("capability ", "CAP_"),
                // Another kind of place for the same path mends it as well.
                Allowance::Bind(rule) => subject.ends_with(&*rule.path.to_string_lossy()),
                Allowance::Scratch(rule) => subject.ends_with(&*rule.path.to_string_lossy()),
                Allowance::File(rule) => subject.ends_with(&*rule.path.to_string_lossy()),
                _ => subject == one.name(),
            },
            Loss::File(path) | Loss::Line(path, _) => Path::new(subject) == path,
        }
    }
}

/// A fixed sequence of numbers (splitmix64), the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

fn tree() -> PathBuf {
    let newest = fs::read_dir(GENERATIONS).unwrap();
    let newest =
        newest.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u64>().ok());
    Path::new(GENERATIONS)
        .join(newest.max().unwrap().to_string())
        .join("root")
}

fn losses(spec: &Spec, tree: &Path) -> Vec<Loss> {
    let allowances = Allowance::all_of(spec).into_iter();
    let mut losses: Vec<Loss> = allowances
        .map(|one| Loss::Allowance(Box::new(one)))
        .collect();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            let inside = Path::new("/").join(path.strip_prefix(tree).unwrap());
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() && kind.len() > 0 {
                losses.push(Loss::File(inside));
            }
        }
    }
    for file in ["/etc/passwd", "/etc/group"] {
        let text = fs::read_to_string(tree.join(&file[1..])).unwrap();
        let lines = text
            .lines()
            .map(|line| Loss::Line(file.into(), line.to_owned()));
        losses.extend(lines);
    }
    losses
}

fn lose(loss: &Loss, spec: &Spec, tree: &Path) {
    match loss {
        Loss::Allowance(one) => {
            let mut without = spec.clone();
            assert!(one.take(&mut without));
            fs::write(SPEC, spec::to_toml(&without)).unwrap();
        }
        Loss::File(path) => fs::remove_file(tree.join(path.strip_prefix("/").unwrap())).unwrap(),
        Loss::Line(path, line) => {
            let path = tree.join(path.strip_prefix("/").unwrap());
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace(&format!("{line}\n"), "")).unwrap();
        }
    }
}

/// Whether `why` named the loss and its changes mended the jail; `None` if the jail works without.
fn is_found_and_mended(m: &Machine, loss: &Loss) -> Option<bool> {
    let mut named = false;
    for round in 0..4 {
        let answer = m.gaoler(&["why", "named", "--json"]);
        let why: Value =
            serde_json::from_str(&answer.out).unwrap_or_else(|_| panic!("{answer:#?}"));
        if why["works"] == true {
            return (round > 0).then_some(named);
        }
        let denials = why["denials"].as_array().unwrap();
        let denials: Vec<&Value> = denials
            .iter()
            .filter(|one| one["remedy"] != "none")
            .collect();
        named |= denials.iter().any(|one| loss.is_named_by(one));
        if denials.is_empty() {
            println!("{loss:?}: {why:#}");
            return Some(false);
        }
        let mut allow = vec!["why", "named", "--json"];
        for denial in &denials {
            allow.extend(["--allow", denial["subject"].as_str().unwrap()]);
        }
        m.gaoler(&allow);
    }
    println!("{loss:?}: not mended after four rounds");
    Some(false)
}

fn draw(m: &Machine, seed: u64) {
    m.up();
    m.gaoler(&["stop", "named"]).ok();
    let text = fs::read_to_string(SPEC).unwrap();
    let spec = spec::parse(&text, SPEC).unwrap();
    let wanted = std::env::var("GAOLER_DRAWS").map_or(DRAWN, |text| text.parse().unwrap());
    let mut draw = Draw(seed);
    let (mut drawn, mut missed, mut harmless) = (0, 0, 0);
    while drawn < wanted {
        let tree = tree();
        let mut all = losses(&spec, &tree);
        let loss = all.swap_remove(draw.below(all.len()));
        lose(&loss, &spec, &tree);
        match is_found_and_mended(m, &loss) {
            None => harmless += 1,
            Some(true) => drawn += 1,
            Some(false) => {
                println!("missed: {loss:?}");
                (drawn, missed) = (drawn + 1, missed + 1);
            }
        }
        assert!(harmless < 8 * wanted, "almost nothing is needed");
        fs::write(SPEC, &text).unwrap();
        m.gaoler(&["build", "named"]).ok();
    }
    println!("{drawn} losses that matter, {missed} missed, {harmless} that do not");
    assert!(missed <= drawn / MISSED, "{missed} of {drawn}");
}

#[test]
fn random_losses_are_named_and_mended_1() {
    machine(|m| draw(m, 1));
}

#[test]
fn random_losses_are_named_and_mended_2() {
    machine(|m| draw(m, 2));
}

#[test]
fn random_losses_are_named_and_mended_3() {
    machine(|m| draw(m, 3));
}

#[test]
fn random_losses_are_named_and_mended_4() {
    machine(|m| draw(m, 4));
}
