//! The HTML of IntelliJ's coverage, also of Kover: the first table of `index.html`. Pages of classes do not name their
//! source files, so lines are in Kover's XML alone, which is JaCoCo's.
//!
//! ```html
//! <th class="coverageStat "> Line, % </th> …
//! <td class="coverageStat"><span class="percent"> 66.7% </span> <span class="absValue"> (6/9) </span></td>
//! ```

use super::{Measure, Measures, Page};
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, split, texts};

/// Columns of the table.
const MAX_COLUMNS: usize = 8;
const KINDS: [(&str, &str); 4] =
    [("Line, %", "lines"), ("Branch, %", "branches"), ("Method, %", "functions"), ("Instruction, %", "instructions")];

pub fn page(page: &Page) -> Option<Measures> {
    // A module's or package's page has a link back to the index.
    let scope = between(page.html, "<div class=\"breadCrumbs\">", "</div>").filter(|scope| !has(scope, "<a "))?;
    let headline = between(after(page.html, scope)?, "<h1>", "</h1>")?;
    let table = between(page.html, "<table class=\"coverageStats\">", "</table>")
        .filter(|_| headline.trim().ends_with("Overall Coverage Summary"))?;
    let (head, row) = split(table, "</tr>")?;
    let heads: Vec<_> = cells(head, "<th class=\"coverageStat").collect();
    let measure = |(cell, head): (Vec<String>, &Vec<String>)| {
        let (_, metric) = KINDS.into_iter().find(|(name, _)| head.iter().any(|text| text == name))?;
        Measure::shown(metric, percent(cell.first()?)?, cell.get(1).and_then(|text| counts(text)))
    };
    Some(cells(row, "<td class=\"coverageStat\"").zip(&heads).filter_map(measure).collect())
}

fn cells<'a>(row: &'a str, start: &'a str) -> impl Iterator<Item = Vec<String>> {
    parts(row, start).take(MAX_COLUMNS).map(|cell| texts(&format!("<{cell}")))
}
