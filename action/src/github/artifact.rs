//! Step 1 if the reports are in artifacts: finds them in their workflow run, downloads them, and verifies their digests.
//!
//! The run and the digests from GitHub's API are trusted; the artifact's content is not.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::{StatusCode, Uri};

use crate::base::digest::sha256_of_file;
use crate::base::pattern::fits;
use crate::base::text::{bytes, shorten};
use crate::github::api::GitHub;
use crate::http::{Client, Host, Request, Response};
use crate::inputs::{Artifacts, is_artifact};
use crate::log::progress::Progress;
use crate::report::MAX_PARTS;

const JSON: &str = "application/vnd.github+json";
/// Bytes of an artifact: a packed report has the same limit.
const MAX_BYTES: u64 = 4 << 30;
/// Characters of a name, and number of names, in an error.
const SHOWN_NAME: usize = 100;
const SHOWN_NAMES: usize = 20;

/// Artifacts in a page of the list, and pages: more artifacts of a run are not searched.
const PER_PAGE: usize = 100;
const MAX_PAGES: usize = 20;

#[derive(Deserialize)]
struct ArtifactList {
    artifacts: Vec<ArtifactInfo>,
}

/// GitHub's description of an artifact.
#[derive(Debug, Deserialize)]
pub struct ArtifactInfo {
    id: u64,
    pub name: String,
    /// Bytes.
    #[serde(rename = "size_in_bytes")]
    pub size: u64,
    expired: bool,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// `sha256:…`; missing for old artifacts and on older servers.
    digest: Option<String>,
    workflow_run: Option<WorkflowRun>,
}

#[derive(Debug, Deserialize)]
struct WorkflowRun {
    head_sha: Option<String>,
}

impl ArtifactInfo {
    /// The commit of its run.
    pub fn commit(&self) -> Option<&str> {
        self.workflow_run.as_ref()?.head_sha.as_deref()
    }

    /// SHA-256 in lower-case hexadecimal.
    fn sha256(&self) -> Option<String> {
        Some(self.digest.as_ref()?.strip_prefix("sha256:")?.to_ascii_lowercase())
    }

    /// How the log describes the verification.
    pub fn verification(&self) -> &'static str {
        if self.sha256().is_some() { "SHA-256 verified" } else { "without a SHA-256 from GitHub" }
    }
}

/// An artifact of the run, the newest of its name: each attempt of a run can have one.
#[derive(Debug)]
pub struct Found {
    pub info: ArtifactInfo,
    /// The number of artifacts with its name.
    pub attempts: usize,
}

/// The artifacts that fit, in the order of their names. Each name and each pattern must fit one; if `may_miss`, one of them
/// must.
pub fn find(client: &Client, github: &GitHub, wanted: &Artifacts, may_miss: bool) -> Result<Vec<Found>> {
    let listed = match wanted.only() {
        // Older servers ignore the filter.
        Some(name) => list(client, github, wanted, Some(name))?,
        None => list_all(client, github, wanted)?,
    };
    let newest = newest(listed);
    let fitting = |pattern: &String| newest.keys().any(|name| fits(pattern, name));
    let is_enough = may_miss && wanted.names.iter().any(fitting);
    if let Some(missing) = wanted.names.iter().find(|pattern| !fitting(pattern)).filter(|_| !is_enough) {
        let others = match wanted.only() {
            Some(_) => newest_names(list(client, github, wanted, None).unwrap_or_default()),
            None => newest.into_keys().collect(),
        };
        bail!("{}", missing_message(github, wanted, missing, &others));
    }
    let is_wanted = |name: &String| wanted.names.iter().any(|pattern| fits(pattern, name));
    let found: Vec<Found> = newest.into_iter().filter(|(name, _)| is_wanted(name)).map(|(_, found)| found).collect();
    ensure!(
        found.len() <= MAX_PARTS,
        "{} artifacts of run {} fit `{}`, at most {MAX_PARTS} can be merged: use a narrower pattern",
        found.len(),
        wanted.run_id,
        wanted.names.join("`, `")
    );
    found.iter().try_for_each(|found| found.info.check(wanted.run_id))?;
    Ok(found)
}

