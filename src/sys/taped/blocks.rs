//! The file of a recording: a line that says what it is, then blocks with their length and their checksum.
//!
//! May touch the file. Invariants: a block that is given out is whole and as it was written; no length in a file is trusted
//! before it was compared with what a block may have.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::Path;

use super::tape::Failure;

/// What the file begins with.
const TITLE: &[u8] = b"halfclose recording 1\n";

/// A block is written when it has this much: enough that recording is no call per event, little enough to be lost when
/// the process is killed.
const FULL: usize = 65_536;

/// What one entry adds to a full block at most, by far: a read of 64 KiB, or the events of the largest wait.
const MOST: usize = FULL + 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    block: Vec<u8>,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Writer> {
        let mut file = File::create(path)?;
        file.write_all(TITLE)?;
        Ok(Writer { file, block: Vec::new() })
    }

    pub(super) fn entry(&mut self) -> &mut Vec<u8> {
        &mut self.block
    }

    /// An entry is complete.
    pub(super) fn entered(&mut self) -> io::Result<()> {
        if self.block.len() < FULL { Ok(()) } else { self.flush() }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len()).map_err(|_| ErrorKind::InvalidInput)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&checksum(&self.block).to_le_bytes())?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    block: Vec<u8>,
    position: usize,
}

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Reader> {
        let mut file = BufReader::new(File::open(path)?);
        let mut title = [0; TITLE.len()];
        match file.read_exact(&mut title) {
            Ok(()) if title == TITLE => Ok(Reader { file, block: Vec::new(), position: 0 }),
            Ok(()) => Err(ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(ErrorKind::InvalidData.into()),
            Err(error) => Err(error),
        }
    }

    /// What is left of the current block, or the next one. No block is empty.
    pub(super) fn rest(&mut self) -> Result<&[u8], Failure> {
        if self.position == self.block.len() {
            self.next_block()?;
        }
        Ok(&self.block[self.position..])
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.position = (self.position + count).min(self.block.len());
    }

    fn next_block(&mut self) -> Result<(), Failure> {
        let mut head = [0; 8];
        self.file.read_exact(&mut head).map_err(ended)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length == 0 || length > MOST {
            return Err(Failure::Corrupt);
        }
        self.block.resize(length, 0);
        self.position = 0;
        self.file.read_exact(&mut self.block).map_err(ended)?;
        if checksum(&self.block) == u32::from_le_bytes([c0, c1, c2, c3]) { Ok(()) } else { Err(Failure::Corrupt) }
    }
}

fn ended(error: io::Error) -> Failure {
    if error.kind() == ErrorKind::UnexpectedEof { Failure::Truncated } else { Failure::File(error.to_string()) }
}

/// FNV-1a, of 32 bits: it is there to find damage, not malice.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
