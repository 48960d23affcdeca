//! Which files the paths of a part are: files of the repository, or of the parts before.

use crate::coverage::paths::roots::Roots;
use crate::coverage::paths::{Match, Paths, Root, is_absolute};

/// What a path of a part is.
pub enum Place {
    /// The file with this index. It is not certain if the paths of the part could start elsewhere.
    File { at: usize, is_certain: bool },
    Unclear {
        /// The files that it can be.
        candidates: Vec<usize>,
        /// Where it is if it starts from the root of the part's other paths.
        rooted: Option<String>,
    },
}

/// The places of a part's paths.
pub fn place(files: &Paths, paths: &[&str]) -> Vec<Place> {
    let mut roots = Roots::default();
    paths.iter().for_each(|path| roots.add(path, &files.find(path)));
    let judge = roots.judge();
    let place = |path: &&str| {
        let only = |found: &[(Match, bool)]| match found {
            [(Match { at, .. }, true)] => Some(*at),
            _ => None,
        };
        let matches = files.find(path);
        let careful = judge.files(path, matches.clone(), true, |_| true);
        let found = judge.files(path, matches, true, |_| false);
        match only(&found) {
            Some(at) => Place::File { at, is_certain: only(&careful) == Some(at) },
            None => Place::Unclear {
                candidates: found.iter().map(|(found, _)| found.at).collect(),
                rooted: judge.root(path).and_then(|root| from_root(root, path)),
            },
        }
    };
    paths.iter().map(place).collect()
}

/// A path as it is from the root of the files, if it starts from this one.
fn from_root(root: &Root, path: &str) -> Option<String> {
    let path = plain(path);
    match root {
        Root::Repository => Some(path),
        Root::Below(folders) => Some(format!("{}/{path}", folders.join("/"))),
        Root::Above(folders) => {
            let mut parts = path.split('/').filter(|part| !part.is_empty());
            let starts = folders.iter().all(|folder| parts.next() == Some(folder));
            starts.then(|| parts.collect::<Vec<_>>().join("/")).filter(|rest| !rest.is_empty())
        }
    }
}

/// A path with `/` on every system, and without parts that say nothing.
pub fn plain(path: &str) -> String {
    let is_windows = path.contains('\\') && (!path.contains('/') || path.as_bytes().get(1) == Some(&b':'));
    let path = if is_windows { path.replace('\\', "/") } else { path.to_owned() };
    path.strip_prefix("./").map_or(path.clone(), ToOwned::to_owned)
}

/// The folders in which runners of GitHub Actions have their checkouts: hosted and self-hosted ones, and containers.
const WORK_FOLDERS: &[&str] = &["work", "_work", "__w"];

/// A path without the checkout of a runner, as in `/home/runner/work/app/app/src/x.py` and `D:\a\app\app\src\x.py`.
pub fn without_runner(path: &str) -> Option<&str> {
    if !is_absolute(path) {
        return None;
    }
    let mut rest = path;
    let mut before = "";
    loop {
        let (part, after) = rest.split_once(['/', '\\'])?;
        let is_work = WORK_FOLDERS.contains(&part) || (part == "a" && before.ends_with(':'));
        if let Some(checkout) = Some(after).filter(|_| is_work) {
            let mut parts = checkout.splitn(3, ['/', '\\']);
            if let (Some(one), Some(other), Some(file)) = (parts.next(), parts.next(), parts.next())
                && one == other
                && !one.is_empty()
                && !file.is_empty()
            {
                return Some(file);
            }
        }
        (before, rest) = (part, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_of_a_runner_is_the_root() {
        for path in [
            "/home/runner/work/app/app/src/x.py",
            "/Users/runner/work/app/app/src/x.py",
            r"D:\a\app\app\src\x.py",
            "D:/a/app/app/src/x.py",
            "/__w/app/app/src/x.py",
            "/opt/actions-runner/_work/app/app/src/x.py",
            "/home/work/work/app/app/src/x.py",
        ] {
            assert_eq!(without_runner(path).map(plain).as_deref(), Some("src/x.py"), "{path}");
        }
        for path in
            ["work/app/app/x.py", "/home/runner/work/app/lib/x.py", "/a/app/app/x.py", "/w//app/x.py", "/", "C:"]
        {
            assert_eq!(without_runner(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_starts_from_the_root_of_the_others() {
        let folders = |path: &str| path.split('/').map(ToOwned::to_owned).collect::<Vec<_>>();
        let from = |root: Root, path: &str| from_root(&root, path);
        assert_eq!(from(Root::Below(folders("web/src")), r".\x.ts").as_deref(), Some("web/src/x.ts"));
        assert_eq!(from(Root::Above(folders("app/code")), "/app/code/src/x.ts").as_deref(), Some("src/x.ts"));
        assert_eq!(from(Root::Above(folders("app/code")), "/app/other/x.ts"), None);
        assert_eq!(from(Root::Repository, "src/x.ts").as_deref(), Some("src/x.ts"));
    }
}
