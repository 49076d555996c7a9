//! The note with which a file says that it was compiled for control-flow enforcement: System V
//! ABI AMD64 supplement, "Program Property"; ELF for the Arm 64-bit Architecture, likewise.

use object::elf;
use object::read::ReadRef;
use object::read::elf::ProgramHeader;

use super::object::{ENDIAN, Segment};

/// The most that the segment of the properties may hold, bytes. Real ones have some dozens.
const LIMIT: u64 = 4096;
/// `NT_GNU_PROPERTY_TYPE_0`: the type of the note.
const NOTE: u32 = 5;
/// `GNU_PROPERTY_X86_FEATURE_1_AND`, or `GNU_PROPERTY_AARCH64_FEATURE_1_AND`.
#[cfg(target_arch = "x86_64")]
const FEATURES: u32 = 0xc000_0002;
/// `GNU_PROPERTY_X86_FEATURE_1_AND`, or `GNU_PROPERTY_AARCH64_FEATURE_1_AND`.
#[cfg(target_arch = "aarch64")]
const FEATURES: u32 = 0xc000_0000;
/// Indirect branches end at marked places only: IBT on x86, BTI on ARM.
const BRANCHES: u32 = 1;
/// Returns are checked: the shadow stack (SHSTK) on x86, signed addresses (PAC) on ARM.
const RETURNS: u32 = 2;
/// Properties are padded to this many bytes in files of 64 bits.
const ALIGNMENT: usize = 8;

/// What a file was compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlFlow {
    /// Indirect branches: IBT or BTI.
    pub branches: bool,
    /// Returns: the shadow stack or PAC.
    pub returns: bool,
}

/// What the segments say of it; nothing if there is no such note, or a damaged one, which the
/// kernel and ld.so take for none.
pub(super) fn control_flow<'data, R: ReadRef<'data>>(segments: &[Segment], data: R) -> ControlFlow {
    let is_property = |segment: &&Segment| segment.p_type(ENDIAN) == elf::PT_GNU_PROPERTY;
    segments
        .iter()
        .find(is_property)
        .filter(|segment| segment.p_filesz(ENDIAN) <= LIMIT)
        .and_then(|segment| {
            let (at, size) = (segment.p_offset(ENDIAN), segment.p_filesz(ENDIAN));
            data.read_bytes_at(at, size).ok()
        })
        .and_then(features)
        .map(|bits| ControlFlow {
            branches: bits & BRANCHES != 0,
            returns: bits & RETURNS != 0,
        })
        .unwrap_or_default()
}

/// The features in the bytes of one note (elf(5), `Elf64_Nhdr`).
fn features(note: &[u8]) -> Option<u32> {
    let (name_size, size, kind) = (word(note, 0)?, word(note, 4)?, word(note, 8)?);
    if kind != NOTE || name_size != 4 || note.get(12..16)? != b"GNU\0" {
        return None;
    }
    let mut rest = note.get(16..)?.get(..usize::try_from(size).ok()?)?;
    loop {
        let (kind, size) = (word(rest, 0)?, usize::try_from(word(rest, 4)?).ok()?);
        let value = rest.get(8..)?.get(..size)?;
        if kind == FEATURES {
            return word(value, 0);
        }
        rest = rest
            .get(8..)?
            .get(size.checked_next_multiple_of(ALIGNMENT)?..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn note(properties: &[(u32, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in properties {
            body.extend(kind.to_le_bytes());
            body.extend((value.len() as u32).to_le_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
        }
        let mut note = Vec::new();
        for word in [4, body.len() as u32, NOTE] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"GNU\0");
        note.extend(body);
        note
    }

    #[test]
    fn the_features_are_found_among_other_properties() {
        let both = note(&[(7, &[9]), (FEATURES, &[3, 0, 0, 0])]);
        assert_eq!(features(&both), Some(3));
        assert_eq!(features(&note(&[(7, &[3, 0, 0, 0])])), None);
        assert_eq!(features(&note(&[])), None);
        assert_eq!(features(&both[..both.len() - 9]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            features(&bytes);
            features(&[note(&[]).as_slice(), &bytes].concat());
        }
    }
}
