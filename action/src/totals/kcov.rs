//! kcov: its page is drawn by script, from `index.js` beside it; and its `coverage.json`.
//!
//! ```js
//! var header = { "command" : "…", "date" : "…", "instrumented" : 29, "covered" : 24,};
//! ```

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::{count, has, percent};
use super::{Found, Measure, Page, json};

pub fn page(page: &Page) -> Option<Found> {
    let data = ["index.js", "index.json"].into_iter().find(|name| has(page.html, &format!("src=\"{name}\"")))?;
    let script = (page.beside)(data).filter(|_| has(page.html, "id=\"header-percent-covered\""))?;
    // The last header: what stands before it holds file names, and the header itself a command.
    let (_, header) = script.rsplit_once("var header = {")?;
    let number = |name: &str| {
        let (_, value) = header.rsplit_once(&format!("\"{name}\" : "))?;
        count(value.split(',').next()?)
    };
    // The page's script shows one digit.
    Some(Measure::counted("lines", (number("covered")?, number("instrumented")?), 1).into_iter().collect())
}

#[derive(Deserialize)]
struct Report {
    percent_covered: String,
    covered_lines: u64,
    total_lines: u64,
}

pub fn json(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let Some(report) = json::read::<Report>(input)? else { return Ok(None) };
    let shown = percent(&format!("{}%", report.percent_covered));
    let lines =
        shown.and_then(|shown| Measure::shown("lines", shown, Some((report.covered_lines, report.total_lines))));
    Ok(Some(lines.into_iter().collect()))
}
