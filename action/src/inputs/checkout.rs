//! The commit that is checked out, read from `.git` without git.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use super::check;

/// Bytes of a ref, and of the list of packed refs: far more than git writes for any real repository.
const MAX_REF: u64 = 4 << 10;
const MAX_PACKED_REFS: u64 = 64 << 20;

/// The commit that `HEAD` names, or what it says if that commit is unknown. `None` without a readable `HEAD`.
pub fn head(workspace: &Path) -> Option<String> {
    let git = workspace.join(".git");
    let head = read(&git, "HEAD", MAX_REF)?;
    let head = head.trim();
    let commit = head.strip_prefix("ref:").and_then(|name| commit_of(&git, name.trim()));
    Some(commit.unwrap_or_else(|| head.to_owned()))
}

/// The commit of a branch. Git looks into its own file first.
fn commit_of(git: &Path, name: &str) -> Option<String> {
    let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !name.starts_with("refs/") || !is_plain {
        return None;
    }
    let commit = |text: &str| check::commit_sha(text.trim()).ok();
    if let Some(found) = read(git, name, MAX_REF) {
        return commit(&found);
    }
    let packed = read(git, "packed-refs", MAX_PACKED_REFS)?;
    let line = packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, packed)| packed.trim_end() == name))?;
    commit(line.split_once(' ')?.0)
}

/// A regular file in the folder `.git`. A symbolic link in it must not lead out.
fn read(git: &Path, name: &str, max: u64) -> Option<String> {
    let path = git.join(name).canonicalize().ok()?;
    // Opening a pipe would block.
    if !path.starts_with(git.canonicalize().ok()?) || !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = File::open(path).ok()?.take(max + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= max).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LOOSE: &str = "1111111111111111111111111111111111111111";
    const PACKED: &str = "2222222222222222222222222222222222222222";

    /// What `HEAD` names in a repository with a branch `a/loose`, and one that is packed.
    fn head_of(content: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("refs/heads/a")).unwrap();
        fs::write(git.join("refs/heads/a/loose"), format!("{LOOSE}\n")).unwrap();
        fs::write(git.join("refs/heads/damaged"), "no hash\n").unwrap();
        fs::write(git.join("refs/heads/large"), LOOSE.repeat(1_000)).unwrap();
        let packed = format!(
            "# pack-refs with: peeled\n{PACKED} refs/heads/packed\n^{LOOSE}\n{PACKED} refs/heads/a/loose\nx refs/heads/x\n"
        );
        fs::write(git.join("packed-refs"), packed).unwrap();
        fs::write(folder.path().join("outside"), LOOSE).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("outside"), git.join("refs/heads/link")).unwrap();
        fs::write(git.join("HEAD"), content).unwrap();
        head(folder.path())
    }

    #[test]
    fn the_commit_of_a_branch_is_found() {
        for (content, commit) in
            [(LOOSE, LOOSE), ("ref: refs/heads/a/loose\n", LOOSE), ("ref: refs/heads/packed\r\n", PACKED)]
        {
            assert_eq!(head_of(content).as_deref(), Some(commit), "{content:?}");
        }
    }

    #[test]
    fn an_unknown_branch_is_no_commit() {
        for name in [
            "refs/heads/none",
            "refs/heads/.invalid",
            "refs/heads/damaged",
            "refs/heads/large",
            "refs/heads/link",
            "refs/heads/x",
            "refs/heads",
            "refs/../../outside",
            "refs/heads/../heads/a/loose",
            "../outside",
            "/etc/hostname",
            "",
        ] {
            let content = format!("ref: {name}");
            assert_eq!(head_of(&content).as_deref(), Some(content.trim()), "{name}");
        }
        assert_eq!(head_of(&"x".repeat(5_000)), None);
        assert_eq!(head(Path::new("no such folder")), None);
    }
}
