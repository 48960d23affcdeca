//! Beside step 2: the total that the default branch has until now, as its badge shows it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::http::StatusCode;

use crate::coverage::Percent;
use crate::http::{Client, Request};
use crate::inputs::Target;

/// What the badge of the report called `name` shows. One try with little time: nothing depends on it.
pub fn fetch(client: &Client, target: &Target, name: Option<&str>) -> Result<Percent> {
    let Target { api_url, repository, .. } = target;
    let query = name.map_or_else(String::new, |name| format!("?name={name}"));
    let request = Request::new("GET", &format!("{api_url}/badge/{repository}.json{query}"))?.peek();
    let response = client.send(&request)?;
    ensure!(response.status == StatusCode::OK, "{}", response.describe());
    let badge: Value = response.json()?;
    // A number's own digits: no way through a float of ours. The server writes a whole number with a zero behind it.
    let number = badge["percent"].to_string();
    Percent::parse(number.strip_suffix(".0").unwrap_or(&number)).context("it has no number")
}
