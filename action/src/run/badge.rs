//! Step 6: updates the badge, at the server and in the README.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::state::Run;
use crate::base::text::{count, seconds};
use crate::base::thread::join;
use crate::coverage::State;
use crate::github::api::GitHub;
use crate::github::readme::{self, Readme};
use crate::http::Client;
use crate::inputs::{BadgeUpdate, Target};
use crate::server::badge::{self, BadgeValue};
use crate::server::session::Session;

/// The results of updating the badge.
pub(super) struct BadgeResults {
    /// Why the server did not change the badge, if it did not; and the duration.
    server: (Result<Option<String>>, Duration),
    /// The README's images; `None` without a token, or if the badge did not change.
    images: Option<Result<ImageResults>>,
}

/// The results for the README's images.
enum ImageResults {
    NoReadme,
    Purged { purged: usize, failures: Vec<String>, took: Duration },
}

impl Run<'_> {
    /// The value for the server; `None` if this run sets none.
    pub(super) fn badge_value<'r>(
        &'r self,
        target: &'r Target,
        session: &'r Session,
        state: State,
    ) -> Option<BadgeValue<'r>> {
        let inputs = self.inputs;
        (inputs.badge == BadgeUpdate::SetValue && !self.outcome.is_partial()).then(|| BadgeValue {
            site_id: &session.site_id,
            percent: self.outcome.totals.as_ref().map(|totals| &totals.percent),
            state,
            commit_sha: &target.commit_sha,
            name: inputs.name.as_deref(),
            run_id: inputs.run_id,
            issuer: inputs.run_id.map(|_| inputs.github.server.to_ascii_lowercase()),
        })
    }

    /// Sends the server the new value, or has it drop its own. Then purges the README's badges from GitHub's image
    /// cache, which requests them again at once. Finds these images meanwhile. `None` if this run does not
    /// update the badge.
    pub(super) fn update_badge(
        &self,
        client: &Client,
        target: &Target,
        session: &Session,
        value: Option<&BadgeValue>,
        github: Option<&GitHub>,
    ) -> Option<BadgeResults> {
        if self.badge_skip_reason().is_some() {
            return None;
        }
        let bases = [target.api_url.as_str(), session.public_url(target)];
        let readme = github.map(|github| Readme { github, server: &self.inputs.github.server, bases });
        let (server, found) = thread::scope(|scope| {
            let found = readme.as_ref().map(|readme| scope.spawn(|| readme::badges(client, readme)));
            let started = Instant::now();
            let response = badge::update(client, target, value);
            ((response, started.elapsed()), found.map(join))
        });
        let images = found.filter(|_| matches!(server.0, Ok(None))).map(|found| found.map(|urls| purge(client, urls)));
        Some(BadgeResults { server, images })
    }

    pub(super) fn log_badge_results(&mut self, BadgeResults { server: (response, took), images }: BadgeResults) {
        match response {
            Ok(Some(why)) => self.log.info(&format!("The server did not change the badge: {why}")),
            Ok(None) if self.inputs.badge == BadgeUpdate::DropValue => self.log.info(
                "Asked the server to refresh the badge; its value was not set, because this run is not a push to the \
                 default branch",
            ),
            Ok(None) => self.log.info(&format!("Updated the badge ({})", seconds(took))),
            Err(error) => self.fail(&error),
        }
        // The image cache expires by itself, so no failure here fails the run.
        match images {
            None => {}
            Some(Ok(ImageResults::NoReadme)) => self.log.info("Found no README: no badge image to refresh"),
            Some(Ok(ImageResults::Purged { purged, failures, took })) => {
                let images = count(purged, "image");
                self.log.info(&format!("Refreshed {images} of the README ({})", seconds(took)));
                failures.iter().for_each(|failure| self.warn(failure));
            }
            Some(Err(error)) => self.warn(&format!("the README's images were not refreshed: {error:#}")),
        }
    }
}

fn purge(client: &Client, urls: Option<Vec<String>>) -> ImageResults {
    let Some(urls) = urls else { return ImageResults::NoReadme };
    let started = Instant::now();
    let failures = readme::purge(client, &urls);
    ImageResults::Purged { purged: urls.len() - failures.len(), failures, took: started.elapsed() }
}
