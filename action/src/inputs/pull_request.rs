//! The pull request that the tests ran for, as far as the event tells.

use std::path::Path;

use super::check;
use super::checkout;
use super::event::Event;
use crate::base::env::Env;

/// How to find the pull request.
#[derive(Debug, PartialEq, Eq)]
pub enum PullRequest {
    /// The event names it.
    Number(u64, Tested),
    /// The open one of this branch; the event of a fork's run does not name it.
    Of(Branch, Tested),
    /// No pull request, for this reason.
    None(&'static str),
}

/// A branch that pull requests come from.
#[derive(Debug, PartialEq, Eq)]
pub struct Branch {
    pub owner: String,
    pub name: String,
    /// The ID of its repository.
    pub repository: u64,
}

/// Which commit the tests ran on.
#[derive(Debug, PartialEq, Eq)]
pub enum Tested {
    /// The head of the pull request.
    Head,
    /// This merge of the head and the base branch, as `actions/checkout` does it in a `pull_request` event.
    Merge(String),
    /// Either of both.
    Unknown,
}

const NO_BRANCH: &str = "the tests ran for no branch";
const DEFAULT_BRANCH: &str = "the tests ran for the default branch";
const BASE_BRANCH: &str = "the job tested the base branch: check out the pull request's head";
const MERGE_QUEUE: &str = "a merge queue tests several pull requests together";

impl Event {
    pub fn pull_request(&self, env: Env) -> PullRequest {
        match self.name.as_str() {
            "pull_request" => self.named(self.checked_out(env)),
            "pull_request_target" => self.of_target(env),
            "merge_group" => PullRequest::None(MERGE_QUEUE),
            "push" => self.of_push(),
            "workflow_run" => self.of_run(),
            "" => PullRequest::None("no GitHub event names a pull request"),
            _ => PullRequest::None("the event is about no pull request"),
        }
    }

    fn named(&self, tested: Tested) -> PullRequest {
        let number = self.number("/pull_request/number").or_else(|| self.number("/number"));
        number
            .map_or(PullRequest::None("the event names no pull request"), |number| PullRequest::Number(number, tested))
    }

    /// `GITHUB_SHA` is the merge commit, but a workflow can check out another commit, or none in this job.
    fn checked_out(&self, env: Env) -> Tested {
        let merge = self.sha.clone().filter(|sha| check::commit_sha(sha).is_ok());
        match (merge, checked_out_commit(env)) {
            (_, Some(commit)) if self.text("/pull_request/head/sha") == Some(&commit) => Tested::Head,
            (Some(merge), Some(commit)) if commit == merge => Tested::Merge(merge),
            _ => Tested::Unknown,
        }
    }

    /// `GITHUB_SHA` is the base branch's newest commit, which is checked out unless the workflow names another one.
    fn of_target(&self, env: Env) -> PullRequest {
        match checked_out_commit(env) {
            Some(commit) if self.sha.as_ref() == Some(&commit) => PullRequest::None(BASE_BRANCH),
            Some(commit) if self.text("/pull_request/head/sha") == Some(&commit) => self.named(Tested::Head),
            _ => self.named(Tested::Unknown),
        }
    }

    fn of_push(&self) -> PullRequest {
        let Some(branch) = self.text("/ref").and_then(|name| name.strip_prefix("refs/heads/")) else {
            return PullRequest::None(NO_BRANCH);
        };
        self.of_branch(branch, "/repository", Tested::Head)
    }

    fn of_run(&self) -> PullRequest {
        let tested = match self.text("/workflow_run/event") {
            Some("push") => Tested::Head,
            Some("pull_request" | "pull_request_target") => Tested::Unknown,
            Some("merge_group") => return PullRequest::None(MERGE_QUEUE),
            _ => return PullRequest::None("the tested run was not for a pull request"),
        };
        let Some(branch) = self.text("/workflow_run/head_branch") else { return PullRequest::None(NO_BRANCH) };
        self.of_branch(branch, "/workflow_run/head_repository", tested)
    }

