//! Finds blocks that a pull request only moved: they are as old as before, wherever they are now.

use std::collections::{HashMap, HashSet};

use crate::coverage::diff::{Change, Hunk};

/// Letters and digits of a block; shorter ones, such as closing brackets, are equal by chance. git's `--color-moved` has
/// the same limit.
const MIN_LETTERS: usize = 20;
/// Places where the same line was removed that are tried.
const MAX_PLACES: usize = 32;
/// Compared lines of a whole pull request. Beyond that, lines count as new.
const MAX_COMPARED: usize = 4 << 20;

/// The hunks of a file, as far as they are known.
#[derive(Clone, Copy)]
pub struct File<'h, 'a> {
    pub hunks: Option<&'h [Hunk<'a>]>,
    /// Whether the report measures it. Lines of others were never measured, wherever they are now.
    pub is_measured: bool,
}

/// The added lines that were only moved: index of the file, and line number. Each removed line explains one added line.
/// `files`: of one kind: text of another kind was no code.
pub fn find(files: &[File]) -> HashSet<(usize, u32)> {
    let mut removed = Removed::new(files);
    let mut moved = HashSet::new();
    for (file, hunks) in files.iter().enumerate().filter_map(|(file, of)| Some((file, of.hunks?))) {
        for block in removed.added_blocks(hunks) {
            let mut rest = &block[..];
            while !rest.is_empty() {
                let length = removed.take(rest);
                moved.extend(rest[..length].iter().map(|(line, _)| (file, *line)));
                rest = &rest[length.max(1)..];
            }
        }
    }
    moved
}

/// All removed lines, each different text as a number, so that the length of lines costs nothing after that.
#[derive(Default)]
struct Removed<'a> {
    ids: HashMap<&'a str, usize>,
    /// By text: letters and digits, up to the limit.
    letters: Vec<usize>,
    /// By text: where it is in `lines`.
    places: Vec<Vec<usize>>,
    /// `None` separates blocks.
    lines: Vec<Option<usize>>,
    compared: usize,
}

impl<'a> Removed<'a> {
    fn new(files: &[File<'_, 'a>]) -> Self {
        // `last`: the line that would continue the block.
        let (mut removed, mut last) = (Self::default(), None);
        for (file, hunks) in files.iter().filter(|file| file.is_measured).map(|file| file.hunks).enumerate() {
            for line in hunks.unwrap_or_default().iter().flat_map(|hunk| &hunk.lines) {
                let Change::Removed { old } = line.change else { continue };
                if last != Some((file, old)) {
                    removed.lines.push(None);
                }
                removed.push(line.text);
                last = Some((file, old + 1));
            }
        }
        removed
    }

    fn push(&mut self, text: &'a str) {
        let id = *self.ids.entry(text).or_insert_with(|| {
            let letters = text.chars().filter(|letter| letter.is_alphanumeric()).take(MIN_LETTERS);
            self.letters.push(letters.count());
            self.places.push(Vec::new());
            self.letters.len() - 1
        });
        // No block starts with an empty line.
        if !text.trim().is_empty() && self.places[id].len() < MAX_PLACES {
            self.places[id].push(self.lines.len());
        }
        self.lines.push(Some(id));
    }

