//! A filter as one word of text: sixteen hexadecimal digits for each instruction. As a list of
//! objects it would be most of the compiled plan, and most of the time that reading it takes.

use std::fmt::{self, Write};

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use crate::filter::Instruction;

/// Digits for one instruction: 4 of `code`, 2 each of `jt` and `jf`, 8 of `k`.
const DIGITS: usize = 16;

/// Writes a filter.
pub(super) fn serialize<S: Serializer>(
    program: &[Instruction],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(program.len() * DIGITS);
    for Instruction { code, jt, jf, k } in program {
        write!(text, "{code:04x}{jt:02x}{jf:02x}{k:08x}").map_err(serde::ser::Error::custom)?;
    }
    serializer.serialize_str(&text)
}

/// Reads what [`serialize`] wrote.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Instruction>, D::Error> {
    deserializer.deserialize_str(Digits)
}

struct Digits;

impl Visitor<'_> for Digits {
    type Value = Vec<Instruction>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGITS} hexadecimal digits for each instruction")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        let (whole, rest) = text.as_bytes().as_chunks::<DIGITS>();
        if !rest.is_empty() {
            return Err(wrong());
        }
        let program: Option<Vec<Instruction>> = whole.iter().map(instruction).collect();
        program.ok_or_else(wrong)
    }
}

fn instruction(digits: &[u8; DIGITS]) -> Option<Instruction> {
    let [a, b, c, d, e, f, g, h, k @ ..] = digits;
    Some(Instruction {
        code: u16::try_from(number(&[*a, *b, *c, *d])?).ok()?,
        jt: u8::try_from(number(&[*e, *f])?).ok()?,
        jf: u8::try_from(number(&[*g, *h])?).ok()?,
        k: number(k)?,
    })
}

/// At most eight digits as a number.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        program: Vec<Instruction>,
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(fields in prop::collection::vec(any::<(u16, u8, u8, u32)>(), 0..50)) {
            let program: Vec<Instruction> = fields
                .into_iter()
                .map(|(code, jt, jf, k)| Instruction { code, jt, jf, k })
                .collect();
            let holder = Holder { program };
            let text = serde_json::to_string(&holder).unwrap();
            prop_assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
        }

        #[test]
        fn nothing_else_is_taken_for_a_filter(text in "\\PC*") {
            let digits = text.len() % DIGITS == 0 && text.bytes().all(|b| b.is_ascii_hexdigit());
            let json = serde_json::json!({ "program": text }).to_string();
            prop_assert_eq!(serde_json::from_str::<Holder>(&json).is_ok(), digits);
        }
    }

    #[test]
    fn its_form_is_the_kernels_fields_in_order() {
        let program = vec![Instruction {
            code: 0x15,
            jt: 1,
            jf: 0xfe,
            k: 0xc000_003e,
        }];
        let text = serde_json::to_string(&Holder { program }).unwrap();
        assert_eq!(text, r#"{"program":"001501fec000003e"}"#);
        for wrong in ["001501fec000003", "001501fec000003g", "+01501fec000003e"] {
            let json = serde_json::json!({ "program": wrong }).to_string();
            let error = serde_json::from_str::<Holder>(&json).unwrap_err();
            assert!(
                error.to_string().contains("16 hexadecimal digits"),
                "{error}"
            );
        }
    }
}
