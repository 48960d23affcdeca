//! What every request to GitHub's API has in common.

use anyhow::Result;

use crate::http::Request;
use crate::inputs::{Repository, Secret};

const API_VERSION: &str = "2022-11-28";

/// GitHub's API as one repository's token sees it.
pub struct GitHub<'a> {
    /// Without a slash at the end.
    pub api: &'a str,
    pub repository: &'a Repository,
    pub token: &'a Secret,
}

impl GitHub<'_> {
    /// A request for `path` below the repository.
    pub fn request(&self, method: &str, path: &str, accept: &str) -> Result<Request<'_>> {
        Request::new(method, &format!("{}/repos/{}/{path}", self.api, self.repository))?
            .secret_header("authorization", "Bearer ", self.token)?
            .header("accept", accept)?
            .header("x-github-api-version", API_VERSION)
    }
}
