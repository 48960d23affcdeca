//! Which line numbers a pull request's diffs have: those of its head. The tests may have run on a merge with the base
//! branch. Only files that both changed can differ there.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::api::{Api, CONTENTS};
use super::file::{Blobs, File};
use super::trees;
use crate::coverage::diff;
use crate::coverage::patch::{ChangedFile, Unknown, is_source};
use crate::inputs::Tested;

/// GitHub lists no more files of a comparison.
pub const MAX_COMPARED: usize = 300;
/// Files whose diff is made here, and how long that goes on with the next one.
const MAX_OWN_DIFFS: usize = 10;
const OWN_DIFFS_TIME: Duration = Duration::from_secs(5);
/// The largest such file: bytes, and lines. The time grows with the square of the lines that differ.
const MAX_OWN_DIFF: u64 = 1 << 20;
const MAX_OWN_LINES: usize = 20_000;
const RAW: &str = "application/vnd.github.raw+json";
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[derive(Deserialize)]
pub struct Comparison {
    pub merge_base_commit: Commit,
    /// Commits of the second one that the first has not.
    #[serde(default)]
    pub ahead_by: usize,
    /// GitHub lists them with the first page of commits.
    pub files: Vec<File>,
}

#[derive(Deserialize)]
pub struct Commit {
    pub sha: String,
}

#[derive(Deserialize)]
struct MergeCommit {
    parents: Vec<Commit>,
}

/// A merge of the head and the base branch.
struct Merge<'a> {
    sha: &'a str,
    base: String,
}

/// What a pull request changes in the tested commit.
pub struct Placed {
    pub files: Vec<ChangedFile>,
    /// The paths of all files in the head, if they were read.
    pub tree: Option<Vec<String>>,
}

/// The files with their diffs in the line numbers of the tested commit, without those that have no changed lines. `head`:
/// the pull request's head; `base`: the base branch.
pub fn place(api: &Api, mut files: Vec<File>, tested: &Tested, head: &str, base: &str) -> Result<Placed> {
    let merge = match tested {
        Tested::Merge(sha) => merge(api, sha, head)?,
        Tested::Head | Tested::Unknown => None,
    };
    let mut moved_on = HashSet::new();
    let mut tree = None;
    if *tested != Tested::Head || files.iter().any(|file| lacks_diff(file) || is_only_renamed(file)) {
        let base = merge.as_ref().map_or(base, |merge| &merge.base);
        let compared = compare(api, head, base)?;
        let before = blobs_before(api, &files, &compared);
        tree = before.as_ref().map(|before| paths_after(before, &files));
        files.retain(|file| file.may_have_lines(before.as_deref()));
        if *tested != Tested::Head {
            moved_on = changed_in_base(api, &files, &compared, base)?;
        }
        add_diffs(api, &mut files, &compared.merge_base_commit.sha, &moved_on);
    } else {
        files.retain(|file| file.may_have_lines(None));
    }
    let mut merged = match &merge {
        Some(merge) if !moved_on.is_empty() => merged_files(api, merge)?,
        _ => HashMap::new(),
    };
    let files = files.into_iter().map(|file| {
        if !moved_on.contains(&file.filename) || file.adds_nothing() {
            return changed(file, head);
        }
        match (merged.remove(&file.filename), &merge) {
            (Some(file), Some(merge)) => changed(file, merge.sha),
            _ => ChangedFile { path: file.filename, commit: head.to_owned(), diff: Err(Unknown::BaseChanged) },
        }
    });
    Ok(Placed { files: files.collect(), tree })
}

fn changed(file: File, commit: &str) -> ChangedFile {
    let why = if file.is_unclear() { Unknown::NoDiff } else { Unknown::TooLarge };
    let is_known = !file.is_too_large();
    let diff = file.patch.filter(|_| is_known).ok_or(why);
    ChangedFile { path: file.filename, commit: commit.to_owned(), diff }
}

/// Whether it is worth to compare the file itself, because GitHub shows no diff.
fn lacks_diff(file: &File) -> bool {
    (file.is_too_large() || (file.is_unclear() && is_source(&file.filename))) && !file.is_removed()
}

/// Whether the name is all that changed, as far as GitHub shows.
fn is_only_renamed(file: &File) -> bool {
    file.is_unclear() && file.previous_filename.is_some()
}

/// The blobs before the pull request's changes, if they tell which files have changed lines.
fn blobs_before(api: &Api, files: &[File], compared: &Comparison) -> Option<Rc<Blobs>> {
    let is_changed_source = |file: &File| file.is_unclear() && file.old_name().is_some() && is_source(&file.filename);
    let is_needed = files.iter().any(|file| is_changed_source(file) || is_only_renamed(file));
    is_needed.then(|| trees::blobs(api, &compared.merge_base_commit.sha).ok().flatten()).flatten()
}

/// The paths after the changes of all these files.
fn paths_after(before: &Blobs, files: &[File]) -> Vec<String> {
    let mut paths: HashSet<&str> = before.keys().map(String::as_str).collect();
    for file in files {
        file.previous_filename
            .iter()
            .filter(|_| file.status == "renamed")
            .for_each(|old| _ = paths.remove(old.as_str()));
    }
    for file in files {
        if file.is_removed() {
            paths.remove(file.filename.as_str())
        } else {
            paths.insert(&file.filename)
        };
    }
    paths.into_iter().map(ToOwned::to_owned).collect()
}

