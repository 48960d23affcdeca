//! `coverage.json`, and the same data in the page since 1.0.
//!
//! ```json
//! {"meta": {"simplecov_version": "1.1.1", …}, "total": {"lines": {"covered": 6, "total": 9, …}, …},
//!  "coverage": {"calc.rb": {"lines": [1, null, 0, "ignored"], "covered_lines": 6, "total_lines": 9,
//!                           "branches": [{"coverage": 0, "report_line": 2, …}]}}}
//! ```
//!
//! Before 1.0, the file of `simplecov_json_formatter` has neither totals nor `report_line`.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::{Counts, Lines, Measure, Measures, add};
use crate::coverage::syntax::json::{self, Hits, List, Values};

const VERSION: &str = "meta/simplecov_version";
const KINDS: [(&str, [&str; 2]); 3] = [
    ("lines", ["total/lines/covered", "total/lines/total"]),
    ("branches", ["total/branches/covered", "total/branches/total"]),
    ("functions", ["total/methods/covered", "total/methods/total"]),
];
const PATHS: [&str; 7] = {
    let [(_, lines), (_, branches), (_, methods)] = KINDS;
    [VERSION, lines[0], lines[1], branches[0], branches[1], methods[0], methods[1]]
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    lines: List<Hits>,
    branches: List<Branch>,
    covered_lines: Option<u64>,
    total_lines: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Branch {
    coverage: Hits,
    report_line: Option<u64>,
}

impl File {
    fn counts(&self) -> (u64, u64) {
        let counted =
            |sum: (u64, u64), hits: &Hits| hits.0.map_or(sum, |is_hit| (sum.0 + u64::from(is_hit), sum.1 + 1));
        self.lines.0.iter().fold((0, 0), counted)
    }

    fn add_to(self, lines: &mut Lines) {
        let marks = (1..).zip(self.lines.0).filter_map(|(number, hits)| Some((number, hits.0?)));
        let branches = self.branches.0.iter().filter_map(|branch| Some((branch.report_line?, branch.coverage.0?)));
        add(lines, marks, branches.collect());
        if let (Some(covered), Some(total)) = (self.covered_lines, self.total_lines) {
            lines.shown(covered, total);
        }
    }
}

pub fn read(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    // Other tools have a `coverage` of another shape.
    let is_simplecov = |head: &str| head.contains("\"simplecov_version\"");
    Ok(json::if_head(input, is_simplecov, |input| read_files(input, lines))?.flatten())
}

fn read_files(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut covered, mut total) = (0u64, 0u64);
    let mut each = |path: &str, file: File| {
        let counts = file.counts();
        (covered, total) = (covered + counts.0, total + counts.1);
        if lines.file(path) {
            file.add_to(lines);
        }
    };
    let values = json::read_entries(input, &PATHS, "coverage", &mut each)?;
    let has_total = values.count(KINDS[0].1[1]).is_some();
    let counted = || Measure::counted("lines", (covered, total), 2).map(Measure::only_on_request);
    Ok(report(&values).map(|found| if has_total { found } else { counted().into_iter().chain(found).collect() }))
}

/// The totals alone.
pub fn totals(json: &str) -> Option<Measures> {
    report(&json::read_text(json, &PATHS)?)
}

/// The page's script truncates to two digits.
fn report(values: &Values) -> Option<Measures> {
    values.text(VERSION)?;
    let measure = |(metric, [covered, total]): (_, [&str; 2])| {
        let (covered, total) = values.counts(covered, total)?;
        Measure::shown(metric, Counts::new(covered, total)?.truncated(2), Some((covered, total)))
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}
