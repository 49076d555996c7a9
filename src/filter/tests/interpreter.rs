//! Classic BPF as the kernel runs it for seccomp (`net/core/filter.c`, `kernel/seccomp.c`).

use super::Instruction;

/// What a filter is asked about: `struct seccomp_data`.
#[derive(Clone, Debug)]
pub struct Call {
    pub architecture: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

impl Call {
    pub fn new(number: u32) -> Self {
        Self {
            architecture: 0xC000_003E,
            number,
            arguments: [0; 6],
        }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            8 | 12 => 0,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) {
                    argument as u32
                } else {
                    (argument >> 32) as u32
                }
            }
            _ => panic!("the kernel refuses a load at {offset}"),
        }
    }
}

/// How it ended.
pub struct Outcome {
    pub answer: u32,
    pub steps: usize,
}

pub fn run(program: &[Instruction], call: &Call) -> Outcome {
    let (mut accumulator, mut place) = (0u32, 0usize);
    for steps in 1.. {
        let Instruction { code, jt, jf, k } = program[place];
        place += 1;
        let mut branch = |yes: bool| place += usize::from(if yes { jt } else { jf });
        match code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x05 => place += k as usize,
            0x15 => branch(accumulator == k),
            0x25 => branch(accumulator > k),
            0x35 => branch(accumulator >= k),
            0x45 => branch(accumulator & k != 0),
            0x06 => return Outcome { answer: k, steps },
            _ => panic!("unknown instruction {code:#x}"),
        }
    }
    unreachable!()
}
