//! The changed lines of a pull request: reads what it changes, and adds their page to the report.

use std::cmp::Reverse;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::state::Run;
use crate::base::text::{count, shorten};
use crate::coverage::lines::Hit;
use crate::coverage::patch::{Gate, Links, PAGE, PageLink, Patch, Selection, Unknown, requirement};
use crate::coverage::{Counts, FoundLines, State};
use crate::github::api::GitHub;
use crate::github::changes::{self, Changes, Found, NoPullRequest};
use crate::http::Client;
use crate::inputs::{Inputs, PullRequest};
use crate::log::actions_log::ActionsLog;
use crate::log::summary::{MissedFile, PatchSummary};
use crate::report::{Entry, Report};

/// For all requests about the pull request's changes, and for those about its comment.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Files named in the log.
const SHOWN_FILES: usize = 10;

/// The result for the changed lines, and their page.
pub(super) struct PatchResult {
    summary: PatchSummary,
    page: String,
    /// Lines for the log.
    notes: Vec<String>,
}

/// Where the page of changed lines finds the pages of the report.
pub(super) struct ReportLinks<'a> {
    pub of_file: &'a dyn Fn(&str) -> Vec<PageLink>,
    pub index: &'a str,
}

/// Starts to read what the pull request changes. `None` if there is nothing to read it for.
pub(super) fn fetch_changes<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    inputs: &'env Inputs,
    log: &'env ActionsLog,
) -> Option<ScopedJoinHandle<'scope, Result<Found>>> {
    let is_off = inputs.dry_run || inputs.no_secrets.is_some() || inputs.lines.is_none();
    let target = inputs.target.as_ref().ok().filter(|_| !is_off)?;
    if let PullRequest::None(why) = inputs.pull_request {
        let text = format!("{}: {why}", lacking(inputs, false));
        let is_asked_for = wants_review(inputs) || !inputs.gate.patch_threshold.is_zero();
        if is_asked_for {
            log.info(&capitalized(&text))
        } else {
            log.debug(&text)
        }
        return None;
    }
    let token = inputs.github.token.as_ref()?;
    Some(scope.spawn(move || {
        let limit = time_limit(inputs.transfer.timeout);
        let github = GitHub { api: &inputs.github.api, repository: &target.repository, token };
        let client = Client::new(log, Instant::now(), limit, &inputs.transfer.proxies, github.api);
        let client = client.with_limit_of(if limit == TIME_LIMIT { None } else { Some("half of --timeout") });
        changes::fetch(&client, &github, &inputs.pull_request, &target.commit_sha)
    }))
}

/// What a run without changes lacks, as in `no patch coverage and no annotations`. `has_pull_request`: it can be commented.
fn lacking(inputs: &Inputs, has_pull_request: bool) -> &'static str {
    let has_comment = inputs.github.comments.are_on() && !has_pull_request;
    match (has_comment, inputs.github.annotations) {
        (false, false) => "no patch coverage",
        (true, false) => "no patch coverage and no comment",
        (false, true) => "no patch coverage and no annotations",
        (true, true) => "no patch coverage, no comment and no annotations",
    }
}

/// Whether the workflow asks for more than a status.
fn wants_review(inputs: &Inputs) -> bool {
    inputs.github.comments.are_on() || inputs.github.annotations
}

fn capitalized(text: &str) -> String {
    text.replacen('n', "N", 1)
}

/// If the run's own time limit is short, half of it is left to the upload.
fn time_limit(run: Duration) -> Duration {
    TIME_LIMIT.min(run / 2)
}

