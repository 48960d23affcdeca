//! PHPUnit's php-code-coverage: the first row of `index.html`.
//!
//! ```html
//! <td class="success">Total</td> … <td class="success small"><div align="right">96.99%</div></td>
//! <td class="success small"><div align="right">645&nbsp;/&nbsp;665</div></td> …
//! ```
//!
//! A folder's or file's page has such a row too: there the breadcrumb starts with a link to the index.

use super::html::{after, between, counts, has, percent, split, texts};
use super::{Found, Measure, Page};

/// Columns of the head, and how many texts each has in the row.
const KINDS: [(&str, &str); 3] = [("Lines", "lines"), ("Branches", "branches"), ("Functions and Methods", "functions")];

pub fn page(page: &Page) -> Option<Found> {
    let breadcrumb = between(page.html, "<ol class=\"breadcrumb\">", "</ol>")?;
    let first = between(breadcrumb, "<li class=\"breadcrumb-item", "</li>")?;
    let table = after(page.html, "<table class=\"table table-bordered\">").filter(|_| !has(first, "<a "))?;
    let (head, body) = split(table, "</thead>").filter(|_| has(page.html, "php-code-coverage"))?;
    let heads = texts(head);
    let columns: Vec<&String> = heads.iter().filter(|text| *text != "Code Coverage").collect();
    let row = texts(between(body, ">Total</td>", "</tr>")?);
    let shares: Vec<_> = row.windows(2).filter_map(|pair| Some((percent(&pair[0])?, counts(&pair[1])?))).collect();
    let measure = |name: &str, of| {
        let at = columns.iter().position(|column| *column == name)?;
        let (shown, counts) = shares.get(at)?;
        Measure::shown(of, shown.clone(), Some(*counts))
    };
    // A column without anything to count shows no share, and then it is not known which column a share stands in.
    let is_whole = shares.len() == columns.len();
    let kinds = KINDS.into_iter().take(if is_whole { KINDS.len() } else { 1 });
    Some(kinds.filter_map(|(name, of)| measure(name, of)).collect())
}
