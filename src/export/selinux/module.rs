//! A module in the making: types, rules and the labels of files, each with its reason, and the account
//! of the spec.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::text;
use crate::Result;
use crate::export::{Ledger, Subject};
use crate::sys::calls;

/// The types of one jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Own {
    /// Its processes.
    Domain,
    /// The program of the service: the only way into its domain.
    Entry,
    /// Another program that it may execute.
    Program,
    /// What is mapped as code.
    Code,
    /// What else the tree has.
    Tree,
    /// What it reads of the host, where the host has no label for that.
    Configuration,
    /// What it writes on the host, likewise.
    Data,
    /// What it makes in memory.
    Scratch,
    /// Ports below 1024 that the host's policy has no type for.
    LowPort,
    /// Other ports.
    Port,
}

impl Own {
    fn suffix(self) -> &'static str {
        match self {
            Own::Domain => "t",
            Own::Entry => "exec_t",
            Own::Program => "program_t",
            Own::Code => "lib_t",
            Own::Tree => "file_t",
            Own::Configuration => "config_t",
            Own::Data => "data_t",
            Own::Scratch => "scratch_t",
            Own::LowPort => "low_port_t",
            Own::Port => "port_t",
        }
    }

    /// What it is, for its reader.
    fn about(self) -> &'static str {
        match self {
            Own::Domain => "its processes",
            Own::Entry => "its program, the only way into its domain",
            Own::Program => "other programs that it may execute",
            Own::Code => "libraries and what else is mapped as code",
            Own::Tree => "everything else in its tree",
            Own::Configuration => "what it reads of the host",
            Own::Data => "what it writes on the host",
            Own::Scratch => "what it makes in memory",
            Own::LowPort => "its ports below 1024",
            Own::Port => "its ports",
        }
    }

    /// The attributes of the reference policy by which others deal with it: the managers of processes,
    /// those that label files.
    fn attributes(self) -> &'static [&'static str] {
        const FILE: &[&str] = &["file_type", "non_auth_file_type", "non_security_file_type"];
        const ENTRY: &[&str] = &[
            "entry_type",
            "exec_type",
            "file_type",
            "non_auth_file_type",
            "non_security_file_type",
        ];
        match self {
            Own::Domain => &["domain"],
            Own::Entry => ENTRY,
            Own::Program
            | Own::Code
            | Own::Tree
            | Own::Configuration
            | Own::Data
            | Own::Scratch => FILE,
            Own::LowPort => &["port_type", "reserved_port_type"],
            Own::Port => &["port_type", "unreserved_port_type"],
        }
    }
}

/// The module, and what it does not say.
pub struct Module<'a> {
    pub subject: Subject<'a>,
    pub ledger: Ledger,
    /// It connects to sockets that others wait at.
    pub reaches_others: bool,
    prefix: String,
    types: BTreeSet<Own>,
    rules: String,
    contexts: String,
    /// The reason that was written last, of rules and of contexts.
    said: [String; 2],
}

impl<'a> Module<'a> {
    pub fn new(subject: Subject<'a>) -> Result<Self> {
        Ok(Self {
            subject,
            ledger: Ledger::new(subject.spec),
            reaches_others: false,
            prefix: text::symbol(&subject.spec.name)?,
            types: BTreeSet::new(),
            rules: String::new(),
            contexts: String::new(),
            said: Default::default(),
        })
    }

    /// The directory of the jail's generations.
    pub fn state(&self) -> PathBuf {
        let tree = self.subject.tree;
        let above = tree.parent().and_then(Path::parent);
        above.unwrap_or(tree).to_owned()
    }

    /// The name of a type, which is declared with that.
    pub fn own(&mut self, own: Own) -> String {
        self.types.insert(own);
        self.name(own)
    }

    /// The name of a type.
    pub fn name(&self, own: Own) -> String {
        format!("{}_{}", self.prefix, own.suffix())
    }

    /// Whether there is something of this type.
    pub fn has(&self, own: Own) -> bool {
        self.types.contains(&own)
    }

    /// Whether the spec has a call, by name.
    pub fn calls(&self, name: &str) -> bool {
        let number = calls::number(name);
        let mut rules = self.subject.spec.calls.iter();
        number.is_some_and(|number| rules.any(|rule| rule.number == number))
    }

    /// Why the next rules are there.
    pub fn because(&mut self, reason: &str) {
        let reason = text::comment(reason);
        if self.said[0] != reason {
            self.rules += &format!("{reason}\n");
            self.said[0] = reason;
        }
    }

    /// Writes any statement.
    pub fn statement(&mut self, statement: &str) {
        self.rules += &format!("{statement}\n");
    }

    /// Allows `source` this on what is of the type `target`.
    pub fn allow(&mut self, source: &str, target: &str, class: &str, permissions: &[&str]) {
        let mut permissions = permissions.to_vec();
        permissions.sort_unstable();
        permissions.dedup();
        let permissions = permissions.join(" ");
        self.statement(&format!(
            "(allow {source} {target} ({class} ({permissions})))"
        ));
    }

    /// Allows the service this.
    pub fn may(&mut self, target: &str, class: &str, permissions: &[&str]) {
        let domain = self.own(Own::Domain);
        self.allow(&domain, target, class, permissions);
    }

    /// What matches a pattern is of this type. `class` is one of `any`, `file`, `dir`, `char`.
    pub fn label(&mut self, because: &str, pattern: &str, class: &str, kind: &str) {
        let because = text::comment(because);
        if self.said[1] != because {
            self.contexts += &format!("{because}\n");
            self.said[1] = because;
        }
        self.contexts += &format!(
            "(filecon \"{pattern}\" {class} {})\n",
            context("object_r", kind)
        );
    }

    /// A port is of this type.
    pub fn port(&mut self, protocol: &str, port: u16, kind: &str) {
        self.statement(&format!(
            "(portcon {protocol} {port} {})",
            context("object_r", kind)
        ));
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for own in &self.types {
            let name = self.name(*own);
            let role = match own {
                Own::Domain => "system_r",
                _ => "object_r",
            };
            text += &format!("{}\n(type {name})\n", text::comment(own.about()));
            text += &format!("(roletype {role} {name})\n");
            for attribute in own.attributes() {
                text += &format!("(typeattributeset {attribute} ({name}))\n");
            }
        }
        format!("{text}\n{}\n{}", self.rules, self.contexts)
    }
}

/// A context as CIL has it. Without categories: nothing else on the host is told from it by those.
fn context(role: &str, kind: &str) -> String {
    format!("(system_u {role} {kind} ((s0) (s0)))")
}
