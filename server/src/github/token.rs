//! Looks up what a token may do: its owner, its scopes, its rate limit, and whether it can read a repository.

use std::time::Duration;

use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::github::client::{GraphqlClient, Reply};
use crate::github::settings::GitHubConfig;
use crate::names::repository::Repository;

const QUERY: &str = "query { viewer { login } rateLimit { limit remaining resetAt } }";
/// The same with a repository that must be readable.
const QUERY_REPOSITORY: &str = "query($owner: String!, $name: String!) { viewer { login } rateLimit { limit remaining resetAt } \
                                repository(owner: $owner, name: $name) { nameWithOwner isPrivate } }";

/// A token and, if the query named one, a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo {
    /// `None` for an app.
    pub viewer: Option<Viewer>,
    pub rate_limit: Option<RateLimit>,
    /// `None` if the token cannot read it.
    pub repository: Option<ReadableRepository>,
    /// The scopes of a classic token, separated by commas; otherwise empty.
    #[serde(skip)]
    pub scopes: String,
}

#[derive(Deserialize)]
pub struct Viewer {
    pub login: String,
}

/// The rate limit in points of the GraphQL API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    pub limit: u64,
    pub remaining: u64,
    pub reset_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadableRepository {
    pub name_with_owner: String,
    pub is_private: bool,
}

/// Why the token could not be looked up.
pub enum TokenError {
    /// No response, or an incomplete one.
    Unreachable(anyhow::Error),
    /// A response with a status code other than 200.
    Status(StatusCode),
    RateLimited,
    /// A response that is not GraphQL.
    Garbage,
    /// GitHub's message.
    Graphql(String),
}

impl TokenInfo {
    /// `repository`: one that the token should be able to read. `time`: the time limit. Must run inside the runtime.
    pub async fn look_up(
        config: &GitHubConfig,
        repository: Option<&Repository>,
        time: Duration,
    ) -> Result<Self, TokenError> {
        let client = GraphqlClient::new(config).map_err(TokenError::Unreachable)?;
        let response = client.post(&body(repository), Instant::now() + time).await;
        let response = response.map_err(|failure| TokenError::Unreachable(failure.error))?;
        response_error(response.status, &response.headers).map_or(Ok(()), Err)?;
        let scopes = header(&response.headers, "x-oauth-scopes").to_owned();
        let bytes = response.bytes().await.map_err(|failure| TokenError::Unreachable(failure.error))?;
        Ok(Self { scopes, ..parse(&bytes)? })
    }
}

fn body(repository: Option<&Repository>) -> serde_json::Value {
    let Some(repository) = repository else { return json!({"query": QUERY}) };
    let (owner, name) = repository.parts();
    json!({"query": QUERY_REPOSITORY, "variables": {"owner": owner, "name": name}})
}

fn response_error(status: StatusCode, headers: &HeaderMap) -> Option<TokenError> {
    let is_exhausted = header(headers, "x-ratelimit-remaining") == "0" || headers.contains_key(RETRY_AFTER);
    match status {
        StatusCode::OK => None,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS if is_exhausted => Some(TokenError::RateLimited),
        status => Some(TokenError::Status(status)),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Result<TokenInfo, TokenError> {
    let reply: Reply<TokenInfo> = serde_json::from_slice(bytes).map_err(|_| TokenError::Garbage)?;
    if reply.is_rate_limited() {
        return Err(TokenError::RateLimited);
    }
    reply.data.ok_or_else(|| {
        let message = reply.errors.into_iter().next().map_or_else(|| "no data".to_owned(), |error| error.message);
        TokenError::Graphql(message)
    })
}
