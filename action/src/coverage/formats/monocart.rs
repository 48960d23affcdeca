//! Monocart coverage reports of V8's coverage: the data of `index.html`, deflated in it or in `coverage-data.js` beside
//! it, and the same as `coverage-report.json`. Since 2.2 it has the lines.
//!
//! ```html
//! <script src="coverage-data.js"></script>   window.reportData = 'rVdLd+smEP4rdDZ….3999';
//! ```
//!
//! ```json
//! {"watermarks": {"bytes": [50, 80]}, "summary": {"lines": {"total": 16, "covered": 6, "pct": 37.5}},
//!   "files": [{"sourcePath": "src/a.js", "data": {"lines": {"1": 2, "5": "1/2"}}, "summary": {}}]}
//! ```

use std::io::{BufRead, BufReader};

use anyhow::Result;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use base64::read::DecoderReader;
use flate2::bufread::DeflateDecoder;
use serde::Deserialize;

use super::codecov::LineCounts;
use super::{Lines, Measure, Measures, Page};
use crate::coverage::syntax::html::{between, has};
use crate::coverage::syntax::json::{self, Values};

const DATA: &str = "window.reportData = '";

pub fn page(page: &Page) -> Option<Measures> {
    read_page(page, &mut Lines::off())
}

/// All source files are in the index.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    read_page(page, lines).is_some()
}

fn read_page(page: &Page, lines: &mut Lines) -> Option<Measures> {
    match between(page.html, DATA, "'") {
        Some(data) => inflated(data, lines),
        None if has(page.html, "/monocart-coverage-") => {
            let name = between(page.html, "<script src=\"", "\"")?;
            inflated(between(&(page.read_sibling)(name)?, DATA, "'")?, lines)
        }
        None => None,
    }
}

/// The data ends with a dot and its length.
fn inflated(data: &str, lines: &mut Lines) -> Option<Measures> {
    let data = data.split('.').next()?.trim_end_matches('=');
    let bytes = DecoderReader::new(data.as_bytes(), &BASE64_STANDARD_NO_PAD);
    let text = DeflateDecoder::new(BufReader::new(bytes));
    json(&mut BufReader::new(text), lines).ok()?
}

pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let is_report = |head: &str| has(head, "\"watermarks\"") && has(head, "\"bytes\"");
    json::if_head(input, is_report, |input| {
        let paths = KINDS.map(|(_, paths)| paths).concat();
        let values = if lines.is_on() {
            json::read_entries(input, &paths, "files", &mut |_: &str, file: File| file.add_to(lines))
        } else {
            json::read(input, &paths)
        };
        values.map(|values| found(&values))
    })
}

const KINDS: [(&str, [&str; 3]); 4] = [
    ("lines", ["summary/lines/pct", "summary/lines/covered", "summary/lines/total"]),
    ("branches", ["summary/branches/pct", "summary/branches/covered", "summary/branches/total"]),
    ("functions", ["summary/functions/pct", "summary/functions/covered", "summary/functions/total"]),
    ("statements", ["summary/statements/pct", "summary/statements/covered", "summary/statements/total"]),
];

/// A percentage is an empty text if nothing was measured.
fn found(values: &Values) -> Measures {
    let measure = |(metric, [shown, covered, total]): (_, [&str; 3])| {
        Measure::shown(metric, values.percent(shown)?, Some(values.counts(covered, total)?))
    };
    KINDS.into_iter().filter_map(measure).collect()
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    source_path: String,
    data: Data,
    summary: Summary,
    /// An intermediate file, which the report does not count.
    debug: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    lines: LineCounts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    lines: Sum,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sum {
    covered: u64,
    total: u64,
}

impl File {
    fn add_to(self, lines: &mut Lines) {
        if !self.debug && !self.data.lines.is_empty() && lines.file(&self.source_path) {
            self.data.lines.add_to(lines);
            lines.shown(self.summary.lines.covered, self.summary.lines.total);
        }
    }
}
