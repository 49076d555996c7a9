//! What a program answers to a call: classic BPF as the kernel runs it for seccomp
//! (`net/core/filter.c`, `kernel/seccomp.c`).

use super::Instruction;
use super::assemble::{AND, JUMP, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, RETURN};
use super::graph::{ARCHITECTURE, ARGUMENTS, NUMBER};

/// What a filter is asked about: `struct seccomp_data`.
#[derive(Clone, Debug)]
pub struct Call {
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// The call's number.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Call {
    /// The word at an offset; the instruction pointer is 0. `None` where the kernel refuses to load.
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            NUMBER => Some(self.number),
            ARCHITECTURE => Some(self.architecture),
            8 | 12 => Some(0),
            ARGUMENTS..64 if offset.is_multiple_of(4) => {
                let index = usize::try_from((offset - ARGUMENTS) / 8).ok()?;
                let bytes = self.arguments.get(index)?.to_le_bytes();
                let half = if offset.is_multiple_of(8) { 0 } else { 4 };
                let half = bytes.get(half..half + 4)?.try_into().ok()?;
                Some(u32::from_le_bytes(half))
            }
            _ => None,
        }
    }
}

/// How a run of a filter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The value that it returned.
    pub answer: u32,
    /// How many instructions it took.
    pub steps: usize,
}

/// Runs a filter on a call. `None`: the kernel would not have taken such a program.
pub fn evaluate(program: &[Instruction], call: &Call) -> Option<Outcome> {
    let (mut accumulator, mut place) = (0_u32, 0_usize);
    // Jumps only go forward, so it ends.
    for steps in 1..=program.len() {
        let Instruction { code, jt, jf, k } = *program.get(place)?;
        place += 1;
        let mut branch = |yes: bool| place += usize::from(if yes { jt } else { jf });
        match code {
            LOAD => accumulator = call.word(k)?,
            AND => accumulator &= k,
            JUMP => place = place.checked_add(usize::try_from(k).ok()?)?,
            JUMP_EQUAL => branch(accumulator == k),
            JUMP_AT_LEAST => branch(accumulator >= k),
            JUMP_ANY_BIT => branch(accumulator & k != 0),
            RETURN => return Some(Outcome { answer: k, steps }),
            _ => return None,
        }
    }
    None
}
