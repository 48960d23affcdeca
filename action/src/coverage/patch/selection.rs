//! Finds the changed files in a report.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::{ChangedFile, Patch, Unknown, has_other_breaks, moved};
use crate::coverage::diff::{self, Hunk};
use crate::coverage::lines::{Lines, SourceFile};
use crate::coverage::merge::Places;
use crate::coverage::paths::roots::Roots;
use crate::coverage::paths::{Folders, Match, Paths, Root, kind};

/// Which paths of a report name changed files. Give [`Selection::needs`] to the search for lines as its filter.
pub struct Selection<'a> {
    changes: &'a [ChangedFile],
    paths: Paths<'a>,
    has_tree: bool,
    /// Which files of the repository the lines of merged reports are of.
    places: Option<&'a Places<'a>>,
    /// The kinds of the changed files.
    kinds: BTreeSet<&'a str>,
    seen: Mutex<Seen>,
}

/// What all paths of the report have in common, also those that name no changed file.
#[derive(Default)]
struct Seen {
    is_asked: bool,
    /// The kinds of changed files that the report measures.
    kinds: BTreeSet<String>,
    /// The folders of these files.
    folders: Folders,
    roots: Roots,
}

/// A certain match is the best, then an equal path, then more equal parts.
type Rank = (bool, bool, usize);

impl<'a> Selection<'a> {
    pub fn new(changes: &'a [ChangedFile]) -> Self {
        let paths = Paths::new(changes.iter().map(|file| file.path.as_str()).enumerate());
        let kinds = changes.iter().map(|file| kind(&file.path)).collect();
        Self { changes, paths, has_tree: false, places: None, kinds, seen: Mutex::default() }
    }

    /// Says which files the tested commit has, so that a path of the report can name an unchanged one. Without the tree, a
    /// changed file that is not in the report can be taken for one of the same name in another folder.
    pub fn with_tree(mut self, tree: impl Iterator<Item = &'a str>) -> Self {
        let mut tree: HashSet<&str> = tree.collect();
        let changed = self.changes.iter().map(|file| file.path.as_str()).enumerate();
        let changed: Vec<_> = changed.filter(|(_, path)| tree.remove(path)).collect();
        let unchanged = tree.into_iter().map(|path| (self.changes.len(), path));
        self.paths = Paths::new(changed.into_iter().chain(unchanged));
        self.has_tree = true;
        self
    }

    /// Says which files of the repository the lines of merged reports are of.
    pub fn with_places(mut self, places: &'a Places<'a>) -> Self {
        self.places = Some(places);
        self
    }

    fn is_changed(&self, found: &Match) -> bool {
        found.at < self.changes.len()
    }

