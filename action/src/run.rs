//! A run: its steps in order, and whether it fails the job.

mod announce;
mod badge;
mod fetch;
mod lines;
mod measure;
mod plan;
mod state;
mod upload;

use std::time::Instant;

use anyhow::Result;

use crate::base::text::bytes;
use crate::coverage::State;
use crate::inputs::{Inputs, Source, Target};
use crate::log::actions_log::ActionsLog;
use crate::report;
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
    if let Some(url) = run.outcome.report_url.filter(|_| run.outcome.uploaded) {
        log.info(&format!("Report: {url}"));
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
        let report = match &self.inputs.source {
            Source::Folder(folder) => report::walk(folder)?,
            Source::Artifact(artifact) => self.fetch(&client, artifact)?,
        };
        self.find_total(&report)?;
        if self.inputs.dry_run || !self.inputs.exports.is_empty() {
            self.read_lines(&report)?;
        }
        if let Some(why) = self.inputs.no_secrets {
            self.record_failure(format!("nothing was uploaded: {why}"), true);
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
        Ok(())
    }

    /// Logs why the job fails, or why it does not. Returns whether it continues.
    fn log_job_result(&mut self) -> bool {
        // An earlier failure must not hide that the total is below the threshold.
        if self.outcome.state.is_some() && !self.has_logged_state {
            self.log.info(&format!("Posted no status ({})", self.unposted_status()));
        }
        let is_below = self.inputs.gate.fail_under && self.state() == State::Failure;
        if is_below {
            let text = format!("the job fails because of fail-under: {}", self.status().description);
            self.log.error(&text);
            self.outcome.problems.push(text);
        } else if self.failed && !self.inputs.gate.fail_on_error {
            self.log.info("The job continues because fail-on-error is false");
        }
        let is_failure = self.failed && self.inputs.gate.fail_on_error;
        !(is_below || is_failure)
    }
}
