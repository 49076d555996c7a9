//! What a library defines for others: a symbol is looked up in the tables that ld.so looks it up
//! in (`do_lookup_x` of glibc's `elf/dl-lookup.c`), so that a library costs a few blocks.

use object::LittleEndian;
use object::elf::{self, Sym64};
use object::read::elf::{FileHeader, Sym};
use object::read::{ReadCache, ReadCacheOps, ReadRef};

use super::object::{Dynamic, ENDIAN, Header, Reason, identify, reason, segments, truncated};

/// The most entries of a hash chain, or definitions of versions, that are followed. Real chains
/// have a handful; glibc defines some forty versions.
const STEPS: u32 = 1 << 12;
/// The header of a GNU hash table, bytes.
const GNU_HEADER: u64 = 16;
/// The header of the older hash table, bytes.
const HEADER: u64 = 8;
/// In an entry of the version table: not taken by a reference without version.
const HIDDEN: u16 = 0x8000;
/// The version numbers that name none: local, and the base (`VER_NDX_LOCAL`, `VER_NDX_GLOBAL`).
const UNNAMED: u16 = 1;

/// The number of the first version that a library defines.
const BASELINE: u16 = 2;

/// A definition of a symbol that others can bind to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    /// The version, where the library gives one.
    pub version: Option<String>,
    /// Only for a reference that names the version, unless it is the baseline.
    pub hidden: bool,
    /// Of the library's first version, or of none: what a reference from before there were
    /// versions means, hidden or not (`check_match` of glibc's `elf/dl-lookup.c`).
    pub baseline: bool,
    /// `STB_WEAK`.
    pub weak: bool,
}

/// The definitions of `name` in an ELF file of this machine; none in any other file.
pub(super) fn exports<F: ReadCacheOps>(file: F, name: &str) -> Result<Vec<Export>, Reason> {
    let data = &ReadCache::new(file);
    match Tables::of(data)? {
        Some(tables) => tables.lookup(name.as_bytes()).ok_or_else(truncated),
        None => Ok(Vec::new()),
    }
}

/// The names of the versions that an ELF file of this machine defines.
pub(super) fn versions<F: ReadCacheOps>(file: F) -> Result<Vec<String>, Reason> {
    let data = &ReadCache::new(file);
    match Tables::of(data)? {
        Some(tables) => Ok(tables
            .versions()?
            .into_iter()
            .map(|(_, name)| name)
            .collect()),
        None => Ok(Vec::new()),
    }
}

struct Tables<'data, R> {
    data: R,
    dynamic: Dynamic<'data, R>,
}

