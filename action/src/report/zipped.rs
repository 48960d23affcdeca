//! The data of a file in a zip: raw, or inflated and verified while reading.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use rawzip::{FileReader, RangeReader};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// The location of a file's data in a zip, with the checksum from the directory.
#[derive(Debug)]
pub struct Zipped {
    pub(super) zip: Arc<FileReader>,
    pub(super) start: u64,
    /// Bytes in the zip.
    pub packed: u64,
    pub crc: u32,
    /// Deflated; otherwise stored.
    pub deflated: bool,
}

impl Zipped {
    /// Reads the raw data.
    pub fn data(&self) -> impl Read + '_ {
        RangeReader::new(&*self.zip, self.start..self.start + self.packed)
    }

    /// Reads the file of `size` bytes.
    pub(super) fn open(&self, size: u64) -> impl Read + '_ {
        let inflate = self.deflated.then(|| Decompress::new(false));
        let data = BufReader::with_capacity(CHUNK, self.data());
        VerifyingReader { data, inflate, crc: Crc::new(), expected: self.crc, left: size, ended: false }
    }
}

/// Fails unless size and CRC-32 match and the deflated data ends where the entry ends.
struct VerifyingReader<R> {
    data: R,
    inflate: Option<Decompress>,
    crc: Crc,
    expected: u32,
    /// Bytes of the file that are not read yet.
    left: u64,
    ended: bool,
}

impl<R: BufRead> VerifyingReader<R> {
    /// Writes the next bytes into `out` and returns their number. 0 can mean that more input is needed.
    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.data.fill_buf()?;
        let Some(inflate) = &mut self.inflate else {
            let count = input.len().min(out.len());
            out[..count].copy_from_slice(&input[..count]);
            self.ended = input.is_empty();
            self.data.consume(count);
            return Ok(count);
        };
        let is_at_end = input.is_empty();
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let status =
            inflate.decompress(input, out, FlushDecompress::None).map_err(|_| damaged("is not valid deflate data"))?;
        let (read, written) = (inflate.total_in() - read, inflate.total_out() - written);
        self.data.consume(read as usize);
        self.ended = status == Status::StreamEnd;
        if self.ended && !self.data.fill_buf()?.is_empty() {
            return Err(damaged("ends before its data"));
        }
        if is_at_end && !self.ended && written == 0 {
            return Err(damaged("is truncated"));
        }
        Ok(written as usize)
    }
}

impl<R: BufRead> Read for VerifyingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count == 0 && !self.ended && !out.is_empty() {
            count = self.step(out)?;
            self.crc.update(&out[..count]);
            self.left = self.left.checked_sub(count as u64).ok_or_else(|| damaged("is larger than the zip says"))?;
            if self.ended && self.left > 0 {
                return Err(damaged("is smaller than the zip says"));
            }
            if self.ended && self.crc.sum() != self.expected {
                return Err(damaged("does not match its checksum"));
            }
        }
        Ok(count)
    }
}

/// An error text that follows the file's name.
fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it {how}: the zip is damaged, or was forged"))
}
