//! The check of the fuzz target for merged reports, which a test runs on its corpus.

use super::{FileRow, Index, Keeper, Merge, Merged, PartRow, Total, read_kept};
use crate::coverage::lines::{Hit, Lines, SourceFile};
use crate::coverage::percent::Counts;

/// Bytes of a page.
const MAX_PAGE: usize = 4 << 20;

/// A file of kept lines; and parts between NUL: the paths of the repository, between line breaks, then for each part its
/// name, a path, and a character for each line there: `+` is hit, `-` is missed, `~` is hit partly.
pub fn check(bytes: &[u8]) {
    if let Ok(parts) = read_kept(bytes, &["unit".to_owned()]) {
        assert!(parts.len() < 2);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut texts = text.split('\0');
    let tree: Vec<String> = texts.next().unwrap_or_default().lines().map(ToOwned::to_owned).collect();
    let texts: Vec<&str> = texts.collect();
    let parts: Vec<(String, Lines)> = texts.chunks(3).map(part).collect();
    for tree in [None, Some(&tree[..])] {
        let once = merge(tree, parts.iter());
        check_merged(&once, &parts);
        if tree.is_some() {
            // The same reports again change nothing. Without the tree, a path can fit more reports than before.
            let twice = merge(tree, parts.iter().chain(&parts));
            assert_eq!(files(&once.lines), files(&twice.lines));
        }
        check_kept(once, &parts);
    }
}

fn part(texts: &[&str]) -> (String, Lines<'static>) {
    let text = |at: usize| texts.get(at).copied().unwrap_or_default();
    let mut lines = Lines::all();
    for path in text(1).split('\n') {
        lines.file(path);
        for (hit, number) in text(2).chars().zip(1..) {
            match hit {
                '+' => lines.line(number, Hit::Yes),
                '~' => lines.line(number, Hit::Partly),
                '-' => lines.line(number, Hit::No),
                _ => {}
            }
        }
    }
    // Too long paths.
    if lines.finish().is_err() {
        lines = Lines::all();
    }
    (text(0).chars().take(100).collect(), lines)
}

fn merge<'t, 'p>(tree: Option<&'t [String]>, parts: impl Iterator<Item = &'p (String, Lines<'static>)>) -> Merged<'t> {
    let mut merge = Merge::new(tree, Some(Keeper::default()));
    for (name, lines) in parts {
        merge.add(name, "c0ffee", lines);
    }
    merge.finish().unwrap_or_else(|error| panic!("{error}"))
}

fn files(lines: &Lines) -> Vec<(String, Vec<(u32, bool)>)> {
    let bits = |file: &SourceFile| file.bits.iter().map(|(line, hit)| (line, hit != Hit::No)).collect();
    lines.files().map(|file| (file.path.clone(), bits(file))).collect()
}

fn check_merged(merged: &Merged, parts: &[(String, Lines)]) {
    let (covered, total) = merged.lines.sums();
    let sums: Vec<(u64, u64)> = parts.iter().map(|(_, lines)| lines.sums()).collect();
    assert!(covered <= total && total <= sums.iter().map(|(_, total)| total).sum());
    let row = |file: &SourceFile| Counts::new(file.bits.sums().0, file.bits.sums().1);
    let rows =
        merged.lines.files().filter_map(|file| Some(FileRow { path: &file.path, counts: row(file)?, page: None }));
    let part = |(name, lines): &'_ (String, Lines)| (name.clone(), lines.counts());
    let named: Vec<_> = parts.iter().map(part).collect();
    let index = Index {
        name: None,
        commit: None,
        total: Counts::new(covered, total).map_or(Total::None("no lines"), Total::Lines),
        missing: &[],
        parts: named
            .iter()
            .map(|(name, lines)| PartRow { name, page: Some(name), total: None, lines: *lines, note: Some(name) })
            .collect(),
        files: rows.collect(),
        patch: None,
    };
    for (_, page) in index.pages() {
        assert!(page.len() < MAX_PAGE && !page.contains("<script") && page.ends_with("</html>"));
    }
}

/// Kept lines are read as they were merged.
fn check_kept(merged: Merged, parts: &[(String, Lines)]) {
    let Some(keeper) = merged.keeper else { return };
    let Ok(file) = keeper.finish() else { return };
    let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
    let mut lines = Lines::all();
    for part in read_kept(&file, &names).unwrap_or_else(|error| panic!("{error:#}")) {
        part.lines.files().for_each(|file| lines.add_part(&file.path, &file.bits));
    }
    let is_each_once = names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
    if is_each_once && lines.finish().is_ok() {
        assert_eq!(files(&lines), files(&merged.lines));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_passes() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/merge");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        files.iter().for_each(|file| super::check(&std::fs::read(file).unwrap()));
    }
}
