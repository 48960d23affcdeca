//! The lines that the newest report of the default branch keeps.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ureq::http::{StatusCode, Uri};

use crate::coverage::merge::{LINES, MAX_FILE};
use crate::http::{Client, Request, Response};
use crate::inputs::Target;

/// From the badge's link to the report, and from an address of it to its own host.
const MAX_REDIRECTS: usize = 2;

/// The file with the lines in the newest report of this name.
pub fn fetch(client: &Client, target: &Target, name: Option<&str>) -> Result<Vec<u8>> {
    let Target { api_url, repository, .. } = target;
    let query = name.map_or_else(String::new, |name| format!("?name={name}"));
    let link = format!("{api_url}/badge/redirect/{repository}/{query}");
    let response = client.send(&Request::new("GET", &link)?.max_tries(2))?;
    ensure!(response.status != StatusCode::NOT_FOUND, "the default branch has no report yet");
    let report = next(&link, &response).ok_or_else(|| anyhow!("{} ({link})", response.describe()))?;
    let mut url = format!("{report}{LINES}");
    for _ in 0..=MAX_REDIRECTS {
        let response = client.send(&Request::new("GET", &url)?.max_response(MAX_FILE).max_tries(2))?;
        match response.status {
            StatusCode::OK => return Ok(response.into_body()),
            StatusCode::NOT_FOUND => bail!(
                "the newest report of the default branch keeps no lines: that needs carry, and lines in each report"
            ),
            _ => url = next(&url, &response).ok_or_else(|| anyhow!("{} ({url})", response.describe()))?,
        }
    }
    bail!("too many redirects from {link}")
}

/// The address that a response redirects to.
fn next(url: &str, response: &Response) -> Option<String> {
    let location = response.location().filter(|_| response.status.is_redirection())?;
    resolve(url, location).ok()
}

fn resolve(url: &str, location: &str) -> Result<String> {
    if !location.starts_with('/') {
        let to: Uri = location.parse()?;
        ensure!(to.scheme() == url.parse::<Uri>()?.scheme(), "{location} has another scheme");
        return Ok(location.to_owned());
    }
    let from: Uri = url.parse()?;
    let scheme = from.scheme_str().context("no scheme")?;
    Ok(format!("{scheme}://{}{location}", from.authority().context("no host")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_in_their_scheme() {
        let url = "https://covered.example/base/badge/redirect/octo/app/";
        assert_eq!(resolve(url, "/base/coverage/0f/").unwrap(), "https://covered.example/base/coverage/0f/");
        assert_eq!(resolve(url, "https://0f.reports.example/").unwrap(), "https://0f.reports.example/");
        for location in ["http://covered.example/", "file:///etc/passwd", "coverage/0f/", ""] {
            assert!(resolve(url, location).is_err(), "{location}");
        }
    }
}
