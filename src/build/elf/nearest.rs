//! From a place in an ELF file to the symbol that it belongs to. The file may be a jail's, so
//! anything may be in it: every size is bounded before it is read, and the symbols are read in
//! pieces that are not kept.

use std::cmp::Reverse;
use std::fs::File;

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadCache, ReadRef};

use super::blocks::Blocks;
use super::object::ENDIAN;

/// The most symbols of a table that are looked at; the largest programs have one million.
const SYMBOLS: u64 = 1 << 22;
/// How many symbols are read at once.
const PIECE: usize = 1 << 12;
/// The most section headers that are read.
const SECTIONS: u32 = 1 << 16;
/// The most names of one address that are weighed against each other.
const NAMES: usize = 32;

/// Where a place in an ELF file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// The address that the file gives to it, as addr2line(1) and nm(1) count.
    pub address: u64,
    /// The function that it lies in, by its best-known name and without its version, and how many
    /// bytes after its beginning; `None` if no symbol covers it. The name is the file's own:
    /// anything may be in it.
    pub symbol: Option<(String, u64)>,
}

/// The address and the symbol of the byte at `offset` of an ELF file of 32 or 64 bits. Of symbols
/// without a size, the one before counts, if it is in the same section. Looks into `.symtab`, and
/// if a program was stripped of that into `.dynsym`. `None` if the file is no ELF file, or
/// loads nothing from that place.
pub fn nearest(file: &File, offset: u64) -> Option<Nearest> {
    let data = &ReadCache::new(Blocks::new(file));
    // Elf64 and Elf32 have the same beginning (elf(5), `e_ident`).
    match data.read_bytes_at(0, 6).ok()? {
        [0x7f, b'E', b'L', b'F', 2, 1] => {
            Image::<FileHeader64<_>, _>::read(data)?.find(file, offset)
        }
        [0x7f, b'E', b'L', b'F', 1, 1] => {
            Image::<FileHeader32<_>, _>::read(data)?.find(file, offset)
        }
        _ => None,
    }
}

struct Image<'data, Elf: FileHeader<Endian = LittleEndian>, R> {
    data: R,
    segments: &'data [Elf::ProgramHeader],
    sections: &'data [Elf::SectionHeader],
}

/// A symbol table: where its symbols are, how many, and where their names are.
struct Table {
    at: u64,
    count: u64,
    strings: std::ops::Range<u64>,
}

/// The best symbols so far, all of one address and one size.
#[derive(Default)]
struct Best {
    /// A symbol with a size before one without; a later one before an earlier one; then the
    /// smaller.
    rank: Option<(bool, u64, Reverse<u64>)>,
    /// How widely each is bound, and the offset of its name.
    names: Vec<(u8, u32)>,
    /// Where the last symbol begins that is not after the address.
    last: u64,
}

