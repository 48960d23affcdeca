//! Step 5: posts the status, in parallel with the badge of step 6.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::state::{NO_TOKEN, Run, STATUS_DISABLED};
use crate::base::text::seconds;
use crate::base::thread::join;
use crate::github::status;
use crate::http::Client;
use crate::inputs::Target;
use crate::server::session::{Destination, Session};

impl Run<'_> {
    /// Posts the status and updates the badge, even if one of them fails. The order of log lines is fixed.
    pub(super) fn announce(&mut self, client: &Client, target: &Target, session: &Session) {
        let (github, status) = (self.github(target), self.status());
        let value = self.badge_value(target, session, status.state);
        let post = || {
            let started = Instant::now();
            let posted = status::post(client, github.as_ref()?, &target.commit_sha, &status);
            Some(posted.map(|()| started.elapsed()))
        };
        let patch_context = self.patch_context();
        let patch_status = self.patch_status(&patch_context);
        let patch_client = self.pull_request_client();
        let post_patch =
            || Some(status::post(&patch_client, github.as_ref()?, &target.commit_sha, patch_status.as_ref()?));
        let post_all = || {
            // Badges show the newest status whose context contains `coverage`: that must be the one with the total.
            if self.inputs.context.to_ascii_lowercase().contains("coverage") {
                let patch_posted = post_patch();
                return (post(), patch_posted);
            }
            thread::scope(|scope| {
                let patch = scope.spawn(post_patch);
                (post(), join(patch))
            })
        };
        let update_badge = || self.update_badge(client, target, session, value.as_ref(), github.as_ref());
        let ((posted, patch_posted), badge_results) = if value.is_some() && !self.is_original_backend(session) {
            thread::scope(|scope| {
                let posted = scope.spawn(post_all);
                let badge_results = update_badge();
                (join(posted), badge_results)
            })
        } else {
            // The original's backend reads the value from the commit status, so the status must come first.
            (post_all(), update_badge())
        };
        let patch_status = patch_status.map(|status| status.to_string());
        self.log_status_result(posted, target, session);
        self.has_posted_patch = matches!(patch_posted, Some(Ok(())));
        match patch_posted.zip(patch_status) {
            Some((Ok(()), status)) => self.log.info(&format!("Posted the status {status}")),
            // Both posts usually fail for the same reason.
            Some((Err(error), _)) if self.outcome.problems.contains(&format!("{error:#}")) => {}
            // Without a threshold, the status is for information.
            Some((Err(error), _)) if self.inputs.gate.patch_threshold.is_zero() => self.warn(&format!("{error:#}")),
            Some((Err(error), _)) => self.fail(&error),
            None => {}
        }
        self.badge_skip_reason().iter().for_each(|reason| self.log.info(reason));
        if let Some(badge_results) = badge_results {
            self.log_badge_results(badge_results);
        }
    }

    fn log_status_result(&mut self, posted: Option<Result<Duration>>, target: &Target, session: &Session) {
        let (status, unposted_status) = (self.status().to_string(), self.unposted_status());
        self.has_logged_state = !matches!(posted, Some(Err(_)));
        match posted {
            None if self.inputs.github.is_declined => {
                self.log.info(&format!("Posted no status ({unposted_status}): {STATUS_DISABLED}"));
            }
            None => self.warn(&format!("no status was posted ({unposted_status}): {NO_TOKEN}")),
            Some(Ok(took)) => {
                self.log.info(&format!("Posted the status {status} ({})", seconds(took)));
                self.check_context(target, session);
            }
            Some(Err(error)) => self.fail(&error),
        }
    }

    /// Whether it is a backend of the Python original: only that answers a request with a JSON body by credentials.
    /// `--files` sends no body, and every server answers that by credentials.
    fn is_original_backend(&self, session: &Session) -> bool {
        !self.inputs.transfer.file_by_file && matches!(session.destination, Destination::Files(_))
    }

    /// Warns if the original's backend ignores the status context.
    fn check_context(&mut self, target: &Target, session: &Session) {
        let context = &self.inputs.context;
        if self.is_original_backend(session) && !context.to_ascii_lowercase().contains("coverage") {
            self.warn(&format!(
                "the server at {} is a backend of the Python original, which reads only statuses whose context \
                 contains `coverage`. Its badge ignores `{context}`: set `context: coverage` (--context)",
                target.api_url
            ));
        }
    }
}
