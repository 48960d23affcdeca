//! Patch coverage: which of the lines that a pull request adds were hit by the tests. A number is never invented: a file
//! whose lines are unknown is named, with the reason.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod moved;
mod page;
mod report_pages;
mod result;
mod selection;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::diff::Hunk;
use super::lines::{Hit, SourceFile};
pub use super::paths::is_source;
use super::percent::{Counts, Percent};
pub use page::{Links, PATH as PAGE, PageLink};
pub use report_pages::ReportPages;
pub use result::{Gate, requirement};
pub use selection::Selection;

/// A text file that a pull request changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// In the repository.
    pub path: String,
    /// The commit whose line numbers the diff has.
    pub commit: String,
    /// The hunks in the unified format, or why they are unknown.
    pub diff: Result<String, Unknown>,
}

/// Why the changed lines of a file are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// But other files of its folder, or of one above it, are.
    NotInReport,
    /// A path of the report can be this file or another one, or several paths can be this file.
    Ambiguous,
    /// No path of the report fits any file of the repository.
    OtherPaths,
    TooLarge,
    /// The base branch changed it too, so the tested file may have other line numbers.
    BaseChanged,
    /// GitHub calls it binary, but the report has lines of it.
    NoDiff,
    /// It has line breaks that its tools count, but git does not.
    LineBreaks,
    /// These are several files: the path is their number.
    NotListed,
}

impl Unknown {
    /// What holds for these files, as in `2 files: not in the report`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotInReport => "not in the report",
            Self::Ambiguous => "several files or folders fit",
            Self::OtherPaths => "no path of the report is one of the repository",
            Self::TooLarge => "the diff is too large",
            Self::BaseChanged => "the base branch changed it too, so its line numbers are uncertain",
            Self::NoDiff => "GitHub shows no diff, as for a binary file",
            Self::LineBreaks => "line breaks that git does not count make its line numbers uncertain",
            Self::NotListed => "not listed by GitHub",
        }
    }

    /// What to do, so that the lines of the file count.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NotInReport => "let the tool measure it, unless you left it out",
            Self::Ambiguous => "let the tool write paths from the root of the repository",
            Self::OtherPaths => "let the tool write paths from the root of the repository",
            Self::TooLarge => "split the pull request",
            Self::BaseChanged => "update the branch of the pull request",
            Self::NoDiff => "remove binary or -diff from .gitattributes",
            Self::LineBreaks => "convert its line breaks",
            Self::NotListed => "split the pull request",
        }
    }
}

/// The changed lines of a pull request.
pub struct Patch<'a> {
    /// The changed files in the report, sorted by path.
    pub files: Vec<PatchFile<'a>>,
    /// Changed files of a kind that the report measures whose lines are unknown.
    pub unknown: Vec<(&'a str, Unknown)>,
    /// Added lines that were only moved from elsewhere in the pull request. They are not counted.
    pub moved: usize,
}

/// A changed file in the report.
pub struct PatchFile<'a> {
    /// In the repository.
    pub path: &'a str,
    /// The commit whose line numbers these are.
    pub commit: &'a str,
    /// In the report.
    pub report_path: &'a str,
    pub hunks: Vec<Hunk<'a>>,
    /// The added lines that can be covered, in order.
    pub lines: Vec<(u32, Hit)>,
    source: &'a SourceFile,
}

/// Whether a line has something in it that tools for this kind of file count as a line break, but git does not.
fn has_other_breaks(hunks: &[Hunk], kind: &str) -> bool {
    let breaks = other_breaks(kind);
    hunks.iter().flat_map(|hunk| &hunk.lines).any(|line| line.text.contains(breaks))
}

/// Python is not among them: its tokenizer counts neither form feeds nor U+0085, in contrast to `str.splitlines`.
fn other_breaks(kind: &str) -> &'static [char] {
    match kind {
        // ECMAScript's line terminators: Babel, acorn and TypeScript count them, V8's coverage through c8 does not.
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" | "vue" | "svelte" => {
            &['\r', '\u{2028}', '\u{2029}']
        }
        // Roslyn's.
        "cs" | "vb" => &['\r', '\u{85}', '\u{2028}', '\u{2029}'],
        // Those of Scala 3 and of 2 up to 2.11.
        "scala" => &['\r', '\u{c}', '\u{1a}'],
        _ => &['\r'],
    }
}

impl<'a> Patch<'a> {
    /// `at`: the index of the file, for its moved lines.
    fn add(
        &mut self,
        (at, file): (usize, &'a ChangedFile),
        source: &'a SourceFile,
        hunks: Vec<Hunk<'a>>,
        moved: &HashSet<(usize, u32)>,
    ) {
        let mut lines = Vec::new();
        for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
            let Some(number) = line.added() else { continue };
            match source.bits.get(number) {
                Some(_) if moved.contains(&(at, number)) => self.moved += 1,
                Some(hit) => lines.push((number, hit)),
                None => {}
            }
        }
        let ChangedFile { path, commit, .. } = file;
        self.files.push(PatchFile { path, commit, report_path: &source.path, hunks, lines, source });
    }

    /// Covered and coverable lines that the pull request adds. A line that is hit partly is covered.
    pub fn counts(&self) -> Option<Counts> {
        let covered: usize = self.files.iter().map(PatchFile::covered).sum();
        let total: usize = self.files.iter().map(|file| file.lines.len()).sum();
        Counts::new(covered as u64, total as u64)
    }

    /// The changed lines that are covered only partly.
    pub fn partly(&self) -> usize {
        self.files.iter().flat_map(|file| &file.lines).filter(|(_, hit)| *hit == Hit::Partly).count()
    }

    /// `None` if there is no number.
    pub fn percent(&self) -> Option<Percent> {
        self.counts().map(Counts::shown)
    }
}

impl PatchFile<'_> {
    /// The covered lines among `lines`.
    pub fn covered(&self) -> usize {
        self.lines.iter().filter(|(_, hit)| *hit != Hit::No).count()
    }

    /// The lines with this result, in ranges of first and last line. Lines that cannot be covered do not end a range.
    pub fn ranges(&self, wanted: Hit) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut last = None;
        for &(line, hit) in &self.lines {
            let joins = |end: u32| last == Some(wanted) && (end + 1..line).all(|between| self.hit(between).is_none());
            match ranges.last_mut().filter(|(_, end)| joins(*end)) {
                Some((_, end)) if hit == wanted => *end = line,
                _ if hit == wanted => ranges.push((line, line)),
                _ => {}
            }
            last = Some(hit);
        }
        ranges
    }

    /// The result of any line; `None` if it cannot be covered.
    pub fn hit(&self, line: u32) -> Option<Hit> {
        self.source.bits.get(line)
    }
}
