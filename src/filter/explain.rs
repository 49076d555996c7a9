//! A filter in words, for people and for golden tests.

use std::fmt::Write;

use super::Instruction;
use super::answers;
use super::assemble::{AND, JUMP, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, RETURN};
use super::graph::{ARCHITECTURE, ARGUMENTS, NUMBER};

/// One line per instruction: its index, what it does, and where it leads.
pub fn explain(program: &[Instruction]) -> String {
    let mut text = String::new();
    for (index, instruction) in program.iter().enumerate() {
        // Writing to a String cannot fail.
        if writeln!(text, "{index:4}: {}", line(index, *instruction)).is_err() {
            break;
        }
    }
    text
}

fn line(index: usize, instruction: Instruction) -> String {
    let Instruction { code, jt, jf, k } = instruction;
    let target = |skip: usize| index.saturating_add(1).saturating_add(skip);
    let test = |sign: &str| {
        let (yes, no) = (target(usize::from(jt)), target(usize::from(jf)));
        format!("if {sign} {k:#x} goto {yes} else {no}")
    };
    match code {
        LOAD => format!("load {}", word(k)),
        AND => format!("and {k:#x}"),
        JUMP => format!("goto {}", target(usize::try_from(k).unwrap_or(usize::MAX))),
        JUMP_EQUAL => test("=="),
        JUMP_AT_LEAST => test(">="),
        JUMP_ANY_BIT => test("&"),
        RETURN => format!("return {}", answer(k)),
        _ => format!("{code:#06x} {jt} {jf} {k:#x}"),
    }
}

/// The field of `struct seccomp_data` at an offset.
fn word(offset: u32) -> String {
    match offset {
        NUMBER => "number".to_owned(),
        ARCHITECTURE => "architecture".to_owned(),
        ARGUMENTS..64 => {
            let half = if (offset - ARGUMENTS).is_multiple_of(8) {
                "low"
            } else {
                "high"
            };
            format!("argument {} {half}", (offset - ARGUMENTS) / 8)
        }
        _ => format!("word at {offset}"),
    }
}

fn answer(value: u32) -> String {
    let data = value & answers::DATA;
    match value & answers::ACTION_FULL {
        answers::ALLOW => "allow".to_owned(),
        answers::ERRNO => format!("errno {data}"),
        answers::KILL_PROCESS => "kill process".to_owned(),
        answers::LOG => "log".to_owned(),
        answers::USER_NOTIF => "notify".to_owned(),
        answers::TRACE => format!("trace {data}"),
        answers::TRAP => "trap".to_owned(),
        _ => format!("{value:#x}"),
    }
}