impl ArtifactInfo {
    /// Fails if it cannot be downloaded. Its name becomes a part of addresses.
    fn check(&self, run_id: u64) -> Result<()> {
        let name = &self.name;
        let is_usual = is_artifact(name) && !matches!(name.as_str(), "" | "." | "..");
        ensure!(
            is_usual,
            "an artifact of run {run_id} has a name that GitHub does not allow, {:?}",
            shorten(name, SHOWN_NAME)
        );
        ensure!(!self.expired, "{}", expired_message(run_id, self));
        ensure!(
            self.size <= MAX_BYTES,
            "the artifact `{name}` is too large: {}, at most {}",
            bytes(self.size),
            bytes(MAX_BYTES)
        );
        Ok(())
    }
}

/// The newest artifact of each name.
fn newest(listed: Vec<ArtifactInfo>) -> BTreeMap<String, Found> {
    let mut newest: BTreeMap<String, Found> = BTreeMap::new();
    for info in listed {
        match newest.get_mut(&info.name) {
            Some(found) => {
                found.attempts += 1;
                if (info.created_at, info.id) > (found.info.created_at, found.info.id) {
                    found.info = info;
                }
            }
            None => drop(newest.insert(info.name.clone(), Found { info, attempts: 1 })),
        }
    }
    newest
}

fn newest_names(listed: Vec<ArtifactInfo>) -> Vec<String> {
    newest(listed).into_keys().collect()
}

/// All artifacts of the run.
fn list_all(client: &Client, github: &GitHub, wanted: &Artifacts) -> Result<Vec<ArtifactInfo>> {
    let mut all = Vec::new();
    for page in 1..=MAX_PAGES {
        let more = page_of(client, github, wanted.run_id, &format!("per_page={PER_PAGE}&page={page}"))?;
        let is_last = more.len() < PER_PAGE;
        all.extend(more);
        if is_last {
            return Ok(all);
        }
    }
    bail!("run {} has more than {} artifacts: name each artifact", wanted.run_id, MAX_PAGES * PER_PAGE)
}

/// The first artifacts of the run, or those of this name.
fn list(client: &Client, github: &GitHub, wanted: &Artifacts, name: Option<&str>) -> Result<Vec<ArtifactInfo>> {
    let filter = name.map_or_else(String::new, |name| format!("name={}&", utf8_percent_encode(name, NON_ALPHANUMERIC)));
    page_of(client, github, wanted.run_id, &format!("{filter}per_page={PER_PAGE}"))
}

fn page_of(client: &Client, github: &GitHub, run_id: u64, query: &str) -> Result<Vec<ArtifactInfo>> {
    let response =
        github.send(client, github.request("GET", &format!("actions/runs/{run_id}/artifacts?{query}"), JSON)?)?;
    if response.status != StatusCode::OK {
        return Err(rejection(github, &format!("the artifacts of run {run_id}"), &response));
    }
    let list: ArtifactList = response.json().map_err(|error| {
        anyhow!("cannot read GitHub's list of the artifacts of run {run_id}: {}", shorten(&error.to_string(), 200))
    })?;
    Ok(list.artifacts)
}

fn missing_message(github: &GitHub, wanted: &Artifacts, name: &str, others: &[String]) -> String {
    let run_id = wanted.run_id;
    let shown: Vec<String> =
        others.iter().take(SHOWN_NAMES).map(|other| format!("`{}`", shorten(other, SHOWN_NAME))).collect();
    let others = match (shown.is_empty(), others.len() - shown.len()) {
        (true, _) => "none at all".to_owned(),
        (_, 0) => format!("only {}", shown.join(", ")),
        (_, more) => format!("only {} and {more} more", shown.join(", ")),
    };
    let ended = wanted.failure().map_or_else(String::new, |how| format!("; that run ended with `{how}`"));
    format!(
        "run {run_id} of {} has no artifact `{name}`, {others}{ended}: upload the report there with \
         actions/upload-artifact, under that name",
        github.repository
    )
}

fn expired_message(run_id: u64, info: &ArtifactInfo) -> String {
    let when = info.expires_at.map_or_else(String::new, |when| format!(" at {when}"));
    format!("the artifact `{}` of run {run_id} expired{when}: run the tests again", info.name)
}

