use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const SOURCE: &str = "
    __attribute__((noinline)) int answer(int x) { return x * 42; }
    int another(int) __attribute__((alias(\"answer\")));
    static __attribute__((noinline, used)) int hidden(int x) { return x + 7; }
    int main(int c, char **v) { return answer(c) + hidden(c); }";

/// A compiled program, and what nm(1) says of a symbol: its address and size.
struct Program(tempfile::TempDir);

impl Program {
    fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("p.c"), SOURCE).unwrap();
        let status = Command::new("gcc")
            .current_dir(directory.path())
            .args(["-O1", "-o", "p", "p.c"])
            .args(arguments)
            .status();
        assert!(status.unwrap().success());
        Self(directory)
    }

    fn open(&self) -> File {
        File::open(self.0.path().join("p")).unwrap()
    }

    fn symbol(&self, name: &str, arguments: &[&str]) -> (u64, u64) {
        let output = Command::new("nm")
            .arg("-S")
            .args(arguments)
            .arg(self.0.path().join("p"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|l| l.ends_with(&format!(" {name}")))
            .unwrap();
        let mut fields = line.split(' ').map(|f| u64::from_str_radix(f, 16));
        (
            fields.next().unwrap().unwrap(),
            fields.next().unwrap().unwrap(),
        )
    }
}

/// Code of a program lies in the file where it lies in memory, but for the load address.
fn offset_of(address: u64, base: u64) -> u64 {
    address - base
}

#[test]
fn a_static_function_is_found_in_the_symbol_table() {
    for (arguments, base) in [(&["-pie", "-fPIE"][..], 0), (&["-no-pie"], 0x40_0000)] {
        let program = Program::new(arguments);
        let (address, size) = program.symbol("hidden", &[]);
        let last = address + size - 1;
        let found = nearest(&program.open(), offset_of(last, base)).unwrap();
        assert_eq!(found.address, last);
        assert_eq!(found.symbol, Some(("hidden".to_owned(), size - 1)));
        let found = nearest(&program.open(), offset_of(address, base)).unwrap();
        assert_eq!(found.symbol, Some(("hidden".to_owned(), 0)));
    }
}

#[test]
fn of_two_names_the_shorter_is_given() {
    let program = Program::new(&["-pie", "-fPIE"]);
    let (address, _) = program.symbol("another", &[]);
    let found = nearest(&program.open(), address + 1).unwrap();
    assert_eq!(found.symbol, Some(("answer".to_owned(), 1)));
}

#[test]
fn a_stripped_program_names_what_it_exports_and_nothing_else() {
    let program = Program::new(&["-shared", "-fPIC", "-s"]);
    let (address, size) = program.symbol("answer", &["-D"]);
    let found = nearest(&program.open(), address + 1).unwrap();
    assert_eq!(found.symbol, Some(("answer".to_owned(), 1)));
    // The static function lies behind it: no symbol reaches there.
    let (main, _) = program.symbol("main", &["-D"]);
    let hidden = address + size;
    assert!(hidden < main);
    let found = nearest(&program.open(), hidden + 1).unwrap();
    assert_eq!((found.address, found.symbol), (hidden + 1, None));
}

#[test]
fn a_label_without_a_size_ends_where_the_next_symbol_begins() {
    let directory = tempfile::tempdir().unwrap();
    let source = ".text\n.globl label\nlabel: nop\nnop\n.globl f\n.type f,@function\nf: nop\n.size f,1\nnop\nnop\n";
    std::fs::write(directory.path().join("p.s"), source).unwrap();
    let status = Command::new("gcc")
        .current_dir(directory.path())
        .args(["-shared", "-nostdlib", "-o", "p", "p.s"])
        .status();
    assert!(status.unwrap().success());
    let program = Program(directory);
    let output = Command::new("nm")
        .arg(program.0.path().join("p"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|l| l.ends_with(" T label")).unwrap();
    let label = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
    let at = |into| nearest(&program.open(), label + into).unwrap().symbol;
    assert_eq!(at(1), Some(("label".to_owned(), 1)));
    assert_eq!(at(2), Some(("f".to_owned(), 0)));
    assert_eq!(at(4), None);
}

#[test]
fn a_program_of_32_bits_is_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("p.s"),
        ".text\n.globl f\n.type f,@function\nf: nop\nnop\n.size f,2\n",
    )
    .unwrap();
    for (program, arguments) in [
        ("as", &["--32", "-o", "p.o", "p.s"][..]),
        ("ld", &["-m", "elf_i386", "-shared", "-o", "p", "p.o"]),
    ] {
        let status = Command::new(program)
            .current_dir(directory.path())
            .args(arguments)
            .status();
        assert!(status.unwrap().success());
    }
    let program = Program(directory);
    let (address, _) = program.symbol("f", &[]);
    let found = nearest(&program.open(), address + 1).unwrap();
    assert_eq!(found.symbol, Some(("f".to_owned(), 1)));
}

#[test]
fn versions_are_cut_off() {
    assert_eq!(without_version("memcpy@@GLIBC_2.14"), "memcpy");
    assert_eq!(without_version("plain"), "plain");
    assert_eq!(without_version("@odd"), "@odd");
}

/// A file of four gigabytes of nothing, whose header promises symbols without end.
#[test]
fn what_a_header_promises_is_not_believed() {
    let program = Program::new(&["-pie", "-fPIE"]);
    let (address, _) = program.symbol("answer", &[]);
    let path = program.0.path().join("p");
    let mut bytes = std::fs::read(&path).unwrap();
    let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes(bytes[60..62].try_into().unwrap()) as usize;
    for section in 0..count {
        let at = sections + section * 64;
        bytes[at + 24..at + 32].copy_from_slice(&(1u64 << 20).to_le_bytes());
        bytes[at + 32..at + 40].copy_from_slice(&(1u64 << 62).to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(4 << 30)
        .unwrap();
    let found = nearest(&program.open(), address).unwrap();
    assert_eq!(found.symbol, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage anywhere in the tables of a real program: an answer or none, in bounded time.
    #[test]
    fn damage_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        offset in 0u64..0x6000,
    ) {
        static PROGRAM: std::sync::LazyLock<(Vec<u8>, Vec<usize>)> = std::sync::LazyLock::new(|| {
            let program = Program::new(&["-pie", "-fPIE"]);
            let bytes = std::fs::read(program.0.path().join("p")).unwrap();
            let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
            let places = (0..0x300).chain(sections..bytes.len()).collect();
            (bytes, places)
        });
        let (mut bytes, places) = PROGRAM.clone();
        for (place, value) in changes {
            let at = *place.get(&places);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        if let Some(Nearest { symbol: Some((name, _)), .. }) = nearest(&file, offset) {
            prop_assert!(!name.is_empty() && name.len() <= 3 * 4096);
        }
    }

    #[test]
    fn anything_at_all_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600), offset: u64) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"\x7fELF\x02\x01\x01", 0).unwrap();
        file.write_all_at(&bytes, 7).unwrap();
        prop_assert!(nearest(&file, offset).is_none_or(|found| found.symbol.is_none_or(|(name, _)| !name.is_empty())));
    }
}
