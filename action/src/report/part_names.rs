//! Names for reports that come from folders.

use std::collections::HashSet;
use std::path::{Component, Path};

use super::folder::Folder;

/// The name of a folder that has none of its own, such as `.`.
const UNNAMED: &str = "report";

/// A name for each folder: what the wildcards in its pattern stand for; or else the folder's own, or if several have the
/// same, with the folders above it. What all have in common at the end says nothing: `unit/htmlcov` and `e2e/htmlcov` are
/// `unit` and `e2e`.
pub fn part_names(folders: &[Folder]) -> Vec<String> {
    let found: Option<Vec<String>> = folders.iter().map(|folder| folder.found.clone()).collect();
    if let Some(found) = found.filter(|names| is_distinct(names)) {
        return found;
    }
    let mut parts: Vec<Vec<String>> = folders.iter().map(|folder| parts(&folder.path)).collect();
    while !parts.is_empty() && parts.iter().all(|one| one.len() > 1 && one.last() == parts[0].last()) {
        parts.iter_mut().for_each(|one| drop(one.pop()));
    }
    let longest = parts.iter().map(Vec::len).max().unwrap_or_default();
    let names = |count: usize| -> Vec<String> { parts.iter().map(|one| name(one, count)).collect() };
    (1..=longest).map(names).find(|names| is_distinct(names)).unwrap_or_else(|| numbered(names(longest)))
}

/// Whether each can be the name of one folder.
fn is_distinct(names: &[String]) -> bool {
    let distinct: HashSet<&String> = names.iter().filter(|name| !name.is_empty()).collect();
    distinct.len() == names.len()
}

/// The last parts of a path as one name.
fn name(parts: &[String], count: usize) -> String {
    let name = parts[parts.len().saturating_sub(count)..].join("-");
    if name.is_empty() { UNNAMED.to_owned() } else { name }
}

/// Equal names get numbers: one folder can have two paths.
fn numbered(names: Vec<String>) -> Vec<String> {
    names.into_iter().enumerate().map(|(at, name)| format!("{name}-{}", at + 1)).collect()
}

/// The folders of a path, as far as they can be in an address.
fn parts(path: &Path) -> Vec<String> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    let plain = |letter: char| if letter.is_control() || letter == '\\' { '-' } else { letter };
    named.map(|name| name.chars().map(plain).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_folders_own_as_far_as_they_differ() {
        let folder = |path: &&str| Folder { path: path.into(), found: None };
        let names = |folders: &[&str]| part_names(&folders.iter().map(folder).collect::<Vec<_>>());
        assert_eq!(names(&["out/unit", "out/e2e"]), ["unit", "e2e"]);
        assert_eq!(names(&["unit/htmlcov", "./e2e/htmlcov/"]), ["unit", "e2e"]);
        assert_eq!(names(&["a/x/htmlcov", "b/x/htmlcov", "c/htmlcov"]), ["a-x", "b-x", "c"]);
        assert_eq!(names(&["unit", "b/unit"]), ["unit", "b-unit"]);
        assert_eq!(names(&[".", "../unit"]), ["report", "unit"]);
        assert_eq!(names(&["unit", "./unit"]), ["unit-1", "unit-2"]);
        assert_eq!(names(&[]), [""; 0]);
        let found = |path: &str, found: &str| Folder { path: path.into(), found: Some(found.to_owned()) };
        assert_eq!(part_names(&[found("cov/unit/htmlcov", "unit")]), ["unit"]);
        let both = [found("a/unit", "unit"), found("b/unit", "unit")];
        assert_eq!(part_names(&both), ["a", "b"]);
    }
}
