//! Describes a run: for the debug log, and instead of a dry run's requests.

use super::state::{NO_TOKEN, Run, STATUS_DISABLED};
use crate::inputs::{Inputs, Target};

const UNTRIED: &str = "Not tried: patch coverage, its status, the comment and the annotations need a run with a pull \
                       request, and a dry run does not ask GitHub for it";

impl Run<'_> {
    /// The inputs as they were understood.
    pub(super) fn debug_line(&self) -> String {
        let Inputs { event, target, run_id, badge, context, gate, transfer, .. } = self.inputs;
        let commit = target.as_ref().map_or("none", |target| &target.commit_sha);
        let run_id = run_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        format!(
            "event {event:?}: commit {commit}, run {run_id}, badge {badge:?}, threshold {}%, context {context:?}, \
             timeout {} s",
            gate.threshold,
            transfer.timeout.as_secs()
        )
    }

    pub(super) fn dry_run(&mut self, upload: &str) {
        let log = self.log;
        log.info("Dry run: nothing is sent");
        match &self.inputs.target {
            Ok(target) => {
                let Target { api_url, repository, commit_sha, .. } = target;
                log.info(&format!("Would upload {upload} to {api_url}, for {repository} at {commit_sha}"));
            }
            Err(missing) => missing.iter().for_each(|missing| log.info(&format!("A real run also needs {missing}"))),
        }
        self.has_logged_state = true;
        let unposted_status = self.unposted_status();
        match &self.inputs.github.token {
            Some(_) => log.info(&format!("Would post the status {}", self.status())),
            None if self.inputs.github.is_declined => {
                log.info(&format!("Would post no status ({unposted_status}): {STATUS_DISABLED}"));
            }
            None => log.info(&format!("Would post no status ({unposted_status}): {NO_TOKEN}")),
        }
        if self.inputs.lines.is_some() {
            log.info(UNTRIED);
        }
        log.info(self.badge_skip_reason().unwrap_or(self.inputs.badge.plan()));
    }
}
