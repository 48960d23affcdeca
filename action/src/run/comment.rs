//! Step 7: comments on the pull request, if the workflow asks for it.

use std::time::Instant;

use super::state::Run;
use crate::base::text::seconds;
use crate::github::comment::{self, Comment, Published, text};
use crate::http::Client;
use crate::inputs::{Comments, Target};

impl Run<'_> {
    /// Posts or updates the comment, with the links of the uploaded report. Without it, nothing fails.
    pub(super) fn comment(&mut self, client: &Client, target: &Target) {
        let comments = self.inputs.github.comments;
        let Some(number) = self.pull_request.filter(|_| comments.are_on()) else { return };
        let Some(github) = self.github(target) else { return };
        let has_problems = text::has_problems(&self.outcome);
        let repository = format!("{}/{}", self.inputs.github.server, target.repository);
        let comment = Comment {
            pull_request: number,
            commit: &target.commit_sha,
            marker: &text::marker(self.inputs.name.as_deref()),
            text: &text::text(&self.outcome, &repository, &target.commit_sha),
            is_update: comments == Comments::Problems && !has_problems,
        };
        let started = Instant::now();
        let took = || seconds(started.elapsed());
        match comment::publish(client, &github, &comment) {
            Ok(Published::Posted) => self.log.info(&format!("Commented on pull request #{number} ({})", took())),
            Ok(Published::Updated) => {
                self.log.info(&format!("Updated the comment on pull request #{number} ({})", took()));
            }
            Ok(Published::Unneeded) => {
                self.log.info(&format!("No comment on pull request #{number}: there are no problems"));
            }
            Ok(Published::Skipped(why)) => self.log.info(&format!("No comment on pull request #{number}: {why}")),
            Err(error) => self.warn(&format!("no comment: {error:#}")),
        }
    }
}
