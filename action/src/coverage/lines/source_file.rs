//! One source file of a report.

use super::bits::Bits;

/// The branches of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches {
    pub line: u32,
    pub taken: u32,
    pub total: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the tool wrote it.
    pub path: String,
    pub bits: Bits,
    /// Sorted by line, each line once.
    pub branches: Vec<Branches>,
    /// Covered and total lines, as the report shows them for this file.
    pub shown: Option<(u64, u64)>,
}

impl SourceFile {
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), bits: Bits::default(), branches: Vec::new(), shown: None }
    }

    /// Whether the lines are those that the report counts. Unknown counts contradict nothing.
    pub fn adds_up(&self) -> bool {
        self.shown.is_none_or(|shown| shown == self.bits.sums())
    }

    /// Taken branches, and all.
    pub fn branch_sums(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), line: &Branches| (sum.0 + u64::from(line.taken), sum.1 + u64::from(line.total));
        self.branches.iter().fold((0, 0), add)
    }

    /// Sorts the branches. A line that has several entries keeps the one with the most branches taken.
    pub(super) fn finish(&mut self) {
        self.branches.sort_unstable_by_key(|branches| (branches.line, u32::MAX - branches.taken));
        self.branches.dedup_by_key(|branches| branches.line);
    }

    /// Which branches two parts of a report have taken is unknown, so the larger count is kept.
    pub(super) fn merge(&mut self, other: Self) {
        self.bits.merge(&other.bits);
        self.branches.extend(other.branches);
        self.finish();
        self.shown = self.shown.max(other.shown);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bits.bytes() + size_of_val(&*self.branches)
    }
}