    /// Consecutive added lines: their line numbers, and their texts if they were removed somewhere.
    fn added_blocks(&self, hunks: &[Hunk]) -> Vec<Vec<(u32, Option<usize>)>> {
        let mut blocks: Vec<Vec<(u32, Option<usize>)>> = Vec::new();
        for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
            let Some(number) = line.added() else { continue };
            let id = self.ids.get(line.text).copied();
            match blocks.last_mut().filter(|block| block.last().is_some_and(|(last, _)| last + 1 == number)) {
                Some(block) => block.push((number, id)),
                None => blocks.push(vec![(number, id)]),
            }
        }
        blocks
    }

    /// Takes the longest removed block that these lines start with; 0 if there is none that is long enough.
    fn take(&mut self, added: &[(u32, Option<usize>)]) -> usize {
        if self.compared > MAX_COMPARED {
            return 0;
        }
        let Some(&(_, Some(first))) = added.first() else { return 0 };
        let (mut longest, mut at) = (0, 0);
        for &place in &self.places[first] {
            let pairs = self.lines[place..].iter().zip(added);
            let length = pairs.take_while(|(removed, (_, added))| removed.is_some() && *removed == added).count();
            self.compared += length + 1;
            if length > longest {
                (longest, at) = (length, place);
            }
        }
        let block = &mut self.lines[at..at + longest];
        if block.iter().flatten().map(|id| self.letters[*id]).sum::<usize>() < MIN_LETTERS {
            return 0;
        }
        block.fill(None);
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::diff::parse;

    const BODY: &str = "def convert(celsius):\n    return celsius * 9 / 5 + 32\n";

    fn moved(patches: &[&str]) -> Vec<(usize, u32)> {
        let files: Vec<_> = patches.iter().map(|patch| parse(patch)).collect();
        assert!(files.iter().all(Option::is_some));
        let files: Vec<_> = files.iter().map(|file| File { hunks: file.as_deref(), is_measured: true }).collect();
        let mut moved: Vec<_> = find(&files).into_iter().collect();
        moved.sort_unstable();
        moved
    }

    fn with(sign: char) -> String {
        BODY.lines().map(|line| format!("{sign}{line}\n")).collect()
    }

    #[test]
    fn a_block_that_was_removed_elsewhere_is_moved_once() {
        let removed = format!("@@ -3,2 +2,0 @@\n{}", with('-'));
        let added = format!("@@ -0,0 +1,3 @@\n+new\n{}", with('+'));
        assert_eq!(moved(&[&removed, &added]), [(1, 2), (1, 3)]);
        // The second copy is new.
        let twice = format!("@@ -0,0 +1,4 @@\n{}{}", with('+'), with('+'));
        assert_eq!(moved(&[&twice, &removed]), [(0, 1), (0, 2)]);
    }

    #[test]
    fn short_and_changed_blocks_are_new() {
        assert_eq!(moved(&["@@ -1,2 +1,0 @@\n-    }\n-}", "@@ -0,0 +1,2 @@\n+    }\n+}"]), []);
        let (removed, added) = (format!("@@ -1,2 +1,0 @@\n{}", with('-')), format!("@@ -0,0 +1,2 @@\n{}", with('+')));
        assert_eq!(moved(&[&removed, &added.replace("32", "33").replace("def", "fn")]), []);
    }

    #[test]
    fn many_equal_lines_end_soon() {
        let line = "x".repeat(30);
        let many = |sign: char| format!("{sign}{line}\n").repeat(20_000);
        let patch = format!("@@ -1,20000 +1,20000 @@\n{}{}", many('-'), many('+'));
        assert_eq!(moved(&[&patch]).len(), 20_000);
    }

    /// Compared with each other, they would take hours.
    #[test]
    fn many_lines_without_letters_end_soon() {
        let many = |sign: char| format!("{sign}}}\n").repeat(200_000);
        let patch = format!("@@ -1,200000 +1,200000 @@\n{}{}", many('-'), many('+'));
        assert_eq!(moved(&[&patch]), []);
    }

    /// Neither their length nor their number may cost more than once.
    #[test]
    fn long_lines_without_letters_end_soon() {
        let many = |sign: char| (0..100).map(|at| format!("{sign}{}{at}\n", "-".repeat(28_000))).collect::<String>();
        let repeated = |sign: char| many(sign).repeat(10);
        let patch = format!("@@ -1,1000 +1,1000 @@\n{}{}", repeated('-'), repeated('+'));
        let start = std::time::Instant::now();
        moved(&[&patch]);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
