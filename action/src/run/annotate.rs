//! Step 7: marks the changed lines that are not covered in "Files changed", if the workflow asks for it.

use super::state::Run;
use crate::base::text::count;
use crate::github::annotations::{self, CheckRun, Missed};
use crate::http::Client;
use crate::inputs::Target;
use crate::log::summary::MissedFile;

impl Run<'_> {
    /// Posts the annotations, with the link to the page of the changed lines. Without them, nothing fails.
    pub(super) fn annotate(&mut self, client: &Client, target: &Target) {
        let is_on = self.inputs.github.annotations && self.outcome.no_patch.is_none();
        let Some(patch) = self.outcome.patch.as_ref().filter(|_| is_on) else { return };
        let Some(github) = self.github(target) else { return };
        let missed = patch.missed.iter().filter(|file| !file.ranges.is_empty());
        // In the head, the line numbers of a merge commit would be wrong.
        let (own, merged): (Vec<&MissedFile>, Vec<_>) = missed.partition(|file| file.commit == target.commit_sha);
        let missed = own.iter().flat_map(|file| {
            let path = file.path.as_str();
            file.ranges.iter().map(move |(first, last)| Missed { path, first: *first, last: *last })
        });
        let run = CheckRun {
            name: &format!("{}/annotations", self.inputs.context),
            commit: &target.commit_sha,
            title: &patch.description,
            url: self.outcome.patch_url.as_deref().unwrap_or_default(),
            missed: missed.collect(),
            unmarked: merged.len(),
        };
        match annotations::post(client, &github, &run) {
            Ok(number) => self.log.info(&format!("Posted {}", count(number, "annotation"))),
            Err(error) => return self.warn(&format!("no annotations: {error:#}")),
        }
        if !merged.is_empty() {
            let files = count(merged.len(), "file");
            self.log.info(&format!("Without annotations: {files} that the base branch changed too"));
        }
    }
}
