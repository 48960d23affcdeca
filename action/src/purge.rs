//! Step 6: the new value becomes the one that the badge shows, at the server and in the README.

mod images;

use std::thread;

use anyhow::{Result, bail};
use serde::Serialize;
use ureq::http::StatusCode;

use crate::github::GitHub;
use crate::http::{Client, Request};
use crate::inputs::Target;
use crate::totals::{Percent, State};

const MAX_README: u64 = 8 << 20;
/// GitHub asks to purge sparingly; no README shows more badges of one repository.
const MAX_IMAGES: usize = 16;
/// Images that one connection purges, one after the other.
const IMAGES_IN_TURN: usize = 4;
/// An image that is not purged refreshes itself in time: it is not worth more waiting.
const IMAGE_TRIES: u32 = 1;

#[derive(Serialize)]
pub struct Value<'a> {
    pub site_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<&'a Percent>,
    pub state: State,
    pub commit_sha: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<u64>,
}

/// Gives the server the new value.
pub fn server(client: &Client, target: &Target, value: &Value) -> Result<()> {
    let Target { api_url, repository, .. } = target;
    let request = Request::new("POST", &format!("{api_url}/coverage/invalidate-cache/{repository}/"))?
        .identity(&target.identity)
        .json(value)?;
    let answer = client.send(&request)?;
    if answer.status != StatusCode::OK {
        let text = format!("the covered server did not take the badge's new value ({})", answer.describe());
        return Err(answer.refusal(text));
    }
    Ok(())
}

/// The repository's badges, as its README shows them, in GitHub's image cache; `None`: there is no README. `bases` are the
/// addresses of the covered server that may stand there; `github_server` is where people see the README.
pub fn images(client: &Client, github: &GitHub, github_server: &str, bases: &[&str]) -> Result<Option<Vec<String>>> {
    let repository = github.repository;
    let request = github.request("GET", "readme", "application/vnd.github.html+json")?.max_answer(MAX_README);
    let answer = client.send(&request)?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => bail!("GitHub did not show the README of {repository} ({})", answer.describe()),
    }
    let badges: Vec<String> = bases.iter().map(|base| format!("{base}/badge/{repository}.svg")).collect();
    let mut urls = images::find(&answer.text(), &badges);
    urls.retain(|url| images::is_cache(url, github_server, github.api));
    urls.truncate(MAX_IMAGES);
    Ok(Some(urls))
}

/// Has GitHub's image cache let go of these, some at a time; gives what failed.
pub fn refresh(client: &Client, images: &[String]) -> Vec<String> {
    thread::scope(|scope| {
        let purge = |urls: &[String]| -> Vec<String> {
            let failures = urls.iter().filter_map(|url| image(client, url).err());
            failures.map(|error| format!("{error:#}")).collect()
        };
        let lanes: Vec<_> = images.chunks(IMAGES_IN_TURN).map(|urls| scope.spawn(move || purge(urls))).collect();
        lanes.into_iter().filter_map(|lane| lane.join().ok()).flatten().collect()
    })
}

fn image(client: &Client, url: &str) -> Result<()> {
    let answer = client.send(&Request::new("PURGE", url)?.max_tries(IMAGE_TRIES))?;
    if !answer.status.is_success() {
        bail!("GitHub's image cache did not let go of the badge ({})", answer.describe());
    }
    Ok(())
}
