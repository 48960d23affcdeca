//! Diffs of text files, in the unified format that git and GitHub write.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, Token};

/// Lines around a change.
const CONTEXT: u32 = 3;

/// A part of a file's diff: some lines around a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// What git writes after the line numbers: the function around the change, for example.
    pub heading: &'a str,
    pub lines: Vec<DiffLine<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffLine<'a> {
    pub change: Change,
    /// Without its line break.
    pub text: &'a str,
}

/// What a diff does with a line. Line numbers start with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Kept { old: u32, new: u32 },
    Added { new: u32 },
    Removed { old: u32 },
}

impl DiffLine<'_> {
    /// Its number in the new file, if it is a line that the diff adds.
    pub fn added(&self) -> Option<u32> {
        match self.change {
            Change::Added { new } => Some(new),
            _ => None,
        }
    }

    pub fn is_removed(&self) -> bool {
        matches!(self.change, Change::Removed { .. })
    }
}

/// Parses the hunks of one file's diff, without its header lines, as in GitHub's `patch`. `None` if it is damaged: a hunk
/// that was cut off has fewer lines than it announces. Hunks are in order, so no line is added twice.
pub fn parse(patch: &str) -> Option<Vec<Hunk<'_>>> {
    let mut lines = patch.split('\n').peekable();
    let mut hunks = Vec::new();
    let mut last = (1, 1);
    while let Some(line) = lines.next() {
        // GitHub writes no line break after the last line, git does.
        if line.is_empty() && lines.peek().is_none() {
            break;
        }
        let Some(header) = Header::parse(line) else {
            if line.starts_with('\\') {
                continue;
            }
            return None;
        };
        let (start, end) = header.place();
        if start.0 < last.0 || start.1 < last.1 {
            return None;
        }
        last = end;
        hunks.push(header.hunk(&mut lines)?);
    }
    Some(hunks)
}

/// The line that starts a hunk: `@@ -12,3 +12,4 @@ fn heading()`.
struct Header<'a> {
    old: u32,
    old_count: u32,
    new: u32,
    new_count: u32,
    heading: &'a str,
}

impl<'a> Header<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (numbers, heading) = line.strip_prefix("@@ -")?.split_once(" @@")?;
        let (old, new) = numbers.split_once(" +")?;
        let pair = |text: &str| {
            let (start, count) = text.split_once(',').unwrap_or((text, "1"));
            Some((start.parse().ok()?, count.parse().ok()?))
        };
        let ((old, old_count), (new, new_count)) = (pair(old)?, pair(new)?);
        Some(Self { old, old_count, new, new_count, heading: heading.trim() })
    }

    /// The numbers in both files of its first line, and of the line after it.
    fn place(&self) -> ((u64, u64), (u64, u64)) {
        // Without lines, the number is that of the line before.
        let start = |line: u32, count: u32| u64::from(line) + u64::from(count == 0);
        let (old, new) = (start(self.old, self.old_count), start(self.new, self.new_count));
        ((old, new), (old + u64::from(self.old_count), new + u64::from(self.new_count)))
    }

    fn hunk(self, lines: &mut std::iter::Peekable<std::str::Split<'a, char>>) -> Option<Hunk<'a>> {
        let (mut old, mut new) = (self.old, self.new);
        let (old_end, new_end) = (old.checked_add(self.old_count)?, new.checked_add(self.new_count)?);
        let mut hunk = Hunk { heading: self.heading, lines: Vec::new() };
        while old < old_end || new < new_end {
            let line = lines.next()?;
            if line.starts_with('\\') {
                continue;
            }
            let (sign, text) = if line.is_empty() { (" ", "") } else { line.split_at_checked(1)? };
            let change = match sign {
                " " if old < old_end && new < new_end => Change::Kept { old, new },
                "+" if new < new_end => Change::Added { new },
                "-" if old < old_end => Change::Removed { old },
                _ => return None,
            };
            old += u32::from(sign != "+");
            new += u32::from(sign != "-");
            hunk.lines.push(DiffLine { change, text: text.strip_suffix('\r').unwrap_or(text) });
        }
        Some(hunk)
    }
}

/// The hunks between two texts, as git writes them with its own algorithm, but without marks for a last line that has no
/// line break. Not with imara-diff's own printer: it gives a wrong start to a first hunk that is near the file's start.
pub fn between(old: &str, new: &str) -> String {
    let input = InternedInput::new(old, new);
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_lines(&input);
    let changes: Vec<_> = diff.hunks().collect();
    let hunks = changes.chunk_by(|one, next| next.before.start - one.before.end <= 2 * CONTEXT);
    hunks.map(|changes| hunk_text(&input, changes)).collect()
}

