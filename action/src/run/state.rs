//! What the steps of a run share: inputs, log, results, and how failures are recorded.

use std::time::Instant;

use crate::base::deadline::Deadline;
use crate::base::text::shorten;
use crate::coverage::State;
use crate::github::api::GitHub;
use crate::github::status::{self, Status};
use crate::http::{Client, Outage};
use crate::inputs::{Inputs, Target};
use crate::log::actions_log::ActionsLog;
use crate::log::summary::Outcome;

pub const NO_TOKEN: &str = "set github-token (--gh-token) to a token that may write commit statuses";
pub const STATUS_DISABLED: &str = "github-token (--gh-token) is none";

pub struct Run<'a> {
    pub inputs: &'a Inputs,
    pub log: &'a ActionsLog,
    pub started: Instant,
    pub outcome: Outcome,
    /// The open pull request whose head was tested.
    pub pull_request: Option<u64>,
    /// Whether the log shows the state of the commit status, posted or not.
    pub has_logged_state: bool,
    /// Whether the status of the changed lines was posted.
    pub has_posted_patch: bool,
    pub failed: bool,
}

impl<'a> Run<'a> {
    pub fn new(inputs: &'a Inputs, log: &'a ActionsLog, started: Instant) -> Self {
        let outcome = Outcome::new(inputs.gate.threshold.clone(), inputs.name.clone());
        Self {
            inputs,
            log,
            started,
            outcome,
            pull_request: None,
            has_logged_state: false,
            has_posted_patch: false,
            failed: false,
        }
    }

    pub fn client(&self) -> Client<'a> {
        let Inputs { target, github, transfer, .. } = self.inputs;
        let first = target.as_ref().map_or(&github.api, |target| &target.api_url);
        Client::new(self.log, self.started, transfer.timeout, &transfer.proxies, first)
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::new(self.started, self.inputs.transfer.timeout)
    }

    pub fn status(&self) -> Status<'_> {
        let totals = self.outcome.totals.as_ref();
        let description = status::description(
            totals,
            &self.inputs.gate.threshold,
            self.state(),
            self.outcome.change().as_deref(),
            self.outcome.no_total.as_deref(),
        );
        let carried: Vec<String> = self.outcome.carried.iter().map(|part| format!("{} {part}", part.name)).collect();
        Status {
            state: self.state(),
            description: status::with_missing(&description, &self.outcome.missing, &carried),
            target_url: self.outcome.report_url.as_deref().unwrap_or_default(),
            context: &self.inputs.context,
        }
    }

    /// The status of the lines that the pull request changes.
    pub fn patch_status<'r>(&'r self, context: &'r str) -> Option<Status<'r>> {
        let patch = self.outcome.patch.as_ref()?;
        let target_url = self.outcome.patch_url.as_deref().or(self.outcome.report_url.as_deref());
        Some(Status {
            state: patch.state,
            description: shorten(&patch.description, status::MAX_DESCRIPTION),
            target_url: target_url.unwrap_or_default(),
            context,
        })
    }

    /// Why the badge is not updated.
    pub fn badge_skip_reason(&self) -> Option<&'static str> {
        let partial = self.outcome.is_partial().then_some("Badge not updated: the total is partial");
        self.inputs.badge.skip_reason().or(partial)
    }

    pub fn patch_context(&self) -> String {
        format!("{}/patch", self.inputs.context)
    }

    pub fn state(&self) -> State {
        State::of(self.outcome.totals.as_ref(), &self.inputs.gate.threshold)
    }

    /// The outcome of a status that is not posted.
    pub fn unposted_status(&self) -> String {
        format!("it would be: {}", self.status().outcome())
    }

    pub fn github<'r>(&'r self, target: &'r Target) -> Option<GitHub<'r>> {
        let token = self.inputs.github.token.as_ref()?;
        Some(GitHub { api: &self.inputs.github.api, repository: &target.repository, token })
    }

    pub fn fail(&mut self, error: &anyhow::Error) {
        self.record_failure(format!("{error:#}"), error.is::<Outage>());
    }

    /// Records a failure. An outage is only a warning if the job continues anyway.
    pub fn record_failure(&mut self, text: String, is_excused: bool) {
        if is_excused && !self.inputs.gate.fail_on_error {
            self.log.warn(&text);
        } else {
            self.log.error(&text);
        }
        self.outcome.problems.push(text);
        self.failed = true;
    }

    pub fn warn(&mut self, text: &str) {
        self.log.warn(text);
        self.outcome.problems.push(text.to_owned());
    }
}
