//! Step 6: the new value becomes the one that the badge shows, at the server and in the README.

mod images;

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

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
fn server(client: &Client, target: &Target, value: &Value) -> Result<()> {
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

/// What became of the badge.
pub struct Refreshed {
    /// The server has the new value; and how long that took.
    pub given: (Result<()>, Duration),
    /// The README's images, where GitHub could be asked and the server has the value.
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

/// Gives the server the new value, and has GitHub's image cache let go of the badges in the README: once the server has
/// it, as the cache would ask it at once. Which images these are is found out meanwhile.
pub fn refresh(client: &Client, target: &Target, value: &Value, readme: Option<&Readme>) -> Refreshed {
    let (given, found) = thread::scope(|scope| {
        let found = readme.map(|readme| scope.spawn(|| images(client, readme)));
        let started = Instant::now();
        let given = server(client, target, value);
        ((given, started.elapsed()), found.map(joined))
    });
    let images = found.filter(|_| given.0.is_ok()).map(|found| found.map(|urls| purge(client, urls)));
    Refreshed { given, images }
}

/// The addresses of the images in GitHub's cache; `None`: there is no README.
fn images(client: &Client, readme: &Readme) -> Result<Option<Vec<String>>> {
    let Readme { github, server, bases } = readme;
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
