//! ReportGenerator, also used for Coverlet's reports: the cards of the summary.
//!
//! ```html
//! <tr><th>Line coverage:</th><td class="limit-width right" title="80 of 92">86.9%</td></tr>
//! ```
//!
//! Before 5.0 the counts are in the text: `<td>86.9% (80 of 92)</td>`. A class's page has the same rows; its headline
//! starts with a link back to the summary.

use super::{Found, Measure, Page};
use crate::coverage::syntax::html::{after, between, count, counts, has, percent, split, texts};

pub fn page(page: &Page) -> Option<Found> {
    let headline = between(page.html, "<h1", "</h1>").filter(|_| has(page.html, "ReportGenerator"))?;
    // Before 4.0 a class's page had the same headline.
    let is_class = has(page.html, "class=\"back\"") || has(page.html, "<th>Class:</th>");
    let is_index = texts(&format!("<h1{headline}")).first()?.starts_with("Summary") && !is_class;
    let rest = after(page.html, "</h1>").filter(|_| is_index)?;
    let lines = measure(rest, "Line coverage:", "lines", ["Covered lines:", "Coverable lines:"]);
    let branches = measure(rest, "Branch coverage:", "branches", ["Covered branches:", "Total branches:"]);
    Some(lines.into_iter().chain(branches).collect())
}

fn measure(html: &str, label: &str, metric: &'static str, counted: [&str; 2]) -> Option<Measure> {
    let cell = |label: &str| texts(split(after(html, &format!("<th>{label}</th>"))?, "</tr>")?.0).into_iter().next();
    let shown = cell(label)?;
    let (shown, share) = shown.split_once(' ').unwrap_or((&shown, ""));
    let number = |label| count(&cell(label)?);
    Measure::shown(metric, percent(shown)?, counts(share).or_else(|| number(counted[0]).zip(number(counted[1]))))
}
