//! Step 1: downloads the report's artifact.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::state::{NO_TOKEN, Run};
use crate::base::text::{bytes, seconds, shorten};
use crate::github::api::GitHub;
use crate::github::artifact;
use crate::http::Client;
use crate::inputs::Artifact;
use crate::log::progress::{self, Progress};
use crate::report::{self, Report};

impl Run<'_> {
    /// Downloads the artifact and lists its files.
    pub(super) fn fetch(&mut self, client: &Client, artifact: &Artifact) -> Result<Report> {
        let Some(token) = &self.inputs.github.token else { bail!("{NO_TOKEN}") };
        let github = GitHub { api: &self.inputs.github.api, repository: &artifact.repository, token };
        let Artifact { name, run_id, .. } = artifact;
        let (info, count) = artifact::find(client, &github, artifact)?;
        if count > 1 {
            self.log.info(&format!("Run {run_id} has {count} artifacts `{name}`, one per attempt: using the newest"));
        }
        if let Some(how) = artifact.failure() {
            self.warn(&format!("run {run_id} ended with `{how}`: its report may cover only part of the tests"));
        }
        let target = self.inputs.target.as_ref().ok().map(|target| target.commit_sha.as_str());
        if let (Some(tested), Some(target)) = (info.commit().filter(|tested| Some(*tested) != target), target) {
            self.warn(&format!("run {run_id} tested commit {}, but the status goes to {target}", shorten(tested, 64)));
        }
        let started = Instant::now();
        let download = |progress: &Progress| {
            artifact::download(client, &github, artifact, &info, &self.inputs.transfer.temp, progress)
        };
        let file = progress::track(self.log, "Downloading", info.size, download)?;
        let (size, took) = (bytes(file.metadata()?.len()), seconds(started.elapsed()));
        self.log.info(&format!("Downloaded the artifact `{name}`, {size}, {} ({took})", info.verification()));
        report::unzip(file, &artifact.folder).with_context(|| format!("cannot use the artifact `{name}`"))
    }
}
