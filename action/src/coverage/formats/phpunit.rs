//! PHPUnit's php-code-coverage: the first row of `index.html`.
//!
//! ```html
//! <td class="success">Total</td> … <td class="success small"><div align="right">96.99%</div></td>
//! <td class="success small"><div align="right">645&nbsp;/&nbsp;665</div></td> …
//! ```
//!
//! A folder's or file's page has such a row too: there the breadcrumb starts with a link to the index.

use super::{Found, Measure, Page};
use crate::coverage::syntax::html::{after, between, counts, has, percent, split, texts};

const MAX_CELLS: usize = 30;
/// In the footer, since 3.0 and before.
const MADE_BY: [&str; 2] = ["php-code-coverage", "PHP_CodeCoverage"];
const KINDS: [(&str, &str); 3] = [("Lines", "lines"), ("Branches", "branches"), ("Functions and Methods", "functions")];

pub fn page(page: &Page) -> Option<Found> {
    let breadcrumb = between(page.html, "<ol class=\"breadcrumb\">", "</ol>")?;
    let first = between(breadcrumb, "<li", "</li>")?;
    let table = after(page.html, "<table class=\"table table-bordered\">").filter(|_| !has(first, "<a "))?;
    let (head, body) = split(table, "</thead>").filter(|_| MADE_BY.iter().any(|made_by| has(page.html, made_by)))?;
    let heads = texts(head);
    let columns: Vec<&String> = heads.iter().filter(|text| *text != "Code Coverage").collect();
    let row = between(body, ">Total</td>", "</tr>")?;
    // Each column has three cells: a bar, the percentage, and the counts.
    let cells: Vec<Vec<String>> =
        row.split("<td").skip(1).take(MAX_CELLS).map(|cell| texts(&format!("<{cell}"))).collect();
    let measure = |(name, metric): (&str, _)| {
        let at = 3 * columns.iter().position(|column| *column == name)?;
        Measure::shown(metric, percent(cells.get(at + 1)?.first()?)?, counts(cells.get(at + 2)?.first()?))
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}
