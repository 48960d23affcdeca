//! Where to upload to, by which right, and for which commit.

use super::event::Event;
use super::flags::FLAGS;
use super::{Reader, Source, check};
use crate::base::repository::Repository;
use crate::base::text::shorten;
use crate::identity::Identity;

pub const KEYLESS: &str = "api-key: the input `api-key` is empty; if it comes from a secret, is that set? Without a key \
     the job needs `permissions: id-token: write`, and the server to allow this repository";

#[derive(Debug)]
pub struct Target {
    /// Without a slash at the end.
    pub api_url: String,
    pub identity: Identity,
    pub repository: Repository,
    pub commit_sha: String,
}

impl Reader<'_> {
    /// An API key, else what GitHub signs for the job.
    fn identity(&mut self, api_url: Option<&str>) -> Option<Identity> {
        let known = self.problems.len();
        if let Some(key) = self.get("api-key", check::api_key) {
            return Some(Identity::Key(key));
        }
        let job = (self.env)("ACTIONS_ID_TOKEN_REQUEST_URL").zip((self.env)("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        match job {
            _ if self.problems.len() > known => None,
            Some((url, credential)) => {
                let told = |problem| format!("ACTIONS_ID_TOKEN_REQUEST_TOKEN {problem}");
                let credential = check::secret(&credential).map_err(|problem| self.problems.push(told(problem)));
                Some(Identity::job(&url, credential.ok()?, api_url?))
            }
            None => self.get_or("api-key", check::api_key, "").map(Identity::Key),
        }
    }

    pub fn target(&mut self, event: &Event, repository: Option<Repository>) -> Option<Target> {
        let api_url = self.get_or("api-url", check::url, "");
        let identity = self.identity(api_url.as_deref());
        let commit_sha = self.get_or("commit-sha", check::commit_sha, event.commit().unwrap_or_default());
        let missing = self.missing.iter_mut().find(|missing| missing.starts_with("commit-sha"));
        if let (Some(missing), Some(problem)) = (missing, &event.problem) {
            *missing = format!("commit-sha: {problem}; set commit-sha (--commit-sha)");
        }
        Some(Target { api_url: api_url?, identity: identity?, repository: repository?, commit_sha: commit_sha? })
    }

    /// Whether the files go up one by one. The server gives credentials for that to API keys alone.
    pub fn files(&mut self, source: Option<&Source>, target: Option<&Target>) -> bool {
        let files = self.get("files", check::boolean).unwrap_or(false);
        if files && target.is_some_and(|target| matches!(target.identity, Identity::Job(_))) {
            let text = "--files needs an API key: set api-key, as the server gives no credentials for single files to a \
                        job's own token";
            self.problems.push(text.to_owned());
        }
        if files && matches!(source, Some(Source::Artifact(_))) {
            let text = "--files uploads a folder, and --artifact names an artifact: download it by \
                        actions/download-artifact in a step before, and give its folder";
            self.problems.push(text.to_owned());
        }
        files
    }

    /// Why there is no commit, where a push deleted its branch or tag. A `commit-sha` that names one counts.
    pub fn deletion(&self, event: &Event) -> Option<String> {
        let deleted = event.deleted()?;
        let given = self.find(FLAGS.iter().find(|flag| flag.name == "commit-sha")?).map(|(sha, _)| sha);
        let is_commit = given.map_or(event.commit().is_some(), |sha| !check::is_zero(&sha));
        let deleted = shorten(deleted, 100);
        (!is_commit).then(|| {
            format!(
                "Nothing to report: this push deleted {deleted}, so there is no commit to test. To skip the job, add `if: \
                 github.event.deleted != true`"
            )
        })
    }
}
