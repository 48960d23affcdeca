//! What a pull request changes: its files with their diffs, in the line numbers of the tested commit.

mod api;
mod base;
mod between;
mod file;
mod files;
mod trees;

use std::fmt;

use anyhow::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::base::text::{count, short_sha, shorten};
use crate::coverage::patch::{ChangedFile, Unknown};
use crate::github::api::GitHub;
use crate::http::Client;
use crate::inputs::{Branch, PullRequest, Tested};
use api::{Api, PULLS};
pub use between::Between;

/// Requests for what may be missing, besides further pages of files.
const MAX_REQUESTS: usize = 5;

/// The open pull request of a commit.
#[derive(Debug)]
pub struct Found {
    pub number: u64,
    /// An error says why they cannot be read.
    pub changes: Result<Changes>,
}

/// What a pull request changes.
#[derive(Debug)]
pub struct Changes {
    pub number: u64,
    /// The last one stands for those that GitHub does not list, if there are any: [`Unknown::NotListed`].
    pub files: Vec<ChangedFile>,
    /// The paths of all files in the tested commit, if GitHub lists them.
    pub tree: Option<Vec<String>>,
    /// What the reader of the log should know.
    pub notes: Vec<String>,
}

/// Why there is no pull request to look at. Nothing failed.
#[derive(Debug)]
pub struct NoPullRequest(String);

impl fmt::Display for NoPullRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoPullRequest {}

#[derive(Deserialize)]
struct PullDetails {
    number: u64,
    state: String,
    head: Head,
    base: Base,
    /// Missing in lists of pull requests.
    changed_files: Option<usize>,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
    /// Missing if the fork was deleted.
    repo: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    id: u64,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    branch: String,
}

/// The pull request that `commit` is the head of, with its changes; an error says why there is none. If the changes cannot
/// be read, the number is the one in GitHub's event or of the branch, and the head may have moved on since.
pub fn fetch(client: &Client, github: &GitHub, wanted: &PullRequest, commit: &str) -> Result<Found> {
    let api = Api::new(client, github);
    let (number, tested) = match wanted {
        PullRequest::None(why) => return Err(NoPullRequest((*why).to_owned()).into()),
        PullRequest::Number(number, tested) => (*number, tested),
        PullRequest::Of(branch, tested) => (find(&api, branch, commit)?, tested),
    };
    match changes(&api, number, tested, commit) {
        Err(error) if error.is::<NoPullRequest>() => Err(error),
        changes => Ok(Found { number, changes }),
    }
}

/// The paths of all files in a commit; `None` if there are too many.
pub fn files(client: &Client, github: &GitHub, commit: &str) -> Result<Option<Vec<String>>> {
    let blobs = trees::blobs(&Api::new(client, github), commit)?;
    Ok(blobs.map(|blobs| blobs.keys().cloned().collect()))
}

/// What changed from one commit to another.
pub fn between(client: &Client, github: &GitHub, from: &str, to: &str) -> Result<Between> {
    between::between(&Api::new(client, github), from, to)
}

fn changes(api: &Api, number: u64, tested: &Tested, commit: &str) -> Result<Changes> {
    let listed = files::list(api, number)?;
    // After the files: if the head is still this commit, they were those of this commit.
    let pull: PullDetails = api.get(&format!("pulls/{number}"), &format!("pull request #{number}"), PULLS)?;
    if pull.head.sha != commit {
        let (head, tested) = (short_sha(&pull.head.sha), short_sha(commit));
        let text = format!("pull request #{number} has moved on to {head}, this run tested {tested}");
        return Err(NoPullRequest(text).into());
    }
    if pull.state != "open" {
        return Err(NoPullRequest(format!("pull request #{number} is {}", shorten(&pull.state, 20))).into());
    }
    let mut notes = Vec::new();
    let (found, all) = (listed.len(), pull.changed_files.unwrap_or_default());
    if found < all {
        notes.push(format!("GitHub lists only {found} of the {all} changed files of #{number}"));
    }
    let more_pages = found.saturating_sub(1) / files::PER_PAGE;
    let base::Placed { mut files, tree } = base::place(api, listed, tested, commit, &pull.base.branch)?;
    // Without all changed files, those before the changes do not give those after.
    let tree = tree.filter(|_| found >= all);
    let has_room = tree.is_none() && api.sent() - more_pages < MAX_REQUESTS;
    let head = || trees::blobs(api, commit).ok().flatten().map(|blobs| blobs.keys().cloned().collect());
    let tree = if has_room { head() } else { tree };
    files.extend(unlisted(found, all, commit));
    Ok(Changes { number, files, tree, notes })
}

/// Stands for the files that GitHub does not list: it ends after 3,000.
fn unlisted(found: usize, all: usize, commit: &str) -> Option<ChangedFile> {
    let missing = all.checked_sub(found).filter(|missing| *missing > 0)?;
    let path = count(missing, "file");
    Some(ChangedFile { path, commit: commit.to_owned(), diff: Err(Unknown::NotListed) })
}

/// The number of the only open pull request from this branch that has the tested commit as its head.
fn find(api: &Api, branch: &Branch, commit: &str) -> Result<u64> {
    let head = format!("{}:{}", branch.owner, branch.name);
    let shown = shorten(&head, 100);
    let path = format!("pulls?state=open&head={}&per_page=100", utf8_percent_encode(&head, NON_ALPHANUMERIC));
    let pulls: Vec<PullDetails> = api.get(&path, "open pull requests", PULLS)?;
    let is_wanted = |pull: &&PullDetails| {
        pull.head.sha == commit && pull.head.repo.as_ref().is_some_and(|repository| repository.id == branch.repository)
    };
    let numbers: Vec<u64> = pulls.iter().filter(is_wanted).map(|pull| pull.number).collect();
    let text = match numbers[..] {
        [number] => return Ok(number),
        [] if pulls.is_empty() => format!("no open pull request is from the branch {shown}"),
        [] => format!("no open pull request from the branch {shown} has the tested commit {commit} as its head"),
        _ => {
            let numbers: Vec<String> = numbers.iter().map(|number| format!("#{number}")).collect();
            format!("several open pull requests have the tested commit {commit}: {}", numbers.join(", "))
        }
    };
    Err(NoPullRequest(text).into())
}
