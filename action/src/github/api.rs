//! Requests to GitHub's API: headers, renamed repositories, and common errors.

use anyhow::Result;
use serde_json::{Value, json};
use ureq::http::{StatusCode, Uri};

use crate::base::repository::Repository;
use crate::base::secret::Secret;
use crate::http::{Client, Request, Response};

const API_VERSION: &str = "2022-11-28";
/// GitHub sends it if the token needs authorization for an organization.
const SSO: &str = "x-github-sso";
/// Advice for a renamed repository.
const NEW_NAME: &str = "start a new run, or set --repo-owner and --repo-name (COVERED_REPO_OWNER, COVERED_REPO_NAME) \
                        to the new one";

/// GitHub's API for one repository.
pub struct GitHub<'a> {
    /// Without a slash at the end.
    pub api: &'a str,
    pub repository: &'a Repository,
    pub token: &'a Secret,
}

impl GitHub<'_> {
    /// Creates a request for `path` below the repository.
    pub fn request(&self, method: &str, path: &str, accept: &str) -> Result<Request<'_>> {
        Request::new(method, &format!("{}/{path}", self.url()))?
            .secret_header("authorization", "Bearer ", self.token)?
            .header("accept", accept)?
            .header("x-github-api-version", API_VERSION)
    }

    /// The login of the token's account, as in the author of what the token creates. Only GraphQL returns it for every
    /// token: the REST API's `GET /user` refuses those of apps, and a job's token is one.
    pub fn login(&self, client: &Client) -> Result<String> {
        // An Enterprise server has its REST API at /api/v3 and GraphQL at /api/graphql.
        let url = format!("{}/graphql", self.api.strip_suffix("/v3").unwrap_or(self.api));
        let request = Request::new("POST", &url)?
            .secret_header("authorization", "Bearer ", self.token)?
            .json(&json!({"query": "{ viewer { login } }"}))?;
        let response = client.send(&request)?;
        let answer: Value = response.json().unwrap_or_default();
        match answer["data"]["viewer"]["login"].as_str() {
            Some(login) if response.status.is_success() => Ok(login.to_owned()),
            _ => {
                let reason = response.describe();
                let text = self.common_rejection(&response, &reason);
                let text = text.unwrap_or_else(|| format!("GitHub did not return the account of the token ({reason})"));
                Err(response.rejection(text))
            }
        }
    }

    fn url(&self) -> String {
        format!("{}/repos/{}", self.api, self.repository)
    }

    /// Sends a request for a path below the repository, and follows renames and transfers:
    /// <https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>.
    pub fn send(&self, client: &Client, request: Request) -> Result<Response> {
        let response = client.send(&request)?;
        let Some(id) = moved_to(self.api, &response) else { return Ok(response) };
        client.note(&format!(
            "GitHub has renamed or transferred {}; this run uses its ID {id}. The covered server still receives the \
             old name: {NEW_NAME}",
            self.repository
        ));
        client.send(&request.redirected(&self.url(), &format!("{}/repositories/{id}", self.api))?)
    }

    /// Explains a rejection that does not depend on the request; `None` if it does. `reason`: the rejection as text.
    pub fn common_rejection(&self, response: &Response, reason: &str) -> Option<String> {
        let repository = self.repository;
        let has = |words: &str| reason.contains(words);
        Some(match response.status {
            StatusCode::UNAUTHORIZED => {
                format!(
                    "GitHub does not accept the token ({reason}): check github-token (--gh-token), it may have expired"
                )
            }
            StatusCode::FORBIDDEN if response.has_header(SSO) => format!(
                "the organization of {repository} requires single sign-on ({reason}): authorize github-token for SSO, \
                 or leave the input out"
            ),
            StatusCode::FORBIDDEN if has("IP allow list") => format!(
                "the organization of {repository} accepts only listed IP addresses ({reason}): use a runner with a \
                 listed address, or add this runner's address to the list"
            ),
            StatusCode::FORBIDDEN if has("archived") => format!(
                "{repository} is archived, so GitHub accepts no changes ({reason}): unarchive it, or set github-token \
                 to `none` to post no status"
            ),
            status if status.is_redirection() && has("/repositories/") => {
                format!("GitHub has moved {repository} ({reason}): {NEW_NAME}")
            }
            status if status.is_redirection() => {
                format!("GitHub's API is not at {} ({reason}): set GITHUB_API_URL to its address", self.api)
            }
            _ => return None,
        })
    }
}

/// The repository's ID in a redirect. The rest of the redirect is ignored, because only GitHub may receive the token.
fn moved_to(api: &str, response: &Response) -> Option<u64> {
    let target = response.location().filter(|_| response.status.is_redirection())?;
    let (api, uri): (Uri, Uri) = (api.parse().ok()?, target.parse().ok()?);
    if (uri.scheme(), uri.authority()) != (api.scheme(), api.authority()) {
        return None;
    }
    let path = uri.path().strip_prefix(api.path().trim_end_matches('/'))?;
    path.strip_prefix("/repositories/")?.split('/').next()?.parse().ok()
}