    fn of_branch(&self, name: &str, repository: &str, tested: Tested) -> PullRequest {
        let id = self.number(&format!("{repository}/id"));
        let is_own = id.is_some() && id == self.number("/repository/id");
        if is_own && tested == Tested::Head && self.text("/repository/default_branch") == Some(name) {
            return PullRequest::None(DEFAULT_BRANCH);
        }
        let owner = self.text(&format!("{repository}/owner/login"));
        match (owner, id) {
            (Some(owner), Some(repository)) => {
                let branch = Branch { owner: owner.to_owned(), name: name.to_owned(), repository };
                PullRequest::Of(branch, tested)
            }
            _ => PullRequest::None("the event does not say which repository the branch is in"),
        }
    }
}

fn checked_out_commit(env: Env) -> Option<String> {
    checkout::head(Path::new(&env("GITHUB_WORKSPACE")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HEAD: &str = "1111111111111111111111111111111111111111";
    const MERGE: &str = "2222222222222222222222222222222222222222";

    /// The pull request of an event. `checked_out`: the content of `.git/HEAD`.
    fn pull_request(name: &str, body: &Value, checked_out: Option<&str>) -> PullRequest {
        let folder = tempfile::tempdir().unwrap();
        let event = folder.path().join("event.json");
        std::fs::write(&event, body.to_string()).unwrap();
        if let Some(head) = checked_out {
            std::fs::create_dir_all(folder.path().join(".git/refs/heads")).unwrap();
            std::fs::write(folder.path().join(".git/refs/heads/change"), HEAD).unwrap();
            std::fs::write(folder.path().join(".git/HEAD"), format!("{head}\n")).unwrap();
        }
        let env = |variable: &str| match variable {
            "GITHUB_EVENT_NAME" => Some(name.to_owned()),
            "GITHUB_EVENT_PATH" => Some(event.to_string_lossy().into_owned()),
            "GITHUB_WORKSPACE" => Some(folder.path().to_string_lossy().into_owned()),
            "GITHUB_SHA" => Some(MERGE.to_owned()),
            _ => None,
        };
        Event::read(&env).pull_request(&env)
    }

    #[test]
    fn a_target_event_may_test_the_base_branch() {
        let body = json!({"number": 17, "pull_request": {"number": 17, "head": {"sha": HEAD}}});
        // Here, `GITHUB_SHA` is the base branch's newest commit.
        for (head, expected) in [
            (None, PullRequest::Number(17, Tested::Unknown)),
            (Some(HEAD), PullRequest::Number(17, Tested::Head)),
            (Some(MERGE), PullRequest::None(BASE_BRANCH)),
        ] {
            assert_eq!(pull_request("pull_request_target", &body, head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_pull_request_event_tests_the_commit_that_is_checked_out() {
        let body = json!({"number": 17, "pull_request": {"number": 17, "head": {"sha": HEAD}}});
        let merge = || Tested::Merge(MERGE.to_owned());
        let cases = [
            (None, Tested::Unknown),
            (Some(MERGE), merge()),
            (Some("ref: refs/heads/main"), Tested::Unknown),
            (Some("ref: refs/heads/change"), Tested::Head),
            (Some(HEAD), Tested::Head),
            (Some("3333333333333333333333333333333333333333"), Tested::Unknown),
        ];
        for (head, tested) in cases {
            assert_eq!(pull_request("pull_request", &body, head), PullRequest::Number(17, tested), "{head:?}");
        }
        assert!(matches!(pull_request("pull_request", &json!({}), None), PullRequest::None(_)));
    }

    #[test]
    fn a_workflow_run_tells_the_branch_of_a_fork() {
        let run = |event: &str, id: u64, branch: &str| {
            let repository = json!({"id": id, "owner": {"login": "mona"}});
            json!({
                "repository": {"id": 1, "default_branch": "main"},
                "workflow_run": {"event": event, "head_branch": branch, "head_repository": repository},
            })
        };
        let of = |repository, name: &str, tested| {
            PullRequest::Of(Branch { owner: "mona".to_owned(), name: name.to_owned(), repository }, tested)
        };
        let found = |event, id, branch| pull_request("workflow_run", &run(event, id, branch), None);
        assert_eq!(found("pull_request", 2, "main"), of(2, "main", Tested::Unknown));
        assert_eq!(found("push", 1, "topic"), of(1, "topic", Tested::Head));
        assert_eq!(found("push", 1, "main"), PullRequest::None(DEFAULT_BRANCH));
        assert_eq!(found("merge_group", 1, "gh-readonly-queue/main/pr-1"), PullRequest::None(MERGE_QUEUE));
        assert!(matches!(found("schedule", 1, "topic"), PullRequest::None(_)));
    }

    #[test]
    fn a_push_may_be_to_the_branch_of_a_pull_request() {
        let push = |name: &str| {
            let repository = json!({"id": 1, "default_branch": "main", "owner": {"login": "octo"}});
            pull_request("push", &json!({"ref": name, "repository": repository}), None)
        };
        assert!(matches!(push("refs/heads/a/b"), PullRequest::Of(Branch { name, .. }, Tested::Head) if name == "a/b"));
        assert_eq!(push("refs/heads/main"), PullRequest::None(DEFAULT_BRANCH));
        assert_eq!(push("refs/tags/v1"), PullRequest::None(NO_BRANCH));
    }
}
