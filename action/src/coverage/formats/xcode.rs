//! Xcode's coverage: what `xccov` prints as JSON, and xcov's page and JSON.
//!
//! ```html
//! <title>xcov - Code coverage report</title> … <div class="summary-counter">
//!   75.12%
//! </div> … <div class="row target-details" …
//! ```

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, has, percent, split};
use crate::coverage::syntax::json::{self, List};

/// Without a target, xcov shows 0 %.
pub fn xcov(page: &Page) -> Option<Measures> {
    let (head, body) = split(page.html, "<body>")?;
    let title = between(head, "<title>", "</title>")?;
    let (summary, targets) = split(after(body, "<div class=\"summary-counter\">")?, "</div>")?;
    let has_targets = has(targets, "<div class=\"row target-details\"");
    let shown = percent(summary).filter(|_| has_targets);
    let lines = shown.and_then(|shown| Measure::shown("lines", shown, None));
    title.eq_ignore_ascii_case("xcov - Code coverage report").then(|| lines.into_iter().collect())
}

/// `{"coverage":0.7512,"targets":[{"name":"App.app","coverage":0.7512,"files":[…]}]}`.
pub fn xcov_json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let values = json::read(input, &["coverage", "targets/*/name", "targets/*/coverage"])?;
    let is_xcov = values.text("targets/*/name").is_some() && values.float("targets/*/coverage").is_some();
    Ok(values.float("coverage").filter(|_| is_xcov).map(|share| lines(share, None)))
}

/// `xccov view --report --json`. The total is that of all targets, also of the tests.
///
/// ```json
/// {"coveredLines":60,"lineCoverage":0.75,"executableLines":80,"targets":[{"name":"App.app","files":[]}]}
/// ```
pub fn xccov(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let values = json::read(input, &["coveredLines", "executableLines", "lineCoverage", "targets/*/name"])?;
    let share = values.float("lineCoverage").filter(|_| values.text("targets/*/name").is_some());
    Ok(share.map(|share| lines(share, values.counts("coveredLines", "executableLines"))))
}

/// Both tools show two digits.
fn lines(share: f64, counts: Option<(u64, u64)>) -> Measures {
    let shown = Percent::from_float(share * 100.0, 2);
    shown.and_then(|shown| Measure::shown("lines", shown, counts)).into_iter().collect()
}

/// `xccov view --archive --json`: the lines. It shows no counts, so it has no total.
///
/// ```json
/// {"/app/A.swift":[{"isExecutable":false,"line":1},{"isExecutable":true,"line":2,"executionCount":3}]}
/// ```
pub fn archive(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let is_archive = |head: &str| head.trim_ascii_start().starts_with("{") && has(head, "\"isExecutable\"");
    json::if_head(input, is_archive, |input| {
        if lines.is_on() {
            let mut add = |path: &str, found: List<Line>| {
                if lines.file(path) {
                    found
                        .0
                        .iter()
                        .filter_map(|line| Some((line.0, line.1?)))
                        .for_each(|(number, hit)| lines.line(number, hit));
                }
            };
            json::read_entries(input, &[], "", &mut add)?;
        }
        Ok(Vec::new())
    })
}

/// A line's number and, if it is executable, its hits.
#[derive(Deserialize)]
#[serde(from = "RawLine")]
struct Line(u64, Option<Hit>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawLine {
    line: u64,
    is_executable: bool,
    execution_count: u64,
    subranges: List<Range>,
}

/// A part of a line with a count of its own.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Range {
    execution_count: u64,
}

impl From<RawLine> for Line {
    fn from(raw: RawLine) -> Self {
        let is_partly = raw.subranges.0.iter().any(|range| range.execution_count == 0);
        let hit = if raw.execution_count > 0 && is_partly { Hit::Partly } else { Hit::of(raw.execution_count) };
        Self(raw.line, raw.is_executable.then_some(hit))
    }
}
