//! What a token may do, and how GitHub refuses the rest.

use hyper::Response;

use super::data::{Recorded, Repository, State};
use super::page::Query;
use super::pulls::Permission;
use super::response::error_response;
use crate::lab::http::Body;

/// GitHub's message if the token of an app lacks a permission.
const REFUSED: &str = "Resource not accessible by integration";

/// A request to a repository.
#[derive(Debug)]
pub struct Call<'a> {
    pub request: &'a Recorded,
    pub query: Query,
    /// The URL of GitHub's pages.
    pub server: &'a str,
    /// The URL of the REST API, which ends in `/api/v3` for Enterprise servers.
    pub api: String,
    pub full_name: String,
}

impl Call<'_> {
    /// The API's URL of something in the repository.
    pub fn url(&self, path: &str) -> String {
        format!("{}/repos/{}/{path}", self.api, self.full_name)
    }

    /// The URL in a `Link` header: GitHub replaces the repository's name by its ID.
    pub fn link_url(&self, repository: &Repository, path: &str) -> String {
        format!("{}/repositories/{}/{path}", self.api, repository.id)
    }

    /// The URL of a page of the repository.
    pub fn page_url(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.server, self.full_name)
    }

    /// Whether the client accepts this media type.
    pub fn accepts(&self, media_type: &str) -> bool {
        self.request.header("accept").is_some_and(|accept| accept.contains(media_type))
    }
}

/// The access that a request needs.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    Contents,
    PullRequests,
    ReadComments,
    WriteComments,
    WriteChecks,
    WriteStatuses,
}

impl Need {
    /// Any of these permissions is enough.
    fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Need::Contents => &[P::ContentsRead],
            Need::PullRequests => &[P::PullRequestsRead, P::PullRequestsWrite],
            Need::ReadComments => &[P::IssuesRead, P::IssuesWrite, P::PullRequestsRead, P::PullRequestsWrite],
            Need::WriteComments => &[P::IssuesWrite, P::PullRequestsWrite],
            Need::WriteChecks => &[P::ChecksWrite],
            Need::WriteStatuses => &[P::StatusesWrite],
        }
    }

    /// The value of `x-accepted-github-permissions`; a semicolon means "or".
    fn header(self) -> &'static str {
        match self {
            Need::Contents => "contents=read",
            Need::PullRequests => "pull_requests=read",
            Need::ReadComments => "issues=read; pull_requests=read",
            Need::WriteComments => "issues=write; pull_requests=write",
            Need::WriteChecks => "checks=write",
            Need::WriteStatuses => "statuses=write",
        }
    }

    fn is_write(self) -> bool {
        matches!(self, Need::WriteComments | Need::WriteChecks | Need::WriteStatuses)
    }
}

/// GitHub's refusal of a request that its token is not allowed; `None` if it is allowed. Everybody may read a public
/// repository.
pub fn refusal(state: &State, full_name: &str, request: &Recorded, need: Need) -> Option<Response<Body>> {
    let has_token = request.header("authorization").is_some();
    if need.is_write() && !has_token {
        return Some(error_response(401, "Requires authentication"));
    }
    let Some(repository) = state.repository(full_name) else { return Some(error_response(404, "Not Found")) };
    if !has_token {
        return repository.is_private.then(|| error_response(404, "Not Found"));
    }
    if !need.is_write() && !repository.is_private {
        return None;
    }
    let granted = state.permissions.as_ref()?;
    if need.permissions().iter().any(|permission| granted.contains(permission)) {
        return None;
    }
    // Without contents, a private repository looks as if it did not exist.
    if matches!(need, Need::Contents) {
        return Some(error_response(404, "Not Found"));
    }
    let mut response = error_response(403, REFUSED);
    response.headers_mut().insert("x-accepted-github-permissions", need.header().parse().unwrap());
    Some(response)
}
