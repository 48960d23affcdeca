//! From which folder the paths of a report start. All paths of a report have the same root, as a rule. So a path that fits
//! several files is the one that it is with the root of the others.

use std::collections::HashMap;

use super::{Match, Root, is_absolute, keep_common};

/// Files that a path can be at most to say something about the root.
const MAX_MATCHES: usize = 64;
/// Bytes of all roots. Beyond that, no further ones count.
const MAX_BYTES: usize = 4 << 20;

/// Counts which roots fit the paths of a report, separately for absolute and for relative ones: a folder can hold a report
/// in several formats.
#[derive(Default)]
pub struct Roots {
    absolute: Counted,
    relative: Counted,
}

#[derive(Default)]
struct Counted {
    /// For each root, the paths that are a file of the repository with it.
    counts: HashMap<Root, usize>,
    bytes: usize,
    /// The paths that can be a file of the repository.
    paths: usize,
    /// The folder of all paths, also of those that fit no file; `None` before the first one.
    common: Option<Vec<String>>,
}

/// The root of a report's paths.
#[derive(Clone, Copy)]
struct Likely<'r> {
    root: &'r Root,
    /// Whether others explain all paths too.
    is_tie: bool,
}

impl Roots {
    /// Adds a path and the files that it can be.
    pub fn add(&mut self, path: &str, matches: &[Match]) {
        let counted = if is_absolute(path) { &mut self.absolute } else { &mut self.relative };
        keep_common(&mut counted.common, path);
        if matches.is_empty() {
            return;
        }
        counted.paths += 1;
        for Match { root, .. } in matches.iter().take(MAX_MATCHES) {
            match counted.counts.get_mut(root) {
                Some(count) => *count += 1,
                None if counted.bytes < MAX_BYTES => {
                    counted.bytes += root.bytes();
                    counted.counts.insert(root.clone(), 1);
                }
                None => {}
            }
        }
    }

    /// Whether any path can be a file of the repository.
    pub fn fit(&self) -> bool {
        self.absolute.paths + self.relative.paths > 0
    }

    /// Ready to judge the paths, after all were added.
    pub fn judge(&self) -> Judge<'_> {
        Judge { absolute: Judged::new(&self.absolute, true), relative: Judged::new(&self.relative, false) }
    }
}

pub struct Judge<'r> {
    absolute: Judged<'r>,
    relative: Judged<'r>,
}

struct Judged<'r> {
    counted: &'r Counted,
    /// Whether the paths can have several roots: absolute ones can.
    is_open: bool,
    likely: Option<Likely<'r>>,
}

impl Judge<'_> {
    /// The files that a path can be, and whether it is certain that it is this one. `is_changed`: whether a file is one of
    /// the pull request.
    pub fn files(
        &self,
        path: &str,
        matches: Vec<Match>,
        has_tree: bool,
        is_changed: impl Fn(&Match) -> bool,
    ) -> Vec<(Match, bool)> {
        let judged = if is_absolute(path) { &self.absolute } else { &self.relative };
        let explained = judged.likely.filter(|likely| matches.iter().any(|found| found.root == *likely.root));
        if let Some(Likely { root, is_tie }) = explained {
            // The pull request may have added one of them to hide the other.
            let is_certain = !is_tie || matches.iter().filter(|found| is_changed(found)).count() < 2;
            let files = matches.into_iter().filter(|found| !is_certain || found.root == *root);
            return files.map(|found| (found, is_certain)).collect();
        }
        let is_only = matches.len() == 1;
        let has_repository = judged.counted.counts.contains_key(&Root::Repository);
        let is_certain = |root: &Root| match root {
            Root::Repository => is_only && judged.likely.is_none(),
            // Such as one of several source roots of Java.
            Root::Below(_) => is_only && !has_repository,
            Root::Above(_) => false,
        };
        // Without the tree, a path can be an unchanged file.
        let files = matches.into_iter().filter(|found| has_tree || judged.is_possible(&found.root));
        files.map(|found| (is_certain(&found.root), found)).map(|(is_certain, found)| (found, is_certain)).collect()
    }
}

impl<'r> Judge<'r> {
    /// The root of paths such as this one, if only one is likely.
    pub fn root(&self, path: &str) -> Option<&'r Root> {
        let judged = if is_absolute(path) { &self.absolute } else { &self.relative };
        judged.likely.filter(|likely| !likely.is_tie).map(|likely| likely.root)
    }
}

impl<'r> Judged<'r> {
    fn new(counted: &'r Counted, is_absolute: bool) -> Self {
        let is_open = is_absolute && !counted.counts.keys().any(|root| counted.is_around(root));
        let judged = Self { counted, is_open, likely: None };
        Self { likely: judged.likely(), ..judged }
    }

