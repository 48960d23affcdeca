//! The lines of each part in a file of the report, from which a later run takes a part that is missing there.
//!
//! The file is a line with the version, and zlib data, whose checksum is checked. In it, each part is a byte 1, its name,
//! its commit and its files, which end with a byte 0; a file is a byte 1, its path and its blocks of 64 lines. A block is
//! three numbers of 8 bytes: a bit for each line that can be covered, that is hit, and that is hit partly. Lengths are in 4
//! bytes, all numbers little-endian. A byte 0 ends the parts.

use std::io::{self, BufReader, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::coverage::lines::{Bits, Lines, MAX_LINE, MAX_PATH};
use crate::report::MAX_PARTS;

/// The file's name in the report.
pub const LINES: &str = "_covered/lines.bin";
const VERSION: &[u8] = b"covered lines 1\n";

/// Bytes of the file, and of its data.
pub const MAX_FILE: u64 = 64 << 20;
const MAX_DATA: u64 = 1 << 30;
/// Bytes of a name or a commit.
const MAX_NAME: u64 = 1_024;
/// Blocks of a file.
const MAX_BLOCKS: u64 = MAX_LINE / 64 + 1;

/// The lines of one part.
pub struct KeptPart {
    pub name: String,
    /// The commit that was tested.
    pub commit: String,
    /// Under the paths of the repository.
    pub lines: Lines<'static>,
}

/// Writes the file.
pub struct Keeper {
    zlib: ZlibEncoder<Vec<u8>>,
    failure: Option<anyhow::Error>,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { zlib: ZlibEncoder::new(VERSION.to_vec(), Compression::default()), failure: None }
    }
}

impl Keeper {
    /// Adds a part. A failure makes [`Keeper::finish`] fail.
    pub fn add<'b>(&mut self, name: &str, commit: &str, files: impl Iterator<Item = (&'b str, &'b Bits)>) {
        let result = self.write(name, commit, files);
        self.failure = self.failure.take().or(result.err());
    }

    fn write<'b>(&mut self, name: &str, commit: &str, files: impl Iterator<Item = (&'b str, &'b Bits)>) -> Result<()> {
        self.mark(true)?;
        self.text(name)?;
        self.text(commit)?;
        for (path, bits) in files {
            self.mark(true)?;
            self.text(path)?;
            let blocks: Vec<[u64; 3]> = bits.blocks().collect();
            self.length(blocks.len())?;
            blocks.iter().flatten().try_for_each(|number| self.zlib.write_all(&number.to_le_bytes()))?;
        }
        self.mark(false)
    }

    /// Whether a part or a file follows.
    fn mark(&mut self, follows: bool) -> Result<()> {
        Ok(self.zlib.write_all(&[u8::from(follows)])?)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.length(text.len())?;
        Ok(self.zlib.write_all(text.as_bytes())?)
    }

    fn length(&mut self, length: usize) -> Result<()> {
        Ok(self.zlib.write_all(&u32::try_from(length)?.to_le_bytes())?)
    }

    /// The file. Fails if it is so large that it would not be read.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.failure.take().map_or(Ok(()), Err)?;
        self.mark(false)?;
        ensure!(self.zlib.total_in() <= MAX_DATA, "the lines of all reports are too many to keep");
        let file = self.zlib.finish()?;
        ensure!(file.len() as u64 <= MAX_FILE, "the lines of all reports are too many to keep");
        Ok(file)
    }
}

/// Reads the parts with these names. Fails if any part of the file is damaged.
pub fn read_kept(file: &[u8], names: &[String]) -> Result<Vec<KeptPart>> {
    let Some(data) = file.strip_prefix(VERSION) else {
        bail!("another version of Covered wrote it, or it is damaged");
    };
    let mut input = BufReader::new(ZlibDecoder::new(data).take(MAX_DATA));
    let parts = parts(&mut input, names).context("it is damaged")?;
    // The checksum is at the end.
    ensure!(input.read(&mut [0]).context("it is damaged")? == 0, "it is damaged: it goes on after its end");
    Ok(parts)
}