/// The merge commit, if it is one of this head: after a push to the pull request it is not.
fn merge<'a>(api: &Api, sha: &'a str, head: &str) -> Result<Option<Merge<'a>>> {
    let commit: MergeCommit = api.get(&format!("git/commits/{sha}"), "the merge commit", CONTENTS)?;
    Ok(match &commit.parents[..] {
        [base, own] if own.sha == head => Some(Merge { sha, base: base.sha.clone() }),
        _ => None,
    })
}

/// What `to` changed since it has last been merged into `from`.
pub fn compare(api: &Api, from: &str, to: &str) -> Result<Comparison> {
    // The files come with the first page of commits.
    let path = format!("compare/{from}...{}?per_page=1", utf8_percent_encode(to, NON_ALPHANUMERIC));
    let mut compared: Comparison = api.get(&path, "the comparison with the base branch", CONTENTS)?;
    api.room().keep(&mut compared.files)?;
    Ok(compared)
}

/// The files that the base branch changed, too.
fn changed_in_base(api: &Api, files: &[File], compared: &Comparison, base: &str) -> Result<HashSet<String>> {
    if compared.files.len() >= MAX_COMPARED {
        return differing(api, files, &compared.merge_base_commit.sha, base);
    }
    let in_base: HashSet<&str> = compared.files.iter().flat_map(File::names).collect();
    let is_changed = |file: &&File| file.names().any(|name| in_base.contains(name));
    Ok(files.iter().filter(is_changed).map(|file| file.filename.clone()).collect())
}

/// The files whose blobs differ between the merge base and the base branch. All, if GitHub cannot list a whole tree.
fn differing(api: &Api, files: &[File], merge_base: &str, base: &str) -> Result<HashSet<String>> {
    let (before, now) = (trees::blobs(api, merge_base)?, trees::blobs(api, base)?);
    let (Some(before), Some(now)) = (before, now) else {
        return Ok(files.iter().map(|file| file.filename.clone()).collect());
    };
    let is_changed = |file: &&File| file.names().any(|name| before.get(name) != now.get(name));
    Ok(files.iter().filter(is_changed).map(|file| file.filename.clone()).collect())
}

/// The diffs of the merge commit against its base, by path: what the pull request adds, in the merge's line numbers.
fn merged_files(api: &Api, merge: &Merge) -> Result<HashMap<String, File>> {
    let compared = compare(api, &merge.base, merge.sha)?;
    Ok(compared.files.into_iter().map(|file| (file.filename.clone(), file)).collect())
}

/// Makes the diffs that GitHub leaves out. A file that cannot be read keeps none.
fn add_diffs(api: &Api, files: &mut [File], merge_base: &str, moved_on: &HashSet<String>) {
    let wanted = files.iter_mut().filter(|file| lacks_diff(file) && !moved_on.contains(&file.filename));
    let started = Instant::now();
    for file in wanted.take(MAX_OWN_DIFFS) {
        if started.elapsed() > OWN_DIFFS_TIME {
            break;
        }
        if let Some(patch) = own_diff(api, file, merge_base) {
            file.additions = patch.lines().filter(|line| line.starts_with('+')).count();
            file.patch = Some(patch);
        }
    }
}

fn own_diff(api: &Api, file: &File, merge_base: &str) -> Option<String> {
    let blob = |path: &str| {
        let response = api.send((path, RAW, MAX_OWN_DIFF + 1), "a changed file", CONTENTS).ok()?;
        text_of(response.into_body())
    };
    let new = blob(&format!("git/blobs/{}", file.sha.as_ref()?))?;
    let old = match file.old_name() {
        Some(path) => blob(&format!("contents/{}?ref={merge_base}", utf8_percent_encode(path, PATH)))?,
        None => String::new(),
    };
    Some(diff::between(&old, &new))
}

/// The text of a file, if it is one and short enough. Bytes of another encoding would have to be replaced, and different
/// ones would then be equal.
fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    (text.lines().count() <= MAX_OWN_LINES && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_valid_utf_8_without_nul() {
        let text = |bytes: &[u8]| text_of(bytes.to_vec());
        // The replacement character itself is a letter like others.
        assert_eq!(text("# \u{fffd}\n".as_bytes()).as_deref(), Some("# \u{fffd}\n"));
        assert_eq!([text(b"# \xe9\n"), text(b"a\0b")], [None, None]);
        assert!(text(&b"\n".repeat(MAX_OWN_LINES)).is_some() && text(&b"\n".repeat(MAX_OWN_LINES + 1)).is_none());
    }

    #[test]
    fn the_paths_after_the_changes_are_those_of_the_head() {
        let before = ["a", "b", "c", "d"].map(|path| (path.to_owned(), String::new())).into();
        let file = |status: &str, filename: &str, previous: Option<&str>| File {
            status: status.to_owned(),
            filename: filename.to_owned(),
            previous_filename: previous.map(ToOwned::to_owned),
            ..File::default()
        };
        // `a` and `b` exchange their names.
        let files = [
            file("renamed", "b", Some("a")),
            file("renamed", "a", Some("b")),
            file("removed", "c", None),
            file("added", "e", None),
            file("copied", "f", Some("d")),
        ];
        let mut paths = paths_after(&before, &files);
        paths.sort_unstable();
        assert_eq!(paths, ["a", "b", "d", "e", "f"]);
    }
}
