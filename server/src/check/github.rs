//! Checks GITHUB_TOKEN with one GraphQL request: its owner, its rate limit, and a repository.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::json;

use super::{ANSWER_TIME, Finding};
use crate::github::GitHubConfig;
use crate::names::repository::Repository;

const PART: &str = "GitHub";
/// The quota is reported as low below 1 / this.
const LITTLE: u64 = 10;

const QUERY: &str = "query { viewer { login } rateLimit { limit remaining resetAt } }";
/// The same with a repository that must be readable.
const QUERY_REPOSITORY: &str = "query($owner: String!, $name: String!) { viewer { login } rateLimit { limit remaining resetAt } \
                                repository(owner: $owner, name: $name) { nameWithOwner isPrivate } }";

#[derive(Deserialize)]
struct Reply {
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
#[serde(rename_all = "camelCase")]
struct Data {
    viewer: Option<Viewer>,
    rate_limit: Option<RateLimit>,
    repository: Option<Readable>,
}

#[derive(Deserialize)]
struct Viewer {
    login: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RateLimit {
    limit: u64,
    remaining: u64,
    reset_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Readable {
    name_with_owner: String,
    is_private: bool,
}

/// `repository`: one that the server must be able to read.
pub async fn check(config: &GitHubConfig, repository: Option<&Repository>) -> Vec<Finding> {
    match ask(config, repository).await {
        Ok((reply, scopes)) => findings(reply, &scopes, repository),
        Err(finding) => vec![finding],
    }
}

/// The reply, and the scopes of a classic token.
async fn ask(config: &GitHubConfig, repository: Option<&Repository>) -> Result<(Reply, String), Finding> {
    let url = format!("{}/graphql", config.graphql_base.as_str().trim_end_matches('/'));
    let failed = |error: reqwest::Error| {
        let error = anyhow::Error::from(error.without_url());
        Finding::fail(PART, format!("cannot reach {url}: {error:#}; check GITHUB_API_URL and the network"))
    };
    let client = reqwest::Client::builder()
        .timeout(ANSWER_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("covered-server/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let body = match repository {
        None => json!({"query": QUERY}),
        Some(repository) => {
            let (owner, name) = repository.parts();
            json!({"query": QUERY_REPOSITORY, "variables": {"owner": owner, "name": name}})
        }
    };
    let request = client.post(&url).bearer_auth(config.token.expose()).body(body.to_string());
    let answer = request.header("content-type", "application/json").send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scopes = header("x-oauth-scopes").to_owned();
    let spent = header("x-ratelimit-remaining") == "0" || answer.headers().contains_key("retry-after");
    match status {
        200 => {}
        401 => {
            let what = "GitHub rejected GITHUB_TOKEN: it is invalid, expired or revoked; create a new one";
            return Err(Finding::fail(PART, what));
        }
        403 | 429 if spent => return Err(spent_quota()),
        403 => {
            let what = "GitHub rejected GITHUB_TOKEN (403): check whether its organization requires single sign-on or an approval";
            return Err(Finding::fail(PART, what));
        }
        _ => {
            let what = format!(
                "{url} returned {status}: check GITHUB_API_URL; on Enterprise Server it is https://HOST/api/v3"
            );
            return Err(Finding::fail(PART, what));
        }
    }
    let bytes = answer.bytes().await.map_err(failed)?;
    let reply = serde_json::from_slice(&bytes).map_err(|_| {
        Finding::fail(PART, format!("{url} did not return a GraphQL response of GitHub: check GITHUB_API_URL"))
    })?;
    Ok((reply, scopes))
}

fn spent_quota() -> Finding {
    Finding::fail(PART, "the rate limit of GITHUB_TOKEN is exhausted: wait, or use a token for this server alone")
}

fn findings(reply: Reply, scopes: &str, repository: Option<&Repository>) -> Vec<Finding> {
    if reply.errors.iter().any(|error| error.kind.as_deref() == Some("RATE_LIMITED")) {
        return vec![spent_quota()];
    }
    let Some(Data { viewer, rate_limit, repository: found }) = reply.data else {
        let message = reply.errors.first().map_or("no data", |error| &error.message);
        return vec![Finding::fail(PART, format!("GitHub returned an error: {message}"))];
    };
    let login = viewer.map_or_else(|| "an app".to_owned(), |viewer| viewer.login);
    let scopes = if scopes.is_empty() { String::new() } else { format!(", with the scopes {scopes}") };
    let mut findings = vec![Finding::ok(PART, format!("GITHUB_TOKEN is valid, for {login}{scopes}"))];
    findings.extend(rate_limit.map(quota));
    if let Some(repository) = repository {
        findings.push(match found {
            Some(Readable { name_with_owner, is_private }) => {
                let kind = if is_private { "private" } else { "public" };
                Finding::ok("repository", format!("{name_with_owner} ({kind}) can be read"))
            }
            None => Finding::fail(
                "repository",
                format!(
                    "{repository} of ALLOWED_REPOSITORIES cannot be read: correct its name, or let GITHUB_TOKEN read its \
                     metadata and commit statuses"
                ),
            ),
        });
    }
    findings
}

fn quota(RateLimit { limit, remaining, reset_at }: RateLimit) -> Finding {
    let until = reset_at.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string();
    let text = format!("{remaining} of {limit} points left until {until}");
    match remaining < limit / LITTLE {
        true => Finding::note("GitHub quota", format!("{text}: use a token for this server alone")),
        false => Finding::ok("GitHub quota", text),
    }
}
