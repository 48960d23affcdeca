//! The stub's data: repositories, branches, commits, statuses, a README, pull requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use super::pulls::{Author, CheckRun, Commit, Comparison, Permission, PullRequest};

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
    /// Faults of the requests whose path contains a text.
    pub faults_at: Vec<(String, Fault)>,
    pub requests: Vec<Recorded>,
    pub purged: Vec<String>,
    /// The URL of the artifacts' store, and its requests.
    pub store: String,
    pub store_requests: Vec<Recorded>,
    /// The permissions of the token; `None` if it may do everything.
    pub permissions: Option<Vec<Permission>>,
    /// The author of what the token creates; `None` is GitHub Actions.
    pub author: Option<Author>,
    /// Where new comments wait for each other.
    pub gathering: Option<Arc<Barrier>>,
    /// The number of IDs and times that were used.
    ticks: u64,
}

#[derive(Debug, Default)]
pub struct Repository {
    /// The ID is the position among all repositories, unless the test changes it.
    pub id: u64,
    pub is_private: bool,
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
    pub pull_requests: BTreeMap<u64, PullRequest>,
    pub check_runs: Vec<CheckRun>,
    /// Commits of which the test says more than their place in a branch.
    pub commits: HashMap<String, Commit>,
    /// Comparisons by base and head, as they are in the URL.
    pub comparisons: HashMap<(String, String), Comparison>,
    /// Blobs by their SHA.
    pub blobs: HashMap<String, Vec<u8>>,
    /// The SHAs of the blobs by path, by commit.
    pub trees: HashMap<String, BTreeMap<String, String>>,
    /// Whether the trees are too large for a response.
    pub has_large_trees: bool,
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
    pub fn add(&mut self, mut repository: Repository) {
        let key = repository.full_name.to_lowercase();
        repository.id = self.repositories.get(&key).map_or(self.repositories.len() as u64 + 1, |old| old.id);
        self.repositories.insert(key, repository);
    }

    pub fn repository_with_id(&self, id: &str) -> Option<&Repository> {
        self.repositories.values().find(|repository| repository.id.to_string() == id)
    }

    /// A new ID. IDs of different things differ, and later ones are larger.
    pub fn next_id(&mut self) -> u64 {
        self.ticks += 1;
        1_000_000 + self.ticks
    }

    /// A time in RFC 3339, one second after the one before.
    pub fn next_time(&mut self) -> String {
        self.ticks += 1;
        let (minutes, seconds) = (self.ticks / 60, self.ticks % 60);
        format!("2026-01-02T{:02}:{:02}:{seconds:02}Z", 4 + minutes / 60 % 20, minutes % 60)
    }

    /// The author of what the token creates.
    pub fn author(&self) -> Author {
        self.author.clone().unwrap_or_else(Author::github_actions)
    }

    /// The fault of a request.
    pub fn fault_of(&self, path: &str) -> Fault {
        let at = self.faults_at.iter().rfind(|(part, _)| path.contains(part));
        at.map_or_else(|| self.fault.clone(), |(_, fault)| fault.clone())
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

    /// Adds or changes a pull request, whose commits are then in the repository too, even from a fork.
    pub fn set_pull_request(&mut self, pull_request: PullRequest) {
        let shas = [&pull_request.head_sha, &pull_request.base_sha, &pull_request.merge_base_sha];
        for sha in shas.into_iter().chain(&pull_request.merge_commit_sha) {
            self.statuses.entry(sha.clone()).or_default();
        }
        self.pull_requests.insert(pull_request.number, pull_request);
    }

    pub fn set_commit(&mut self, commit: Commit) {
        self.statuses.entry(commit.sha.clone()).or_default();
        self.commits.insert(commit.sha.clone(), commit);
    }

    /// The SHA of a branch, a ref, a known commit, or `OWNER:BRANCH` of a pull request.
    pub fn resolve(&self, reference: &str) -> Option<String> {
        let short = reference.strip_prefix("refs/").unwrap_or(reference);
        if let Some(pull) = short.strip_prefix("pull/") {
            let (number, side) = pull.split_once('/')?;
            let pull_request = self.pull_requests.get(&number.parse().ok()?)?;
            return match side {
                "head" => Some(pull_request.head_sha.clone()),
                "merge" => pull_request.merge_commit_sha.clone(),
                _ => None,
            };
        }
        let branch = short.strip_prefix("heads/").unwrap_or(short);
        if let Some(newest) = self.history(branch).first() {
            return Some(newest.clone());
        }
        if let Some((owner, branch)) = short.split_once(':') {
            let is_from = |pull: &&PullRequest| pull.head_owner() == owner && pull.head_ref == branch;
            return self.pull_requests.values().rev().find(is_from).map(|pull| pull.head_sha.clone());
        }
        self.knows(short).then(|| short.to_owned())
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
