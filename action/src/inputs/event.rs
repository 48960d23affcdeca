//! What GitHub says about the run: its event, the commit that was tested, and whether the default branch was pushed.

use std::fs::File;
use std::io::Read;

use serde_json::Value;

use super::check;
use super::reader::FromGitHub;
use crate::base::env::Env;
use crate::base::repository::Repository;

/// The event and its file's content, `null` where there is none.
pub struct Event {
    pub name: String,
    body: Value,
    /// Why the file says nothing.
    pub problem: Option<String>,
    /// `GITHUB_SHA`, `GITHUB_RUN_ID`: in a `workflow_run` event they belong to another commit and run than the tested.
    sha: Option<String>,
    run: Option<u64>,
    actor: Option<String>,
    /// No runner started the program: a person or another CI system did.
    pub is_outside_actions: bool,
}

const DEPENDABOT: &str = "dependabot[bot]";
const FROM_FORK: &str = "GitHub gives pull requests from forks no secrets, so there is no api-key, and no `id-token: \
                         write`: upload from a workflow_run workflow instead, see action/README.md";
const FROM_DEPENDABOT: &str = "GitHub gives runs that Dependabot started no Actions secrets, so there is no api-key: \
                               add it to the repository's Dependabot secrets, or upload from a workflow_run workflow, \
                               see action/README.md";

/// Bytes: GitHub's webhooks have no larger ones.
const MAX_EVENT: u64 = 25 << 20;

fn body(path: &str) -> Result<Value, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    // To open a pipe waits for whoever writes to it.
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_EVENT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_EVENT {
        return Err("is larger than 25 MiB".to_owned());
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("is not valid JSON: {error}"))
}

impl Event {
    pub fn read(env: Env) -> Self {
        let read = env("GITHUB_EVENT_PATH").map(|path| body(&path).map_err(|why| (path, why)));
        let (body, problem) = match read.transpose() {
            Ok(body) => (body.unwrap_or_default(), None),
            Err((path, why)) => (Value::Null, Some(format!("the event file {path} (GITHUB_EVENT_PATH) {why}"))),
        };
        Self {
            name: env("GITHUB_EVENT_NAME").unwrap_or_default(),
            body,
            problem,
            sha: env("GITHUB_SHA"),
            run: env("GITHUB_RUN_ID").and_then(|id| id.parse().ok()),
            actor: env("GITHUB_ACTOR"),
            is_outside_actions: env("GITHUB_ACTIONS").or(env("GITHUB_EVENT_NAME")).is_none(),
        }
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    fn is_workflow_run(&self) -> bool {
        self.name == "workflow_run"
    }

    /// The commit that was tested. In a pull request `GITHUB_SHA` is a merge that no branch has, and in a
    /// `workflow_run` the default branch's head: a status there would be lost, or stand at the wrong commit.
    pub fn commit(&self) -> Option<FromGitHub<'_>> {
        let field = |from, pointer| Some(FromGitHub { from, value: self.text(pointer)? });
        if self.is_workflow_run() {
            field("the event's `workflow_run.head_sha`", "/workflow_run/head_sha")
        } else if self.name.starts_with("pull_request") {
            field("the event's `pull_request.head.sha`", "/pull_request/head/sha")
        } else {
            let own = self.sha.as_deref().filter(|sha| !check::is_zero(sha));
            let own = own.map(|value| FromGitHub { from: "GITHUB_SHA", value });
            field("the event's `merge_group.head_sha`", "/merge_group/head_sha").or(own)
        }
    }

    /// What a push deleted, if it did: GitHub then has zeros in place of the commit.
    pub fn deleted(&self) -> Option<&str> {
        let says_so = self.name == "push" && self.body.pointer("/deleted").and_then(Value::as_bool) == Some(true);
        let is_deletion = says_so || self.sha.as_deref().is_some_and(check::is_zero);
        is_deletion.then(|| self.text("/ref").unwrap_or("its branch"))
    }

    /// Whether the tests ran for a push to the default branch of this very repository: a fork may call its branch
    /// `main` too, a tag may be called so, and what runs by hand or by the clock may run on an old commit. In a
    /// `workflow_run` event, a tag cannot be told from a branch: `head_branch` has the bare name of either, and no other
    /// field has the full ref.
    pub fn is_default_branch_push(&self, repository: &Repository) -> bool {
        let (event, from, branch) = if self.is_workflow_run() {
            let run = |field: &str| self.text(&format!("/workflow_run/{field}"));
            (run("event"), run("head_repository/full_name"), run("head_branch"))
        } else {
            let branch = self.text("/ref").and_then(|name| name.strip_prefix("refs/heads/"));
            (Some(self.name.as_str()), self.text("/repository/full_name"), branch)
        };
        event == Some("push")
            && from.is_some_and(|from| repository.is(from))
            && branch.is_some()
            && branch == self.text("/repository/default_branch")
    }

    /// Why GitHub keeps the repository's secrets from this run, if it does.
    pub fn no_secrets_reason(&self, repository: &Repository) -> Option<&'static str> {
        let from = self.text("/pull_request/head/repo/full_name");
        let is_untrusted = self.name.starts_with("pull_request") && self.name != "pull_request_target";
        if is_untrusted && self.problem.is_none() && !from.is_some_and(|from| repository.is(from)) {
            return Some(FROM_FORK);
        }
        // Whoever runs it again, `GITHUB_ACTOR` stays who started it first. A `workflow_run` has all secrets.
        let by_dependabot = match self.name.as_str() {
            "workflow_run" => false,
            "pull_request_target" => self.text("/pull_request/user/login") == Some(DEPENDABOT),
            _ => self.actor.as_deref() == Some(DEPENDABOT),
        };
        by_dependabot.then_some(FROM_DEPENDABOT)
    }

    /// How the run ended, if the event is about it.
    pub fn conclusion(&self, run_id: u64) -> Option<&str> {
        self.text("/workflow_run/conclusion").filter(|_| self.is_workflow_run() && self.run_id() == Some(run_id))
    }

    /// The run whose tests were measured.
    pub fn run_id(&self) -> Option<u64> {
        if self.is_workflow_run() { self.body.pointer("/workflow_run/id")?.as_u64() } else { self.run }
    }
}
