//! grcov: the head of its page, and its `covdir` file.
//!
//! ```html
//! <p class="heading">Lines</p> <p class="title has-text-danger"> <abbr title="5 / 7">71.43 %</abbr></p>
//! ```
//!
//! A folder's or file's page has the same head, and a breadcrumb that starts with a link to the index.

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Lines, Measure, Page};
use crate::coverage::syntax::html::{after, between, counts, has, percent, split};
use crate::coverage::syntax::json;

pub fn page(page: &Page) -> Option<Found> {
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

pub fn covdir(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let [shown, covered, total] = ["coveragePercent", "linesCovered", "linesTotal"];
    let values = json::read(input, &[shown, covered, total])?;
    let Some(counts) = values.counts(covered, total) else { return Ok(None) };
    let lines = values.percent(shown).and_then(|shown| Measure::shown("lines", shown, Some(counts)));
    Ok(Some(lines.into_iter().collect()))
}