    /// Whether a path of the report can name a changed file. Remembers what it has in common with others.
    pub fn needs(&self, path: &str) -> bool {
        let matches = self.paths.find(path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_asked = true;
        self.remember(&mut seen, path, &matches);
        matches.iter().any(|found| self.is_changed(found))
    }

    fn remember(&self, seen: &mut Seen, path: &str, matches: &[Match]) {
        // Only these matter, and a report can have any number of others.
        if self.kinds.contains(kind(path)) && !seen.kinds.contains(kind(path)) {
            seen.kinds.insert(kind(path).to_owned());
        }
        seen.folders.add(path);
        seen.roots.add(path, matches);
    }

    /// The added lines in the report's lines.
    pub fn patch(&self, lines: &'a Lines) -> Patch<'a> {
        let mut hunks: Vec<_> = self.changes.iter().map(|file| diff::parse(file.diff.as_ref().ok()?)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a filter, nobody asked yet.
        if !seen.is_asked {
            lines.files().for_each(|file| self.remember(&mut seen, &file.path, &self.paths.find(&file.path)));
        }
        let mut named = self.named(lines, &seen.roots);
        let moved = self.moved(&hunks, &seen, &named);
        let mut patch = Patch { files: Vec::new(), unknown: Vec::new(), moved: 0 };
        for (at, file) in self.changes.iter().enumerate() {
            if file.diff == Err(Unknown::NotListed) {
                patch.unknown.push((&file.path, Unknown::NotListed));
                continue;
            }
            let hunks = hunks[at].take();
            let added = |hunks: &[Hunk]| hunks.iter().flat_map(|hunk| &hunk.lines).any(|line| line.added().is_some());
            if hunks.as_deref().is_some_and(|hunks| !added(hunks)) || !seen.kinds.contains(kind(&file.path)) {
                continue;
            }
            match (hunks, named.remove(&at), &file.diff) {
                (_, None, Err(Unknown::NoDiff)) => patch.unknown.extend(self.missing(&seen, &file.path)),
                (_, _, Err(why)) => patch.unknown.push((&file.path, *why)),
                (None, _, _) => patch.unknown.push((&file.path, Unknown::TooLarge)),
                (_, None, _) => patch.unknown.extend(self.missing(&seen, &file.path)),
                (_, Some(Err(why)), _) => patch.unknown.push((&file.path, why)),
                (Some(hunks), _, _) if has_other_breaks(&hunks, kind(&file.path)) => {
                    patch.unknown.push((&file.path, Unknown::LineBreaks))
                }
                (Some(hunks), Some(Ok(source)), _) => patch.add((at, file), source, hunks, &moved),
            }
        }
        patch.files.sort_by_key(|file| file.path);
        patch.unknown.sort_unstable();
        patch
    }

    /// Why no path of the report names this file; `None` if the report does not measure its folder.
    fn missing<'p>(&self, seen: &Seen, path: &'p str) -> Option<(&'p str, Unknown)> {
        let why = match () {
            () if self.paths.is_exhausted() => Unknown::Ambiguous,
            () if self.has_tree && !seen.roots.fit() => Unknown::OtherPaths,
            () if seen.folders.measure(path) => Unknown::NotInReport,
            () => return None,
        };
        Some((path, why))
    }

    /// The lines that only moved between files of the same kind: the index of the file, and the line.
    fn moved<T>(&self, hunks: &[Option<Vec<Hunk>>], seen: &Seen, named: &HashMap<usize, T>) -> HashSet<(usize, u32)> {
        let file = |at: usize, wanted: &str| {
            let path = &self.changes[at].path;
            let hunks = hunks[at].as_deref().filter(|_| kind(path) == wanted);
            moved::File { hunks, is_measured: named.contains_key(&at) || seen.folders.measure(path) }
        };
        let of = |wanted: &String| {
            let files: Vec<_> = (0..hunks.len()).map(|at| file(at, wanted)).collect();
            moved::find(&files)
        };
        seen.kinds.iter().flat_map(of).collect()
    }

    /// The report's file for each changed one, by index: the one whose path fits best.
    fn named<'l>(&self, lines: &'l Lines, roots: &Roots) -> HashMap<usize, Result<&'l SourceFile, Unknown>> {
        let judge = roots.judge();
        let mut best: HashMap<usize, (Rank, Result<&SourceFile, Unknown>)> = HashMap::new();
        for source in lines.files() {
            let matches = self.paths.find(&source.path);
            let files = if self.places.is_some_and(|places| places.certain.contains(&*source.path)) {
                let own = matches.into_iter().filter(|found| found.root == Root::Repository);
                own.map(|found| (found, true)).collect()
            } else {
                judge.files(&source.path, matches, self.has_tree, |found| self.is_changed(found))
            };
            for (Match { at, parts, root }, is_certain) in files.into_iter().filter(|(found, _)| self.is_changed(found))
            {
                let rank = (is_certain, root == Root::Repository, parts);
                let source = if is_certain { Ok(source) } else { Err(Unknown::Ambiguous) };
                match best.get(&at).map(|(other, _)| rank.cmp(other)) {
                    Some(Ordering::Less) => {}
                    Some(Ordering::Equal) => drop(best.insert(at, (rank, Err(Unknown::Ambiguous)))),
                    _ => drop(best.insert(at, (rank, source))),
                }
            }
        }
        let mut named: HashMap<_, _> = best.into_iter().map(|(at, (_, source))| (at, source)).collect();
        // Further lines of such a file may be under another path.
        let is_uncertain =
            |file: &ChangedFile| self.places.is_some_and(|places| places.uncertain.contains(&*file.path));
        let uncertain = self.changes.iter().enumerate().filter(|(_, file)| is_uncertain(file));
        named.extend(uncertain.map(|(at, _)| (at, Err(Unknown::Ambiguous))));
        named
    }
}
