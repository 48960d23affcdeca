//! Where to upload to, with which credentials, and for which commit.

use super::check;
use super::event::Event;
use super::flags;
use super::reader::Reader;
use crate::base::repository::Repository;
use crate::base::text::shorten;
use crate::identity::Identity;

#[derive(Debug)]
pub struct Target {
    /// Without a slash at the end.
    pub api_url: String,
    pub identity: Identity,
    pub repository: Repository,
    pub commit_sha: String,
}

impl Reader<'_> {
    /// An API key, else the job's token from GitHub.
    fn identity(&mut self, api_url: Option<&str>) -> Option<Identity> {
        let known = self.problems.len();
        if let Some(key) = self.get("api-key", check::api_key) {
            return Some(Identity::Key(key));
        }
        let job = (self.env)("ACTIONS_ID_TOKEN_REQUEST_URL").zip((self.env)("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        match job {
            _ if self.problems.len() > known => None,
            Some((url, credential)) => {
                let credential = self.validated("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &credential, check::secret);
                Some(Identity::job(&url, credential?, api_url?))
            }
            None => self.get_or("api-key", check::api_key, None).map(Identity::Key),
        }
    }

    pub fn target(&mut self, event: &Event, repository: Option<Repository>) -> Option<Target> {
        let api_url = self.get_or("api-url", check::url, None);
        let identity = self.identity(api_url.as_deref());
        let commit_sha = self.get_or("commit-sha", check::commit_sha, event.commit());
        if let (Some(missing), Some(problem)) = (self.missing_entry("commit-sha"), &event.problem) {
            *missing = format!("commit-sha: {problem}; set commit-sha (--commit-sha)");
        }
        Some(Target { api_url: api_url?, identity: identity?, repository: repository?, commit_sha: commit_sha? })
    }

    /// Why there is no commit: a push deleted its branch or tag. An explicit `commit-sha` takes precedence.
    pub fn deletion(&self, event: &Event) -> Option<String> {
        let deleted = event.deleted()?;
        let explicit = self.find(flags::find("commit-sha")?).map(|(sha, _)| sha);
        let is_commit = explicit.map_or(event.commit().is_some(), |sha| !check::is_zero(&sha));
        let deleted = shorten(deleted, 100);
        (!is_commit).then(|| {
            format!(
                "Nothing to report: this push deleted {deleted}, so there is no commit to test. To skip the job, add \
                 `if: github.event.deleted != true`"
            )
        })
    }
}