impl<'a> Run<'a> {
    /// A client for what is written for the pull request after the upload: the total must not wait for it.
    pub(super) fn pull_request_client(&self) -> Client<'a> {
        let api = &self.inputs.github.api;
        let left = self.inputs.transfer.timeout.saturating_sub(self.started.elapsed());
        let client = Client::new(self.log, Instant::now(), TIME_LIMIT.min(left), &self.inputs.transfer.proxies, api);
        client.with_limit_of(if left > TIME_LIMIT { None } else { Some("the rest of --timeout") })
    }

    /// Logs why the changes are unknown. Nothing fails without them; but a threshold for them should not pass unnoticed.
    pub(super) fn log_changes(&mut self, found: Option<Result<Found>>) -> Option<Changes> {
        let changes = found?.and_then(|found| {
            self.pull_request = Some(found.number);
            found.changes
        });
        match changes {
            Ok(changes) => {
                changes.notes.iter().for_each(|note| self.log.info(&format!("Note: {note}")));
                Some(changes)
            }
            Err(error) => {
                let what = lacking(self.inputs, self.pull_request.is_some());
                // A branch without a pull request is no failure; a pull request whose head moved on passed no gate.
                let is_none = error.is::<NoPullRequest>();
                let is_named = matches!(self.inputs.pull_request, PullRequest::Number(..));
                let has_gate = !self.inputs.gate.patch_threshold.is_zero() && (!is_none || is_named);
                let why = format!("{error:#}");
                self.no_patch(&format!("{what}: {why}"), has_gate || (wants_review(self.inputs) && !is_none));
                self.outcome.no_patch = Some(why);
                None
            }
        }
    }

    /// Says what a run without secrets lacks besides the report.
    pub(super) fn log_missing_parts(&self) {
        if self.inputs.lines.is_some() && !matches!(self.inputs.pull_request, PullRequest::None(_)) {
            let what = capitalized(lacking(self.inputs, false));
            self.log.info(&format!(
                "{what} either: without an upload there is no page to link to, and the token can only read"
            ));
        }
    }

    fn no_patch(&mut self, text: &str, is_failure: bool) {
        if is_failure {
            self.warn(text);
        } else {
            self.log.info(&capitalized(text));
        }
    }

    /// The result; an error says why there is none.
    pub(super) fn patch(
        &self,
        links: &ReportLinks,
        changes: &Changes,
        selection: &Selection,
        found: &FoundLines,
    ) -> Result<PatchResult> {
        ensure!(found.proof.is_usable(), "the lines in {} do not add up", found.source);
        let patch = selection.patch(&found.lines);
        let threshold = &self.inputs.gate.patch_threshold;
        let target = self.inputs.target.as_ref().ok();
        let links = Links {
            repository: &self.repository_url(),
            pull_request: changes.number,
            name: self.inputs.name.as_deref(),
            total: self.outcome.totals.as_ref().map(|totals| &totals.percent),
            head: target.map_or("", |target| &target.commit_sha),
            report_pages: links.of_file,
            index: links.index,
        };
        let page = patch.page(&links, threshold);
        let summary = PatchSummary {
            pull_request: changes.number,
            pull_request_url: self.pull_request_url(changes.number),
            description: self.outcome.with_missing(patch.description(threshold)),
            state: patch.state(threshold),
            requirement: patch.requirement(threshold),
            percent: patch.percent(),
            counts: patch.counts(),
            partly: patch.partly(),
            missed: missed(&patch),
            unknown: patch.unknown.iter().map(|(path, why)| ((*path).to_owned(), *why)).collect(),
        };
        Ok(PatchResult { summary, page, notes: notes(&patch) })
    }

    pub(super) fn repository_url(&self) -> String {
        let target = self.inputs.target.as_ref().ok();
        let repository = target.map(|target| target.repository.to_string()).unwrap_or_default();
        format!("{}/{repository}", self.inputs.github.server)
    }

    fn pull_request_url(&self, number: u64) -> String {
        format!("{}/pull/{number}", self.repository_url())
    }

    /// The result if the report does not say which lines are covered: no pull request passes a threshold that way.
    fn unknown_patch(&self, number: u64, why: &str) -> PatchSummary {
        PatchSummary {
            pull_request: number,
            pull_request_url: self.pull_request_url(number),
            description: format!("unknown: {why}"),
            state: State::Failure,
            requirement: Some(requirement(
                &self.inputs.gate.patch_threshold,
                Gate::Uncertain,
                "the changed lines are unknown",
            )),
            percent: None,
            counts: None,
            partly: 0,
            missed: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Logs the result for the pull request of this number. Returns its page.
    pub(super) fn record_patch(&mut self, number: u64, patch: Result<PatchResult>) -> Option<String> {
        let PatchResult { summary, page, notes } = match patch {
            Ok(patch) => patch,
            Err(error) => {
                let has_gate = !self.inputs.gate.patch_threshold.is_zero();
                let why = format!("{error:#}");
                let text = format!(
                    "{}: {why}; set lines (--lines) to a coverage file of this run",
                    lacking(self.inputs, true)
                );
                self.no_patch(&text, has_gate || wants_review(self.inputs));
                self.outcome.patch = has_gate.then(|| self.unknown_patch(number, &why));
                self.outcome.no_patch = Some(why);
                return None;
            }
        };
        self.log.info(&format!("Pull request #{}: {}", summary.pull_request, summary.description));
        notes.iter().for_each(|note| self.log.info(note));
        self.outcome.patch = Some(summary);
        Some(page)
    }

    /// A report must not contain files in the folder of Covered's own pages: they could show other numbers.
    pub(super) fn remove_reserved(&mut self, report: &mut Report) {
        let folder = PAGE.split('/').next().unwrap_or_default();
        if let [first, more @ ..] = report.remove(folder).as_slice() {
            let others =
                if more.is_empty() { String::new() } else { format!(" and {} more", count(more.len(), "file")) };
            let first = shorten(first, 200);
            self.warn(&format!("not uploaded: `{first}`{others}, because Covered reserves the folder `{folder}`"));
        }
    }

    pub(super) fn add_page(&mut self, report: &mut Report, page: Option<String>) {
        match page {
            Some(_) if report.is_full() => self.warn("the report has no room for the page of the changed lines"),
            Some(page) => report.add(Entry::generated(PAGE, page)),
            None => {}
        }
    }
}

/// The files with missed or partly covered lines, those with the most missed ones first.
fn missed(patch: &Patch) -> Vec<MissedFile> {
    let files = patch.files.iter().filter_map(|file| {
        let counts = Counts::new(file.covered() as u64, file.lines.len() as u64)?;
        let [ranges, partly] = [Hit::No, Hit::Partly].map(|hit| file.ranges(hit));
        let has_gaps = !ranges.is_empty() || !partly.is_empty();
        let (path, commit) = (file.path.to_owned(), file.commit.to_owned());
        has_gaps.then_some(MissedFile { path, commit, counts, ranges, partly })
    });
    let mut files: Vec<MissedFile> = files.collect();
    files.sort_by_key(|file| Reverse(file.counts.total - file.counts.covered));
    files
}

/// What the log says of a patch, besides its result.
fn notes(patch: &Patch) -> Vec<String> {
    let mut notes = Vec::new();
    for (why, files) in patch.unknown_reasons() {
        let named = patch.unknown.iter().filter(|(_, other)| *other == why).map(|(path, _)| shorten(path, 200));
        let mut shown: Vec<String> = named.take(SHOWN_FILES).collect();
        if files > SHOWN_FILES {
            shown.push(format!("and {} more", files - SHOWN_FILES));
        }
        notes.push(format!("Not counted, {}: {}", Unknown::reason(why), shown.join(", ")));
    }
    if patch.moved > 0 {
        notes.push(format!("Not counted: {} that only moved", count(patch.moved, "changed line")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_about_the_pull_request_leave_time_for_the_upload() {
        let seconds = |whole_run| time_limit(Duration::from_secs(whole_run)).as_secs();
        assert_eq!((seconds(300), seconds(40), seconds(30), seconds(2)), (20, 20, 15, 1));
    }
}
