//! grcov: the head of its page, and its `covdir` file.
//!
//! ```html
//! <p class="heading">Lines</p> <p class="title has-text-danger"> <abbr title="5 / 7">71.43 %</abbr></p>
//! ```
//!
//! A folder's or file's page has the same head, and a breadcrumb that starts with a link to the index.

mod covdir;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, split, texts, unescaped};

pub use covdir::read as covdir;

const ROW: &str = "<div class=\"columns p-0 m-0\" role=\"row\">";

pub fn page(page: &Page) -> Option<Measures> {
    let title =
        between(page.html, "<title>", "</title>").filter(|title| title.trim_start().starts_with("Grcov report"))?;
    let rest = after(page.html, "<nav class=\"breadcrumb").filter(|_| title.trim_end().ends_with(" top_level"))?;
    let (breadcrumb, rest) = split(rest, "</nav>")?;
    let head = between(rest, "<nav class=\"level\">", "</nav>").filter(|_| !has(breadcrumb, "index.html"))?;
    let measure = |(name, metric): (&str, _)| {
        let share = split(after(head, &format!("<p class=\"heading\">{name}</p>"))?, "</div>")?.0;
        let (title, shown) = split(after(share, "<abbr title=\"")?, "\">")?;
        Measure::shown(metric, percent(split(shown, "</abbr>")?.0)?, counts(title))
    };
    let kinds = [("Lines", "lines"), ("Branches", "branches"), ("Functions", "functions")];
    Some(kinds.into_iter().filter_map(measure).collect())
}

/// A source file's page: its path is in the breadcrumb.
///
/// ```html
/// <li><a href="../index.html">top_level</a></li><li><a href="./index.html">lib</a></li><li …><a href="#">calc.c</a></li>
/// <div class="columns p-0 m-0" role="row"> <div … id="2" role="cell"> <a href="#2">2</a> </div>
/// <div … role="cell" aria-label="2"> 2 </div> … <div … role="cell" aria-label="no coverage">
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let rest = after(page.html, "<nav class=\"breadcrumb").filter(|rest| has(rest, ROW));
    let Some((breadcrumb, rest)) = rest.and_then(|rest| split(rest, "</nav>")) else { return false };
    let folders = texts(&format!("<nav{breadcrumb}"));
    let path = folders.get(1..).unwrap_or_default().join("/");
    if !lines.file(&unescaped(&path)) {
        return true;
    }
    if let Some((covered, total)) = after(rest, "<abbr title=\"").and_then(|rest| counts(split(rest, "\"")?.0)) {
        lines.shown(covered, total);
    }
    for row in parts(rest, ROW) {
        let number = between(row, "id=\"", "\"").and_then(|number| number.parse().ok());
        let hits = between(row, "aria-label=\"", "\"").and_then(|hits| hits.parse::<u64>().ok());
        if let (Some(number), Some(hits)) = (number, hits) {
            lines.line(number, Hit::when(hits > 0));
        }
    }
    true
}
