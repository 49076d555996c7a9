//! `[tree]` and `[allow]`: the lists of one-line rules.
use super::document::{
    BindTable, CallTable, CapabilityTable, FamilyTable, PortTable, Text, TreeTable,
};
use super::problem::Problems;
use super::value::{Seen, numbers};
use crate::spec::{
    BindRule, CallRule, CapabilityRule, DeviceRule, FamilyRule, FileRule, PortRule, ScratchRule,
};
use crate::sys::{calls, caps, families};
use std::path::PathBuf;

/// What the jail's file tree is made of.
pub(super) struct Tree {
    pub files: Vec<FileRule>,
    pub binds: Vec<BindRule>,
    pub scratch: Vec<ScratchRule>,
    pub devices: Vec<DeviceRule>,
}

impl Problems<'_> {
    /// `[tree]`. A path can be one thing only, so it may stand in one list only.
    pub(super) fn tree(&mut self, table: &TreeTable) -> Tree {
        let mut seen = Seen::new();
        let mut tree = Tree {
            files: Vec::new(),
            binds: Vec::new(),
            scratch: Vec::new(),
            devices: Vec::new(),
        };
        for file in &table.files {
            let path = self.only_path(&file.path, &mut seen);
            let because = self.because(&file.because);
            let evidence = self.evidence(file.evidence.as_ref());
            tree.files.push(FileRule {
                path,
                kind: file.kind,
                because,
                evidence,
            });
        }
        for bind in &table.binds {
            let path = self.only_path(&bind.path, &mut seen);
            tree.binds.push(self.bind(path, bind));
        }
        for scratch in &table.scratch {
            let path = self.only_path(&scratch.path, &mut seen);
            if *scratch.size_kib.get_ref() == 0 {
                self.add(
                    scratch.size_kib.span(),
                    "a size of nothing means no limit to tmpfs",
                );
            }
            let because = self.because(&scratch.because);
            let evidence = self.evidence(scratch.evidence.as_ref());
            let size_kib = *scratch.size_kib.get_ref();
            tree.scratch.push(ScratchRule {
                path,
                size_kib,
                because,
                evidence,
            });
        }
        for device in &table.devices {
            let path = self.only_path(&device.path, &mut seen);
            let because = self.because(&device.because);
            let evidence = self.evidence(device.evidence.as_ref());
            tree.devices.push(DeviceRule {
                path,
                device: device.device,
                because,
                evidence,
            });
        }
        tree
    }

    fn bind(&mut self, path: PathBuf, table: &BindTable) -> BindRule {
        BindRule {
            path,
            writable: table.writable,
            because: self.because(&table.because),
            evidence: self.evidence(table.evidence.as_ref()),
        }
    }

    fn only_path(&mut self, text: &Text, seen: &mut Seen<PathBuf>) -> PathBuf {
        let path = self.path_below_root(text);
        self.once(
            seen,
            path.clone(),
            text.span(),
            format!("path `{}`", path.display()),
        );
        path
    }

    pub(super) fn capabilities(&mut self, tables: &[CapabilityTable]) -> Vec<CapabilityRule> {
        let mut seen = Seen::new();
        let mut rules = Vec::new();
        for table in tables {
            let name = &table.capability;
            let known = numbers::<u8>().filter_map(caps::name);
            let number = caps::number(name.get_ref());
            let capability = self.look_up(name, "capability", number, known);
            if number.is_some() {
                let what = format!("capability `{}`", name.get_ref());
                self.once(&mut seen, capability, name.span(), what);
            }
            rules.push(CapabilityRule {
                capability,
                because: self.because(&table.because),
                evidence: self.evidence(table.evidence.as_ref()),
            });
        }
        rules
    }

    pub(super) fn calls(&mut self, tables: &[CallTable]) -> Vec<CallRule> {
        let mut seen = Seen::new();
        let mut rules = Vec::new();
        for table in tables {
            let name = &table.call;
            let rule = self.call(table);
            if calls::number(name.get_ref()).is_some() {
                let what = format!("system call `{}`", name.get_ref());
                self.once(&mut seen, rule.number, name.span(), what);
            }
            rules.push(rule);
        }
        rules
    }

    pub(super) fn families(&mut self, tables: &[FamilyTable]) -> Vec<FamilyRule> {
        let mut seen = Seen::new();
        let mut rules = Vec::new();
        for table in tables {
            let name = &table.family;
            let known = numbers::<u16>().filter_map(families::name);
            let number = families::number(name.get_ref());
            let family = self.look_up(name, "address family", number, known);
            if number.is_some() {
                let what = format!("family `{}`", name.get_ref());
                self.once(&mut seen, family, name.span(), what);
            }
            rules.push(FamilyRule {
                family,
                because: self.because(&table.because),
                evidence: self.evidence(table.evidence.as_ref()),
            });
        }
        rules
    }

    pub(super) fn ports(&mut self, tables: &[PortTable]) -> Vec<PortRule> {
        let mut seen = Seen::new();
        let mut rules = Vec::new();
        for table in tables {
            let rule = self.port(table);
            let key = (rule.direction, rule.protocol, rule.port);
            self.once(
                &mut seen,
                key,
                table.port.span(),
                format!("port {}", rule.port),
            );
            rules.push(rule);
        }
        rules
    }
}
