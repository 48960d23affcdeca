//! JMockit Coverage: the last row of `index.html`, and the pages of source files. Its XML is SonarQube's generic one.
//!
//! ```html
//! <tr class='total'><td>Total</td><td>&nbsp;</td><td style='…' title='Items: 12/20'>60%</td></tr>
//! ```

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, counts, has, parts, percent, unescaped};

/// What a cell counts: lines and fields, or before 1.42 the parts of lines.
const KINDS: [(&str, &str); 2] = [("title='Items: ", "items"), ("title='Line segments: ", "segments")];

pub fn page(page: &Page) -> Option<Measures> {
    let is_index = has(page.html, "<table id='packages'>") && has(page.html, "jmockit");
    let row = between(page.html, "<tr class='total'>", "</tr>").filter(|_| is_index)?;
    let measure = |(title, metric)| {
        let cell = between(row, title, "</td>")?;
        let (counted, shown) = cell.split_once("'>")?;
        // `>99%` is less than 100%.
        Measure::shown(metric, percent(shown.trim_start_matches(['>', ' ']))?, counts(counted))
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}

/// A source file's page: `<td>12</td><td class='ct'>4</td> <td><pre class='pp cvd' …`. A line with branches has
/// segments, each with its own class.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let path = between(page.html, "<caption>", "</caption>").filter(|_| has(page.html, "prettyPrint()"));
    let Some(path) = path else { return false };
    // On Windows, the tool writes backslashes here, and slashes in its XML.
    if lines.file(&unescaped(path).replace('\\', "/")) {
        for part in parts(page.html, "<tr>") {
            let number = between(part, "<td>", "</td>").and_then(|number| number.parse().ok());
            let hits = between(part, "<td class='ct'>", "</td>").and_then(|hits| hits.parse().ok());
            if let (Some(number), Some(hits)) = (number, hits) {
                let is_partly = hits > 0 && has(part, "class='uncvd'");
                lines.line(number, if is_partly { Hit::Partly } else { Hit::of(hits) });
            }
        }
    }
    true
}
