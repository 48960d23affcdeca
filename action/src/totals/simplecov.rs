//! SimpleCov: what its page shows for all files, `.last_run.json`, and from 1.0 on `coverage.json`.
//!
//! ```html
//! <div class="file_list_container" id="AllFiles"> … <span class="covered_percent"><span class="green">89.26%</span> …
//! <div class="t-line-summary"> <b>717</b> relevant lines, <span class="green"><b>640</b> lines covered</span> …
//! ```
//!
//! Each group has such a part too, after that of all files. From 1.0 on the page is drawn by script, from
//! `window.SIMPLECOV_DATA = {"total":{…},…}` in it or in `coverage_data.js` beside it.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::{after, between, count, has, percent, split, texts};
use super::{Counts, Found, Measure, Page, Percent, json};

pub fn page(page: &Page) -> Option<Found> {
    if has(page.html, "src=\"coverage_data.js\"") {
        return data(&(page.beside)("coverage_data.js")?);
    }
    data(page.html).or_else(|| table(page.html))
}

fn table(html: &str) -> Option<Found> {
    let files = after(html, "<div class=\"file_list_container\" id=\"AllFiles\">")?;
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

fn data(text: &str) -> Option<Found> {
    let json = after(text, "window.SIMPLECOV_DATA = ").filter(|json| json.starts_with('{'))?;
    let report: Report = serde_json::Deserializer::from_str(json).into_iter().next()?.ok()?;
    Some(report.found())
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "meta")]
    _meta: Meta,
    total: Sums,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "simplecov_version")]
    _version: String,
}

#[derive(Deserialize)]
struct Sums {
    lines: Option<Sum>,
    branches: Option<Sum>,
    methods: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    covered: u64,
    total: u64,
}

impl Report {
    /// The page's script cuts the percent off after two digits.
    fn found(&self) -> Found {
        let Sums { lines, branches, methods } = &self.total;
        let all = [("lines", lines), ("branches", branches), ("functions", methods)];
        let measure = |(of, sum): (_, &Option<Sum>)| {
            let Sum { covered, total } = sum.as_ref()?;
            Measure::shown(of, Counts::new(*covered, *total)?.cut(2), Some((*covered, *total)))
        };
        all.into_iter().filter_map(measure).collect()
    }
}

pub fn json(input: &mut dyn BufRead) -> Result<Option<Found>> {
    Ok(json::read(input)?.map(|report: Report| report.found()))
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
