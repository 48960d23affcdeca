//! A changed file as GitHub lists it, and the memory for all of them.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::coverage::diff;

/// The blobs of a commit by path.
pub type Blobs = HashMap<String, String>;

/// Memory for all files with their diffs.
const MAX_BYTES: usize = 64 << 20;
/// git's hash of an empty file.
const EMPTY_BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

/// A file that a pull request or the base branch changes.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct File {
    pub filename: String,
    #[serde(default)]
    pub status: String,
    pub previous_filename: Option<String>,
    /// The blob after the change.
    pub sha: Option<String>,
    #[serde(default)]
    pub additions: usize,
    #[serde(default)]
    pub changes: usize,
    pub patch: Option<String>,
}

impl File {
    /// Its name, and the one before the change.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.filename.as_str()).chain(self.previous_filename.as_deref())
    }

    pub fn is_removed(&self) -> bool {
        self.status == "removed"
    }

    /// The name before the change, if the file is not new.
    pub fn old_name(&self) -> Option<&str> {
        let name = self.previous_filename.as_ref().unwrap_or(&self.filename);
        (self.status != "added").then_some(name)
    }

    /// Whether it is a text file that has changed lines, or may have some. `before`: the blobs by path before the change, if
    /// GitHub lists them.
    pub fn may_have_lines(&self, before: Option<&Blobs>) -> bool {
        if self.is_unclear() {
            return self.has_other_blob(before);
        }
        let is_lost = self.is_removed() && self.is_too_large();
        let has_patch = self.patch.as_ref().is_some_and(|patch| !patch.is_empty());
        (self.changes > 0 || has_patch) && !is_lost && !self.is_submodule()
    }

    /// Whether GitHub counts no changed lines and shows no diff, though there may be some. It does so for binary files, and
    /// the author can make it call any file binary, but also where only the mode or the name changed.
    pub fn is_unclear(&self) -> bool {
        let has_no_diff = self.changes == 0 && self.patch.as_ref().is_none_or(String::is_empty);
        has_no_diff && !self.is_removed() && self.sha.as_deref() != Some(EMPTY_BLOB)
    }

    fn has_other_blob(&self, before: Option<&Blobs>) -> bool {
        self.old_name().zip(before).is_none_or(|(name, before)| before.get(name) != self.sha.as_ref())
    }

    /// Whether no line is added, so that none can be in another place.
    pub fn adds_nothing(&self) -> bool {
        self.is_removed() || (self.additions == 0 && self.has_whole_patch())
    }

    /// Whether the whole diff is a commit of a submodule.
    pub fn is_submodule(&self) -> bool {
        let is_commit = |line: &str| {
            let commit = line.get(1..).and_then(|line| line.strip_prefix("Subproject commit "));
            commit.is_some_and(|commit| commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let patch = self.patch.as_deref().unwrap_or_default();
        let mut lines = patch.lines().filter(|line| !line.starts_with("@@ ") && !line.starts_with('\\')).peekable();
        lines.peek().is_some() && lines.all(is_commit)
    }

    /// Makes its changed lines unknown.
    pub fn drop_diff(&mut self) {
        self.patch = None;
        self.changes = self.changes.max(1);
    }

    /// Whether lines change, but it is unknown which.
    pub fn is_too_large(&self) -> bool {
        self.changes > 0 && !self.has_whole_patch()
    }

    /// Whether the diff has as many added lines as GitHub counts.
    fn has_whole_patch(&self) -> bool {
        let hunks = self.patch.as_deref().and_then(diff::parse);
        let added = |hunks: Vec<diff::Hunk>| {
            hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.added().is_some()).count()
        };
        hunks.map(added) == Some(self.additions)
    }
}

/// Memory that is left for the changed files, and for lists of all files. A real pull request has far less: GitHub shows about 20,000 lines of diffs
/// in each of 30 pages.
#[derive(Debug)]
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_BYTES)
    }
}

impl Room {
    /// Drops the diffs that do not fit: they count as too large. Fails if the names alone do not fit.
    pub fn keep(&mut self, files: &mut [File]) -> Result<()> {
        for file in files {
            let texts = file.names().chain(file.sha.as_deref()).map(str::len).sum::<usize>() + file.status.len();
            ensure!(
                self.take(size_of::<File>() + texts),
                "the changed files have names of more than {MAX_BYTES} bytes"
            );
            // Each line is kept as a part of a hunk, too.
            let size = |patch: &String| patch.len() + size_of::<diff::DiffLine>() * patch.matches('\n').count();
            if file.patch.as_ref().is_some_and(|patch| !self.take(size(patch))) {
                file.drop_diff();
            }
        }
        Ok(())
    }

    /// Whether so many bytes fit, which are then taken.
    pub fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submodule_has_nothing_but_commits() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let is_submodule = |patch: String| File { patch: Some(patch), ..File::default() }.is_submodule();
        assert!(is_submodule(format!("@@ -1 +1 @@\n-Subproject commit {commit}\n+Subproject commit {commit}")));
        assert!(is_submodule(format!("@@ -0,0 +1 @@\n+Subproject commit {commit}\n\\ No newline at end of file")));
        // A file that only names one.
        assert!(!is_submodule(format!("@@ -0,0 +1,2 @@\n+Subproject commit {commit}\n+untested()")));
        assert!(!is_submodule("@@ -0,0 +1 @@\n+Subproject commit x".to_owned()) && !is_submodule(String::new()));
    }

    fn file(status: &str, sha: &str) -> File {
        File { filename: "a.py".into(), status: status.into(), sha: Some(sha.into()), ..File::default() }
    }

    #[test]
    fn a_file_without_a_diff_has_lines_if_it_has_another_blob() {
        let before: Blobs = [("a.py", "01"), ("b.py", "02")].map(|(a, b)| (a.into(), b.into())).into();
        let may_have_lines = |file: &File| [Some(&before), None].map(|before| file.may_have_lines(before));
        assert_eq!(may_have_lines(&file("added", "03")), [true, true]);
        assert_eq!(may_have_lines(&file("added", EMPTY_BLOB)), [false, false]);
        assert_eq!(may_have_lines(&file("modified", "03")), [true, true]);
        assert_eq!(may_have_lines(&file("modified", "01")), [false, true]);
        assert_eq!(may_have_lines(&file("removed", "01")), [false, false]);
        let renamed = |sha| File { previous_filename: Some("b.py".into()), ..file("renamed", sha) };
        assert_eq!(may_have_lines(&renamed("02")), [false, true]);
        assert_eq!(may_have_lines(&renamed("03")), [true, true]);
        // A deleted file has no changed lines, even if its diff is too large.
        assert_eq!(may_have_lines(&File { changes: 9, ..file("removed", "01") }), [false, false]);
    }

    #[test]
    fn diffs_have_room_for_64_mb_together() {
        let with = |patch: String| File { patch: Some(patch), changes: 1, ..File::default() };
        let mut room = Room::default();
        let mut files = [30, 30, 30, 1].map(|megabytes| with(format!("+{}", "x".repeat(megabytes << 20))));
        room.keep(&mut files).unwrap();
        assert_eq!(files.map(|file| file.patch.is_some()), [true, true, false, true]);
        // Short lines need more memory than their bytes.
        let mut files = [with("+\n".repeat(4 << 20))];
        Room::default().keep(&mut files).unwrap();
        assert!(files[0].patch.is_none() && files[0].is_too_large());
        let mut files = [30, 30, 30].map(|megabytes| File { filename: "x".repeat(megabytes << 20), ..File::default() });
        assert!(Room::default().keep(&mut files).is_err());
    }
}
