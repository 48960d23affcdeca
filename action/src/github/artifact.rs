//! Step 1 if the report is in an artifact: finds it in its workflow run, downloads it, and verifies its digest.
//!
//! The run and the digest from GitHub's API are trusted; the artifact's content is not.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::{StatusCode, Uri};

use crate::base::digest::sha256_of_file;
use crate::base::text::{bytes, shorten};
use crate::github::api::GitHub;
use crate::http::{Client, Host, Request, Response};
use crate::inputs::Artifact;
use crate::log::progress::Progress;

const JSON: &str = "application/vnd.github+json";
/// Bytes of an artifact: a packed report has the same limit.
const MAX_BYTES: u64 = 4 << 30;
/// Characters of a name, and number of names, in an error.
const SHOWN_NAME: usize = 100;
const SHOWN_NAMES: usize = 20;

#[derive(Deserialize)]
struct ArtifactList {
    artifacts: Vec<ArtifactInfo>,
}

/// GitHub's description of an artifact.
#[derive(Debug, Deserialize)]
pub struct ArtifactInfo {
    id: u64,
    name: String,
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

/// The newest artifact of this name in the run, and their number: each attempt of a run can have one.
pub fn find(client: &Client, github: &GitHub, artifact: &Artifact) -> Result<(ArtifactInfo, usize)> {
    let name = utf8_percent_encode(&artifact.name, NON_ALPHANUMERIC);
    let mut named = list(client, github, artifact.run_id, &format!("name={name}&"))?;
    // Older servers ignore the filter.
    named.retain(|info| info.name == artifact.name);
    let count = named.len();
    let Some(newest) = named.into_iter().max_by_key(|info| (info.created_at, info.id)) else {
        let others = list(client, github, artifact.run_id, "").unwrap_or_default();
        bail!("{}", missing_message(github, artifact, &others));
    };
    ensure!(!newest.expired, "{}", expired_message(artifact, &newest));
    ensure!(
        newest.size <= MAX_BYTES,
        "the artifact `{}` is too large: {}, at most {}",
        artifact.name,
        bytes(newest.size),
        bytes(MAX_BYTES)
    );
    Ok((newest, count))
}

fn list(client: &Client, github: &GitHub, run_id: u64, filter: &str) -> Result<Vec<ArtifactInfo>> {
    let path = format!("actions/runs/{run_id}/artifacts?{filter}per_page=100");
    let response = github.send(client, github.request("GET", &path, JSON)?)?;
    if response.status != StatusCode::OK {
        return Err(rejection(github, &format!("the artifacts of run {run_id}"), &response));
    }
    let list: ArtifactList = response.json().map_err(|error| {
        anyhow!("cannot read GitHub's list of the artifacts of run {run_id}: {}", shorten(&error.to_string(), 200))
    })?;
    Ok(list.artifacts)
}

fn missing_message(github: &GitHub, artifact: &Artifact, others: &[ArtifactInfo]) -> String {
    let Artifact { name, run_id, .. } = artifact;
    let shown: Vec<String> =
        others.iter().take(SHOWN_NAMES).map(|other| format!("`{}`", shorten(&other.name, SHOWN_NAME))).collect();
    let others = match (shown.is_empty(), others.len() - shown.len()) {
        (true, _) => "none at all".to_owned(),
        (_, 0) => format!("only {}", shown.join(", ")),
        (_, more) => format!("only {} and {more} more", shown.join(", ")),
    };
    let ended = artifact.failure().map_or_else(String::new, |how| format!("; that run ended with `{how}`"));
    format!(
        "run {run_id} of {} has no artifact `{name}`, {others}{ended}: upload the report there with \
         actions/upload-artifact, under that name",
        github.repository
    )
}

fn expired_message(artifact: &Artifact, info: &ArtifactInfo) -> String {
    let when = info.expires_at.map_or_else(String::new, |when| format!(" at {when}"));
    let Artifact { name, run_id, .. } = artifact;
    format!("the artifact `{name}` of run {run_id} expired{when}: run the tests again")
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
    artifact: &Artifact,
    info: &ArtifactInfo,
    temp: &Path,
    progress: &Progress,
) -> Result<File> {
    let name = &artifact.name;
    let response = github.send(client, github.request("GET", &format!("actions/artifacts/{}/zip", info.id), JSON)?)?;
    let url = match response.status {
        StatusCode::GONE => bail!("{}", expired_message(artifact, info)),
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
