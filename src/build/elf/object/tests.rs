use std::io::Cursor;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// The smallest program of every Debian system, and the loader, which has a GNU hash table.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    ["/bin/true", NATIVE.interpreter]
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
});

fn native(bytes: &[u8]) -> ElfObject {
    match read(Cursor::new(bytes)).unwrap() {
        Contents::Native(object) => object,
        other => panic!("{other:?}"),
    }
}

fn exercise(bytes: &[u8]) {
    if let Ok(Contents::Native(object)) = read(Cursor::new(bytes)) {
        assert!(object.dependencies.len() as u64 * 16 <= DYNAMIC_LIMIT);
        drop(imports(Cursor::new(bytes)));
    }
}

#[test]
fn a_program_says_what_it_needs() {
    let object = native(&SAMPLES[0]);
    assert_eq!(object.interpreter.as_deref(), Some(NATIVE.interpreter));
    assert!(
        object
            .dependencies
            .iter()
            .any(|needed| needed.name == "libc.so.6")
    );
    assert!(object.dynamic && object.position_independent && object.program);
    let loader = native(&SAMPLES[1]);
    assert_eq!(loader.soname.as_deref(), Some(NATIVE.interpreter_soname));
    assert!(loader.interpreter.is_none());
}

#[test]
fn imports_are_the_undefined_symbols() {
    let imports = imports(Cursor::new(&SAMPLES[0])).unwrap();
    assert!(imports.iter().any(|name| name == "__libc_start_main"));
}

#[test]
fn other_machines_are_told_apart() {
    let mut bytes = SAMPLES[0].clone();
    for (at, value, words) in [
        (18, 183, "AArch64, 64 bits"),
        (4, 1, "AArch64, 32 bits"),
        (5, 2, "big-endian"),
    ] {
        bytes[at] = value;
        match read(Cursor::new(&bytes)).unwrap() {
            Contents::Foreign(machine) => assert!(machine.contains(words), "{machine}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_not_a_program_is_told_apart() {
    assert!(matches!(read(Cursor::new(b"")).unwrap(), Contents::NotElf));
    assert!(matches!(
        read(Cursor::new(b"text")).unwrap(),
        Contents::NotElf
    ));
    let mut bytes = SAMPLES[0].clone();
    bytes[16] = 1;
    assert!(matches!(
        read(Cursor::new(&bytes)).unwrap(),
        Contents::Unloadable
    ));
}

#[test]
fn truncation_is_an_error_at_every_header() {
    for length in [4, 17, 19, 20, 63, 64, 100, 500, 1000] {
        let reason = read(Cursor::new(&SAMPLES[0][..length])).unwrap_err();
        assert!(reason.contains("truncated"), "{length}: {reason}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        exercise(&bytes);
        let mut header = SAMPLES[0][..20].to_vec();
        header.extend(bytes);
        exercise(&header);
    }

    #[test]
    fn mutated_files_never_panic(
        sample in any::<prop::sample::Index>(),
        // The headers are what the offsets hang on.
        header in prop::collection::vec((0usize..900, any::<u8>()), 0..6),
        anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut bytes = SAMPLES[sample.index(SAMPLES.len())].clone();
        for (at, value) in header {
            bytes[at] = value;
        }
        for (at, value) in anywhere {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        exercise(&bytes);
    }

    #[test]
    fn cut_files_never_panic(length in any::<prop::sample::Index>()) {
        let bytes = &SAMPLES[0];
        exercise(&bytes[..length.index(bytes.len())]);
    }

    /// The dynamic section itself: every tag with every value.
    #[test]
    fn mutated_dynamic_sections_never_panic(
        changes in prop::collection::vec((0usize..32, any::<u64>(), any::<bool>()), 1..8),
    ) {
        let mut bytes = SAMPLES[0].clone();
        let header = Header::parse(bytes.as_slice()).unwrap();
        let segments = header.program_headers(ENDIAN, bytes.as_slice()).unwrap();
        let dynamic = segments.iter().find(|s| s.p_type(ENDIAN) == elf::PT_DYNAMIC).unwrap();
        let start = dynamic.p_offset(ENDIAN) as usize;
        for (entry, value, near) in changes {
            let value = if near { value % 0x10000 } else { value };
            let at = start + entry % 20 * 16 + 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        exercise(&bytes);
    }
}

#[test]
fn how_a_program_was_hardened_is_read() {
    let mut bytes = SAMPLES[0].clone();
    let plain = native(&bytes);
    assert!(!plain.writable_code && !plain.text_relocations && plain.relro);
    // The first segment that is loaded, made writable and executable.
    let headers = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    let load = (0..)
        .map(|index| headers + index * 56)
        .find(|at| bytes[*at..*at + 4] == [1, 0, 0, 0])
        .unwrap();
    bytes[load + 4] = 7;
    assert!(native(&bytes).writable_code);
}
