//! From the graph to instructions: places, jumps, and trampolines for jumps that are too long.
//!
//! The program is laid out from its end to its start, so that what a jump leads to already has
//! its place: classic BPF jumps forward only. A conditional jump reaches 255 instructions
//! (`jt` and `jf` are bytes); beyond that it leads to a trampoline near by.

use std::collections::HashMap;

use super::Instruction;
use super::graph::{Graph, Id, Node, Test};

/// `ld [k]`: BPF_LD | BPF_W | BPF_ABS (`linux/bpf_common.h`).
pub(super) const LOAD: u16 = 0x20;
/// `and #k`: BPF_ALU | BPF_AND | BPF_K.
pub(super) const AND: u16 = 0x54;
/// `jmp k`: BPF_JMP | BPF_JA.
pub(super) const JUMP: u16 = 0x05;
/// `jeq #k`: BPF_JMP | BPF_JEQ | BPF_K.
pub(super) const JUMP_EQUAL: u16 = 0x15;
/// `jge #k`: BPF_JMP | BPF_JGE | BPF_K.
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
/// `jset #k`: BPF_JMP | BPF_JSET | BPF_K.
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
/// `ret #k`: BPF_RET | BPF_K.
pub(super) const RETURN: u16 = 0x06;

/// How far a conditional jump reaches.
const REACH: usize = u8::MAX as usize;

/// The program that starts at `start`; `None` if a jump cannot be expressed.
pub(super) fn assemble(graph: &Graph, start: Id) -> Option<Vec<Instruction>> {
    let needed = reachable(graph, start);
    let mut layout = Layout::default();
    for (id, node) in graph.nodes().iter().enumerate() {
        if needed.get(id).copied().unwrap_or(false) {
            layout.place(id, *node)?;
        }
    }
    layout.fall_through(start)?;
    layout.reversed.reverse();
    Some(layout.reversed)
}

/// Which nodes can be reached. Each leads to earlier ones only, so one pass backwards will do.
fn reachable(graph: &Graph, start: Id) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    let mark = |needed: &mut Vec<bool>, id: Id| {
        if let Some(flag) = needed.get_mut(id) {
            *flag = true;
        }
    };
    mark(&mut needed, start);
    for (id, node) in graph.nodes().iter().enumerate().rev() {
        if !needed.get(id).copied().unwrap_or(false) {
            continue;
        }
        match *node {
            Node::Answer(_) => {}
            Node::Load(_, next) | Node::Keep(_, next) => mark(&mut needed, next),
            Node::Branch { yes, no, .. } => {
                mark(&mut needed, yes);
                mark(&mut needed, no);
            }
        }
    }
    needed
}

/// A program, last instruction first. A place is an index into it.
#[derive(Default)]
struct Layout {
    reversed: Vec<Instruction>,
    places: HashMap<Id, usize>,
    /// The latest copy of a node, or jump to it: the nearest for what comes next.
    nearest: HashMap<Id, usize>,
}

impl Layout {
    fn place(&mut self, id: Id, node: Node) -> Option<()> {
        match node {
            Node::Answer(value) => self.push(RETURN, value),
            Node::Load(offset, next) => {
                self.fall_through(next)?;
                self.push(LOAD, offset);
            }
            Node::Keep(mask, next) => {
                self.fall_through(next)?;
                self.push(AND, mask);
            }
            Node::Branch {
                test,
                constant,
                yes,
                no,
            } => self.branch(test, constant, yes, no)?,
        }
        let place = self.reversed.len().checked_sub(1)?;
        self.places.insert(id, place);
        self.nearest.insert(id, place);
        Some(())
    }

    fn branch(&mut self, test: Test, constant: u32, yes: Id, no: Id) -> Option<()> {
        let code = match test {
            Test::Equal => JUMP_EQUAL,
            Test::AtLeast => JUMP_AT_LEAST,
            Test::AnyBit => JUMP_ANY_BIT,
        };
        // The trampoline for `no`, if it needs one, comes between this jump and `yes`.
        let yes = self.within_reach(yes, 1)?;
        let no = self.within_reach(no, 0)?;
        let jt = u8::try_from(self.distance(yes)?).ok()?;
        let jf = u8::try_from(self.distance(no)?).ok()?;
        self.reversed.push(Instruction {
            code,
            jt,
            jf,
            k: constant,
        });
        Some(())
    }

    /// Makes what comes next in the layout, which runs before it, run into node `id`.
    fn fall_through(&mut self, id: Id) -> Option<()> {
        let place = *self.nearest.get(&id)?;
        if self.distance(place)? > 0 {
            self.trampoline(id)?;
        }
        Some(())
    }

    /// A place that does what node `id` does and is near enough for a conditional jump, with
    /// `room` instructions to spare.
    fn within_reach(&mut self, id: Id, room: usize) -> Option<usize> {
        let place = *self.nearest.get(&id)?;
        if self.distance(place)? + room <= REACH {
            return Some(place);
        }
        self.trampoline(id)
    }

    /// Puts here what leads to node `id`: a copy of an answer, which is as short as a jump to it.
    fn trampoline(&mut self, id: Id) -> Option<usize> {
        let place = *self.places.get(&id)?;
        let original = *self.reversed.get(place)?;
        if original.code == RETURN {
            self.reversed.push(original);
        } else {
            let distance = u32::try_from(self.distance(place)?).ok()?;
            self.push(JUMP, distance);
        }
        let place = self.reversed.len().checked_sub(1)?;
        self.nearest.insert(id, place);
        Some(place)
    }

    /// How many instructions would lie between the next one and `place`.
    fn distance(&self, place: usize) -> Option<usize> {
        self.reversed.len().checked_sub(place)?.checked_sub(1)
    }

    fn push(&mut self, code: u16, k: u32) {
        self.reversed.push(Instruction {
            code,
            jt: 0,
            jf: 0,
            k,
        });
    }
}
