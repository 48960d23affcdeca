//! `POST /coverage/invalidate-cache/{owner}/{repo}/`: invalidates or sets the badge's value.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::answers::response::RouteResult;
use crate::app::App;
use crate::error::Error;
use crate::identity::api_keys::Uploader;
use crate::identity::token::WorkflowRun;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::routes::{authenticate, authorize_upload};
use crate::values::value::{State, Value};

/// The maximum run ID: a higher one would block all later values.
const MAX_RUN: u64 = 1 << 53;
/// The maximum length of a GitHub instance's URL.
const MAX_ISSUER: usize = 300;

#[derive(Deserialize)]
pub(crate) struct NewValue {
    site_id: String,
    percent: Option<f64>,
    state: State,
    commit_sha: String,
    name: Option<String>,
    run_id: Option<u64>,
    /// The GitHub instance of the run, such as `https://github.com`.
    issuer: Option<String>,
}

pub async fn invalidate(
    app: &App,
    client: IpAddr,
    owner: &str,
    name: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> RouteResult {
    let (uploader, new) = authenticate::<NewValue>(app, client, headers, body).await?;
    let repository = Repository::new(owner, name).map_err(Error::bad_request)?;
    authorize_upload(app, &uploader, &repository).await?;
    let detail = match new {
        None => {
            app.values.invalidate(&repository).await;
            None
        }
        Some(new) => {
            let (name, value) = new.check()?;
            set_value(app, &uploader, repository, name, value).await?
        }
    };
    Ok(app.responses.json(&match detail {
        None => json!({"status": "success"}),
        Some(detail) => json!({"status": "success", "detail": detail}),
    }))
}

/// Sets the value of the default branch; returns the reason if the badge shows another one.
async fn set_value(
    app: &App,
    uploader: &Uploader<'_>,
    repository: Repository,
    name: Option<ReportName>,
    mut value: Value,
) -> Result<Option<String>, Error> {
    if let Uploader::Run(run) = uploader {
        if let Some(why) = branch_mismatch(app, run, &repository, &value.commit_sha).await {
            app.values.invalidate(&repository).await;
            return Ok(Some(format!("only pushes to the default branch update the badge, and {why}")));
        }
        value.issuer = Some(run.github());
        // The token of a `workflow_run` describes the run that uploads; the body names the run that tested.
        value.run_id = if run.is_push() { Some(run.run_id) } else { value.run_id };
    }
    let kept_reason = app.values.set(repository, name, value).await.map_err(Error::storage)?;
    Ok(kept_reason.map(|kept_reason| kept_reason.to_string()))
}

/// Why the value of this run is not for the default branch; `None` if it is, or if GitHub does not name the branch.
async fn branch_mismatch(app: &App, run: &WorkflowRun, repository: &Repository, commit_sha: &str) -> Option<String> {
    let branch = match run.branch_of(commit_sha) {
        Ok(Some(branch)) => branch,
        Ok(None) => return None,
        Err(why) => return Some(why),
    };
    let default = app.values.default_branch(repository).await?;
    (branch != default).then(|| format!("its token is for the branch {branch:?}"))
}

impl NewValue {
    pub(crate) fn check(self) -> Result<(Option<ReportName>, Value), Error> {
        let site: SiteId = self.site_id.parse().map_err(|()| Error::bad_request("site_id is not a valid site ID"))?;
        let name = self
            .name
            .filter(|name| !name.is_empty())
            .map(|name| name.parse().map_err(Error::bad_request))
            .transpose()?;
        if self.percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return Err(Error::bad_request("percent must be between 0 and 100"));
        }
        if self.run_id.is_some_and(|run| run > MAX_RUN) {
            return Err(Error::bad_request("run_id is not a valid workflow run ID"));
        }
        let issuer = self.issuer.map(|issuer| issuer.trim_end_matches('/').to_ascii_lowercase());
        let issuer = issuer.filter(|issuer| !issuer.is_empty());
        if issuer.as_ref().is_some_and(|issuer| issuer.len() > MAX_ISSUER) {
            return Err(Error::bad_request(format!("issuer is longer than {MAX_ISSUER} bytes")));
        }
        let value = Value {
            // Turns minus zero into zero.
            percent: self.percent.map(|percent| percent + 0.0),
            state: self.state,
            site_id: Some(site.to_string()),
            commit_sha: super::upload::commit_sha(&self.commit_sha)?.to_owned(),
            seen_at: Timestamp::now(),
            run_id: self.run_id,
            issuer,
        };
        Ok((name, value))
    }
}
