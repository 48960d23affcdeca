//! The stub's data: repositories, branches, commits, statuses, a README.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A commit status; `state` is `success`, `failure`, `pending` or `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub context: String,
    pub state: String,
    pub description: String,
    pub target_url: String,
}

/// The fault of every request until the next change.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    #[default]
    None,
    /// Delays the response.
    Stall(Duration),
    /// Closes the connection without a response.
    Drop,
    Status {
        code: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The rate limit is exhausted: 403 from REST, 200 with `errors` from GraphQL.
    RateLimited,
    /// Status 200 without JSON.
    Garbage,
}

/// A received request. Header names are lower case; the path includes the query.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
pub struct State {
    repositories: HashMap<String, Repository>,
    pub fault: Fault,
    pub requests: Vec<Recorded>,
    pub purged: Vec<String>,
    /// The URL of the artifacts' store, and its requests.
    pub store: String,
    pub store_requests: Vec<Recorded>,
}

#[derive(Debug, Default)]
pub struct Repository {
    /// The name as it was added; comparisons ignore case.
    pub full_name: String,
    pub default_branch: String,
    /// Commits by branch, newest first. A branch without commits does not exist.
    pub branches: BTreeMap<String, Vec<String>>,
    /// Statuses by commit, oldest first.
    statuses: HashMap<String, Vec<Status>>,
    pub readme_images: Option<Vec<String>>,
    /// The artifacts of all runs, oldest first.
    pub artifacts: Vec<Artifact>,
}

/// An artifact of a run: a zip.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub run_id: u64,
    pub name: String,
    pub head_sha: String,
    pub zip: Vec<u8>,
}

impl State {
    pub fn add(&mut self, repository: Repository) {
        let key = repository.full_name.to_lowercase();
        self.repositories.insert(key, repository);
    }

    pub fn repository(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.get(&full_name.to_lowercase())
    }

    pub fn repository_mut(&mut self, full_name: &str) -> Option<&mut Repository> {
        self.repositories.get_mut(&full_name.to_lowercase())
    }
}

impl Repository {
    pub fn new(full_name: &str, default_branch: &str) -> Repository {
        Repository {
            full_name: full_name.to_owned(),
            default_branch: default_branch.to_owned(),
            ..Repository::default()
        }
    }

    pub fn push(&mut self, branch: &str, sha: &str) {
        let commits = self.branches.entry(branch.to_owned()).or_default();
        commits.insert(0, sha.to_owned());
        self.statuses.entry(sha.to_owned()).or_default();
    }

    pub fn knows(&self, sha: &str) -> bool {
        self.statuses.contains_key(sha)
    }

    pub fn set_status(&mut self, sha: &str, status: Status) {
        self.statuses.entry(sha.to_owned()).or_default().push(status);
    }

    pub fn statuses_of(&self, sha: &str) -> &[Status] {
        self.statuses.get(sha).map_or(&[], Vec::as_slice)
    }

    pub fn history(&self, branch: &str) -> &[String] {
        self.branches.get(branch).map_or(&[], Vec::as_slice)
    }

    /// The history that starts at a commit, newest first.
    pub fn since(&self, sha: &str) -> &[String] {
        let found = self.branches.values().find_map(|commits| {
            let at = commits.iter().position(|commit| commit == sha)?;
            commits.get(at..)
        });
        found.unwrap_or_default()
    }
}
