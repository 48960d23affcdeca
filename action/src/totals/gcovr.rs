//! gcovr, 5 and newer, in every theme: the summary at the head of the index, and `--json-summary`.
//!
//! The themes differ in tags, not in texts: `Lines:` `361` `1979` `18.2%` up to 7, `Lines:` `71.4%` `5 / 0 / 7` (with
//! the excluded between) in 8, `Lines:` `361 / 1989` `18.1%` in GitHub's look. A file's page has such a summary too,
//! but no list of files; where everything is on one page the first summary is the total.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::{after, has, labelled, split, texts};
use super::{Found, Measure, Page, Percent, json};

pub fn page(page: &Page) -> Option<Found> {
    let body = after(page.html, "<body")?;
    let (title, rest) = split(body, "</h1>")?;
    let summary = split(rest, "=\"summary\"").filter(|_| has(title, "<h1>"))?.1;
    let (summary, files) = split(summary, "<hr")?;
    let is_index = ["file-list\"", "filelist\"", "\"filelist "].iter().any(|mark| has(files, mark));
    let texts = texts(&format!("<{summary}"));
    if !is_index || !has(files, "gcovr.com") || texts.iter().any(|text| text == "File:") {
        return None;
    }
    let kinds = [("Lines:", "lines"), ("Branches:", "branches"), ("Functions:", "functions")];
    Some(kinds.into_iter().filter_map(|(label, of)| labelled(&texts, label, of)).collect())
}

#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "gcovr/summary_format_version")]
    _version: String,
    line_total: u64,
    line_covered: u64,
    line_percent: Option<f64>,
    branch_total: u64,
    branch_covered: u64,
    branch_percent: Option<f64>,
    function_total: Option<u64>,
    function_covered: Option<u64>,
    function_percent: Option<f64>,
}

pub fn summary(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let Some(summary) = json::read::<Summary>(input)? else { return Ok(None) };
    let functions = (summary.function_covered.unwrap_or(0), summary.function_total.unwrap_or(0));
    let kinds = [
        ("lines", summary.line_percent, (summary.line_covered, summary.line_total)),
        ("branches", summary.branch_percent, (summary.branch_covered, summary.branch_total)),
        ("functions", summary.function_percent, functions),
    ];
    // gcovr writes one digit, in the HTML too.
    let measure =
        |(of, shown, counts): (_, Option<f64>, _)| Measure::shown(of, Percent::from_float(shown?, 1)?, Some(counts));
    Ok(Some(kinds.into_iter().filter_map(measure).collect()))
}
