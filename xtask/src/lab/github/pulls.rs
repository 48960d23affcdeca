//! What a test says about pull requests: their files, comments, commits, comparisons and check runs.

use ring::digest;
use serde_json::Value;

/// The time of the first event, so that the stub's responses are the same in every run.
const FIRST_TIME: &str = "2026-01-02T03:04:05Z";

/// The length of a SHA-1 in hexadecimal digits.
const SHA_LENGTH: usize = 40;

/// A pull request. The default is open, from a branch of the same repository to `main`, without files and comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    /// `open` or `closed`.
    pub state: String,
    pub title: String,
    pub author: Author,
    pub head_sha: String,
    pub head_ref: String,
    /// ID and full name; `None` if the fork was deleted.
    pub head_repository: Option<(u64, String)>,
    /// The newest commit of the base branch.
    pub base_sha: String,
    pub base_ref: String,
    /// The commit that GitHub shows the changes against.
    pub merge_base_sha: String,
    /// The commit of `refs/pull/NUMBER/merge`, whose parents are the base and the head; `None` if there is a conflict.
    pub merge_commit_sha: Option<String>,
    /// Whether GitHub refuses comments.
    pub locked: bool,
    pub files: Vec<ChangedFile>,
    /// The comments, oldest first. The stub replaces an ID of 0.
    pub comments: Vec<Comment>,
}

impl Default for PullRequest {
    fn default() -> PullRequest {
        PullRequest {
            number: 1,
            state: "open".to_owned(),
            title: "Change something".to_owned(),
            author: Author::person("contributor"),
            head_sha: String::new(),
            head_ref: "change".to_owned(),
            head_repository: None,
            base_sha: String::new(),
            base_ref: "main".to_owned(),
            merge_base_sha: String::new(),
            merge_commit_sha: None,
            locked: false,
            files: Vec::new(),
            comments: Vec::new(),
        }
    }
}

impl PullRequest {
    /// The owner of the head branch; the author is taken for the owner of a deleted fork.
    pub fn head_owner(&self) -> &str {
        let name = self.head_repository.as_ref().map(|(_, name)| name.as_str());
        name.and_then(|name| name.split('/').next()).unwrap_or(&self.author.login)
    }
}

/// A changed file. The stub adds the number of changes from additions and deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedFile {
    pub filename: String,
    /// `added`, `modified`, `renamed`, `removed`, `copied` or `changed`.
    pub status: String,
    pub previous_filename: Option<String>,
    /// The SHA of the blob in the head commit.
    pub sha: String,
    pub additions: u64,
    pub deletions: u64,
    /// `None` if GitHub never returns it: binary or too large files.
    pub patch: Option<String>,
    /// The patch is missing in pages of more files than this, as in GitHub's large responses.
    pub patch_in_pages_up_to: Option<usize>,
    /// In pages of more files than this, the patch is missing and the numbers of lines are 0: past about 20,000 lines of
    /// patches in one response, GitHub does so.
    pub counts_in_pages_up_to: Option<usize>,
}

impl ChangedFile {
    /// A modified file with the numbers of added and deleted lines of the patch.
    pub fn modified(filename: &str, patch: &str) -> ChangedFile {
        let count = |sign: char| patch.lines().filter(|line| line.starts_with(sign)).count() as u64;
        ChangedFile {
            filename: filename.to_owned(),
            status: "modified".to_owned(),
            previous_filename: None,
            sha: blob_sha(format!("{filename}\n{patch}").as_bytes()),
            additions: count('+'),
            deletions: count('-'),
            patch: Some(patch.to_owned()),
            patch_in_pages_up_to: None,
            counts_in_pages_up_to: None,
        }
    }

    /// An added file with the numbers of the patch.
    pub fn added(filename: &str, patch: &str) -> ChangedFile {
        ChangedFile { status: "added".to_owned(), ..ChangedFile::modified(filename, patch) }
    }

    /// A renamed file; an empty patch means that its content did not change.
    pub fn renamed(previous_filename: &str, filename: &str, patch: &str) -> ChangedFile {
        let file = ChangedFile::modified(filename, patch);
        ChangedFile {
            status: "renamed".to_owned(),
            previous_filename: Some(previous_filename.to_owned()),
            patch: file.patch.clone().filter(|patch| !patch.is_empty()),
            ..file
        }
    }
}

/// Git's SHA of a blob.
pub fn blob_sha(bytes: &[u8]) -> String {
    let mut all = format!("blob {}\0", bytes.len()).into_bytes();
    all.extend(bytes);
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &all);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text has the format of a SHA-1.
pub fn is_sha(text: &str) -> bool {
    text.len() == SHA_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An account of GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub login: String,
    pub id: u64,
    /// `User` or `Bot`.
    pub kind: String,
    /// ID and slug of the app whose token this is.
    pub app: Option<(u64, String)>,
}

impl Author {
    /// A person with an ID that follows from the login.
    pub fn person(login: &str) -> Author {
        let id = login.bytes().fold(1, |id: u64, byte| id * 31 % 1_000_003 + u64::from(byte));
        Author { login: login.to_owned(), id, kind: "User".to_owned(), app: None }
    }

    /// The author of everything that a workflow's `GITHUB_TOKEN` creates, with its real IDs.
    pub fn github_actions() -> Author {
        Author {
            login: "github-actions[bot]".to_owned(),
            id: 41_898_282,
            kind: "Bot".to_owned(),
            app: Some((15_368, "github-actions".to_owned())),
        }
    }
}

/// A comment of a pull request. The times are in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Author,
    pub created_at: String,
    pub updated_at: String,
}

impl Comment {
    /// A comment that was never changed; the stub gives it an ID when the test adds its pull request.
    pub fn new(author: Author, body: &str) -> Comment {
        let (created_at, updated_at) = (FIRST_TIME.to_owned(), FIRST_TIME.to_owned());
        Comment { id: 0, body: body.to_owned(), author, created_at, updated_at }
    }
}

/// A commit with its changes against its first parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub sha: String,
    pub parents: Vec<String>,
    pub files: Vec<ChangedFile>,
}

/// The result of comparing two commits with three dots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub merge_base_sha: String,
    /// The commits of the head that the base lacks, oldest first.
    pub commits: Vec<String>,
    pub files: Vec<ChangedFile>,
}

/// A check run; the annotations of all requests are as they were sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckRun {
    pub id: u64,
    pub name: String,
    pub head_sha: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    pub conclusion: Option<String>,
    pub details_url: Option<String>,
    pub external_id: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<Value>,
}

/// A permission of the token in the workflow's `permissions`; write includes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    ContentsRead,
    PullRequestsRead,
    PullRequestsWrite,
    IssuesRead,
    IssuesWrite,
    ChecksWrite,
    StatusesWrite,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blob_shas_are_gits() {
        // From `git hash-object`.
        assert_eq!(blob_sha(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_sha(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn the_numbers_of_a_file_come_from_its_patch() {
        let file = ChangedFile::renamed("a.rs", "b.rs", "@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d");
        assert_eq!((file.additions, file.deletions, file.status.as_str()), (2, 1, "renamed"));
        assert_eq!(ChangedFile::renamed("a.rs", "b.rs", "").patch, None);
    }
}
