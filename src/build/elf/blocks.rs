//! A file read in blocks that are kept: an ELF file is looked at in many small places close to
//! each other, a string or a header at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bytes of a block: headers, dynamic section and strings of most libraries are in two or three.
const BLOCK: usize = 16 * 1024;

/// An open file and the blocks of it that have been read. It is read as if it did not change.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    file: &'a File,
    position: u64,
    read: HashMap<u64, Vec<u8>>,
}

impl<'a> Blocks<'a> {
    pub fn new(file: &'a File) -> Self {
        Self {
            file,
            position: 0,
            read: HashMap::new(),
        }
    }

    /// The block with this number; shorter than the others, or empty, at the end of the file.
    fn block(&mut self, number: u64) -> io::Result<&[u8]> {
        if !self.read.contains_key(&number) {
            let block = read_block(self.file, number.saturating_mul(BLOCK as u64))?;
            self.read.insert(number, block);
        }
        Ok(self
            .read
            .get(&number)
            .map(Vec::as_slice)
            .unwrap_or_default())
    }
}

fn read_block(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK];
    let mut length = 0;
    while let Some(rest) = block.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(length as u64)) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    block.truncate(length);
    Ok(block)
}

impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (number, into) = (
            self.position / BLOCK as u64,
            (self.position % BLOCK as u64) as usize,
        );
        let block = self.block(number)?;
        let here = block.get(into..).unwrap_or_default();
        let count = here.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), here.get(..count)) {
            to.copy_from_slice(from);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Blocks<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(offset) => (self.file.metadata()?.len(), offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        self.position = base
            .checked_add_signed(offset)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_reads_as_the_file_does(
            length in 0..BLOCK * 3,
            reads in proptest::collection::vec((0..BLOCK * 4, 0..BLOCK * 2), 1..8),
        ) {
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            let mut blocks = Blocks::new(&file);
            prop_assert_eq!(blocks.seek(SeekFrom::End(0)).unwrap(), length as u64);
            for (at, count) in reads {
                blocks.seek(SeekFrom::Start(at as u64)).unwrap();
                let mut read = Vec::new();
                (&mut blocks).take(count as u64).read_to_end(&mut read).unwrap();
                let wanted = content.get(at..).unwrap_or_default();
                prop_assert_eq!(&read, &wanted[..count.min(wanted.len())]);
            }
        }
    }

    #[test]
    fn before_the_start_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(Blocks::new(&file).seek(SeekFrom::End(-1)).is_err());
        assert!(Blocks::new(&file).seek(SeekFrom::Start(u64::MAX)).is_ok());
    }
}
