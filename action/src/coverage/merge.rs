//! Merges the lines of several reports: a line can be covered if it can be in one of them, and is hit if one of them hit
//! it. Which branches each of them took is unknown, so lines alone count.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod kept;
mod pages;
mod places;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use anyhow::Result;

use super::lines::Lines;
use super::paths::Paths;
pub use kept::{Keeper, KeptPart, LINES, MAX_FILE, read_kept};
pub use pages::{FileRow, Index, PartRow, Total};
use places::{Place, place, plain, without_runner};

/// The lines of the parts so far. Only those of one part are in memory besides them.
pub struct Merge<'a> {
    /// The paths of the repository's files, if they are known.
    tree: Option<&'a [String]>,
    lines: Lines<'static>,
    places: Places<'a>,
    keeper: Option<Keeper>,
}

/// The files of the repository, and how to find one.
struct Tree<'a> {
    files: &'a [String],
    paths: Paths<'a>,
}

/// The lines of all parts.
pub struct Merged<'a> {
    pub lines: Lines<'static>,
    pub places: Places<'a>,
    pub keeper: Option<Keeper>,
}

/// Which files of the repository the merged lines are of.
#[derive(Default)]
pub struct Places<'a> {
    /// The files that certainly have the lines under their paths.
    pub certain: HashSet<&'a str>,
    /// Those that may have lines under other paths.
    pub uncertain: HashSet<&'a str>,
}

impl<'a> Merge<'a> {
    /// `tree`: the paths of all files in the tested commit, if they are known. Without them, the paths of one part are
    /// compared with those of the parts before.
    /// `keeper`: writes the lines of each part.
    pub fn new(tree: Option<&'a [String]>, keeper: Option<Keeper>) -> Self {
        Self { tree, lines: Lines::all(), places: Places::default(), keeper }
    }

    /// Adds the lines of a part that tested this commit. Returns how many of its files can be several of the repository:
    /// they stay apart.
    pub fn add(&mut self, part: &str, commit: &str, lines: &Lines) -> usize {
        let paths: Vec<&str> = lines.files().map(|file| file.path.as_str()).collect();
        let mut apart = 0;
        let names = match self.tree {
            Some(files) => {
                // How much they are compared is limited for each part.
                let tree = Tree { files, paths: Paths::new(files.iter().map(String::as_str).enumerate()) };
                let mut names = Vec::new();
                for (path, place) in paths.iter().zip(place(&tree.paths, &paths)) {
                    let name = self.places.name_in_tree(&tree, path, place);
                    apart += usize::from(name.is_none());
                    names.push(name.unwrap_or_else(|| format!("parts/{part}/{}", plain(path))));
                }
                names
            }
            None => names_of(&paths, &self.lines),
        };
        for (file, name) in lines.files().zip(&names) {
            self.lines.add_part(name, &file.bits);
        }
        let files = names.iter().map(String::as_str).zip(lines.files().map(|file| &file.bits));
        if let Some(keeper) = &mut self.keeper {
            keeper.add(part, commit, files);
        }
        apart
    }

    /// All lines, under the paths of the repository where those are known. Fails if they are too many.
    pub fn finish(mut self) -> Result<Merged<'a>> {
        self.lines.finish()?;
        Ok(Merged { lines: self.lines, places: self.places, keeper: self.keeper })
    }
}

impl<'a> Places<'a> {
    /// The path of a file in the repository, or where it would be; `None` if it can be several files.
    fn name_in_tree(&mut self, tree: &Tree<'a>, path: &str, place: Place) -> Option<String> {
        let file = |at: usize| tree.files.get(at).map(String::as_str);
        let own = without_runner(path);
        match place {
            Place::File { at, is_certain } => {
                let name = file(at)?;
                if is_certain {
                    self.certain.insert(name);
                }
                Some(name.to_owned())
            }
            // The checkout is the repository's root.
            _ if own.is_some_and(|own| self.is_in(tree, &plain(own))) => own.map(plain),
            Place::Unclear { candidates, rooted } => {
                self.uncertain.extend(candidates.iter().filter_map(|at| file(*at)));
                let is_one = candidates.len() < 2 || own.is_some() || super::paths::is_absolute(path);
                rooted.or_else(|| is_one.then(|| plain(own.unwrap_or(path))))
            }
        }
    }

    /// Whether the repository has this file; then it is certain.
    fn is_in(&mut self, tree: &Tree<'a>, path: &str) -> bool {
        let found = tree.paths.find(path).into_iter().filter_map(|found| tree.files.get(found.at));
        let file = found.map(String::as_str).find(|file| *file == path);
        self.certain.extend(file);
        file.is_some()
    }
}

/// Under which paths the parts before have these files, or else the paths themselves.
fn names_of(paths: &[&str], before: &Lines) -> Vec<String> {
    let known: Vec<&str> = before.files().map(|file| file.path.as_str()).collect();
    let own: Vec<&str> = paths.iter().map(|path| without_runner(path).unwrap_or(path)).collect();
    let places = place(&Paths::new(known.iter().copied().enumerate()), &own);
    let names = own.iter().zip(places).map(|(path, place)| match place {
        Place::File { at, .. } => known.get(at).map_or_else(|| plain(path), ToString::to_string),
        Place::Unclear { rooted, .. } => rooted.unwrap_or_else(|| plain(path)),
    });
    names.collect()
}
