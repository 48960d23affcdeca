//! ModelSim and Questa: the table by type in `covsummary.html`, which `index.html` leads to by frames.
//!
//! ```html
//! <tr><td class="odd" colspan="6">Total Coverage:</td><td class="odd_r">98.90%</td><td class="bgGreen">98.48%</td></tr>
//! <tr><th …>Coverage Type</th><th>Bins</th><th>Hits</th><th>Misses</th><th>Weight</th><th>% Hit</th><th>Coverage</th> …
//! <tr><td …>Statements</td><td …>55</td><td …>54</td><td …>1</td><td …>1</td><td …>98.18%</td><td …>98.18%</td></tr>
//! ```
//!
//! The total is the mean of all types, by their weights.

use super::{Measure, Measures, Page};
use crate::coverage::syntax::html::{after, between, count, has, parts, percent, texts};

const KINDS: [(&str, &str); 2] = [("Statements", "statements"), ("Branches", "branches")];

pub fn page(page: &Page) -> Option<Measures> {
    if has(page.html, "<body id=\"ucdb2html_summary\">") {
        return summary(page.html);
    }
    let is_index = has(page.html, "url=legacy.html") && has(page.html, "pages/__frametop.htm");
    let summary_page = is_index.then(|| (page.read_sibling)("covsummary.html"))??;
    summary(after(&summary_page, "<body id=\"ucdb2html_summary\">")?)
}

fn summary(html: &str) -> Option<Measures> {
    let table = between(after(html, "<h3>Coverage Summary by Type:</h3>")?, "<table", "</table>")?;
    let rows: Vec<Vec<String>> = parts(table, "<tr>").map(texts).collect();
    let row = |name: &str| rows.iter().find(|row| row.first().is_some_and(|first| first == name));
    let shown = |row: &Vec<String>| percent(row.last()?);
    let total = row("Total Coverage:").and_then(|row| Measure::shown("all types", shown(row)?, None));
    let kind = |(name, metric): (&str, _)| {
        let row = row(name)?;
        Measure::shown(metric, shown(row)?, Some((count(row.get(2)?)?, count(row.get(1)?)?)))
    };
    Some(total.into_iter().chain(KINDS.into_iter().filter_map(kind)).collect())
}