impl<'data, Elf: FileHeader<Endian = LittleEndian>, R: ReadRef<'data>> Image<'data, Elf, R> {
    fn read(data: R) -> Option<Self> {
        let header = Elf::parse(data).ok()?;
        // A larger number of segments is written elsewhere; no loader looks there.
        if header.e_phnum(ENDIAN) == elf::PN_XNUM {
            return None;
        }
        let sections = match header.shnum(ENDIAN, data) {
            Ok(count) if count <= SECTIONS => header.section_headers(ENDIAN, data),
            _ => Ok(Default::default()),
        };
        Some(Self {
            data,
            segments: header.program_headers(ENDIAN, data).ok()?,
            sections: sections.unwrap_or_default(),
        })
    }

    fn find(&self, file: &File, offset: u64) -> Option<Nearest> {
        let address = self.address(offset)?;
        let symbol = [elf::SHT_SYMTAB, elf::SHT_DYNSYM]
            .into_iter()
            .filter_map(|kind| self.table(kind))
            .find_map(|table| self.symbol(file, &table, address));
        Some(Nearest { address, symbol })
    }

    /// Code first: at a boundary, a page of the file can be mapped twice.
    fn address(&self, offset: u64) -> Option<u64> {
        let address = |segment: &Elf::ProgramHeader| {
            let into = offset.checked_sub(segment.p_offset(ENDIAN).into())?;
            let here =
                segment.p_type(ENDIAN) == elf::PT_LOAD && into < segment.p_filesz(ENDIAN).into();
            let start: u64 = segment.p_vaddr(ENDIAN).into();
            start.checked_add(into).filter(|_| here)
        };
        let is_code = |segment: &&Elf::ProgramHeader| segment.p_flags(ENDIAN).0 & elf::PF_X.0 != 0;
        let code = self.segments.iter().filter(is_code);
        code.chain(self.segments).find_map(address)
    }

    fn table(&self, kind: elf::SectionType) -> Option<Table> {
        let section = self
            .sections
            .iter()
            .find(|section| section.sh_type(ENDIAN) == kind)?;
        let size: u64 = section.sh_size(ENDIAN).into();
        let names = self.sections.get(section.sh_link(ENDIAN) as usize)?;
        let strings: u64 = names.sh_offset(ENDIAN).into();
        let end = strings.checked_add(names.sh_size(ENDIAN).into())?;
        Some(Table {
            at: section.sh_offset(ENDIAN).into(),
            count: (size / size_of::<Elf::Sym>() as u64).min(SYMBOLS),
            strings: strings..end.min(self.data.len().ok()?),
        })
    }

    fn symbol(&self, file: &File, table: &Table, address: u64) -> Option<(String, u64)> {
        let mut best = Best::default();
        let mut done = 0;
        while done < table.count {
            let piece = table.count.saturating_sub(done).min(PIECE as u64);
            let at = done
                .checked_mul(size_of::<Elf::Sym>() as u64)?
                .checked_add(table.at)?;
            let read = ReadCache::new(Blocks::new(file));
            let Ok(symbols) = (&read).read_slice_at::<Elf::Sym>(at, piece as usize) else {
                break;
            };
            for symbol in symbols {
                self.weigh(symbol, address, &mut best);
            }
            done = done.saturating_add(piece);
        }
        let (start, names) = best.outcome()?;
        let name = self.best_name(table, names)?;
        Some((name, address.saturating_sub(start)))
    }

    fn weigh(&self, symbol: &Elf::Sym, address: u64, best: &mut Best) {
        let is_code = matches!(
            symbol.st_type(),
            elf::STT_FUNC | elf::STT_GNU_IFUNC | elf::STT_NOTYPE
        );
        let start: u64 = symbol.st_value(ENDIAN).into();
        let Some(section) = symbol.st_shndx(ENDIAN).index().filter(|_| is_code) else {
            return;
        };
        let Some(into) = address.checked_sub(start) else {
            return;
        };
        best.last = best.last.max(start);
        let size: u64 = symbol.st_size(ENDIAN).into();
        if into < size || size == 0 && self.section_has(section.into(), address) {
            let bound = match symbol.st_bind() {
                elf::STB_GLOBAL | elf::STB_GNU_UNIQUE => 0,
                elf::STB_WEAK => 1,
                _ => 2,
            };
            let rank = (size != 0, start, Reverse(size));
            best.consider(rank, (bound, symbol.st_name(ENDIAN)));
        }
    }

    fn section_has(&self, section: usize, address: u64) -> bool {
        self.sections.get(section).is_some_and(|section| {
            let into = address.checked_sub(section.sh_addr(ENDIAN).into());
            into.is_some_and(|into| into < section.sh_size(ENDIAN).into())
        })
    }

    /// Of several names for one function, such as `raise` and `gsignal`: what is bound most
    /// widely, then what the implementation reserves least, then the shortest.
    fn best_name(&self, table: &Table, names: Vec<(u8, u32)>) -> Option<String> {
        let named = names.into_iter().filter_map(|(bound, at)| {
            let start = table.strings.start.checked_add(at.into())?;
            let bytes = self
                .data
                .read_bytes_at_until(start..table.strings.end, 0)
                .ok()?;
            let name = without_version(&String::from_utf8_lossy(bytes)).to_owned();
            // Marks of code and data in programs for Arm: no functions (ELF for the Arm 64-bit
            // Architecture, "Mapping symbols").
            let is_name = !name.is_empty() && !name.starts_with('$');
            let reserved = name.len() - name.trim_start_matches('_').len();
            is_name.then_some((bound, reserved, name.len(), name))
        });
        named.min().map(|(.., name)| name)
    }
}

impl Best {
    fn consider(&mut self, rank: (bool, u64, Reverse<u64>), name: (u8, u32)) {
        if self.rank.is_none_or(|best| rank > best) {
            self.rank = Some(rank);
            self.names.clear();
        }
        if self.rank == Some(rank) && self.names.len() < NAMES {
            self.names.push(name);
        }
    }

    /// Where the symbol begins, and its names. A symbol without a size reaches no further than to
    /// the next one.
    fn outcome(self) -> Option<(u64, Vec<(u8, u32)>)> {
        let (sized, start, _) = self.rank?;
        (sized || start == self.last).then_some((start, self.names))
    }
}

/// `memcpy@@GLIBC_2.14` in `.symtab` is `memcpy`.
fn without_version(name: &str) -> &str {
    match name.find('@') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