    /// The root that explains all paths, or more than twice as many as any other. If several explain all, it is the
    /// repository's own, or else a folder in it, or else the outermost one.
    fn likely(&self) -> Option<Likely<'r>> {
        let possible = || self.counted.counts.iter().filter(|(root, _)| self.is_possible(root));
        let most = *possible().map(|(_, count)| count).max()?;
        let mut best: Vec<&Root> = possible().filter(|(_, count)| **count == most).map(|(root, _)| root).collect();
        best.sort_by_key(|root| root.order());
        let explains_all = most == self.counted.paths;
        match best[..] {
            [root] => {
                let next = possible().map(|(_, count)| *count).filter(|count| *count < most).max().unwrap_or_default();
                (explains_all || most > 2 * next).then_some(Likely { root, is_tie: false })
            }
            [root, next, ..] if explains_all && root.order() != next.order() => Some(Likely { root, is_tie: true }),
            _ => None,
        }
    }

    /// Whether all paths can start with this root.
    fn is_possible(&self, root: &Root) -> bool {
        self.is_open || self.counted.is_around(root)
    }
}

impl Counted {
    fn is_around(&self, root: &Root) -> bool {
        let Root::Above(parts) = root else { return true };
        self.common.as_deref().unwrap_or_default().starts_with(parts)
    }
}

impl Root {
    /// The likelier root is the lower one.
    fn order(&self) -> (usize, usize) {
        match self {
            Self::Repository => (0, 0),
            Self::Below(_) => (1, 0),
            Self::Above(parts) => (2, parts.len()),
        }
    }

    fn bytes(&self) -> usize {
        let (Self::Below(parts) | Self::Above(parts)) = self else { return size_of::<Self>() };
        size_of::<Self>() + parts.iter().map(|part| size_of::<String>() + part.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Paths;
    use super::*;

    /// The changed files that paths of a report name, and whether that is certain. `tree`: the unchanged files, if known.
    fn named<'a>(report: &[&'a str], changed: &[&'a str], tree: Option<&[&'a str]>) -> Vec<(&'a str, &'a str, bool)> {
        let files = changed.iter().chain(tree.unwrap_or_default()).copied();
        let paths = Paths::new(files.enumerate());
        let mut roots = Roots::default();
        report.iter().for_each(|path| roots.add(path, &paths.find(path)));
        let judge = roots.judge();
        let mut named = Vec::new();
        for path in report {
            let files = judge.files(path, paths.find(path), tree.is_some(), |found| found.at < changed.len());
            named.extend(
                files.iter().filter_map(|(found, is_certain)| Some((*path, *changed.get(found.at)?, *is_certain))),
            );
        }
        named
    }

    #[test]
    fn ordinary_reports_are_certain_with_the_tree() {
        let certain = |report: &[&'static str], changed: &[&'static str], tree: &[&'static str]| {
            let named = named(report, changed, Some(tree));
            assert!(named.iter().all(|(_, _, is_certain)| *is_certain), "{named:?}");
            named.into_iter().map(|(_, file, _)| file).collect::<Vec<_>>()
        };
        // `setup.py` is not in the report, but one of the same name is.
        for report in [["src/x/setup.py", "src/x/a.py"], ["/w/src/x/setup.py", "/w/src/x/a.py"]] {
            assert_eq!(certain(&report, &["setup.py", "src/x/a.py"], &["src/x/setup.py"]), ["src/x/a.py"]);
        }
        // Two packages have files of the same names, and the report is of all, or relative to one.
        let tree = ["a/index.ts", "a/types.ts", "b/index.ts", "b/types.ts", "b/other.ts"];
        for report in [["a/index.ts", "a/main.ts", "b/index.ts"], ["/w/a/index.ts", "/w/a/main.ts", "/w/b/index.ts"]] {
            assert_eq!(certain(&report, &["a/main.ts", "a/index.ts"], &tree[1..]), ["a/index.ts", "a/main.ts"]);
        }
        let report = ["index.ts", "types.ts", "main.ts"];
        assert_eq!(certain(&report, &["a/main.ts", "a/index.ts"], &tree[1..]), ["a/index.ts", "a/main.ts"]);
        assert_eq!(
            certain(&report, &["b/index.ts"], &["a/index.ts", "a/types.ts", "a/main.ts", "b/types.ts"]),
            [""; 0]
        );
        // The only file has a namesake elsewhere.
        assert_eq!(certain(&["index.js"], &["index.js"], &["examples/index.js"]), ["index.js"]);
        assert_eq!(certain(&["index.js"], &["examples/index.js"], &["index.js"]), [""; 0]);
        assert_eq!(certain(&["/w/src/index.js"], &["src/index.js"], &["index.js"]), ["src/index.js"]);
        // One root, with files of the system and generated ones beside it.
        let report = ["/usr/include/c++/13/vector", "/w/src/rate.cc", "/w/build/version.cc"];
        assert_eq!(certain(&report, &["src/rate.cc"], &["src/version.cc"]), ["src/rate.cc"]);
        // Source roots of Java, also where most files are in one of them, and a Go module.
        let report = ["com/x/A.java", "com/x/B.java", "com/x/C.java", "com/x/D.java"];
        let tree = ["one/src/com/x/A.java", "one/src/com/x/B.java", "one/src/com/x/C.java"];
        assert_eq!(certain(&report, &["two/src/com/x/D.java"], &tree), ["two/src/com/x/D.java"]);
        let report = ["example.org/app/rate.go", "example.org/app/db/open.go"];
        assert_eq!(certain(&report, &["rate.go", "db/open.go"], &["open.go"]), ["rate.go", "db/open.go"]);
    }

