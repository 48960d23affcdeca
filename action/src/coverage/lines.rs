//! What a report says about each line of code: for each source file, which lines can be covered, which were hit, and
//! which were hit only partly. Two bits per line, so that a union of two reports is an OR.

mod bits;
mod source_file;
mod statements;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use anyhow::{Result, anyhow};

use super::percent::Counts;
pub use bits::{Bits, Hit};
pub use source_file::{Branches, SourceFile};
pub use statements::Statements;

/// Bytes for all lines and paths: about 100 million lines, or one million files.
const MAX_BYTES: usize = 32 << 20;
/// The largest line number. Generated files of real projects have some hundred thousand lines.
pub const MAX_LINE: u64 = 1 << 24;
/// Branches of all lines. An export writes each of them.
const MAX_BRANCHES: u64 = 1 << 24;
/// Bytes of a path.
pub const MAX_PATH: usize = 4096;

const TOO_MUCH: &str = "it has more lines or files than fit into 32 MB";
const TOO_LARGE_NUMBER: &str = "it has a line number above 16,777,216";
const TOO_MANY_BRANCHES: &str = "it has more than 16,777,216 branches";
const TOO_LONG_PATH: &str = "it has a path of more than 4,096 bytes";

/// Whether a caller needs the lines of a path.
pub type Filter<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// The lines of all source files of a report. A format fills it: `file` starts a source file, and `line` adds to it.
#[derive(Default)]
pub struct Lines<'a> {
    files: Vec<SourceFile>,
    by_path: HashMap<String, usize>,
    /// The source file that `line` adds to.
    current: Option<usize>,
    is_on: bool,
    filter: Option<Filter<'a>>,
    /// Whether the filter rejected a file.
    has_rejected: bool,
    bytes: usize,
    branches: u64,
    /// The sums as the tool counts them, if it counts some lines twice or in another way.
    counted: Option<(u64, u64)>,
    counts_functions: bool,
    /// Why something was left out.
    problem: Option<&'static str>,
}

impl<'a> Lines<'a> {
    /// Keeps nothing: for a caller that needs only the total.
    pub fn off() -> Self {
        Self::default()
    }

    pub fn all() -> Self {
        Self { is_on: true, ..Self::default() }
    }

    /// Keeps only the files whose paths the filter accepts; without a filter, all.
    pub fn only(filter: Option<Filter<'a>>) -> Self {
        Self { is_on: true, filter, ..Self::default() }
    }

    /// Whether lines are kept. If not, a format can stop at the total.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Starts or continues a source file, with its path as the tool wrote it. Returns whether its lines are kept.
    pub fn file(&mut self, path: &str) -> bool {
        let is_named = self.is_on && !path.is_empty();
        let is_needed = is_named && self.filter.is_none_or(|filter| filter(path));
        self.has_rejected |= is_named && !is_needed;
        self.current = is_needed.then(|| self.slot(path)).flatten();
        self.current.is_some()
    }

    fn slot(&mut self, path: &str) -> Option<usize> {
        if let Some(slot) = self.by_path.get(path) {
            return Some(*slot);
        }
        let bytes = self.bytes + size_of::<SourceFile>() + 2 * path.len();
        if path.len() > MAX_PATH || bytes > MAX_BYTES {
            self.problem = Some(if bytes > MAX_BYTES { TOO_MUCH } else { TOO_LONG_PATH });
            return None;
        }
        self.bytes = bytes;
        let slot = self.files.len();
        self.by_path.insert(path.to_owned(), slot);
        self.files.push(SourceFile::new(path));
        Some(slot)
    }

    /// Adds a line of the current file. A line that is added twice is hit if one of them is.
    pub fn line(&mut self, number: u64, hit: Hit) {
        self.change(number, |file, number| file.bits.add(number, hit));
    }

    /// Adds a line with branches: it is hit partly if not all of them were taken.
    pub fn branches(&mut self, number: u64, taken: u64, total: u64) {
        let (taken, total) = (u32::try_from(taken.min(total)), u32::try_from(total));
        let (Ok(taken), Ok(total)) = (taken, total) else { return };
        if self.current.is_some() {
            self.count_branches(total.into());
        }
        self.change(number, |file, line| file.branches.push(Branches { line, taken, total }));
    }

    fn count_branches(&mut self, more: u64) {
        self.branches = self.branches.saturating_add(more);
        if self.branches > MAX_BRANCHES {
            self.problem = Some(TOO_MANY_BRANCHES);
        }
    }

