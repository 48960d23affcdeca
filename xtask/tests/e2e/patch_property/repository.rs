//! A git repository with the branches of many pull requests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use covered::coverage::patch::ChangedFile;

use super::generator::{Change, Tree};

pub struct Repository {
    pub folder: PathBuf,
}

impl Repository {
    /// Of each pull request the branches `main-N` and `head-N`.
    pub fn new(folder: &Path, changes: &[Change]) -> Self {
        fs::create_dir(folder).unwrap();
        // As git shows it to diff-cover.
        let repository = Self { folder: folder.canonicalize().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch", "main"], None);
        let mut stream = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            let base = format!("base-{number}");
            commit(&mut stream, &base, None, &change.base);
            commit(&mut stream, &format!("main-{number}"), Some(&base), &change.main);
            commit(&mut stream, &format!("head-{number}"), Some(&base), &change.head);
        }
        let input = folder.with_extension("stream");
        fs::write(&input, stream).unwrap();
        repository.git(&["fast-import", "--quiet"], Some(&input));
        repository
    }

    /// The changed files of a pull request, with what GitHub calls `patch`. `context`: the option for lines around a change.
    pub fn changed_files(&self, number: usize, context: &str) -> Vec<ChangedFile> {
        let range = format!("main-{number}...head-{number}");
        let diff = self.git(&["-c", "core.quotePath=false", "diff", "--no-color", context, &range], None);
        let diff = String::from_utf8_lossy(&diff);
        // Lines of files start with another character.
        diff.split("\ndiff --git ").filter_map(|file| changed_file(file, &format!("head-{number}"))).collect()
    }

    fn git(&self, arguments: &[&str], input: Option<&Path>) -> Vec<u8> {
        let mut git = without_config(Command::new("git"));
        git.current_dir(&self.folder).args(arguments);
        if let Some(input) = input {
            git.stdin(File::open(input).unwrap());
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// A command that git's configuration on this machine does not change.
pub fn without_config(mut command: Command) -> Command {
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// `None` for a file without changed lines: only its name or mode changed.
fn changed_file(diff: &str, commit: &str) -> Option<ChangedFile> {
    let (head, _) = diff.split_once("\n@@ ")?;
    let (old, new) = (line_after(head, "--- ")?, line_after(head, "+++ ")?);
    let path = if new == "/dev/null" { old.strip_prefix("a/") } else { new.strip_prefix("b/") };
    let patch = &diff[head.len() + 1..];
    Some(ChangedFile {
        path: path?.to_owned(),
        commit: commit.to_owned(),
        diff: Ok(patch.strip_suffix('\n').unwrap_or(patch).to_owned()),
    })
}

/// git ends a name that has a space with a tab.
fn line_after<'a>(head: &'a str, mark: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(mark)).map(|name| name.trim_end_matches('\t'))
}

/// In the format of `git fast-import`.
fn commit(stream: &mut Vec<u8>, branch: &str, parent: Option<&str>, tree: &Tree) {
    let mut line = |text: String| stream.extend(text.into_bytes());
    line(format!("commit refs/heads/{branch}\ncommitter a <a@example.com> 1700000000 +0000\ndata 0\n"));
    if let Some(parent) = parent {
        line(format!("from refs/heads/{parent}\n"));
    }
    line("deleteall\n".to_owned());
    for (path, text) in tree {
        stream.extend(format!("M 100644 inline {path}\ndata {}\n", text.len()).into_bytes());
        stream.extend(text);
        stream.push(b'\n');
    }
    stream.push(b'\n');
}