fn parts(input: &mut impl Read, names: &[String]) -> Result<Vec<KeptPart>> {
    let mut parts: Vec<KeptPart> = Vec::new();
    let mut count = 0;
    while has_more(input)? {
        count += 1;
        ensure!(count <= MAX_PARTS, "it has too many parts");
        let (name, commit) = (text(input, MAX_NAME)?, text(input, MAX_NAME)?);
        let is_wanted = names.contains(&name) && parts.iter().all(|part| part.name != name);
        let mut lines = if is_wanted { Lines::all() } else { Lines::off() };
        while has_more(input)? {
            let path = text(input, MAX_PATH as u64)?;
            let blocks = length(input, MAX_BLOCKS)?;
            let mut bytes = vec![0; blocks * 24];
            input.read_exact(&mut bytes)?;
            let number = |bytes: &[u8], at: usize| {
                bytes[at * 8..][..8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            };
            let blocks = bytes.chunks(24).map(|block| [0, 1, 2].map(|at| number(block, at)));
            lines.add_part(&path, &Bits::from_blocks(blocks));
        }
        lines.finish()?;
        if is_wanted {
            parts.push(KeptPart { name, commit, lines });
        }
    }
    Ok(parts)
}

fn has_more(input: &mut impl Read) -> Result<bool> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    ensure!(byte[0] < 2, "it has an unknown mark");
    Ok(byte[0] == 1)
}

fn length(input: &mut impl Read, max: u64) -> Result<usize> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    let length = u32::from_le_bytes(bytes);
    ensure!(u64::from(length) <= max, "it has a length of {length}");
    Ok(length as usize)
}

fn text(input: &mut impl Read, max: u64) -> Result<String> {
    let mut bytes = vec![0; length(input, max)?];
    input.read_exact(&mut bytes)?;
    Ok(String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::lines::Hit;

    fn bits(hits: &[(u32, Hit)]) -> Bits {
        let mut bits = Bits::default();
        hits.iter().for_each(|(line, hit)| bits.add(*line, *hit));
        bits
    }

    fn file() -> Vec<u8> {
        let mut keeper = Keeper::default();
        let (one, other) = (bits(&[(1, Hit::Yes), (70, Hit::No), (71, Hit::Partly)]), bits(&[(3, Hit::No)]));
        keeper.add("unit", "c0ffee", [("src/a.rs", &one), ("src/ä.rs", &other)].into_iter());
        keeper.add("e2e", "decade", [("src/a.rs", &other)].into_iter());
        keeper.finish().unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let parts = read_kept(&file(), &names(&["unit", "windows"])).unwrap();
        let [unit] = &parts[..] else { panic!("{} parts", parts.len()) };
        assert_eq!((unit.name.as_str(), unit.commit.as_str()), ("unit", "c0ffee"));
        let files: Vec<_> =
            unit.lines.files().map(|file| (file.path.as_str(), file.bits.iter().collect::<Vec<_>>())).collect();
        let expected = vec![(1, Hit::Yes), (70, Hit::No), (71, Hit::Partly)];
        assert_eq!(files, [("src/a.rs", expected), ("src/ä.rs", vec![(3, Hit::No)])]);
        assert_eq!(read_kept(&file(), &names(&["e2e"])).unwrap()[0].lines.sums(), (0, 1));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let (file, wanted) = (file(), names(&["unit", "e2e"]));
        for length in 0..file.len() {
            assert!(read_kept(&file[..length], &wanted).is_err(), "{length} bytes");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            // The head of the zlib data names a window size, of which any is enough here.
            let is_same = read_kept(&damaged, &wanted).is_ok_and(|parts| parts[0].lines.sums() == (2, 4));
            assert!(read_kept(&damaged, &wanted).is_err() || (at == VERSION.len() && is_same), "byte {at}");
        }
        let other = read_kept(b"covered lines 2\n", &wanted).err().unwrap();
        assert_eq!(other.to_string(), "another version of Covered wrote it, or it is damaged");
    }

    #[test]
    fn a_file_that_would_need_much_memory_is_an_error() {
        let mut keeper = Keeper::default();
        let far = bits(&[(1 << 23, Hit::Yes)]);
        let paths: Vec<String> = (0..20).map(|number| format!("{number}.rs")).collect();
        keeper.add("unit", "c0ffee", paths.iter().map(|path| (path.as_str(), &far)));
        assert!(read_kept(&keeper.finish().unwrap(), &names(&["unit"])).is_err());
        let encoded = |bytes: &[u8]| {
            let mut encoder = ZlibEncoder::new(VERSION.to_vec(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        for bytes in [&[1, 255, 255, 255, 255][..], &[2], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 255, 0]]
        {
            assert!(read_kept(&encoded(bytes), &names(&["unit"])).is_err(), "{bytes:?}");
        }
    }
}
