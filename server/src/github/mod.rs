//! All use of octocrab: reads the commit statuses of a branch with one GraphQL request.

mod backoff;

use std::cmp::Reverse;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use jiff::Timestamp;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::base::secret::Secret;
use crate::names::repository::Repository;
use crate::telemetry::metrics::{GitHubResult, metrics};
use crate::telemetry::trace;
use backoff::Backoff;

/// The maximum length of GitHub's messages in the log.
const MAX_MESSAGE: usize = 300;
/// Time to connect to GitHub.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// The maximum size of a response: enough for 20 commits with 500 statuses each.
const MAX_ANSWER: usize = 4 << 20;
/// The status context of the Python original, which reads every context that contains this word.
const ORIGINAL_CONTEXT: &str = "coverage";

/// Access to GitHub's API.
pub struct GitHubConfig {
    /// The base of GraphQL requests: `{base}/graphql`.
    pub graphql_base: Url,
    pub token: Secret,
}

/// A client for GitHub's GraphQL API.
pub struct GitHub {
    client: Octocrab,
    backoff: Backoff,
}

/// Why there are no statuses.
#[derive(Debug)]
pub enum Refusal {
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

/// GitHub's answer to [`GitHub::statuses`].
#[derive(Deserialize)]
pub(crate) struct Reply {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Data {
    repository: Option<RepositoryData>,
}

#[derive(Deserialize)]
struct RepositoryData {
    branch: Option<Branch>,
}

#[derive(Deserialize)]
struct Branch {
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
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let client = Octocrab::builder()
            .base_uri(config.graphql_base.as_str().trim_end_matches('/'))?
            .personal_token(config.token.expose().to_owned())
            .build_with_reqwest(http)?;
        Ok(Self { client, backoff: Backoff::default() })
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
    ) -> Result<Vec<CommitStatus>, Refusal> {
        self.backoff.may_ask(time).map_err(|time| {
            metrics().github(GitHubResult::NotAsked);
            Refusal::BackingOff(time)
        })?;
        let body = body(repository, branch);
        let asked = tokio::time::timeout(time, trace::client("GitHub", self.ask(&body))).await;
        let in_time = asked.is_ok();
        let reply = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no response within {time:?}")));
        let statuses = reply.map_err(Refusal::Failed).and_then(|reply| reply.statuses(name));
        metrics().github(match &statuses {
            Err(Refusal::Failed(_)) if in_time => GitHubResult::Failed,
            Err(Refusal::Failed(_)) => GitHubResult::Timeout,
            _ => GitHubResult::Ok,
        });
        match statuses {
            Err(Refusal::Failed(error)) => {
                let time = self.backoff.failed();
                let again = format!("next request in {} s", time.as_secs_f32().ceil());
                Err(Refusal::Failed(error.context(again)))
            }
            other => {
                self.backoff.succeeded();
                other
            }
        }
    }

    async fn ask(&self, body: &serde_json::Value) -> anyhow::Result<Reply> {
        let response = self.client._post("/graphql", Some(body)).await?;
        let (parts, body) = response.into_parts();
        self.backoff.heard(&parts.headers);
        if !parts.status.is_success() {
            if matches!(parts.status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
                self.backoff.refused(&parts.headers, Timestamp::now());
            }
            anyhow::bail!("GitHub returned status {}", parts.status);
        }
        let body =
            Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        let reply: Reply = serde_json::from_slice(&body)?;
        // GitHub reports an exhausted quota with status 200.
        if reply.errors.iter().any(|error| error.is("RATE_LIMITED")) {
            self.backoff.refused(&parts.headers, Timestamp::now());
        }
        Ok(reply)
    }
}

impl Reply {
    pub(crate) fn statuses(self, name: Option<&str>) -> Result<Vec<CommitStatus>, Refusal> {
        if let Some(error) = self.errors.iter().find(|error| !error.is("NOT_FOUND")) {
            let message: String = error.message.chars().take(MAX_MESSAGE).collect();
            let message = message.replace(char::is_control, " ");
            return Err(Refusal::Failed(anyhow::anyhow!("GitHub returned: {message}")));
        }
        let no_repository = self.data.as_ref().is_none_or(|data| data.repository.is_none());
        if no_repository && !self.errors.is_empty() {
            return Err(Refusal::NoRepository);
        }
        Ok(statuses(self.data, name))
    }
}

impl ReplyError {
    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

fn body(repository: &Repository, branch: Option<&str>) -> serde_json::Value {
    let (owner, repository) = repository.parts();
    let mut variables = json!({"owner": owner, "name": repository});
    let query = match branch {
        None => DEFAULT_BRANCH,
        Some(branch) => {
            variables["branch"] = format!("refs/heads/{branch}").into();
            NAMED_BRANCH
        }
    };
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
    let is_original = name.is_none() && context.contains(ORIGINAL_CONTEXT) && !context.starts_with("covered/");
    if context == own.to_ascii_lowercase() { Some(Rank::Own) } else { is_original.then_some(Rank::Original) }
}
