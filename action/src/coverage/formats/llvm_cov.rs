//! llvm-cov: the last row of `index.html`, and `llvm-cov export`.
//!
//! ```html
//! <td><pre>Totals</pre></td><td class='column-entry-red'><pre>  16.01% (530/3311)</pre></td>…
//! ```

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Lines, Measure, Page};
use crate::coverage::syntax::html::{after, between, counts, percent, split, texts};
use crate::coverage::syntax::json;

const KINDS: [(&str, &str); 4] = [
    ("Line Coverage", "lines"),
    ("Branch Coverage", "branches"),
    ("Function Coverage", "functions"),
    ("Region Coverage", "regions"),
];

pub fn page(page: &Page) -> Option<Found> {
    let table = after(after(page.html, "<h2>Coverage Report</h2>")?, "<table>")?;
    let columns = texts(split(table, "</tr>")?.0);
    let totals = texts(&format!("<td>{}", between(table, "<pre>Totals</pre>", "</tr>")?));
    let column = |name: &str, metric| {
        // The first column is the row's name.
        let at = columns.iter().position(|column| column == name)?.checked_sub(1)?;
        let (shown, share) = totals.get(at)?.split_once(' ')?;
        Measure::shown(metric, percent(shown)?, counts(share))
    };
    Some(KINDS.into_iter().filter_map(|(name, metric)| column(name, metric)).collect())
}

const TYPE: &str = "type";
const TOTALS: [(&str, [&str; 2]); 4] = [
    ("lines", ["data/*/totals/lines/covered", "data/*/totals/lines/count"]),
    ("branches", ["data/*/totals/branches/covered", "data/*/totals/branches/count"]),
    ("functions", ["data/*/totals/functions/covered", "data/*/totals/functions/count"]),
    ("regions", ["data/*/totals/regions/covered", "data/*/totals/regions/count"]),
];

pub fn export(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let paths: Vec<_> = TOTALS.iter().flat_map(|(_, paths)| *paths).chain([TYPE]).collect();
    let values = json::read(input, &paths)?;
    let is_export = values.text(TYPE) == Some("llvm.coverage.json.export");
    let measure =
        |(metric, [covered, count]): (_, [&str; 2])| Measure::counted(metric, values.counts(covered, count)?, 2);
    Ok(is_export.then(|| TOTALS.into_iter().filter_map(measure).collect()))
}
