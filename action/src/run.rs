//! A run: its steps in order, and whether it fails the job.

mod annotate;
mod announce;
mod badge;
mod carry;
mod comment;
mod fetch;
mod lines;
mod measure;
mod merge;
mod patch;
mod plan;
mod state;
mod upload;

use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::base::text::bytes;
use crate::base::thread::join;
use crate::coverage::State;
use crate::github::changes::Changes;
use crate::inputs::{Inputs, Target};
use crate::log::actions_log::ActionsLog;
use crate::log::summary::Outcome;
use crate::report::Report;
use fetch::Fetched;
use state::Run;

/// Runs all steps. Returns whether the job continues.
pub fn run(inputs: &Inputs, log: &ActionsLog, started: Instant) -> bool {
    let secrets = [inputs.github.token.as_ref(), inputs.target.as_ref().ok().map(|target| target.identity.secret())];
    secrets.into_iter().flatten().for_each(|secret| log.mask(secret));
    // The last value counts: this one, if the run is killed.
    log.write_outputs(&[("uploaded", "false".to_owned())]);
    let mut run = Run::new(inputs, log, started);
    if let Err(error) = run.run_steps() {
        run.fail(&error);
    }
    let job_continues = run.log_job_result();
    run.outcome.write(log);
    let Outcome { report_url, patch_url, .. } = &run.outcome;
    for (what, url) in [("Report", report_url), ("Changed lines", patch_url)] {
        if let Some(url) = url.as_ref().filter(|_| run.outcome.uploaded) {
            log.info(&format!("{what}: {url}"));
        }
    }
    job_continues
}

impl Run<'_> {
    fn run_steps(&mut self) -> Result<()> {
        self.inputs.notes.iter().for_each(|note| self.warn(note));
        let target = self.inputs.target.as_ref().ok().filter(|_| !self.inputs.dry_run);
        if let Some(Target { repository, commit_sha, .. }) = target {
            self.log.info(&format!("Uploading {} for {repository} at {commit_sha}", self.inputs.source));
        }
        self.log.debug(&self.debug_line());
        let client = self.client();
        let (fetched, changes) = thread::scope(|scope| {
            let changes = patch::fetch_changes(scope, self.inputs, self.log);
            let fetched = self.fetch(&client).and_then(|fetched| match &fetched {
                Fetched { parts, missing } if parts.len() == 1 && missing.is_empty() => {
                    self.find_total(&parts[0].report).map(|()| fetched)
                }
                _ => Ok(fetched),
            });
            (fetched, changes.map(join))
        });
        let mut fetched = fetched?;
        let changes = self.log_changes(changes);
        let report = if fetched.parts.len() == 1 && fetched.missing.is_empty() {
            self.report(fetched.parts.remove(0).report, changes.as_ref())?
        } else {
            self.merge(fetched, changes.as_ref())?
        };
        if let Some(why) = self.inputs.no_secrets {
            self.record_failure(format!("nothing was uploaded: {why}"), true);
            self.log_missing_parts();
            return Ok(());
        }
        let Some(target) = target else {
            self.note_external_hosts(&report);
            let packed = if self.inputs.transfer.file_by_file { None } else { Some(self.pack(&report)?.size) };
            self.dry_run(&packed.map_or_else(|| report.count_and_size(), bytes));
            return Ok(());
        };
        let session = self.upload_and_compare(&client, target, &report)?;
        self.announce(&client, target, &session);
        let client = self.pull_request_client();
        self.annotate(&client, target);
        self.comment(&client, target);
        Ok(())
    }

    /// The report with the page of changed lines.
    fn report(&mut self, mut report: Report, changes: Option<&Changes>) -> Result<Report> {
        let page = self.use_lines(&report, changes)?;
        self.remove_reserved(&mut report);
        self.add_page(&mut report, page);
        Ok(report)
    }

    /// Logs why the job fails, or why it does not. Returns whether it continues.
    fn log_job_result(&mut self) -> bool {
        // An earlier failure must not hide that the total is below the threshold.
        if self.outcome.state.is_some() && !self.has_logged_state {
            self.log.info(&format!("Posted no status ({})", self.unposted_status()));
        }
        let context = self.patch_context();
        if let Some(status) = self.patch_status(&context).filter(|_| !self.has_posted_patch) {
            self.log.info(&format!("Posted no status `{context}` (it would be: {})", status.outcome()));
        }
        let patch = self.outcome.patch.as_ref().filter(|patch| patch.state == State::Failure);
        let failures = [
            (self.state() == State::Failure).then(|| self.status().description),
            patch.map(|patch| patch.description.clone()),
        ];
        let failures: Vec<String> = failures.into_iter().flatten().filter(|_| self.inputs.gate.fail_under).collect();
        let is_below = !failures.is_empty();
        if is_below {
            let text = format!("the job fails because of fail-under: {}", failures.join("; "));
            self.log.error(&text);
            self.outcome.problems.push(text);
        } else if self.failed && !self.inputs.gate.fail_on_error {
            self.log.info("The job continues because fail-on-error is false");
        }
        let is_failure = self.failed && self.inputs.gate.fail_on_error;
        !(is_below || is_failure)
    }
}
