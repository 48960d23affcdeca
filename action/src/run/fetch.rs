//! Step 1: lists the files of the reports, and downloads their artifacts first.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::state::{NO_TOKEN, Run};
use crate::base::pattern::star_of;
use crate::base::text::{bytes, count, seconds, shorten};
use crate::github::api::GitHub;
use crate::github::artifact::{self, Found};
use crate::http::Client;
use crate::inputs::{Artifacts, Source};
use crate::log::progress::{self, Progress};
use crate::report::{self, Folder, Part, Report};

/// The reports, and the names of the expected ones that are missing.
pub(super) struct Fetched {
    pub parts: Vec<Part>,
    pub missing: Vec<String>,
}

impl Run<'_> {
    /// The reports: at least one.
    pub(super) fn fetch(&mut self, client: &Client) -> Result<Fetched> {
        let parts = match &self.inputs.source {
            Source::Folders(paths) => self.walk_folders(paths)?,
            Source::Artifacts(artifacts) => self.fetch_artifacts(client, artifacts)?,
        };
        let expected = self.inputs.parts.expected.iter().map(|name| (name, self.short_name(name)));
        let is_there = |name: &str, short: &str| {
            parts.iter().any(|part| [name, short].contains(&&*part.name) || part.source == name)
        };
        let missing = expected.filter(|(name, short)| !is_there(name, short));
        let missing = missing.map(|(_, short)| short.to_owned()).collect();
        Ok(Fetched { parts, missing })
    }

    /// The name of a report whose artifact has this name, or the name itself.
    fn short_name<'n>(&self, name: &'n str) -> &'n str {
        match &self.inputs.source {
            Source::Artifacts(artifacts) => short_name(&artifacts.names, name),
            Source::Folders(_) => name,
        }
    }

    fn walk_folders(&self, paths: &[PathBuf]) -> Result<Vec<Part>> {
        let folders = report::expand(paths)?;
        let names = report::part_names(&folders);
        // Some of the expected reports may be missing, but not all.
        let may_miss = self.inputs.parts.expected.len() > 1 && folders.iter().any(|folder| folder.path.is_dir());
        let there = names.into_iter().zip(folders).filter(|(_, folder)| !may_miss || folder.path.is_dir());
        let part = |(name, Folder { path, .. }): (_, Folder)| {
            Ok(Part { name, source: path.display().to_string(), report: report::walk(&path)? })
        };
        there.map(part).collect()
    }

    fn fetch_artifacts(&mut self, client: &Client, wanted: &Artifacts) -> Result<Vec<Part>> {
        let Some(token) = &self.inputs.github.token else { bail!("{NO_TOKEN}") };
        let github = GitHub { api: &self.inputs.github.api, repository: &wanted.repository, token };
        let run_id = wanted.run_id;
        let found = artifact::find(client, &github, wanted, self.inputs.parts.expected.len() > 1)?;
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
        let named = part_names(&wanted.names, &found).into_iter().zip(&found);
        named
            .map(|(name, found)| Ok(Part { name, source: found.info.name.clone(), report: download(found)? }))
            .collect()
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

/// What the wildcard of the pattern stands for in the name of an artifact, or the whole name.
fn short_name<'n>(patterns: &[String], name: &'n str) -> &'n str {
    let star = patterns.iter().find_map(|pattern| star_of(pattern, name));
    star.filter(|star| !matches!(*star, "" | "." | "..")).unwrap_or(name)
}

/// The short names of the artifacts; if these are not distinct, the whole names.
fn part_names(patterns: &[String], found: &[Found]) -> Vec<String> {
    let names: Vec<String> = found.iter().map(|found| short_name(patterns, &found.info.name).to_owned()).collect();
    let is_distinct = names.iter().collect::<HashSet<_>>().len() == names.len();
    if is_distinct { names } else { found.iter().map(|found| found.info.name.clone()).collect() }
}