/// Explains a rejection by GitHub.
fn rejection(github: &GitHub, what: &str, response: &Response) -> anyhow::Error {
    let (reason, repository) = (response.describe(), github.repository);
    let text = match (github.common_rejection(response, &reason), response.status) {
        _ if response.is_temporary() => return response.rejection(format!("GitHub did not return {what} ({reason})")),
        (Some(text), _) => text,
        (None, StatusCode::FORBIDDEN) => format!(
            "the token may not read {what} in {repository} ({reason}): give the job `permissions: actions: read` (a \
             personal token: Actions, read)"
        ),
        (None, StatusCode::NOT_FOUND) => format!(
            "the token has no access to {what} in {repository} ({reason}): check run-id and the repository's name, and \
             give the job `permissions: actions: read`"
        ),
        _ => format!("GitHub did not return {what} ({reason})"),
    };
    anyhow!(text)
}

/// Downloads the artifact into an unnamed file in `temp`, which disappears when it is closed.
pub fn download(
    client: &Client,
    github: &GitHub,
    run_id: u64,
    info: &ArtifactInfo,
    temp: &Path,
    progress: &Progress,
) -> Result<File> {
    let name = &info.name;
    let response = github.send(client, github.request("GET", &format!("actions/artifacts/{}/zip", info.id), JSON)?)?;
    let url = match response.status {
        StatusCode::GONE => bail!("{}", expired_message(run_id, info)),
        status if status.is_redirection() => response.location().and_then(|url| trusted_url(github.api, url)),
        _ => return Err(rejection(github, &format!("the artifact `{name}`"), &response)),
    };
    let Some(url) = url else {
        bail!("GitHub returned no usable download URL for the artifact `{name}` ({})", response.describe())
    };
    let file = crate::archive::temporary_file(temp)?;
    // The address is a credential itself. The store is not GitHub, so it gets no token.
    let request = Request::new("GET", &url)?.save(&file, temp, MAX_BYTES).progress(progress);
    let response = client.send(&request)?;
    if response.status != StatusCode::OK {
        let text = format!("GitHub's store did not return the artifact `{name}` ({})", response.describe());
        return Err(response.rejection(text));
    }
    if let Some(expected) = info.sha256() {
        let digest = sha256_of_file(&file)?;
        ensure!(
            digest == expected,
            "the artifact `{name}` has the SHA-256 {digest}, but GitHub's is {}: run the job again",
            shorten(&expected, 64)
        );
    }
    Ok(file)
}

/// Accepts a download address: never from https to http, never into the runner's own network.
fn trusted_url(api: &str, url: &str) -> Option<String> {
    let (api, uri): (Uri, Uri) = (api.parse().ok()?, url.parse().ok()?);
    let is_http = uri.host().is_some_and(|host| !host.is_empty())
        && (uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && api.scheme() == uri.scheme());
    let is_link_local = Host::of(&uri) == Host::LinkLocal && Host::of(&api) != Host::LinkLocal;
    (is_http && !is_link_local).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_to_link_local_addresses_and_downgrades_are_rejected() {
        let (github, plain) = ("https://api.github.com", "http://ghe.example/api/v3");
        for (api, url, is_trusted) in [
            (github, "https://store.example/a.zip?sig=x", true),
            (github, "http://store.example/a.zip", false),
            (plain, "http://store.example/a.zip", true),
            (plain, "https://store.example/a.zip", true),
            (plain, "http://127.0.0.1:9000/a.zip", true),
            (plain, "http://169.254.169.254/latest/meta-data/", false),
            (github, "https://[fe80::1]/a.zip", false),
            (plain, "http://[::ffff:169.254.169.254]/", false),
            (plain, "http://2852039166/", false),
            ("http://169.254.7.7/api/v3", "http://169.254.7.8/a.zip", true),
            (github, "file:///etc/passwd", false),
            (github, "/a.zip", false),
        ] {
            assert_eq!(trusted_url(api, url).is_some(), is_trusted, "{api} -> {url}");
        }
    }
}
