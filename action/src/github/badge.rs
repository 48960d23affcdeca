//! Step 6: the new value becomes the one that the badge shows, at the server and in the README.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use ureq::http::StatusCode;

use super::images;
use crate::base::text::shorten;
use crate::coverage::{Percent, State};
use crate::github::api::GitHub;
use crate::http::{Client, Request};
use crate::inputs::Target;

const MAX_README: u64 = 8 << 20;
/// GitHub asks to purge sparingly; no README shows more badges of one repository.
const MAX_IMAGES: usize = 16;
/// Images that one connection purges, one after the other.
const IMAGES_IN_TURN: usize = 4;
/// An image that is not purged refreshes itself in time: it is not worth more waiting.
const IMAGE_TRIES: u32 = 1;
/// Characters of the server's own words that the log shows.
const MAX_DETAIL: usize = 300;

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
    /// The GitHub instance that numbers the runs, such as `https://github.com`: each counts from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// What a server says besides that it is done.
#[derive(Default, Deserialize)]
struct Said {
    detail: Option<String>,
}

/// Sends the server the new value; without one the server forgets the value that it has. Returns why the server kept it.
fn server(client: &Client, target: &Target, value: Option<&Value>) -> Result<Option<String>> {
    let Target { api_url, repository, .. } = target;
    let request = Request::new("POST", &format!("{api_url}/coverage/invalidate-cache/{repository}/"))?;
    let request = request.credential(&target.identity);
    let (request, failed) = match value {
        Some(value) => (request.json(value)?, "did not take the badge's new value"),
        // Some proxies answer 411 to a POST that does not say that it is empty.
        None => (request.header("content-length", "0")?, "did not refresh the badge"),
    };
    let answer = client.send(&request)?;
    if answer.status != StatusCode::OK {
        return Err(answer.refusal(format!("the covered server {failed} ({})", answer.describe())));
    }
    let Said { detail } = answer.json().unwrap_or_default();
    Ok(detail.map(|detail| shorten(&detail, MAX_DETAIL)))
}

/// What became of the badge.
pub struct Refreshed {
    /// Why the server kept the badge as it was, if it did; and how long it took.
    pub server: (Result<Option<String>>, Duration),
    /// The README's images, where GitHub could be asked and the badge may be another one now.
    pub images: Option<Result<Images>>,
}

/// What became of the README's images.
pub enum Images {
    NoReadme,
    Purged { purged: usize, failures: Vec<String>, took: Duration },
}

/// Where a README is, and which of its images are this repository's badges.
pub struct Readme<'a> {
    pub github: GitHub<'a>,
    /// Where people see it.
    pub server: &'a str,
    /// The addresses of the covered server that may stand there.
    pub bases: [&'a str; 2],
}

/// Sends the server the new value, or has it forget its own, and then purges the README's badges from GitHub's image
/// cache, which would ask the server at once. Which images these are is found out meanwhile.
pub fn refresh(client: &Client, target: &Target, value: Option<&Value>, readme: Option<&Readme>) -> Refreshed {
    let (server, found) = thread::scope(|scope| {
        let found = readme.map(|readme| scope.spawn(|| images(client, readme)));
        let started = Instant::now();
        let answer = server(client, target, value);
        ((answer, started.elapsed()), found.map(joined))
    });
    let images = found.filter(|_| matches!(server.0, Ok(None))).map(|found| found.map(|urls| purge(client, urls)));
    Refreshed { server, images }
}

/// The addresses of the images in GitHub's cache; `None`: there is no README.
fn images(client: &Client, readme: &Readme) -> Result<Option<Vec<String>>> {
    let Readme { github, server, bases } = readme;
    let repository = github.repository;
    let request = github.request("GET", "readme", "application/vnd.github.html+json")?.max_answer(MAX_README);
    let answer = github.send(client, request)?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => bail!("GitHub did not show the README of {repository} ({})", answer.describe()),
    }
    let badges: Vec<String> = bases.iter().map(|base| format!("{base}/badge/{repository}.svg")).collect();
    let mut urls = images::find(&answer.text(), &badges);
    urls.retain(|url| images::is_cache(url, server, github.api));
    urls.truncate(MAX_IMAGES);
    Ok(Some(urls))
}

/// Some at a time.
fn purge(client: &Client, urls: Option<Vec<String>>) -> Images {
    let Some(urls) = urls else { return Images::NoReadme };
    let started = Instant::now();
    let one = |url: &String| image(client, url).err().map(|error| format!("{error:#}"));
    let in_turn = |urls: &[String]| urls.iter().filter_map(one).collect::<Vec<_>>();
    let failures: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = urls.chunks(IMAGES_IN_TURN).map(|urls| scope.spawn(move || in_turn(urls))).collect();
        lanes.into_iter().flat_map(joined).collect()
    });
    Images::Purged { purged: urls.len() - failures.len(), failures, took: started.elapsed() }
}

/// What a thread gives; its panic goes on here.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn image(client: &Client, url: &str) -> Result<()> {
    let answer = client.send(&Request::new("PURGE", url)?.max_tries(IMAGE_TRIES))?;
    if !answer.status.is_success() {
        bail!("GitHub's image cache did not let go of the badge ({})", answer.describe());
    }
    Ok(())
}
