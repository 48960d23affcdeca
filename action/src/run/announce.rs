//! Steps 5 and 6: the status and the badge, and what the log says of them.

use std::thread;
use std::time::Instant;

use super::{NO_TOKEN, Run};
use crate::base::text::{count, seconds};
use crate::github::badge;
use crate::github::badge::{Images, Readme, Refreshed};
use crate::github::status;
use crate::http::Client;
use crate::inputs::{Purge, Target};
use crate::server::session::{Place, Session};

impl Run<'_> {
    /// Posts the status and refreshes the badge, whatever becomes of one of them. The log tells it in one order.
    pub(super) fn announce(&mut self, client: &Client, target: &Target, session: &Session) {
        let (inputs, status) = (self.inputs, self.status());
        let shown = status.to_string();
        let value = badge::Value {
            site_id: &session.site_id,
            percent: self.outcome.totals.as_ref().map(|totals| &totals.percent),
            state: status.state,
            commit_sha: &target.commit_sha,
            name: inputs.name.as_deref(),
            run_id: inputs.run_id,
            issuer: inputs.run_id.map(|_| inputs.github.server.to_ascii_lowercase()),
        };
        let value = Some(&value).filter(|_| inputs.purge == Purge::Update);
        let bases = [target.api_url.as_str(), session.public_url(target)];
        let readme = self.github(target).map(|github| Readme { github, server: &inputs.github.server, bases });
        let post = || {
            let started = Instant::now();
            let posted = status::post(client, &readme.as_ref()?.github, &target.commit_sha, &status);
            Some(posted.map(|()| started.elapsed()))
        };
        let reason = inputs.purge.reason();
        let refresh = || reason.is_none().then(|| badge::refresh(client, target, value, readme.as_ref()));
        let (posted, refreshed) = if value.is_some() && !self.is_the_originals(session) {
            thread::scope(|scope| {
                let posted = scope.spawn(post);
                let refreshed = refresh();
                (badge::joined(posted), refreshed)
            })
        } else {
            // The original's backend takes no value and reads it from GitHub: the status must be there first.
            (post(), refresh())
        };
        match posted {
            None => self.warn(&format!("no status was posted: {NO_TOKEN}")),
            Some(Ok(took)) => {
                self.log.say(&format!("Posted the status {shown} in {}", seconds(took)));
                self.check_context(target, session);
            }
            Some(Err(error)) => self.fail(&error),
        }
        reason.iter().for_each(|reason| self.log.say(reason));
        if let Some(refreshed) = refreshed {
            self.tell_refreshed(refreshed);
        }
    }

    /// Whether the server answered a request with a JSON body by credentials: only a backend of the Python original does.
    /// `--files` sends no body, and every server answers that by credentials.
    fn is_the_originals(&self, session: &Session) -> bool {
        !self.inputs.transfer.file_by_file && matches!(session.place, Place::Files(_))
    }

    /// The original's backend shows statuses of other contexts nowhere.
    fn check_context(&mut self, target: &Target, session: &Session) {
        let context = &self.inputs.context;
        if self.is_the_originals(session) && !context.to_ascii_lowercase().contains("coverage") {
            self.warn(&format!(
                "the server at {} is a backend of the Python original, which reads only statuses whose context contains \
                 `coverage`, so its badge does not show this one, `{context}`: set `context: coverage` (--context)",
                target.api_url
            ));
        }
    }

    fn tell_refreshed(&mut self, Refreshed { server: (answer, took), images }: Refreshed) {
        match answer {
            Ok(Some(why)) => self.log.say(&format!("The server kept the badge as it was: {why}")),
            Ok(None) if self.inputs.purge == Purge::Forget => self.log.say(
                "Asked the server to refresh the badge; its value was not set, because this run is not a push to the \
                 default branch",
            ),
            Ok(None) => self.log.say(&format!("Updated the badge in {}", seconds(took))),
            Err(error) => self.fail(&error),
        }
        // The README's images are a convenience: they refresh themselves in time, so nothing here fails the run.
        match images {
            None => {}
            Some(Ok(Images::NoReadme)) => self.log.say("Found no README, so no image to refresh"),
            Some(Ok(Images::Purged { purged, failures, took })) => {
                let images = count(purged, "image");
                self.log.say(&format!("Refreshed {images} of the README in {}", seconds(took)));
                failures.iter().for_each(|failure| self.warn(failure));
            }
            Some(Err(error)) => self.warn(&format!("the README's images were not refreshed: {error:#}")),
        }
    }
}
