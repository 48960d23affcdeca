//! Purges the badges in a README from GitHub's image cache.

use std::thread;

use anyhow::{Result, bail};
use ureq::http::StatusCode;

use super::api::GitHub;
use super::images;
use crate::base::thread::join;
use crate::http::{Client, Request};

const MAX_README: u64 = 8 << 20;
/// Images to purge at most: GitHub asks for few purge requests, and no README has more badges of one repository.
const MAX_IMAGES: usize = 16;
/// Images that one connection purges sequentially.
const IMAGES_PER_CONNECTION: usize = 4;
/// No retries, because the cached images expire by themselves.
const IMAGE_TRIES: u32 = 1;

/// The repository of the README, and the addresses that its badges may have.
pub struct Readme<'a> {
    pub github: &'a GitHub<'a>,
    /// The address for people.
    pub server: &'a str,
    /// The addresses of the covered server that badges may use.
    pub bases: [&'a str; 2],
}

/// The badges' addresses in GitHub's image cache; `None` without a README.
pub fn badges(client: &Client, readme: &Readme) -> Result<Option<Vec<String>>> {
    let Readme { github, server, bases } = readme;
    let repository = github.repository;
    let request = github.request("GET", "readme", "application/vnd.github.html+json")?.max_response(MAX_README);
    let response = github.send(client, request)?;
    match response.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => bail!("GitHub did not return the README of {repository} ({})", response.describe()),
    }
    let badges: Vec<String> = bases.iter().map(|base| format!("{base}/badge/{repository}.svg")).collect();
    let mut urls = images::find(&response.text(), &badges);
    urls.retain(|url| images::is_cache(url, server, github.api));
    urls.truncate(MAX_IMAGES);
    Ok(Some(urls))
}

/// Purges the images in parallel; returns the failures.
pub fn purge(client: &Client, urls: &[String]) -> Vec<String> {
    let one = |url: &String| purge_image(client, url).err().map(|error| format!("{error:#}"));
    let in_turn = |urls: &[String]| urls.iter().filter_map(one).collect::<Vec<_>>();
    thread::scope(|scope| {
        let threads: Vec<_> =
            urls.chunks(IMAGES_PER_CONNECTION).map(|urls| scope.spawn(move || in_turn(urls))).collect();
        threads.into_iter().flat_map(join).collect()
    })
}

fn purge_image(client: &Client, url: &str) -> Result<()> {
    let response = client.send(&Request::new("PURGE", url)?.max_tries(IMAGE_TRIES))?;
    if !response.status.is_success() {
        bail!("GitHub's image cache did not purge the badge ({})", response.describe());
    }
    Ok(())
}
