//! SimpleCov: what its page shows for all files, and `.last_run.json`.
//!
//! ```html
//! <div class="file_list_container" id="AllFiles"> … <span class="covered_percent"><span class="green">89.26%</span> …
//! <div class="t-line-summary"> <b>717</b> relevant lines, <span class="green"><b>640</b> lines covered</span> …
//! ```
//!
//! Each group has such a part too, after that of all files.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::{after, between, count, percent, split, texts};
use super::{Found, Measure, Page, Percent, json};

pub fn page(page: &Page) -> Option<Found> {
    let files = after(page.html, "<div class=\"file_list_container\" id=\"AllFiles\">")?;
    let head = split(files, "<table").map_or(files, |(head, _)| head);
    let line = after(head, "class=\"covered_percent\"")?;
    let shown = texts(&format!("<{line}")).iter().find_map(|text| percent(text))?;
    let lines = Measure::shown("lines", shown, summary(head, "relevant lines"));
    let branches = between(head, "class=\"t-branch-summary\"", "</div>").and_then(|part| {
        let part = format!("<{part}");
        let shown = texts(&part).iter().find_map(|text| percent(text))?;
        Measure::shown("branches", shown, summary(&part, "total branches"))
    });
    Some(lines.into_iter().chain(branches).collect())
}

/// `<b>717</b> relevant lines, <span><b>640</b> lines covered</span>`.
fn summary(html: &str, what: &str) -> Option<(u64, u64)> {
    let texts = texts(html);
    let at = texts.iter().position(|text| text.starts_with(what))?;
    Some((count(texts.get(at + 1)?)?, count(texts.get(at.checked_sub(1)?)?)?))
}

#[derive(Deserialize)]
struct LastRun {
    result: Shares,
}

#[derive(Deserialize)]
struct Shares {
    /// `covered_percent` before 0.19.
    #[serde(alias = "covered_percent")]
    line: f64,
    branch: Option<f64>,
}

pub fn last_run(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let Some(LastRun { result }) = json::read(input)? else { return Ok(None) };
    let measure = |of, share: Option<f64>| Measure::shown(of, Percent::from_float(share?, 2)?, None);
    Ok(Some([measure("lines", Some(result.line)), measure("branches", result.branch)].into_iter().flatten().collect()))
}
