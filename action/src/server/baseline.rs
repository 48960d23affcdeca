//! The total of the default branch before this run, from its badge.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::http::StatusCode;

use crate::coverage::Percent;
use crate::http::{Client, Request};
use crate::inputs::Target;

/// Reads the badge of the report `name`. Optional: one attempt with a short time limit.
pub fn fetch(client: &Client, target: &Target, name: Option<&str>) -> Result<Percent> {
    let Target { api_url, repository, .. } = target;
    let query = name.map_or_else(String::new, |name| format!("?name={name}"));
    let request = Request::new("GET", &format!("{api_url}/badge/{repository}.json{query}"))?.optional();
    let response = client.send(&request)?;
    ensure!(response.status == StatusCode::OK, "{}", response.describe());
    let badge: Value = response.json()?;
    // Keep the digits as written, without a float. The server appends `.0` to whole numbers.
    let number = badge["percent"].to_string();
    Percent::parse(number.strip_suffix(".0").unwrap_or(&number)).context("it has no number")
}