impl<'data, R: ReadRef<'data>> Tables<'data, R> {
    fn of(data: R) -> Result<Option<Self>, Reason> {
        if !matches!(identify(data)?, Some(None)) {
            return Ok(None);
        }
        let header = Header::parse(data).map_err(reason)?;
        let dynamic = Dynamic::find(segments(header, data)?, data)?;
        Ok(dynamic.map(|dynamic| Self { data, dynamic }))
    }

    /// `None` if a table is cut off.
    fn lookup(&self, name: &[u8]) -> Option<Vec<Export>> {
        let candidates = match (self.table(elf::DT_GNU_HASH), self.table(elf::DT_HASH)) {
            (Some(at), _) => self.gnu_chain(at, elf::gnu_hash(name))?,
            (None, Some(at)) => self.chain(at, elf::hash(name))?,
            (None, None) => return Some(Vec::new()),
        };
        let exports = candidates.into_iter().map(|index| self.export(index, name));
        Some(
            exports
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect(),
        )
    }

    /// Numbers of the symbols whose names may have this hash.
    fn gnu_chain(&self, at: u64, hash: u32) -> Option<Vec<u32>> {
        let [buckets, base, filters, shift] = [
            self.word(at, 0)?,
            self.word(at, 4)?,
            self.word(at, 8)?,
            self.word(at, 12)?,
        ];
        let (Some(last_filter), true) = (filters.checked_sub(1), buckets > 0) else {
            return Some(Vec::new());
        };
        let filter = self.double(at, GNU_HEADER + 8 * u64::from((hash / 64) & last_filter))?;
        let second = hash.checked_shr(shift).unwrap_or(0);
        let wanted = 1u64 << (hash % 64) | 1u64 << (second % 64);
        if filter & wanted != wanted {
            return Some(Vec::new());
        }
        let table = GNU_HEADER + 8 * u64::from(filters);
        let first = self.word(at, table + 4 * u64::from(hash % buckets))?;
        let chains = table + 4 * u64::from(buckets);
        let mut found = Vec::new();
        for index in (first..).take(STEPS as usize) {
            let Some(place) = index.checked_sub(base) else {
                break;
            };
            let value = self.word(at, chains + 4 * u64::from(place))?;
            if value | 1 == hash | 1 {
                found.push(index);
            }
            if value & 1 != 0 {
                break;
            }
        }
        Some(found)
    }

    fn chain(&self, at: u64, hash: u32) -> Option<Vec<u32>> {
        let buckets = self.word(at, 0)?;
        let Some(bucket) = hash.checked_rem(buckets) else {
            return Some(Vec::new());
        };
        let chains = HEADER + 4 * u64::from(buckets);
        let mut index = self.word(at, HEADER + 4 * u64::from(bucket))?;
        let mut found = Vec::new();
        for _ in 0..STEPS {
            if index == 0 {
                break;
            }
            found.push(index);
            index = self.word(at, chains + 4 * u64::from(index))?;
        }
        Some(found)
    }

    /// What the symbol with this number exports, if it has that name and is defined: `Some(None)`
    /// if it is another.
    fn export(&self, index: u32, name: &[u8]) -> Option<Option<Export>> {
        let symbols = self.table(elf::DT_SYMTAB)?;
        let at = symbols.checked_add(u64::from(index) * size_of::<Sym64<LittleEndian>>() as u64)?;
        let symbol = self.data.read_at::<Sym64<LittleEndian>>(at).ok()?;
        let exported = matches!(
            symbol.st_bind(),
            elf::STB_GLOBAL | elf::STB_WEAK | elf::STB_GNU_UNIQUE
        );
        if symbol.st_shndx(ENDIAN) == elf::SHN_UNDEF || !exported {
            return Some(None);
        }
        let is_it = self.dynamic.string(symbol.st_name(ENDIAN).into());
        if !is_it.is_ok_and(|found| found.as_bytes() == name) {
            return Some(None);
        }
        let (number, hidden) = self.version_of(index)?;
        if number == 0 {
            return Some(None);
        }
        Some(Some(Export {
            version: self.version_name(number),
            hidden,
            baseline: number <= BASELINE,
            weak: symbol.st_bind() == elf::STB_WEAK,
        }))
    }

    /// The number of a symbol's version, and whether it is hidden.
    fn version_of(&self, index: u32) -> Option<(u16, bool)> {
        let Some(table) = self.table(elf::DT_VERSYM) else {
            return Some((UNNAMED, false));
        };
        let at = table.checked_add(2 * u64::from(index))?;
        let bytes = self.data.read_bytes_at(at, 2).ok()?.first_chunk::<2>()?;
        let number = u16::from_le_bytes(*bytes);
        Some((number & !HIDDEN, number & HIDDEN != 0))
    }

    fn version_name(&self, number: u16) -> Option<String> {
        let all = self.versions().ok()?;
        all.into_iter()
            .find_map(|(known, name)| (known == number && number > UNNAMED).then_some(name))
    }

    /// Numbers and names of the versions that are defined, without the base, which is the
    /// library's own name.
    fn versions(&self) -> Result<Vec<(u16, String)>, Reason> {
        let Some(mut at) = self.table(elf::DT_VERDEF) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for _ in 0..STEPS {
            let entry = self
                .data
                .read_at::<elf::Verdef<LittleEndian>>(at)
                .map_err(|()| truncated())?;
            if !entry.vd_flags.get(ENDIAN).contains(elf::VER_FLG_BASE) {
                let auxiliary = self.word(at, entry.vd_aux.get(ENDIAN).into());
                let name = self
                    .dynamic
                    .string(auxiliary.ok_or_else(truncated)?.into())?;
                found.push((entry.vd_ndx.get(ENDIAN).0, name));
            }
            let next = entry.vd_next.get(ENDIAN);
            match at.checked_add(next.into()) {
                Some(following) if next != 0 => at = following,
                _ => break,
            }
        }
        Ok(found)
    }

    /// Where the table that a tag gives the address of is in the file.
    fn table(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.dynamic.offset(self.dynamic.value(tag)?)
    }

    fn word(&self, at: u64, offset: u64) -> Option<u32> {
        let bytes = self.data.read_bytes_at(at.checked_add(offset)?, 4).ok()?;
        Some(u32::from_le_bytes(*bytes.first_chunk()?))
    }

    fn double(&self, at: u64, offset: u64) -> Option<u64> {
        let bytes = self.data.read_bytes_at(at.checked_add(offset)?, 8).ok()?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    }
}