    #[test]
    fn a_decoy_hides_no_file() {
        // The report is relative to `backend`.
        let report = ["app/__init__.py", "app/pay.py", "app/ok.py"];
        let tree = ["backend/app/__init__.py", "backend/app/ok.py"];
        let pay = ("app/pay.py", "backend/app/pay.py", true);
        for decoy in ["app/__init__.py", "docs/app/pay.py", "app/pay.py"] {
            assert_eq!(named(&report, &["backend/app/pay.py", decoy], Some(&tree)), [pay], "{decoy}");
        }
        // Without the tree, both can be.
        let changed = ["app/__init__.py", "backend/app/pay.py"];
        assert_eq!(named(&report, &changed, None)[1], ("app/pay.py", "backend/app/pay.py", false));
        // The decoys are all that the report has.
        let both = [("pay.py", "backend/pay.py", false), ("pay.py", "pay.py", false)];
        assert_eq!(named(&["pay.py"], &["backend/pay.py", "pay.py"], Some(&[])), both);
        // One is of a generated file, which is not in the repository.
        let report = ["app/pay.py", "app/ok.py", "app/version.py", "app/more.py"];
        let changed = ["app/version.py", "backend/app/pay.py"];
        let expected = [(report[0], changed[1], true), (report[2], changed[0], false)];
        assert_eq!(named(&report, &changed, Some(&["backend/app/ok.py", "backend/app/more.py"])), expected);
    }

    #[test]
    fn a_path_of_another_root_is_uncertain() {
        let report = ["/app/src/a.py", "/app/src/b.py", "/srv/worker/pay.py"];
        let changed = ["src/a.py", "src/b.py", "worker/pay.py"];
        assert_eq!(named(&report, &changed, Some(&[]))[2], (report[2], changed[2], false));
        let tree = ["src/c.py", "src/d.py"];
        let report = [&report[..], &["/app/src/c.py", "/app/src/d.py"]].concat();
        let certain: Vec<_> =
            named(&report, &changed, Some(&tree)).into_iter().map(|(_, _, certain)| certain).collect();
        assert_eq!(certain, [true, true, false]);
    }

    #[test]
    fn several_candidates_are_uncertain() {
        let report = ["app/pay.py"];
        let expected = |file| [("app/pay.py", file, false)];
        assert_eq!(named(&report, &["a/app/pay.py"], Some(&["b/app/pay.py"])), expected("a/app/pay.py"));
        assert_eq!(
            named(&["/w/a/r.py", "/w/b/r.py"], &["r.py"], None).iter().filter(|(_, _, certain)| *certain).count(),
            0
        );
    }

    #[test]
    fn without_the_tree_a_file_of_the_same_name_in_another_folder_is_no_match() {
        // The report is relative to the repository, and `setup.py` not in it.
        assert_eq!(named(&["lib/setup.py", "src/rate.py"], &["setup.py"], None), []);
        // It has absolute paths, and another file says where they start.
        let changed = ["setup.py", "src/rate.py"];
        let expected = [("/w/src/rate.py", changed[1], true)];
        assert_eq!(named(&["/w/src/rate.py", "/w/lib/setup.py"], &changed, None), expected);
        let expected = [("/w/setup.py", changed[0], true)];
        assert_eq!(named(&["/w/lib/setup.py", "/w/setup.py"], &changed, None), expected);
    }

    /// Compared with each other, they would take minutes.
    #[test]
    fn many_equally_likely_roots_end_soon() {
        let report: Vec<String> = (0..60_000).map(|number| format!("/{number}/rate.py")).collect();
        let report: Vec<&str> = report.iter().map(String::as_str).collect();
        let named = named(&report, &["rate.py"], None);
        assert!(named.len() == report.len() && named.iter().all(|(_, _, is_certain)| !is_certain));
    }
}
