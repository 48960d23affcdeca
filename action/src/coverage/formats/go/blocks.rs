//! The blocks of a coverprofile, and their lines.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use crate::coverage::lines::{Bits, Hit, Lines};

/// Bytes of all paths.
const MAX_PATHS: usize = 32 << 20;
/// The largest line number.
const MAX_NUMBER: u32 = 1 << 24;
/// Lines of all blocks: blocks of one file hardly overlap.
const MAX_LINES: u64 = 1 << 27;

/// A block in all test binaries.
pub struct Block {
    pub statements: u64,
    pub is_hit: bool,
    pub place: Place,
}

/// A file, and the first and the last line of a block in it; the last is before the first if the block is empty.
#[derive(Clone, Copy, Default)]
pub struct Place {
    file: u32,
    first: u32,
    last: u32,
}

/// The paths of all blocks.
#[derive(Default)]
pub struct Files {
    paths: Vec<String>,
    by_path: HashMap<String, u32>,
    bytes: usize,
}

impl Files {
    /// Parses `github.com/google/uuid/time.go:35.44,40.2`.
    pub fn place(&mut self, text: &str) -> Result<Place> {
        let (path, range) = text.rsplit_once(':').context("it contains a block without a place")?;
        let (first, last) = lines_of(range).with_context(|| format!("it contains a block with the place {range:?}"))?;
        Ok(Place { file: self.file(path)?, first, last })
    }

    fn file(&mut self, path: &str) -> Result<u32> {
        if let Some(file) = self.by_path.get(path) {
            return Ok(*file);
        }
        self.bytes += path.len();
        ensure!(self.bytes <= MAX_PATHS, "its paths have more than {} MB", MAX_PATHS >> 20);
        let file = u32::try_from(self.paths.len())?;
        self.by_path.insert(path.to_owned(), file);
        self.paths.push(path.to_owned());
        Ok(file)
    }

    /// Adds the lines of all blocks. A line with a hit block and another one is hit partly.
    pub fn add(&self, mut blocks: Vec<Block>, lines: &mut Lines) -> Result<()> {
        blocks.sort_unstable_by_key(|block| block.place.file);
        let mut sum = 0u64;
        for blocks in blocks.chunk_by(|one, other| one.place.file == other.place.file) {
            if lines.file(&self.paths[blocks[0].place.file as usize]) {
                let (mut hit, mut missed) = (Bits::default(), Bits::default());
                for Block { place: Place { first, last, .. }, is_hit, .. } in blocks {
                    sum += u64::from((last + 1).saturating_sub(*first));
                    ensure!(sum <= MAX_LINES, "its blocks have more than {MAX_LINES} lines");
                    let bits = if *is_hit { &mut hit } else { &mut missed };
                    (*first..=*last).for_each(|line| bits.add(line, Hit::Yes));
                }
                missed.iter().for_each(|(line, _)| lines.line(line.into(), Hit::No));
                let kind = |line| if missed.get(line).is_some() { Hit::Partly } else { Hit::Yes };
                hit.iter().for_each(|(line, _)| lines.line(line.into(), kind(line)));
            }
        }
        Ok(())
    }
}

/// The lines of `35.44,40.2`: the end is exclusive, so a block that ends at the first column ends one line earlier.
fn lines_of(range: &str) -> Option<(u32, u32)> {
    let (start, end) = range.split_once(',')?;
    let point = |text: &str| {
        let (line, column) = text.split_once('.')?;
        Some((line.parse::<u32>().ok().filter(|line| *line <= MAX_NUMBER)?, column.parse::<u32>().ok()?))
    };
    let (start, end) = (point(start)?, point(end)?);
    let is_empty = end <= start;
    let last = if end.1 <= 1 { end.0.checked_sub(1)? } else { end.0 };
    Some(if is_empty { (1, 0) } else { (start.0, last) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_lines_that_it_reaches() {
        assert_eq!(lines_of("35.44,40.2"), Some((35, 40)));
        assert_eq!(lines_of("35.44,40.1"), Some((35, 39)));
        assert_eq!(lines_of("35.44,35.45"), Some((35, 35)));
        assert_eq!([lines_of("35.44,35.44"), lines_of("9.9,3.1")], [Some((1, 0)); 2]);
        for wrong in ["", "1,2", "1.1", "1.x,2.1", "16777217.1,16777218.1", "-1.1,2.1"] {
            assert_eq!(lines_of(wrong), None, "{wrong}");
        }
    }
}
