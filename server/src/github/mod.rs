//! GitHub's GraphQL API: reads the commit statuses of a branch with one request.

mod backoff;
mod client;
pub mod settings;
pub mod token;

use std::cmp::Reverse;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::github::backoff::Backoff;
use crate::github::client::{Failure, GraphqlClient, Reply};
use crate::github::settings::GitHubConfig;
use crate::names::repository::Repository;
use crate::telemetry::metrics::{GitHubResult, metrics};
use crate::telemetry::trace;

/// The maximum length of GitHub's messages in the log.
const MAX_MESSAGE: usize = 300;
/// The status context of the Python original, which reads every context that contains this word.
const ORIGINAL_CONTEXT: &str = "coverage";

/// A client for GitHub's GraphQL API.
pub struct GitHub {
    client: GraphqlClient,
    backoff: Backoff,
}

/// Why there are no statuses.
#[derive(Debug)]
pub enum StatusesError {
    /// The repository does not exist, or the token has no access.
    NoRepository,
    /// No request for this time, after a rate limit or a failure.
    BackingOff(Duration),
    Failed(anyhow::Error),
}

/// One commit's status.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitStatus {
    pub commit_sha: String,
    /// `SUCCESS`, `FAILURE`, `ERROR`, `PENDING` or `EXPECTED`.
    pub state: String,
    pub description: String,
    pub target_url: String,
    /// Whether the context is Covered's or the original's, and does not just contain the word.
    pub is_exact: bool,
}

macro_rules! query {
    ($arguments:literal, $branch:literal) => {
        concat!(
            "query($owner: String!, $name: String!",
            $arguments,
            ") { ",
            "repository(owner: $owner, name: $name) { branch: ",
            $branch,
            " { target { ... on Commit { ",
            "history(first: 20) { nodes { oid status { ",
            "contexts { context state description targetUrl createdAt } } } } } } } } }"
        )
    };
}

/// The last commits of the default branch, with their statuses.
const DEFAULT_BRANCH: &str = query!("", "defaultBranchRef");
/// The same for a named branch.
const NAMED_BRANCH: &str = query!(", $branch: String!", "ref(qualifiedName: $branch)");

/// The name of the default branch.
const DEFAULT_BRANCH_NAME: &str = "query($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { branch: defaultBranchRef { name } } }";

/// GitHub's response to [`GitHub::statuses`] and [`GitHub::default_branch`].
pub(crate) type StatusReply = Reply<Data>;

#[derive(Deserialize)]
pub(crate) struct Data {
    repository: Option<RepositoryData>,
}

#[derive(Deserialize)]
struct RepositoryData {
    branch: Option<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    name: Option<String>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    history: Option<History>,
}

#[derive(Deserialize)]
struct History {
    nodes: Vec<Option<Commit>>,
}

#[derive(Deserialize)]
struct Commit {
    oid: String,
    status: Option<Contexts>,
}

#[derive(Deserialize)]
struct Contexts {
    contexts: Vec<Context>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    context: String,
    created_at: Timestamp,
    state: String,
    description: Option<String>,
    target_url: Option<String>,
}

impl GitHub {
    /// Must run inside the runtime.
    pub fn new(config: &GitHubConfig) -> anyhow::Result<Self> {
        Ok(Self { client: GraphqlClient::new(config)?, backoff: Backoff::default() })
    }

    /// A report's statuses on the last 20 commits of a branch (`None`: the default branch), newest commit first. Within
    /// a commit, Covered's own status comes first. A report without a name also has those whose context contains
    /// `coverage`, newest first, as the original reads them. `time`: the time limit.
    pub async fn statuses(
        &self,
        repository: &Repository,
        branch: Option<&str>,
        name: Option<&str>,
        time: Duration,
    ) -> Result<Vec<CommitStatus>, StatusesError> {
        let query = if branch.is_some() { NAMED_BRANCH } else { DEFAULT_BRANCH };
        self.reply(&body(query, repository, branch), time).await?.statuses(name)
    }

    /// The default branch's name; `None` if GitHub does not return it within `time`.
    pub async fn default_branch(&self, repository: &Repository, time: Duration) -> Option<String> {
        let reply = self.reply(&body(DEFAULT_BRANCH_NAME, repository, None), time).await;
        reply.ok()?.data?.repository?.branch?.name
    }

