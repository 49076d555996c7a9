//! The filter as a graph: what to do, without places. Equal parts exist once.

use std::collections::HashMap;

/// Where `struct seccomp_data` keeps the call number (`linux/seccomp.h`).
pub(super) const NUMBER: u32 = 0;
/// Where it keeps the `AUDIT_ARCH_` number.
pub(super) const ARCHITECTURE: u32 = 4;
/// Where it keeps the first argument; each has 8 bytes.
pub(super) const ARGUMENTS: u32 = 16;

/// A node's index. A node comes after all that it leads to.
pub(super) type Id = usize;

/// How the accumulator is tested against a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Test {
    /// They are the same.
    Equal,
    /// The accumulator is as large or larger.
    AtLeast,
    /// They have a bit in common.
    AnyBit,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// End with this value.
    Answer(u32),
    /// Load the word at this offset of `struct seccomp_data`, then go on.
    Load(u32, Id),
    /// Keep these bits of the accumulator, then go on.
    Keep(u32, Id),
    /// Go on to `yes` or `no`.
    Branch {
        test: Test,
        constant: u32,
        yes: Id,
        no: Id,
    },
}

/// A filter under construction, built from its ends to its start.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id>,
}

impl Graph {
    /// All nodes, each after what it leads to.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Ends with `value`.
    pub(super) fn answer(&mut self, value: u32) -> Id {
        self.add(Node::Answer(value))
    }

    /// Loads the word at `offset`, then goes on to `next`.
    pub(super) fn load(&mut self, offset: u32, next: Id) -> Id {
        self.add(Node::Load(offset, next))
    }

    /// Keeps the bits of `mask`, then goes on to `next`.
    pub(super) fn keep(&mut self, mask: u32, next: Id) -> Id {
        self.add(Node::Keep(mask, next))
    }

    /// Tests the accumulator; a test that decides nothing is left out.
    pub(super) fn test(&mut self, test: Test, constant: u32, yes: Id, no: Id) -> Id {
        if yes == no {
            return yes;
        }
        self.add(Node::Branch {
            test,
            constant,
            yes,
            no,
        })
    }

    /// Two equal nodes do the same to any accumulator, so one will do.
    fn add(&mut self, node: Node) -> Id {
        *self.ids.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }
}
