//! Random pull requests: what a repository has before and after them, and what the base branch did meanwhile.

use std::collections::BTreeMap;

/// The files of a commit.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// No folder ends with ` b`: diff-cover would end the first of two names there.
const FOLDERS: &[&str] = &["", "src/", "src/app/", "src/app/deep/er/", "lib/ünï/", "a folder/", "日本/"];
const NAMES: &[&str] =
    &["rate.py", "main.py", "naïve.py", "with space.js", "x-y_z.js", "ひと.c", "Makefile", "notes.md"];
/// Lines that many files have: a diff can choose between them.
const COMMON: &[&str] = &["", "}", "    return", "\t", "  ", "# ---"];
/// Lines that look like a part of a diff, or have other marks than `\n` that some tools take for the end of a line.
const ODD: &[&str] = &[
    "--- a/src/rate.py",
    "+++ b/src/rate.py",
    "@@ -1,2 +1,2 @@ x",
    "diff --git a/x b/y",
    "\\ No newline at end of file",
    "-removed",
    "+added",
    "a\rb",
    "a\u{c}b\u{b}c",
    "a\u{2028}b\u{85}c",
    "naïve = \"日本語 🎉\"",
];

/// SplitMix64: the same seed gives the same pull requests on every machine.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit, which is above 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn choose<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        among[self.below(among.len())]
    }
}

/// A pull request. `main` is the base branch, which moved on since `base`.
pub struct Change {
    pub base: Tree,
    pub main: Tree,
    pub head: Tree,
}

impl Change {
    pub fn random(random: &mut Random) -> Self {
        let mut base = Tree::new();
        for _ in 0..2 + random.below(7) {
            base.insert(path(random), content(random));
        }
        let (mut main, mut head) = (base.clone(), base.clone());
        (0..random.below(3)).for_each(|_| change_tree(random, &mut main));
        (0..1 + random.below(6)).for_each(|_| change_tree(random, &mut head));
        Self { base, main, head }
    }
}

fn path(random: &mut Random) -> String {
    format!("{}{}", random.choose(FOLDERS), random.choose(NAMES))
}

fn content(random: &mut Random) -> Vec<u8> {
    let end = if random.chance(20) { "\r\n" } else { "\n" };
    let lines: Vec<_> = (0..random.below(70)).map(|_| line(random, end)).collect();
    joined(random, lines)
}

/// The last line has no line break in some files.
fn joined(random: &mut Random, lines: Vec<Vec<u8>>) -> Vec<u8> {
    let mut text = lines.concat();
    if random.chance(20) {
        while text.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            text.pop();
        }
    }
    text
}

fn line(random: &mut Random, end: &str) -> Vec<u8> {
    let text = match random.below(20) {
        0..6 => random.choose(COMMON).to_owned(),
        6..8 => random.choose(ODD).to_owned(),
        _ => format!("    value_{} = compute(price, {})", random.below(40), random.below(1000)),
    };
    let mut line = text.into_bytes();
    if random.chance(2) {
        // Latin-1.
        line.extend(b" caf\xe9");
    }
    line.extend(end.as_bytes());
    line
}

fn change_tree(random: &mut Random, tree: &mut Tree) {
    let paths: Vec<String> = tree.keys().cloned().collect();
    if paths.is_empty() || random.chance(12) {
        tree.insert(path(random), content(random));
        return;
    }
    let old = paths[random.below(paths.len())].clone();
    match random.below(10) {
        0 => drop(tree.remove(&old)),
        kind @ 1..=2 => {
            let text = tree.remove(&old).unwrap();
            let text = if kind == 1 { text } else { changed(random, &text) };
            tree.insert(path(random), text);
        }
        3 => move_block(random, tree, &old),
        _ => {
            let text = changed(random, &tree[&old]);
            tree.insert(old, text);
        }
    }
}

/// Moves some lines to another place of the same file or of another one.
fn move_block(random: &mut Random, tree: &mut Tree, from: &str) {
    let mut lines = lines_of(&tree[from]);
    let start = random.below(lines.len() + 1);
    let length = random.below(8).min(lines.len() - start);
    let block: Vec<_> = lines.drain(start..start + length).collect();
    tree.insert(from.to_owned(), lines.concat());
    let paths: Vec<String> = tree.keys().cloned().collect();
    let to = &paths[random.below(paths.len())];
    let mut lines = lines_of(&tree[to]);
    let at = random.below(lines.len() + 1);
    lines.splice(at..at, block);
    tree.insert(to.clone(), lines.concat());
}

/// The lines with their line breaks.
pub fn lines_of(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// A file with some hunks changed.
fn changed(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let mut lines = lines_of(text);
    let end = if text.windows(2).any(|pair| pair == b"\r\n") { "\r\n" } else { "\n" };
    for _ in 0..1 + random.below(4) {
        let (count, length) = (1 + random.below(5), lines.len());
        let mut new: Vec<_> = (0..count).map(|_| line(random, end)).collect();
        let at = random.below(length + 1);
        let until = length.min(at + random.below(4));
        match random.below(9) {
            0 => drop(lines.splice(0..0, new)),
            1 => lines.append(&mut new),
            2 => drop(lines.splice(at..at, new)),
            3 => drop(lines.drain(at..until)),
            4 => lines.insert(at, end.as_bytes().to_vec()),
            5 => {
                // A copy of a block: which one is new?
                let block = lines[at..until].to_vec();
                lines.splice(at..at, block);
            }
            6 if random.chance(20) => lines.iter_mut().for_each(swap_end),
            _ => drop(lines.splice(at..until, new)),
        }
    }
    joined(random, lines)
}

/// LF becomes CRLF, and CRLF becomes LF.
fn swap_end(line: &mut Vec<u8>) {
    if line.ends_with(b"\r\n") {
        line.truncate(line.len() - 2);
        line.push(b'\n');
    } else if line.ends_with(b"\n") {
        line.truncate(line.len() - 1);
        line.extend(b"\r\n");
    }
}
