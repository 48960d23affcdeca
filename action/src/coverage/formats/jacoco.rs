//! JaCoCo: the row of the total in `index.html`, and `jacoco.xml`.
//!
//! ```html
//! <tfoot><tr><td>Total</td><td class="bar">5,218 of 10,129</td><td class="ctr2">48%</td>…
//! ```
//!
//! The first percentage counts instructions, the second branches; for lines, only missed and all are shown. A group's,
//! package's or class's page has the same table: there the report's name is a link, but not on the index.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Found, Lines, Measure, Page};
use crate::coverage::syntax::html::{after, between, count, counts, has, percent, texts};
use crate::coverage::syntax::xml;

pub fn page(page: &Page) -> Option<Found> {
    let breadcrumb = between(page.html, "id=\"breadcrumb\"", "</div>")?;
    let table = after(page.html, "id=\"coveragetable\"").filter(|_| has(breadcrumb, "<span class=\"el_report\">"))?;
    let row = texts(between(table, "<tfoot>", "</tfoot>")?);
    let missed = |(missed, total): (u64, u64)| (total.saturating_sub(missed), total);
    let shown =
        |at: usize, metric| Measure::shown(metric, percent(row.get(at + 1)?)?, Some(missed(counts(row.get(at)?)?)));
    let counted = |at: usize, metric| {
        let counts = missed((count(row.get(at)?)?, count(row.get(at + 1)?)?));
        Measure::counted(metric, counts, 2).map(Measure::only_on_request)
    };
    // Columns: Total; instructions, %; branches, %; then missed and all of complexity, lines, methods and classes.
    let all = [shown(1, "instructions"), shown(3, "branches"), counted(7, "lines"), counted(9, "functions")];
    Some(all.into_iter().flatten().collect())
}

const COUNTERS: [(&str, &str); 4] =
    [("INSTRUCTION", "instructions"), ("LINE", "lines"), ("BRANCH", "branches"), ("METHOD", "functions")];

/// The report's own counters follow those of its packages.
pub fn xml(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let (mut found, mut is_report) = ([const { None }; COUNTERS.len()], false);
    xml::walk(input, |depth, element| {
        is_report |= depth == 0 && element.is("report");
        if depth == 1 && element.is("counter") {
            let kind = element.text("type").unwrap_or_default();
            let at = COUNTERS.iter().position(|(name, _)| *name == kind);
            let counts =
                element.counts("covered", "missed").map(|(covered, missed)| (covered, covered.saturating_add(missed)));
            if let (Some(at), Some(counts)) = (at, counts) {
                found[at] = Measure::counted(COUNTERS[at].1, counts, 2);
            }
        }
        if is_report { Continue(()) } else { Break(()) }
    })?;
    Ok(is_report.then(|| found.into_iter().flatten().collect()))
}
