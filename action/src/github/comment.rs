//! Step 7, if the workflow asks for it: the comment of a pull request, one for each report. A hidden marker and the account
//! of the token identify it: a comment of anybody else with the marker is left alone.

pub mod text;

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use ureq::http::StatusCode;

use crate::base::text::{short_sha, shorten};
use crate::github::api::GitHub;
use crate::http::{Client, Response};

const JSON: &str = "application/vnd.github+json";
/// Comments of one request, GitHub's limit.
const PER_PAGE: usize = 100;
/// GitHub allows 2,500 comments: <https://docs.github.com/en/communities/moderating-comments-and-conversations>.
const MAX_PAGES: usize = 30;
/// Bytes of a response: a page of comments with 65,536 characters each.
const MAX_PAGE: u64 = 64 << 20;

/// The comment of a report.
pub struct Comment<'a> {
    pub pull_request: u64,
    /// The tested commit. The comment is skipped if the pull request has another head by now.
    pub commit: &'a str,
    /// How the text starts.
    pub marker: &'a str,
    pub text: &'a str,
    /// Whether only an existing comment is updated.
    pub is_update: bool,
}

/// What was done.
pub enum Published {
    Posted,
    Updated,
    /// There is no comment to update.
    Unneeded,
    /// Nothing, for this reason.
    Skipped(String),
}

#[derive(Deserialize)]
struct Existing {
    id: u64,
    body: Option<String>,
    /// Missing if the account was deleted.
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct PullDetails {
    state: String,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
}

/// Posts the comment, or updates the one that is there.
pub fn publish(client: &Client, github: &GitHub, comment: &Comment) -> Result<Published> {
    let thread = Thread { client, github, number: comment.pull_request };
    let mut own = thread.marked(comment.marker)?;
    if !own.is_empty() {
        let login = github.login(client)?;
        own.retain(|existing| existing.is_by(&login));
    }
    if own.is_empty() && comment.is_update {
        return Ok(Published::Unneeded);
    }
    if let Some(why) = thread.skip_reason(comment.commit)? {
        return Ok(Published::Skipped(why));
    }
    if let Some(oldest) = own.first() {
        thread.update(oldest.id, comment.text)?;
        thread.delete(&own[1..])?;
        return Ok(Published::Updated);
    }
    let posted = thread.post(comment.text)?;
    thread.keep_oldest(&posted, comment)?;
    Ok(Published::Posted)
}

/// The comments of a pull request.
struct Thread<'a> {
    client: &'a Client<'a>,
    github: &'a GitHub<'a>,
    number: u64,
}

impl Thread<'_> {
    /// The comments that start with the marker, oldest first.
    fn marked(&self, marker: &str) -> Result<Vec<Existing>> {
        let mut marked = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("issues/{}/comments?per_page={PER_PAGE}&page={page}", self.number);
            let found: Vec<Existing> = self.read(&path, "list the comments")?;
            let is_last = found.len() < PER_PAGE;
            let is_marked = |existing: &Existing| existing.body.as_ref().is_some_and(|body| body.starts_with(marker));
            // Without the texts, of which there can be many.
            let found = found.into_iter().filter(is_marked);
            marked.extend(found.map(|existing| Existing { body: None, ..existing }));
            if is_last {
                marked.sort_by_key(|existing| existing.id);
                return Ok(marked);
            }
        }
        bail!("pull request #{} has more than {} comments", self.number, MAX_PAGES * PER_PAGE)
    }

    /// Why the pull request gets no comment about this commit.
    fn skip_reason(&self, commit: &str) -> Result<Option<String>> {
        let pull: PullDetails = self.read(&format!("pulls/{}", self.number), "return the state")?;
        if pull.state != "open" {
            return Ok(Some(format!("it is {}", shorten(&pull.state, 20))));
        }
        let has_moved = pull.head.sha != commit;
        Ok(has_moved.then(|| {
            format!("it has moved on to {}, this run tested {}", short_sha(&pull.head.sha), short_sha(commit))
        }))
    }

    fn post(&self, text: &str) -> Result<Existing> {
        let request = self.github.request("POST", &format!("issues/{}/comments", self.number), JSON)?;
        let response = self.github.send(self.client, request.json(&json!({"body": text}))?)?;
        self.parse(&self.accepted(response, "post the comment")?, "post the comment")
    }

    fn update(&self, id: u64, text: &str) -> Result<()> {
        let request = self.github.request("PATCH", &format!("issues/comments/{id}"), JSON)?;
        let response = self.github.send(self.client, request.json(&json!({"body": text}))?)?;
        self.accepted(response, "update the comment").map(drop)
    }

    /// Two jobs that find no comment post one each. Whichever lists the comments last sees both: the oldest stays, with the
    /// newest text. No job deletes the oldest, so one is always left.
    fn keep_oldest(&self, posted: &Existing, comment: &Comment) -> Result<()> {
        let login = posted.user.as_ref().map_or("", |user| &user.login);
        let mut own = self.marked(comment.marker)?;
        own.retain(|existing| existing.is_by(login));
        let Some((oldest, newer)) = own.split_first() else { return Ok(()) };
        if oldest.id != posted.id {
            self.update(oldest.id, comment.text)?;
        }
        self.delete(newer)
    }

    fn delete(&self, comments: &[Existing]) -> Result<()> {
        for comment in comments {
            let request = self.github.request("DELETE", &format!("issues/comments/{}", comment.id), JSON)?;
            let response = self.github.send(self.client, request)?;
            // Another job may have deleted it.
            if response.status != StatusCode::NOT_FOUND {
                self.accepted(response, "delete a second comment")?;
            }
        }
        Ok(())
    }

    /// `what`: for an error, as in "GitHub did not …".
    fn read<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        let request = self.github.request("GET", path, JSON)?.max_response(MAX_PAGE);
        self.parse(&self.accepted(self.github.send(self.client, request)?, what)?, what)
    }

    fn parse<T: DeserializeOwned>(&self, response: &Response, what: &str) -> Result<T> {
        response.json().map_err(|error| {
            let why = shorten(&error.to_string(), 200);
            anyhow!("GitHub did not {what} of pull request #{}: its response is invalid ({why})", self.number)
        })
    }

    fn accepted(&self, response: Response, what: &str) -> Result<Response> {
        if response.status.is_success() { Ok(response) } else { Err(self.rejection(&response, what)) }
    }

    fn rejection(&self, response: &Response, what: &str) -> anyhow::Error {
        let (reason, number, repository) = (response.describe(), self.number, self.github.repository);
        let failed = format!("GitHub did not {what} of pull request #{number} of {repository} ({reason})");
        let advice = match (self.github.common_rejection(response, &reason), response.status) {
            _ if response.is_temporary() => return response.rejection(failed),
            (Some(text), _) => return anyhow!(text),
            (None, StatusCode::FORBIDDEN) if reason.contains("locked") => "unlock the conversation",
            (None, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                "give the job `permissions: pull-requests: write` (a personal token: Pull requests, write); in \
                 `pull_request` runs of forks and of Dependabot the token is read-only: use a `workflow_run` workflow"
            }
            _ => return anyhow!(failed),
        };
        anyhow!("{failed}: {advice}")
    }
}

impl Existing {
    fn is_by(&self, login: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.login == login)
    }
}