fn hunk_text(input: &InternedInput<&str>, changes: &[imara_diff::Hunk]) -> String {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return String::new() };
    let before = first.before.start.min(CONTEXT);
    let after = (input.before.len() as u32 - last.before.end).min(CONTEXT);
    let old = first.before.start - before..last.before.end + after;
    let new = first.after.start - before..last.after.end + after;
    let mut text = format!("@@ -{} +{} @@\n", place(&old), place(&new));
    let mut add = |sign: char, tokens: &[Token], lines: Range<u32>| {
        for token in &tokens[lines.start as usize..lines.end as usize] {
            let line = input.interner[*token];
            text.extend([sign].into_iter().chain(line.strip_suffix('\n').unwrap_or(line).chars()).chain(['\n']));
        }
    };
    let mut next = old.start;
    for change in changes {
        add(' ', &input.before, next..change.before.start);
        add('-', &input.before, change.before.clone());
        add('+', &input.after, change.after.clone());
        next = change.before.end;
    }
    add(' ', &input.before, next..old.end);
    text
}

/// The first line and the number of lines. Without lines, the number is that of the line before.
fn place(lines: &Range<u32>) -> String {
    format!("{},{}", lines.start + u32::from(!lines.is_empty()), lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str =
        "@@ -1,3 +1,4 @@ impl Rate\n a\n-b\n+B\n+c\n d\n@@ -9 +10,0 @@\n-x\n\\ No newline at end of file";

    #[test]
    fn hunks_have_the_line_numbers_of_both_sides() {
        let hunks = parse(PATCH).unwrap();
        let changes: Vec<_> = hunks.iter().flat_map(|hunk| &hunk.lines).map(|line| (line.change, line.text)).collect();
        let expected = [
            (Change::Kept { old: 1, new: 1 }, "a"),
            (Change::Removed { old: 2 }, "b"),
            (Change::Added { new: 2 }, "B"),
            (Change::Added { new: 3 }, "c"),
            (Change::Kept { old: 3, new: 4 }, "d"),
            (Change::Removed { old: 9 }, "x"),
        ];
        assert_eq!(changes, expected);
        assert_eq!(hunks[0].heading, "impl Rate");
    }

    #[test]
    fn a_damaged_diff_has_no_hunks() {
        for damaged in [
            "@@ -1,3 +1,4 @@\n a\n+b",
            "@@ -1 +1 @@\n-a\n*b",
            "@@ -1 +1 @@ \n-a\n+b\nc",
            "diff --git a/x b/x",
            "@@ -1,9999999999 +1 @@\n",
            "@@ -4294967295,9 +1 @@\n a",
            "@@ -0,0 +1 @@\n-a\n+b",
            "@@ -1,5 +4294967295,0 @@\n+x",
            "@@ -0,0 +0 @@\n+a",
            "@@ -5 +5,2 @@\n a\n+b\n@@ -1 +1,2 @@\n a\n+b",
            "@@ -0,0 +1 @@\n+a\n@@ -0,0 +1 @@\n+a",
            "@@ -1,2 +1,2 @@\n a\n a\n@@ -2,0 +2 @@\n+a",
        ] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
        assert_eq!(parse(""), Some(Vec::new()));
    }

    #[test]
    fn the_diff_of_two_texts_parses() {
        let patch = between("a\nb\nc\n", "a\nB\nc\nd");
        let added: Vec<_> = parse(&patch)
            .unwrap()
            .iter()
            .flat_map(|hunk| hunk.lines.clone())
            .filter_map(|line| Some((line.added()?, line.text)))
            .collect();
        assert_eq!(added, [(2, "B"), (4, "d")], "{patch}");
        assert_eq!(between("a\n", "a\n"), "");
        assert_eq!(between("a\n", ""), "@@ -1,1 +0,0 @@\n-a\n");
    }

    #[test]
    fn a_change_near_the_start_has_its_own_line_numbers() {
        let old: Vec<String> = (1..=30).map(|line| format!("line {line}\n")).collect();
        for changed in 1..=30 {
            let mut new = old.clone();
            new[changed - 1] = "new\n".to_owned();
            new.insert(29, "end\n".to_owned());
            let patch = between(&old.concat(), &new.concat());
            let added: Vec<_> =
                parse(&patch).unwrap().iter().flat_map(|hunk| &hunk.lines).filter_map(DiffLine::added).collect();
            let expected = if changed == 30 { [30, 31] } else { [changed as u32, 30] };
            assert_eq!(added, expected, "{patch}");
        }
    }
}
