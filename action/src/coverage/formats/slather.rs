//! Slather's HTML, 1.5 and newer, and its JSON.
//!
//! ```html
//! <span>Total Coverage : </span><span class="cov_medium" id="total_coverage">75.00%</span>
//! <span> (</span><span id="total_tested_lines">60</span><span> of </span><span id="total_relevant_lines">80</span>
//! ```
//!
//! The branches' part repeats the id of the percentage. Before 2.5 there are no counts.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, counts, has, parts, percent, split, unescaped};
use crate::coverage::syntax::json::{self, List};

pub fn page(page: &Page) -> Option<Measures> {
    let body = body(page.html)?;
    let (head, _) = split(body, "<table class=\"coverage_list\"")?;
    let (lines, branches) = split(head, "Total Branch Coverage").unwrap_or((head, ""));
    let kinds = [("lines", lines, "lines", "tested_lines"), ("branches", branches, "branches", "branches_tested")];
    let measure = |(metric, part, total, covered): (_, &str, &str, &str)| {
        let number = |id: &str| count(between(part, &format!("id=\"total_{id}\">"), "<")?);
        let shown = percent(between(part, "id=\"total_coverage\">", "<")?)?;
        Measure::shown(metric, shown, number(covered).zip(number(&format!("relevant_{total}"))))
    };
    Some(kinds.into_iter().filter_map(measure).collect())
}

/// The part between head and foot.
fn body(html: &str) -> Option<&str> {
    let (head, rest) = split(html, "<div id=\"reports\">")?;
    has(head, " - Slather</title>").then_some(rest)
}

/// A source file's page. A line that is hit partly has the missed part in an element of its own.
///
/// ```html
/// <h4 class="cov_subtitle">(13 of 30 relevant lines covered)</h4><h4 class="cov_filepath">src/a.m</h4>
/// <tr class="covered"><td class="num">15</td><td class="src"><pre><code class="objc">…
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some(body) = body(page.html) else { return false };
    let Some(path) = between(body, "<h4 class=\"cov_filepath\">", "</h4>") else { return false };
    if lines.file(&unescaped(path)) {
        rows(body).for_each(|(number, hit)| lines.line(number, hit));
        let shown = between(body, "<h4 class=\"cov_subtitle\">(", " relevant lines").and_then(counts);
        if let Some((covered, total)) = shown {
            lines.shown(covered, total);
        }
    }
    true
}

fn rows(html: &str) -> impl Iterator<Item = (u64, Hit)> {
    let row = |row| {
        let (row, _) = split(row, "</tr>")?;
        let is_partly = || has(row, "<code class=\"objc missed\">");
        let hit = match row.split('"').next()? {
            "covered" if is_partly() => Hit::Partly,
            "covered" => Hit::Yes,
            "missed" => Hit::No,
            _ => return None,
        };
        Some((count(between(row, "<td class=\"num\">", "<")?)?, hit))
    };
    // A row without an end is none: looking further takes quadratic time.
    parts(html, ROW).filter_map(row)
}

const ROW: &str = "<tr class=\"";

/// A source file: the count of each of its lines, or `null`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    file: String,
    coverage: List<Option<u64>>,
}

impl File {
    /// Covered and all lines.
    fn sums(&self) -> (u64, u64) {
        let counts = self.coverage.0.iter().flatten();
        counts.fold((0, 0), |(covered, total), count| (covered + u64::from(*count > 0), total + 1))
    }

    fn add_to(self, lines: &mut Lines) {
        if lines.file(&self.file) {
            let counts = self.coverage.0.into_iter().zip(1..);
            counts
                .filter_map(|(count, line)| Some((line, count?)))
                .for_each(|(line, count)| lines.line(line, Hit::of(count)));
        }
    }
}

/// `[{"file":"src/a.m","coverage":[null,1,0]}]`.
pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let is_slather = |head: &str| {
        let entry = head.trim_ascii_start().strip_prefix("[{\"file\":\"");
        entry.is_some_and(|entry| after(entry, "\",\"coverage\":[").is_some())
    };
    json::if_head(input, is_slather, |input| {
        let mut sum = (0u64, 0u64);
        let mut add = |_: &str, file: File| {
            let (covered, total) = file.sums();
            sum = (sum.0 + covered, sum.1 + total);
            file.add_to(lines);
        };
        json::read_entries(input, &[], "", &mut add)?;
        Ok(Measure::counted("lines", sum, 2).into_iter().collect())
    })
}