    /// The counts of lines that the report shows for the current file. Of several, the larger ones are kept: threads read
    /// its pages in any order.
    pub fn shown(&mut self, covered: u64, total: u64) {
        if let Some(file) = self.current.and_then(|slot| self.files.get_mut(slot)) {
            file.shown = file.shown.max(Some((covered, total)));
        }
    }

    /// Adds to the sums as the tool counts them: one that counts each class of a file counts some lines twice.
    pub fn count(&mut self, covered: u64, total: u64) {
        let (one, other) = self.counted.unwrap_or_default();
        self.counted = Some((one.saturating_add(covered), other.saturating_add(total)));
    }

    /// Notes that the tool counts a line once for each of its functions, but shows it once.
    pub fn count_functions(&mut self) {
        self.counts_functions = true;
    }

    /// Whether the tool may have counted more lines than these, both hit ones and others.
    pub fn may_be_part_of(&self, (covered, total): (u64, u64)) -> bool {
        let (own_covered, own_total) = self.sums();
        let missed = total.saturating_sub(covered);
        self.counts_functions && own_covered <= covered && own_total.saturating_sub(own_covered) <= missed
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut SourceFile, u32)) {
        let Some(file) = self.current.and_then(|slot| self.files.get_mut(slot)) else { return };
        if number > MAX_LINE || self.bytes > MAX_BYTES {
            self.problem = Some(if number > MAX_LINE { TOO_LARGE_NUMBER } else { TOO_MUCH });
            return;
        }
        let before = file.bytes();
        change(file, number as u32);
        self.bytes += file.bytes() - before;
    }

    /// Makes `finish` fail: a page is damaged, and the counts of the report cannot show it.
    pub fn fail(&mut self, problem: &'static str) {
        self.problem = Some(problem);
    }

    /// Sorts the files and their branches. Fails if something was left out.
    pub fn finish(&mut self) -> Result<()> {
        self.problem.map_or(Ok(()), |problem| Err(anyhow!(problem)))?;
        self.current = None;
        self.files.iter_mut().for_each(SourceFile::finish);
        self.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        self.by_path = self.files.iter().enumerate().map(|(slot, file)| (file.path.clone(), slot)).collect();
        Ok(())
    }

    /// Adds the lines that another reader kept, as far as they are needed here.
    pub fn merge(&mut self, other: Lines) {
        for file in other.files {
            if let (true, Some(slot)) = (self.file(&file.path), self.current) {
                let before = self.files[slot].bytes();
                self.files[slot].merge(file);
                // Branches of both that name one line become one.
                self.bytes = self.bytes + self.files[slot].bytes() - before;
                if self.bytes > MAX_BYTES {
                    self.problem = Some(TOO_MUCH);
                }
            }
        }
        if let Some((covered, total)) = other.counted {
            self.count(covered, total);
        }
        self.counts_functions |= other.counts_functions;
        self.has_rejected |= other.has_rejected;
        self.count_branches(other.branches);
        self.problem = self.problem.or(other.problem);
    }

    /// Adds the lines of a source file in another part of the tests.
    pub fn add_part(&mut self, path: &str, bits: &Bits) {
        self.file(path);
        let Some(file) = self.current.and_then(|slot| self.files.get_mut(slot)) else { return };
        let before = file.bytes();
        file.bits.merge_part(bits);
        self.bytes = self.bytes + file.bytes() - before;
        if self.bytes > MAX_BYTES {
            self.problem = Some(TOO_MUCH);
        }
    }

    /// The source files with lines, sorted by path after `finish`.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| !file.bits.is_empty())
    }

    /// Whether no line was needed, though there are source files.
    pub fn are_all_rejected(&self) -> bool {
        self.has_rejected && self.files().next().is_none()
    }

    /// Whether the report has no source files, not even ones that the filter rejects.
    pub fn is_empty(&self) -> bool {
        !self.has_rejected && self.files().next().is_none()
    }

    pub fn get(&self, path: &str) -> Option<&SourceFile> {
        self.by_path.get(path).and_then(|slot| self.files.get(*slot))
    }

    /// Hit lines, and lines that can be covered, of all files.
    pub fn sums(&self) -> (u64, u64) {
        self.files.iter().map(|file| file.bits.sums()).fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1))
    }

    /// The sums as the tool counts them.
    pub fn counted(&self) -> (u64, u64) {
        self.counted.unwrap_or_else(|| self.sums())
    }

    /// `None` if there is no line.
    pub fn counts(&self) -> Option<Counts> {
        let (covered, total) = self.sums();
        Counts::new(covered, total)
    }
}
