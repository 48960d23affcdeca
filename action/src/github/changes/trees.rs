//! The files of a commit, as GitHub lists them.

use std::rc::Rc;

use anyhow::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::api::{Api, CONTENTS};
use super::file::{Blobs, Room};

/// Bytes of a list. GitHub cuts it at 7 MB: <https://docs.github.com/rest/git/trees>.
const MAX_LIST: u64 = 16 << 20;

#[derive(Deserialize)]
struct Tree {
    tree: Vec<Entry>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    sha: Option<String>,
}

/// The blobs of a commit, which are requested once; `None` if there are too many.
pub fn blobs(api: &Api, commit: &str) -> Result<Option<Rc<Blobs>>> {
    if let Some(known) = api.trees.borrow().get(commit) {
        return Ok(known.clone());
    }
    let path = format!("git/trees/{}?recursive=1", utf8_percent_encode(commit, NON_ALPHANUMERIC));
    let tree: Tree = api.get_up_to(MAX_LIST, &path, "the list of files", CONTENTS)?;
    let blobs = tree.blobs(&mut api.room()).map(Rc::new);
    api.trees.borrow_mut().insert(commit.to_owned(), blobs.clone());
    Ok(blobs)
}

impl Tree {
    /// Folders and submodules are no files.
    fn blobs(self, room: &mut Room) -> Option<Blobs> {
        let entries = self.tree.into_iter().filter(|entry| entry.kind == "blob");
        let blobs: Vec<_> = entries.filter_map(|entry| Some((entry.path, entry.sha?))).collect();
        let size = |(path, sha): &(String, String)| size_of::<(String, String)>() + path.len() + sha.len();
        let fits = !self.truncated && room.take(blobs.iter().map(size).sum());
        fits.then(|| blobs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Tree {
        let entry = |(path, kind): &(&str, &str)| Entry {
            path: (*path).to_owned(),
            kind: (*kind).to_owned(),
            sha: Some("01".to_owned()),
        };
        Tree { tree: entries.iter().map(entry).collect(), truncated: false }
    }

    #[test]
    fn only_blobs_are_files() {
        let entries = [("x", "tree"), ("x/pay.py", "tree"), ("x/pay.py/a.md", "blob"), ("lib.py", "commit")];
        let blobs = tree(&entries).blobs(&mut Room::default()).unwrap();
        assert_eq!(blobs.into_keys().collect::<Vec<_>>(), ["x/pay.py/a.md"]);
    }

    #[test]
    fn lists_share_the_memory_of_the_changed_files() {
        let name = "x".repeat(40 << 20);
        let mut room = Room::default();
        assert!(tree(&[(&name, "blob")]).blobs(&mut room).is_some());
        assert!(tree(&[(&name, "blob")]).blobs(&mut room).is_none());
        assert!(tree(&[("small", "blob")]).blobs(&mut room).is_some());
    }
}
