//! Matches paths of a report with paths of the repository, or of another report. Reports have absolute paths, paths on
//! the runner, or paths relative to a folder of the repository.

pub mod roots;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

/// Files of the repository with their indices, by name.
pub struct Paths<'a> {
    by_name: HashMap<&'a str, Vec<(usize, &'a str)>>,
    /// Compared bytes so far.
    compared: AtomicUsize,
}

/// Compared bytes of all paths. In a report with so many equal names, no more files are found.
const MAX_COMPARED: usize = 1 << 30;
/// What a match costs, in compared bytes.
const MATCH_COST: usize = 100;

impl<'a> Paths<'a> {
    pub fn new(paths: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        paths.for_each(|(at, path)| by_name.entry(name(path)).or_default().push((at, path)));
        Self { by_name, compared: AtomicUsize::new(0) }
    }

    /// The files that a report's path can be: one of the two paths ends with the other.
    pub fn find(&self, path: &str) -> Vec<Match> {
        let mut found = Vec::new();
        for &(at, file) in self.by_name.get(name(path)).into_iter().flatten() {
            if self.is_exhausted() {
                return Vec::new();
            }
            let fit = fit(path, file);
            let cost = file.len() + if fit.is_some() { MATCH_COST } else { 0 };
            self.compared.fetch_add(cost, Atomic::Relaxed);
            found.extend(fit.map(|(parts, root)| Match { at, parts, root }));
        }
        found
    }

    /// Whether there were too many equal names to compare all paths.
    pub fn is_exhausted(&self) -> bool {
        self.compared.load(Atomic::Relaxed) > MAX_COMPARED
    }
}

/// A file, by its index, that a report's path can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub at: usize,
    /// The equal parts of both paths.
    pub parts: usize,
    pub root: Root,
}

/// The folder that the paths of a report start from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// The repository's own root.
    Repository,
    /// A folder of the repository: its paths start with further parts.
    Below(Vec<String>),
    /// One outside of it: the report's paths start with further parts, such as the checkout or the name of a Go module.
    Above(Vec<String>),
}

/// The number of equal parts, and the root with which a report's path is this file.
fn fit(path: &str, file: &str) -> Option<(usize, Root)> {
    let (mut ones, mut others) = (parts(path), parts(file));
    let mut equal = 0;
    loop {
        match (ones.next(), others.next()) {
            (Some(one), Some(other)) if one == other => equal += 1,
            (Some(_), Some(_)) => return None,
            (None, None) => return Some((equal, Root::Repository)),
            (None, Some(part)) => return Some((equal, Root::Below(in_order(part, others)))),
            (Some(part), None) => return Some((equal, Root::Above(in_order(part, ones)))),
        }
    }
}

/// The parts of a folder from its start, from those from its end.
fn in_order<'p>(last: &'p str, others: impl Iterator<Item = &'p str>) -> Vec<String> {
    let mut parts: Vec<String> = std::iter::once(last).chain(others).map(ToOwned::to_owned).collect();
    parts.reverse();
    parts
}

pub fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':')
}

/// The folders of a report's files.
#[derive(Default)]
pub struct Folders {
    by_name: HashMap<String, BTreeSet<String>>,
    bytes: usize,
}

/// Compared folders of one name; if there are more, one of them fits.
const MAX_FOLDERS: usize = 1_000;
/// Bytes of all folders. If there are more, every file is in one of them.
const MAX_FOLDER_BYTES: usize = 4 << 20;

impl Folders {
    /// Adds the folder of a file.
    pub fn add(&mut self, path: &str) {
        let folder = folder(path);
        let known = self.by_name.get(name(folder));
        let has_it = known.is_some_and(|known| known.len() > MAX_FOLDERS || known.contains(folder));
        if !has_it && !self.is_full() {
            self.bytes += folder.len() + size_of::<String>();
            self.by_name.entry(name(folder).to_owned()).or_default().insert(folder.to_owned());
        }
    }

    fn is_full(&self) -> bool {
        self.bytes > MAX_FOLDER_BYTES
    }

    /// Whether the report measures files in the folder of this file or in one above it. A report with bare names may have
    /// any folder's.
    pub fn measure(&self, path: &str) -> bool {
        let own = folder(path);
        let has_bare_names = self.by_name.contains_key("");
        if own.is_empty() || has_bare_names || self.is_full() {
            return has_bare_names || self.is_full();
        }
        let above = std::iter::successors(Some(own), |own| Some(folder(own)).filter(|above| !above.is_empty()));
        above.into_iter().any(|own| {
            let known = self.by_name.get(name(own));
            known.is_some_and(|known| known.len() > MAX_FOLDERS || known.iter().any(|known| fit(known, own).is_some()))
        })
    }
}

