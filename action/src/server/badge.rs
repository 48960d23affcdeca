//! Sets the badge value on the server.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use ureq::http::StatusCode;

use crate::base::text::shorten;
use crate::coverage::{Percent, State};
use crate::http::{Client, Request};
use crate::inputs::Target;

/// Characters of the server's message in the log.
const MAX_DETAIL: usize = 300;

#[derive(Serialize)]
pub struct BadgeValue<'a> {
    pub site_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<&'a Percent>,
    pub state: State,
    pub commit_sha: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<u64>,
    /// The GitHub instance, such as `https://github.com`: each numbers its runs from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// What the server adds to its confirmation.
#[derive(Default, Deserialize)]
struct Confirmation {
    detail: Option<String>,
}

/// Sends the new value; without one, the server drops its own. Returns why the server did not change the badge, if it
/// did not.
pub fn update(client: &Client, target: &Target, value: Option<&BadgeValue>) -> Result<Option<String>> {
    let Target { api_url, repository, .. } = target;
    let request = Request::new("POST", &format!("{api_url}/coverage/invalidate-cache/{repository}/"))?;
    let (request, failed) = match value {
        Some(value) => (request.json(value)?, "did not accept the badge's new value"),
        // Some proxies reject a POST without a length with 411.
        None => (request.header("content-length", "0")?, "did not refresh the badge"),
    };
    let response = client.send_authenticated(&request, &target.identity)?;
    if response.status != StatusCode::OK {
        return Err(response.rejection(format!("the covered server {failed} ({})", response.describe())));
    }
    let Confirmation { detail } = response.json().unwrap_or_default();
    Ok(detail.map(|detail| shorten(&detail, MAX_DETAIL)))
}
