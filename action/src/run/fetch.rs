//! Step 1: lists the files of the reports, and downloads their artifacts first.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::state::{NO_TOKEN, Run};
use crate::base::text::{bytes, count, seconds, shorten};
use crate::github::api::GitHub;
use crate::github::artifact::{self, Found};
use crate::http::Client;
use crate::inputs::{Artifacts, Source};
use crate::log::progress::{self, Progress};
use crate::report::{self, Part, Report};

impl Run<'_> {
    /// The reports: at least one.
    pub(super) fn fetch(&mut self, client: &Client) -> Result<Vec<Part>> {
        match &self.inputs.source {
            Source::Folders(paths) => {
                let folders = report::expand(paths)?;
                let named = report::part_names(&folders).into_iter().zip(&folders);
                named.map(|(name, folder)| Ok(Part { name, report: report::walk(folder)? })).collect()
            }
            Source::Artifacts(artifacts) => self.fetch_artifacts(client, artifacts),
        }
    }

    fn fetch_artifacts(&mut self, client: &Client, wanted: &Artifacts) -> Result<Vec<Part>> {
        let Some(token) = &self.inputs.github.token else { bail!("{NO_TOKEN}") };
        let github = GitHub { api: &self.inputs.github.api, repository: &wanted.repository, token };
        let run_id = wanted.run_id;
        let found = artifact::find(client, &github, wanted)?;
        if wanted.only().is_none() {
            let names: Vec<String> = found.iter().map(|found| format!("`{}`", found.info.name)).collect();
            self.log.info(&format!("Run {run_id} has {}: {}", count(found.len(), "such artifact"), names.join(", ")));
        }
        for Found { info, attempts } in found.iter().filter(|found| found.attempts > 1) {
            let name = &info.name;
            self.log
                .info(&format!("Run {run_id} has {attempts} artifacts `{name}`, one per attempt: using the newest"));
        }
        if let Some(how) = wanted.failure() {
            self.warn(&format!("run {run_id} ended with `{how}`: its report may cover only part of the tests"));
        }
        let target = self.inputs.target.as_ref().ok().map(|target| target.commit_sha.as_str());
        let tested = found.iter().find_map(|found| found.info.commit());
        if let (Some(tested), Some(target)) = (tested.filter(|tested| Some(*tested) != target), target) {
            self.warn(&format!("run {run_id} tested commit {}, but the status goes to {target}", shorten(tested, 64)));
        }
        let download = |found: &Found| self.download(client, &github, wanted, found);
        found.iter().map(|found| Ok(Part { name: found.info.name.clone(), report: download(found)? })).collect()
    }

    /// Downloads an artifact, and lists its files.
    fn download(&self, client: &Client, github: &GitHub, wanted: &Artifacts, found: &Found) -> Result<Report> {
        let (info, started) = (&found.info, Instant::now());
        let download = |progress: &Progress| {
            artifact::download(client, github, wanted.run_id, info, &self.inputs.transfer.temp, progress)
        };
        let file = progress::track(self.log, "Downloading", info.size, download)?;
        let (size, took) = (bytes(file.metadata()?.len()), seconds(started.elapsed()));
        let name = &info.name;
        self.log.info(&format!("Downloaded the artifact `{name}`, {size}, {} ({took})", info.verification()));
        report::unzip(file, &wanted.folder).with_context(|| format!("cannot use the artifact `{name}`"))
    }
}
