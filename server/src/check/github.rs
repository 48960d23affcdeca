//! Checks GITHUB_TOKEN with one request: its owner, its rate limit, and a repository.

use hyper::StatusCode;
use jiff::tz::TimeZone;

use crate::check::finding::{Finding, REQUEST_TIMEOUT};
use crate::github::settings::GitHubConfig;
use crate::github::token::{RateLimit, ReadableRepository, TokenError, TokenInfo};
use crate::names::repository::Repository;

const PART: &str = "GitHub";
/// The quota is reported as low below 1 / this.
const LOW_QUOTA_DIVISOR: u64 = 10;

/// Checks the token. `repository`: one that the server must be able to read.
pub async fn check(config: &GitHubConfig, repository: Option<&Repository>) -> Vec<Finding> {
    match TokenInfo::look_up(config, repository, REQUEST_TIMEOUT).await {
        Ok(token) => findings(token, repository),
        Err(error) => vec![Finding::fail(PART, explain(error, config))],
    }
}

fn explain(error: TokenError, config: &GitHubConfig) -> String {
    let url = format!("{}/graphql", config.graphql_base.as_str().trim_end_matches('/'));
    match error {
        TokenError::Unreachable(error) => {
            format!("cannot reach {url}: {error:#}; check GITHUB_API_URL and the network")
        }
        TokenError::Status(StatusCode::UNAUTHORIZED) => {
            "GitHub rejected GITHUB_TOKEN: it is invalid, expired or revoked; create a new one".to_owned()
        }
        TokenError::Status(StatusCode::FORBIDDEN) => {
            "GitHub rejected GITHUB_TOKEN (403): check whether its organization requires single sign-on or an approval"
                .to_owned()
        }
        TokenError::Status(status) => {
            let status = status.as_u16();
            format!("{url} returned {status}: check GITHUB_API_URL; on Enterprise Server it is https://HOST/api/v3")
        }
        TokenError::RateLimited => {
            "the rate limit of GITHUB_TOKEN is exhausted: wait, or use a token for this server alone".to_owned()
        }
        TokenError::Garbage => format!("{url} did not return a GraphQL response of GitHub: check GITHUB_API_URL"),
        TokenError::Graphql(message) => format!("GitHub returned an error: {message}"),
    }
}

fn findings(token: TokenInfo, expected: Option<&Repository>) -> Vec<Finding> {
    let TokenInfo { viewer, rate_limit, repository, scopes } = token;
    let login = viewer.map_or_else(|| "an app".to_owned(), |viewer| viewer.login);
    let scopes = if scopes.is_empty() { String::new() } else { format!(", with the scopes {scopes}") };
    let mut findings = vec![Finding::ok(PART, format!("GITHUB_TOKEN is valid, for {login}{scopes}"))];
    findings.extend(rate_limit.map(quota));
    findings.extend(expected.map(|expected| readable(expected, repository)));
    findings
}

fn readable(expected: &Repository, found: Option<ReadableRepository>) -> Finding {
    match found {
        Some(ReadableRepository { name_with_owner, is_private }) => {
            let kind = if is_private { "private" } else { "public" };
            Finding::ok("repository", format!("{name_with_owner} ({kind}) can be read"))
        }
        None => Finding::fail(
            "repository",
            format!(
                "{expected} of ALLOWED_REPOSITORIES cannot be read: correct its name, or let GITHUB_TOKEN read its \
                 metadata and commit statuses"
            ),
        ),
    }
}

fn quota(RateLimit { limit, remaining, reset_at }: RateLimit) -> Finding {
    let until = reset_at.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string();
    let text = format!("{remaining} of {limit} points left until {until}");
    match remaining < limit / LOW_QUOTA_DIVISOR {
        true => Finding::note("GitHub quota", format!("{text}: use a token for this server alone")),
        false => Finding::ok("GitHub quota", text),
    }
}
