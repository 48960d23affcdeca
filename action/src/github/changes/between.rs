//! What changed between two commits, to place lines of one in the other.

use anyhow::{Result, ensure};

use super::api::Api;
use super::base::{MAX_COMPARED, compare};
use super::file::File;
use crate::coverage::lines::Bits;
use crate::coverage::{LineMap, diff};

/// The changes from one commit to another.
pub struct Between {
    steps: Vec<Step>,
    /// The number of commits between both.
    pub commits: usize,
}

/// Changed files. `is_back`: these are the changes that lead to the first commit, not away from it.
struct Step {
    files: Vec<File>,
    is_back: bool,
}

/// GitHub compares a commit only with one that it has in common with the other. If that is an earlier one, there are two
/// steps.
pub fn between(api: &Api, from: &str, to: &str) -> Result<Between> {
    let forward = compare(api, from, to)?;
    let mut between = Between { steps: Vec::new(), commits: forward.ahead_by };
    if forward.merge_base_commit.sha != from {
        let back = compare(api, to, from)?;
        between.commits += back.ahead_by;
        between.steps.push(Step { files: back.files, is_back: true });
    }
    between.steps.push(Step { files: forward.files, is_back: false });
    let is_whole = between.steps.iter().all(|step| step.files.len() < MAX_COMPARED);
    ensure!(is_whole, "more files changed since than GitHub lists, which are {MAX_COMPARED}");
    Ok(between)
}

impl Between {
    /// A file of the first commit, as far as its lines are in the other one; `None` if they are not there, or if it is
    /// unknown which are.
    pub fn place(&self, path: &str, bits: &Bits) -> Option<(String, Bits)> {
        let mut placed = (path.to_owned(), bits.clone());
        for step in &self.steps {
            let (path, bits) = &placed;
            if let Some(file) = step.find(path) {
                placed = (step.name(file)?.to_owned(), step.lines(file, bits)?);
            }
        }
        Some(placed)
    }
}

impl Step {
    /// The change of a file with this name before the step.
    fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| if self.is_back { file.filename == path } else { file.old_name() == Some(path) })
    }

    /// Its name after the step.
    fn name<'f>(&self, file: &'f File) -> Option<&'f str> {
        match self.is_back {
            true => file.old_name(),
            false => Some(&*file.filename).filter(|_| !file.is_removed()),
        }
    }

    fn lines(&self, file: &File, bits: &Bits) -> Option<Bits> {
        if file.is_unclear() {
            // Only its name changed, or it may be called binary.
            return (file.status == "renamed").then(|| bits.clone());
        }
        let patch = file.patch.as_deref().filter(|_| !file.is_too_large())?;
        Some(LineMap::new(&diff::parse(patch)?, self.is_back)?.apply(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::lines::Hit;

    fn file(status: &str, filename: &str, previous: Option<&str>, patch: Option<&str>) -> File {
        let patch = patch.map(ToOwned::to_owned);
        let signs =
            |sign: char| patch.iter().flat_map(|patch| patch.lines()).filter(|line| line.starts_with(sign)).count();
        File {
            status: status.to_owned(),
            filename: filename.to_owned(),
            previous_filename: previous.map(ToOwned::to_owned),
            additions: signs('+'),
            changes: signs('+') + signs('-'),
            sha: Some("01".to_owned()),
            patch,
        }
    }

    /// The path and the lines after the changes.
    fn placed(steps: Vec<(Vec<File>, bool)>, path: &str) -> Option<(String, Vec<u32>)> {
        let steps = steps.into_iter().map(|(files, is_back)| Step { files, is_back }).collect();
        let mut bits = Bits::default();
        [1, 2, 3].into_iter().for_each(|line| bits.add(line, Hit::Yes));
        let (path, bits) = Between { steps, commits: 1 }.place(path, &bits)?;
        Some((path, bits.iter().map(|(line, _)| line).collect()))
    }

    #[test]
    fn lines_follow_their_file() {
        let patch = Some("@@ -1,3 +1,4 @@\n a\n+n\n b\n-c\n+C");
        let forward = |file: File, path: &str| placed(vec![(vec![file], false)], path);
        let at = |path: &str, lines: &[u32]| Some((path.to_owned(), lines.to_vec()));
        assert_eq!(forward(file("modified", "a.rs", None, patch), "a.rs"), at("a.rs", &[1, 3]));
        assert_eq!(forward(file("modified", "a.rs", None, patch), "b.rs"), at("b.rs", &[1, 2, 3]));
        assert_eq!(forward(file("renamed", "b.rs", Some("a.rs"), patch), "a.rs"), at("b.rs", &[1, 3]));
        assert_eq!(forward(file("renamed", "b.rs", Some("a.rs"), None), "a.rs"), at("b.rs", &[1, 2, 3]));
        assert_eq!(forward(file("removed", "a.rs", None, patch), "a.rs"), None);
        // GitHub shows no diff, or only a part of it.
        assert_eq!(forward(file("modified", "a.rs", None, None), "a.rs"), None);
        assert_eq!(forward(File { additions: 9, ..file("modified", "a.rs", None, patch) }, "a.rs"), None);
    }

    #[test]
    fn two_branches_meet_at_their_common_commit() {
        let patch = Some("@@ -1,2 +1,3 @@\n+n\n a\n b");
        let at = |path: &str, lines: &[u32]| Some((path.to_owned(), lines.to_vec()));
        // The first commit has a line more than the common one, and the other has it, too.
        let back = || (vec![file("modified", "a.rs", None, patch)], true);
        assert_eq!(placed(vec![back()], "a.rs"), at("a.rs", &[1, 2]));
        assert_eq!(
            placed(vec![back(), (vec![file("modified", "a.rs", None, patch)], false)], "a.rs"),
            at("a.rs", &[2, 3])
        );
        assert_eq!(placed(vec![(vec![file("added", "a.rs", None, patch)], true)], "a.rs"), None);
        let renamed = file("renamed", "b.rs", Some("a.rs"), None);
        assert_eq!(placed(vec![(vec![renamed], true)], "b.rs"), at("a.rs", &[1, 2, 3]));
    }
}
