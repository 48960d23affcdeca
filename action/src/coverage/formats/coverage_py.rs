//! coverage.py, 4.5 and newer: the headline of `index.html`, and `coverage json`.
//!
//! ```html
//! <h1>Coverage report:
//!     <span class="pc_cov">87.42%</span>
//! </h1>
//! ```
//!
//! Each file's page has the same span with the file's number, but with other tags before it in the headline. `--title`
//! replaces the words `Coverage report`, escaped: it can contain a percentage, but no tag. The total's row has the
//! counts: `<td data-ratio="514 540">95%</td>`.

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Measure, Page, Percent};
use crate::coverage::syntax::html::{between, count, has, percent, split, texts};
use crate::coverage::syntax::json;

const BOTH: &str = "lines and branches";
/// With branches, since 7.11: lines, branches, and both together.
const COLUMNS: usize = 3;

pub fn page(page: &Page) -> Option<Found> {
    let table = between(page.html, "<table class=\"index\"", "</thead>")?;
    let headline = between(page.html, "<h1>", "</h1>").filter(|_| has(page.html, "coverage.py"))?;
    let (title, rest) = split(headline, "<span class=\"pc_cov\">")?;
    let is_index = !title.contains('<') && title.trim_end().ends_with(':');
    let shown = percent(split(rest, "</span>")?.0).filter(|_| is_index)?;
    let branches = table.to_ascii_lowercase().contains(">branches");
    let metric = if branches { BOTH } else { "lines" };
    let row = between(page.html, "<tr class=\"total\">", "</tr>").unwrap_or_default();
    let cells = shares(row);
    // A headline that contradicts the table is not the tool's: it is in a comment or in a user's text.
    if cells.last().is_some_and(|(total, _)| *total != shown) {
        return Some(Vec::new());
    }
    let mut found: Found = Measure::shown(metric, shown, cells.last().map(|(_, counts)| *counts)).into_iter().collect();
    if branches && !found.is_empty() {
        let cell = |at: usize, metric| {
            let (shown, counts) = cells.get(at).filter(|_| cells.len() == COLUMNS)?;
            Measure::shown(metric, shown.clone(), Some(*counts))
        };
        let lines = cell(0, "lines").or_else(|| Measure::counted("lines", statements(row)?, 0));
        found.extend([lines, cell(1, "branches")].into_iter().flatten().map(Measure::only_on_request));
    }
    Some(found)
}

/// The cells with a ratio, `<td data-ratio="514 540">95%</td>`.
fn shares(row: &str) -> Vec<(Percent, (u64, u64))> {
    let share = |cell: &str| {
        let (ratio, shown) = cell.split_once("\">")?;
        let (covered, total) = ratio.split_once(' ')?;
        Some((percent(shown.split_once('<')?.0)?, (covered.parse().ok()?, total.parse().ok()?)))
    };
    row.split("data-ratio=\"").skip(1).filter_map(share).take(COLUMNS).collect()
}

/// The first numbers of the row: all and missing statements.
fn statements(row: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> = texts(row).iter().skip(1).map_while(|text| count(text)).collect();
    let [total, missing, ..] = numbers[..] else { return None };
    Some((total.checked_sub(missing)?, total))
}

const PERCENT: &str = "totals/percent_covered";
/// Since 5.0: as the HTML shows it.
const SHOWN: &str = "totals/percent_covered_display";
const LINES: [&str; 2] = ["totals/covered_lines", "totals/num_statements"];
const BRANCHES: [&str; 2] = ["totals/covered_branches", "totals/num_branches"];

pub fn json(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let values = json::read(input, &[PERCENT, SHOWN, LINES[0], LINES[1], BRANCHES[0], BRANCHES[1]])?;
    let (Some(exact), Some(lines)) = (values.float(PERCENT), values.counts(LINES[0], LINES[1])) else {
        return Ok(None);
    };
    let branches = values.counts(BRANCHES[0], BRANCHES[1]).filter(|(_, total)| *total > 0);
    let (covered, total) = branches.unwrap_or_default();
    let all = (lines.0.saturating_add(covered), lines.1.saturating_add(total));
    let shown = values.text(SHOWN).and_then(Percent::parse).or_else(|| Percent::from_float(exact, 2));
    let metric = if branches.is_some() { BOTH } else { "lines" };
    let mut found: Found = shown.and_then(|shown| Measure::shown(metric, shown, Some(all))).into_iter().collect();
    if let (Some(branches), false) = (branches, found.is_empty()) {
        let parts = [("lines", lines), ("branches", branches)];
        found.extend(
            parts
                .into_iter()
                .filter_map(|(metric, counts)| Some(Measure::counted(metric, counts, 2)?.only_on_request())),
        );
    }
    Ok(Some(found))
}
