//! The GitHub event: the tested commit and run, and whether it is a push to the default branch.

use std::fs::File;
use std::io::Read;

use serde_json::Value;

use super::check;
use super::reader::FromGitHub;
use crate::base::env::Env;
use crate::base::repository::Repository;

/// The event, with the content of its file; `null` without one.
pub struct Event {
    pub name: String,
    body: Value,
    /// Why the event file cannot be read.
    pub problem: Option<String>,
    /// `GITHUB_SHA` and `GITHUB_RUN_ID`; in a `workflow_run` event they are not those of the tested run.
    pub(super) sha: Option<String>,
    run: Option<u64>,
    actor: Option<String>,
    /// A person or another CI system started the program.
    pub is_outside_actions: bool,
}

const DEPENDABOT: &str = "dependabot[bot]";
const FROM_FORK: &str = "GitHub gives pull requests from forks no secrets, so there is no api-key, and no `id-token: \
                         write`: upload from a workflow_run workflow instead, see action/README.md";
const FROM_DEPENDABOT: &str = "GitHub gives runs that Dependabot started no Actions secrets, so there is no api-key: \
                               add it to the repository's Dependabot secrets, or upload from a workflow_run workflow, \
                               see action/README.md";

/// Bytes: GitHub's limit for webhook payloads.
const MAX_EVENT: u64 = 25 << 20;

fn read_body(path: &str) -> Result<Value, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    // Opening a pipe would block.
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
        let read = env("GITHUB_EVENT_PATH").map(|path| read_body(&path).map_err(|why| (path, why)));
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

    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    pub(super) fn number(&self, pointer: &str) -> Option<u64> {
        self.body.pointer(pointer)?.as_u64()
    }

    fn is_workflow_run(&self) -> bool {
        self.name == "workflow_run"
    }

    /// The tested commit. `GITHUB_SHA` is a temporary merge in a pull request, and the head of the default branch in a
    /// `workflow_run`; a status there would be lost or wrong.
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

    /// The ref that a push deleted, if it did. GitHub then sends zeros as the commit.
    pub fn deleted(&self) -> Option<&str> {
        let has_deleted_flag =
            self.name == "push" && self.body.pointer("/deleted").and_then(Value::as_bool) == Some(true);
        let is_deletion = has_deleted_flag || self.sha.as_deref().is_some_and(check::is_zero);
        is_deletion.then(|| self.text("/ref").unwrap_or("its branch"))
    }

    /// Whether the tests ran for a push to the default branch of this repository. A fork's branch or a tag can have the
    /// same name, and manual or scheduled runs may test an old commit. A `workflow_run` event cannot tell a tag from a
    /// branch: `head_branch` has the bare name of either, and no other field has the full ref.
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

    /// Why GitHub gives this run no secrets; `None` if it does.
    pub fn no_secrets_reason(&self, repository: &Repository) -> Option<&'static str> {
        let from = self.text("/pull_request/head/repo/full_name");
        let is_untrusted = self.name.starts_with("pull_request") && self.name != "pull_request_target";
        if is_untrusted && self.problem.is_none() && !from.is_some_and(|from| repository.is(from)) {
            return Some(FROM_FORK);
        }
        // `GITHUB_ACTOR` is still the first actor if another person runs the job again. A `workflow_run` has all secrets.
        let by_dependabot = match self.name.as_str() {
            "workflow_run" => false,
            "pull_request_target" => self.text("/pull_request/user/login") == Some(DEPENDABOT),
            _ => self.actor.as_deref() == Some(DEPENDABOT),
        };
        by_dependabot.then_some(FROM_DEPENDABOT)
    }

    /// The conclusion of the run, if the event is about it.
    pub fn conclusion(&self, run_id: u64) -> Option<&str> {
        self.text("/workflow_run/conclusion").filter(|_| self.is_workflow_run() && self.run_id() == Some(run_id))
    }

    /// The tested run.
    pub fn run_id(&self) -> Option<u64> {
        if self.is_workflow_run() { self.number("/workflow_run/id") } else { self.run }
    }
}