    async fn reply(&self, body: &serde_json::Value, time: Duration) -> Result<StatusReply, StatusesError> {
        self.backoff.try_begin(time).map_err(|time| {
            metrics().count_github_request(GitHubResult::NotAsked);
            StatusesError::BackingOff(time)
        })?;
        let started = Instant::now();
        let reply = trace::client("GitHub", self.send(body, started + time)).await;
        metrics().count_github_request(match &reply {
            Ok(_) => GitHubResult::Ok,
            Err(Failure { is_timeout: true, .. }) => GitHubResult::Timeout,
            Err(_) => GitHubResult::Failed,
        });
        match reply {
            Ok(reply) => {
                self.backoff.record_success();
                Ok(reply)
            }
            // GitHub responds, so requests for other repositories need no delay.
            Err(Failure { is_in_response: true, error, .. }) => {
                self.backoff.record_success();
                Err(StatusesError::Failed(error))
            }
            Err(Failure { error, .. }) => {
                let time = self.backoff.record_failure(started);
                let retry = format!("it is asked again in {} s", time.as_secs_f32().ceil());
                Err(StatusesError::Failed(error.context(retry)))
            }
        }
    }

    async fn send(&self, body: &serde_json::Value, until: Instant) -> Result<StatusReply, Failure> {
        let response = self.client.post(body, until).await?;
        self.backoff.record_quota(&response.headers);
        if !response.status.is_success() {
            if matches!(response.status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
                self.backoff.record_rate_limit(&response.headers, Timestamp::now());
            }
            return Err(Failure::of(anyhow::anyhow!("GitHub answered with status {}", response.status)));
        }
        let headers = response.headers.clone();
        let reply: StatusReply =
            serde_json::from_slice(&response.bytes().await?).map_err(|error| Failure::in_response(error.into()))?;
        if reply.is_rate_limited() {
            self.backoff.record_rate_limit(&headers, Timestamp::now());
            return Err(Failure::of(anyhow::anyhow!("GitHub answered: the rate limit is used up")));
        }
        reply.error().map_or(Ok(reply), |error| Err(Failure::in_response(error)))
    }
}

impl StatusReply {
    /// The first error, except that the repository does not exist.
    fn error(&self) -> Option<anyhow::Error> {
        let error = self.errors.iter().find(|error| !error.is("NOT_FOUND"))?;
        let message: String = error.message.chars().take(MAX_MESSAGE).collect();
        Some(anyhow::anyhow!("GitHub answered: {}", message.replace(char::is_control, " ")))
    }

    pub(crate) fn statuses(self, name: Option<&str>) -> Result<Vec<CommitStatus>, StatusesError> {
        let no_repository = self.data.as_ref().is_none_or(|data| data.repository.is_none());
        if no_repository && !self.errors.is_empty() {
            return Err(StatusesError::NoRepository);
        }
        Ok(statuses(self.data, name))
    }
}

fn body(query: &str, repository: &Repository, branch: Option<&str>) -> serde_json::Value {
    let (owner, repository) = repository.parts();
    let mut variables = json!({"owner": owner, "name": repository});
    if let Some(branch) = branch {
        variables["branch"] = format!("refs/heads/{branch}").into();
    }
    json!({"query": query, "variables": variables})
}

fn statuses(data: Option<Data>, name: Option<&str>) -> Vec<CommitStatus> {
    let own = name.map_or_else(|| "covered".to_owned(), |name| format!("covered/{name}"));
    let history = data.and_then(|data| data.repository?.branch?.target?.history);
    let mut statuses = Vec::new();
    for commit in history.into_iter().flat_map(|history| history.nodes).flatten() {
        let contexts = commit.status.into_iter().flat_map(|status| status.contexts);
        let mut ranked: Vec<_> =
            contexts.filter_map(|context| Some((rank(&context.context, &own, name)?, context))).collect();
        ranked.sort_by_key(|(rank, context)| (*rank, Reverse(context.created_at)));
        statuses.extend(ranked.into_iter().map(|(rank, context)| CommitStatus {
            commit_sha: commit.oid.clone(),
            is_exact: rank == Rank::Own || context.context.eq_ignore_ascii_case(ORIGINAL_CONTEXT),
            state: context.state,
            description: context.description.unwrap_or_default(),
            target_url: context.target_url.unwrap_or_default(),
        }));
    }
    statuses
}

/// The priority of a context within one commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Own,
    /// The Python original reads it.
    Original,
}

/// `None`: not a status of this report.
fn rank(context: &str, own: &str, name: Option<&str>) -> Option<Rank> {
    let context = context.to_ascii_lowercase();
    // The action posts the coverage of changed lines with this suffix.
    let is_total = !context.starts_with("covered/") && !context.ends_with("/patch");
    let is_original = name.is_none() && context.contains(ORIGINAL_CONTEXT) && is_total;
    if context == own.to_ascii_lowercase() { Some(Rank::Own) } else { is_original.then_some(Rank::Original) }
}