/// A path without its last part.
fn folder(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit_once(['/', '\\']).map_or("", |(folder, _)| folder)
}

/// Shortens a folder to the part that it has in common with the one of this path.
pub fn keep_common(common: &mut Option<Vec<String>>, path: &str) {
    let mut folder: Vec<&str> = parts(path).skip(1).collect();
    folder.reverse();
    match common {
        Some(common) => {
            let equal = common.iter().zip(folder).take_while(|(one, other)| *one == other).count();
            common.truncate(equal);
        }
        None => *common = Some(folder.into_iter().map(ToOwned::to_owned).collect()),
    }
}

/// The parts of a path, from its end.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\']).filter(|part| !matches!(*part, "" | "."))
}

fn name(path: &str) -> &str {
    parts(path).next().unwrap_or_default()
}

/// The kinds of files that coverage tools measure.
const SOURCES: &[&str] = &[
    "R", "as", "bas", "bash", "c", "cc", "cjs", "clj", "cljc", "cljs", "cls", "coffee", "cpp", "cr", "cs", "cts", "cu",
    "cxx", "d", "dart", "erl", "ex", "exs", "f", "f90", "fs", "go", "groovy", "h", "hh", "hpp", "hs", "hxx", "inl",
    "java", "jl", "js", "jsx", "kt", "kts", "lua", "m", "mjs", "ml", "mm", "mts", "nim", "php", "pl", "pm", "ps1",
    "psm1", "py", "pyx", "r", "rb", "re", "rs", "scala", "sh", "sol", "sv", "svelte", "svh", "swift", "tcl", "ts",
    "tsx", "v", "vb", "vhd", "vue", "zig",
];

/// Whether a file is of a kind that a report may measure, so that it is worth to ask GitHub for it.
pub fn is_source(path: &str) -> bool {
    SOURCES.contains(&kind(path))
}

/// The extension, which says what kind of file it is.
pub fn kind(path: &str) -> &str {
    name(path).rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_paths_ends_with_the_other() {
        let changed = ["src/app/rate.py", "tests/rate.py"];
        let paths = Paths::new(changed.into_iter().enumerate());
        let find = |path: &str| paths.find(path).iter().map(|found| changed[found.at]).collect::<Vec<_>>();
        for path in
            ["/home/runner/work/a/a/src/app/rate.py", r"D:\a\a\src\app\rate.py", "./src/app/rate.py", "app/rate.py"]
        {
            assert_eq!(find(path), [changed[0]], "{path}");
        }
        for path in ["lib/app/rate.py", "rate.pyc", "src/app", "", "/", "arate.py"] {
            assert_eq!(find(path), [""; 0], "{path}");
        }
        assert_eq!((find("src/app/rate.py/"), find("rate.py")), (vec![changed[0]], changed.to_vec()));
    }

    #[test]
    fn a_report_measures_folders_and_those_below() {
        let measures = |report: &[&str], path: &str| {
            let mut folders = Folders::default();
            report.iter().for_each(|path| folders.add(path));
            folders.measure(path)
        };
        for report in ["/w/app/src/shop/tax.py", "src/shop/tax.py", "shop/tax.py", r"D:\a\src\shop\tax.py"] {
            assert!(measures(&[report], "src/shop/new.py") && measures(&[report], "src/shop/new/deep.py"), "{report}");
            assert!(!measures(&[report], "tests/shop_test.py") && !measures(&[report], "setup.py"), "{report}");
            assert!(!measures(&[report], "tests/src/tax.py"), "{report}");
        }
        assert!(measures(&["tax.py"], "setup.py") && measures(&["tax.py"], "src/new.py"));
    }

    #[test]
    fn a_report_of_any_number_of_folders_takes_limited_memory() {
        let mut folders = Folders::default();
        (0..60_000).for_each(|number| folders.add(&format!("/w/{number}/{}/a.py", "x".repeat(number % 200))));
        assert!(folders.is_full() && folders.bytes < MAX_FOLDER_BYTES + 1_000, "{}", folders.bytes);
        assert!(folders.measure("src/new.py"));
    }
}
