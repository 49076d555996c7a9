//! Reads one ELF file: what ld.so would read of it, and what says how it was hardened. No type
//! of the `object` crate leaves this module.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, Dyn64, FileHeader64, ProgramHeader64, Sym64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadCacheOps, ReadRef};

use super::machine::{self, NATIVE};
use super::property::{self, ControlFlow};

/// The most that a dynamic section may hold, bytes: 4096 entries. Real ones have some dozens.
const DYNAMIC_LIMIT: u64 = 64 << 10;
/// The longest interpreter path, bytes (`PATH_MAX`; execve(2) refuses more).
const INTERPRETER_LIMIT: u64 = 4096;
/// The most undefined symbols that are looked at for hardening.
const IMPORT_LIMIT: u32 = 1 << 16;
/// The size of the header of a GNU hash table, bytes.
const GNU_HASH_HEADER: u64 = 16;

/// Why a file cannot be used: words that follow "cannot read FILE:".
pub(super) type Reason = String;

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Contents {
    /// A program or library of this machine.
    Native(ElfObject),
    /// An ELF file of another machine, class or byte order: in words.
    Foreign(String),
    /// An ELF file of this machine that is neither program nor library: an object file, a core.
    Unloadable,
    /// Not an ELF file.
    NotElf,
}

/// How a library is asked for (elf(5), `d_tag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DependencyKind {
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`: takes the place of this object's symbols; must be there.
    Filter,
    /// `DT_AUXILIARY`: likewise, if it is there.
    Auxiliary,
}

/// A library that an object asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub kind: DependencyKind,
    pub name: String,
}

/// A program or library, as far as ld.so reads it before relocating.
#[derive(Clone, Debug, Default)]
pub(super) struct ElfObject {
    pub interpreter: Option<String>,
    pub soname: Option<String>,
    pub dependencies: Vec<Dependency>,
    /// `DT_RPATH`; absent where `DT_RUNPATH` makes ld.so ignore it.
    pub rpath: Option<String>,
    pub runpath: Option<String>,
    /// Whether it has a dynamic section at all.
    pub dynamic: bool,
    /// Whether it is of type `ET_DYN`: a library, or a position-independent program.
    pub position_independent: bool,
    /// `DF_1_PIE`: a program, though of type `ET_DYN`.
    pub program: bool,
    /// `DF_1_NOOPEN`: dlopen(3) refuses it.
    pub no_open: bool,
    /// `DF_1_NODEFLIB`: the default directories are not for it.
    pub no_default_directories: bool,
    /// Whether all symbols are bound before it runs.
    pub bind_now: bool,
    /// Whether it has a segment that becomes read-only after relocation.
    pub relro: bool,
    /// Whether it declares that its stack need not be executable.
    pub stack_not_executable: bool,
    /// Whether a segment of it is writable and executable at once.
    pub writable_code: bool,
    /// Whether ld.so has to write into its code (`DT_TEXTREL`).
    pub text_relocations: bool,
    /// What it says of control-flow enforcement.
    pub control_flow: ControlFlow,
}

pub(super) type Header = FileHeader64<LittleEndian>;
pub(super) type Segment = ProgramHeader64<LittleEndian>;
pub(super) const ENDIAN: LittleEndian = LittleEndian;

/// Reads the headers, the dynamic section and the strings that these name; nothing else of
/// the file.
pub(super) fn read<F: ReadCacheOps>(file: F) -> Result<Contents, Reason> {
    parse(&ReadCache::new(file))
}

/// The names of the symbols that the object wants from others: the undefined ones of its
/// dynamic symbol table.
pub(super) fn imports<F: ReadCacheOps>(file: F) -> Result<Vec<String>, Reason> {
    undefined_symbols(&ReadCache::new(file))
}

fn parse<'data, R: ReadRef<'data>>(data: R) -> Result<Contents, Reason> {
    let Some(kind) = identify(data)? else {
        return Ok(Contents::NotElf);
    };
    if let Some(foreign) = kind {
        return Ok(Contents::Foreign(foreign));
    }
    let header = Header::parse(data).map_err(reason)?;
    let position_independent = match header.e_type(ENDIAN) {
        elf::ET_DYN => true,
        elf::ET_EXEC => false,
        _ => return Ok(Contents::Unloadable),
    };
    let segments = segments(header, data)?;
    let mut object = ElfObject {
        position_independent,
        control_flow: property::control_flow(segments, data),
        ..ElfObject::default()
    };
    for segment in segments {
        match segment.p_type(ENDIAN) {
            elf::PT_INTERP => object.interpreter = Some(interpreter(segment, data)?),
            elf::PT_GNU_RELRO => object.relro = true,
            elf::PT_GNU_STACK => {
                object.stack_not_executable = segment.p_flags(ENDIAN).0 & elf::PF_X.0 == 0;
            }
            elf::PT_LOAD => {
                let both = elf::PF_W.0 | elf::PF_X.0;
                object.writable_code |= segment.p_flags(ENDIAN).0 & both == both;
            }
            _ => {}
        }
    }
    if let Some(dynamic) = Dynamic::find(segments, data)? {
        dynamic.fill(&mut object)?;
    }
    Ok(Contents::Native(object))
}

/// `None` if it is not ELF, `Some(Some(words))` if it is of another machine.
pub(super) fn identify<'data, R: ReadRef<'data>>(
    data: R,
) -> Result<Option<Option<String>>, Reason> {
    const MACHINE: usize = 18;
    let length = data
        .len()
        .map_err(|()| "its size cannot be told".to_owned())?;
    let start = data
        .read_bytes_at(0, length.min(20))
        .map_err(|()| "it cannot be read")?;
    if !start.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let (&[class, order], Some(&[low, high])) = (
        start
            .get(4..6)
            .and_then(|two| two.first_chunk::<2>())
            .ok_or_else(truncated)?,
        start.get(MACHINE..).and_then(|two| two.first_chunk::<2>()),
    ) else {
        return Err(truncated());
    };
    let little = match order {
        1 => true,
        2 => false,
        _ => return Err(format!("it is damaged: {order} is no byte order")),
    };
    let bits = match class {
        1 => 32,
        2 => 64,
        _ => return Err(format!("it is damaged: {class} is no ELF class")),
    };
    let code = if little {
        u16::from_le_bytes([low, high])
    } else {
        u16::from_be_bytes([low, high])
    };
    let native = code == NATIVE.code && bits == 64 && little;
    Ok(Some(
        (!native).then(|| machine::describe(code, bits, little)),
    ))
}

pub(super) fn segments<'data, R: ReadRef<'data>>(
    header: &Header,
    data: R,
) -> Result<&'data [Segment], Reason> {
    // A larger number of segments is written elsewhere, in a section header; ld.so does not look.
    if header.e_phnum(ENDIAN) == elf::PN_XNUM {
        return Err("it is damaged: it has too many segments".into());
    }
    header.program_headers(ENDIAN, data).map_err(reason)
}

fn interpreter<'data, R: ReadRef<'data>>(segment: &Segment, data: R) -> Result<String, Reason> {
    if segment.p_filesz(ENDIAN) > INTERPRETER_LIMIT {
        return Err("it is damaged: the path of its interpreter is too long".into());
    }
    match segment.interpreter(ENDIAN, data).map_err(reason)? {
        Some(path) if !path.is_empty() => utf8(path),
        _ => Err("it is damaged: the path of its interpreter is empty".into()),
    }
}

/// The dynamic section, and how to get from its addresses to places in the file.
pub(super) struct Dynamic<'data, R> {
    data: R,
    segments: &'data [Segment],
    entries: &'data [Dyn64<LittleEndian>],
}

impl<'data, R: ReadRef<'data>> Dynamic<'data, R> {
    pub(super) fn find(segments: &'data [Segment], data: R) -> Result<Option<Self>, Reason> {
        let is_dynamic = |segment: &&Segment| segment.p_type(ENDIAN) == elf::PT_DYNAMIC;
        let Some(segment) = segments.iter().find(is_dynamic) else {
            return Ok(None);
        };
        // The file of detached debugging symbols keeps the header without the bytes.
        if segment.p_filesz(ENDIAN) > DYNAMIC_LIMIT {
            return Err("it is damaged: its dynamic section is too large".into());
        }
        let Some(entries) = segment.dynamic(ENDIAN, data).map_err(reason)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            data,
            segments,
            entries,
        }))
    }

    /// Tags and values, up to the one that ends the section.
    fn entries(&self) -> impl Iterator<Item = (elf::DynamicTag, u64)> {
        self.entries
            .iter()
            .map(|entry| (entry.d_tag.get(ENDIAN), entry.d_val.get(ENDIAN)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
    }

    /// The last value of a tag.
    pub(super) fn value(&self, wanted: elf::DynamicTag) -> Option<u64> {
        self.entries()
            .filter(|(tag, _)| *tag == wanted)
            .last()
            .map(|(_, value)| value)
    }

    fn fill(&self, object: &mut ElfObject) -> Result<(), Reason> {
        object.dynamic = true;
        for (tag, value) in self.entries() {
            match tag {
                elf::DT_NEEDED => self.depend(object, DependencyKind::Needed, value)?,
                elf::DT_FILTER => self.depend(object, DependencyKind::Filter, value)?,
                elf::DT_AUXILIARY => self.depend(object, DependencyKind::Auxiliary, value)?,
                elf::DT_SONAME => object.soname = Some(self.string(value)?),
                elf::DT_RPATH => object.rpath = Some(self.string(value)?),
                elf::DT_RUNPATH => object.runpath = Some(self.string(value)?),
                elf::DT_BIND_NOW => object.bind_now = true,
                elf::DT_TEXTREL => object.text_relocations = true,
                elf::DT_FLAGS => {
                    object.bind_now |= value & elf::DF_BIND_NOW.0 != 0;
                    object.text_relocations |= value & elf::DF_TEXTREL.0 != 0;
                }
                elf::DT_FLAGS_1 => {
                    object.bind_now |= value & elf::DF_1_NOW.0 != 0;
                    object.program = value & elf::DF_1_PIE.0 != 0;
                    object.no_open = value & elf::DF_1_NOOPEN.0 != 0;
                    object.no_default_directories = value & elf::DF_1_NODEFLIB.0 != 0;
                }
                _ => {}
            }
        }
        if object.runpath.is_some() {
            object.rpath = None;
        }
        Ok(())
    }

    fn depend(&self, object: &mut ElfObject, kind: DependencyKind, at: u64) -> Result<(), Reason> {
        let name = self.string(at)?;
        object.dependencies.push(Dependency { kind, name });
        Ok(())
    }

    /// The string at an offset of the string table.
    pub(super) fn string(&self, at: u64) -> Result<String, Reason> {
        let strings = self.strings()?;
        let start = strings
            .start
            .checked_add(at)
            .filter(|start| *start < strings.end);
        let bytes = start
            .and_then(|start| self.data.read_bytes_at_until(start..strings.end, 0).ok())
            .ok_or("it is damaged: a string of its dynamic section cannot be read")?;
        utf8(bytes)
    }

    fn strings(&self) -> Result<Range<u64>, Reason> {
        let start = self
            .value(elf::DT_STRTAB)
            .and_then(|address| self.offset(address));
        let range = start
            .zip(self.value(elf::DT_STRSZ))
            .and_then(|(start, size)| {
                let length = self.data.len().ok()?;
                Some(start..start.checked_add(size)?.min(length))
            });
        range.ok_or_else(|| "it is damaged: it has no string table".into())
    }

    /// Where the byte at an address is in the file.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.p_vaddr(ENDIAN))?;
            let here = segment.p_type(ENDIAN) == elf::PT_LOAD && into < segment.p_filesz(ENDIAN);
            segment.p_offset(ENDIAN).checked_add(into).filter(|_| here)
        })
    }

    /// How many of the first symbols can be undefined: the GNU hash table has only the defined
    /// ones, which come last; the older table has all.
    fn undefined_end(&self) -> Option<u32> {
        if let Some(at) = self.value(elf::DT_GNU_HASH) {
            let header = self
                .data
                .read_bytes_at(self.offset(at)?, GNU_HASH_HEADER)
                .ok()?;
            return gnu_symbol_base(header);
        }
        let at = self.offset(self.value(elf::DT_HASH)?)?;
        let header = self
            .data
            .read_at::<elf::HashHeader<LittleEndian>>(at)
            .ok()?;
        Some(header.chain_count.get(ENDIAN))
    }
}

/// The second word of the header of a GNU hash table.
fn gnu_symbol_base(header: &[u8]) -> Option<u32> {
    let word = header.get(4..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

fn undefined_symbols<'data, R: ReadRef<'data>>(data: R) -> Result<Vec<String>, Reason> {
    let header = Header::parse(data).map_err(reason)?;
    let Some(dynamic) = Dynamic::find(segments(header, data)?, data)? else {
        return Ok(Vec::new());
    };
    let table = dynamic
        .value(elf::DT_SYMTAB)
        .and_then(|address| dynamic.offset(address));
    let (Some(table), Some(end)) = (table, dynamic.undefined_end()) else {
        return Ok(Vec::new());
    };
    let count = usize::try_from(end.min(IMPORT_LIMIT)).map_err(|_| truncated())?;
    let symbols = data
        .read_slice_at::<Sym64<LittleEndian>>(table, count)
        .map_err(|()| "it is damaged: its dynamic symbols cannot be read")?;
    symbols
        .iter()
        .filter(|symbol| symbol.st_shndx.get(ENDIAN) == elf::SHN_UNDEF)
        .filter(|symbol| symbol.st_name.get(ENDIAN) != 0)
        .map(|symbol| dynamic.string(symbol.st_name.get(ENDIAN).into()))
        .collect()
}

fn utf8(bytes: &[u8]) -> Result<String, Reason> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "a name in it is not UTF-8: {}",
            String::from_utf8_lossy(bytes)
        )),
    }
}

pub(super) fn reason(error: object::read::Error) -> Reason {
    format!("it is damaged or truncated: {error}")
}

pub(super) fn truncated() -> Reason {
    "it is truncated: its ELF header is not complete".into()
}

#[cfg(test)]
mod tests;
