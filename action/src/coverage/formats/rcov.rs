//! RCov of Ruby 1.8 from 0.9 on, and simplecov-rcov: the total in `index.html`, and the pages of source files.
//!
//! ```html
//! <title>Calc C0 Coverage Information - RCov</title> … <td class="left_align">TOTAL</td>
//! <td class='right_align'><tt>30</tt></td> <td class='right_align'><tt>20</tt></td> …
//! <tt class='coverage_total'>40.00%</tt>
//! ```
//!
//! The first number counts all lines, the second those with code.

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, count, has, parts, percent, split, unescaped};

/// With more lines, two digits of a percentage may stand for several counts.
const MAX_COUNTED: u64 = 10_000;

pub fn page(page: &Page) -> Option<Measures> {
    let title =
        between(page.html, "<title>", "</title>").filter(|title| title.contains(" C0 Coverage Information - "))?;
    let total = between(page.html, "<tfoot>", "</tfoot>").filter(|_| title.contains("RCov"))?;
    let shown = percent(between(total, "<tt class='coverage_total'>", "</tt>")?)?;
    // It is 100 without any code.
    let has_code = code_lines(total)? > 0;
    Some(Measure::shown("lines", shown, counts(total)).filter(|_| has_code).into_iter().collect())
}

fn code_lines(row: &str) -> Option<u64> {
    count(row.split("<tt>").nth(2)?.split('<').next()?)
}

/// The counts behind the last percentage of a row.
fn counts(row: &str) -> Option<(u64, u64)> {
    let total = code_lines(row).filter(|total| *total < MAX_COUNTED)?;
    let share: f64 = row.rsplit_once("%</tt>")?.0.rsplit_once('>')?.1.parse().ok()?;
    Some(((share * total as f64 / 100.0).round() as u64, total))
}

/// A source file's page: one row per line of the file, in order. simplecov-rcov numbers them from 2.
///
/// ```html
/// <tr class="marked">
///   <td><pre><a name="line2"> 2</a> def sign(n)</pre></td>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let head =
        split(page.html, "<table class=\"details\">").filter(|(head, _)| has(head, " C0 Coverage Information - "));
    let Some((head, details)) = head else { return false };
    let path = between(head, "<h2>", "</h2>").unwrap_or_default();
    if lines.file(&unescaped(path)) {
        let (rows, end) = split(details, "</table>").unwrap_or((details, ""));
        let rows: Vec<Row> = parts(rows, "<tr class=\"").filter_map(row).collect();
        // RCov infers whether lines ran that Ruby does not report, and its page does not tell which lines have code.
        let is_rcov = !has(end, ">SimpleCov-RCov ");
        let comments = if is_rcov { comments(&rows) } else { vec![false; rows.len()] };
        for ((row, number), is_comment) in rows.iter().zip(1..).zip(comments) {
            let has_code = if is_rcov { row.is_code() && !is_comment } else { row.class != "inferred" };
            if has_code {
                lines.line(number, Hit::when(row.class != "uncovered"));
            }
        }
        if let Some((covered, total)) = between(head, "<tbody>", "</tbody>").and_then(counts) {
            lines.shown(covered, total);
        }
    }
    true
}

struct Row<'a> {
    class: &'a str,
    text: &'a str,
}

fn row(html: &str) -> Option<Row<'_>> {
    let (class, rest) = html.split_once('"')?;
    Some(Row { class, text: between(rest, "</a> ", "</pre>")? })
}

impl Row<'_> {
    fn is_code(&self) -> bool {
        let text = self.text.trim_start();
        !text.is_empty() && !text.starts_with('#')
    }

    fn starts_with_word(&self, word: &str) -> bool {
        let rest = self.text.strip_prefix(word);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next == '_' || next.is_ascii_alphanumeric()))
    }
}

/// The rows from `=begin` to `=end`.
fn comments(rows: &[Row]) -> Vec<bool> {
    let (mut comments, mut start) = (vec![false; rows.len()], None);
    for (at, row) in rows.iter().enumerate() {
        match start {
            None if row.starts_with_word("=begin") => start = Some(at),
            Some(first) if row.starts_with_word("=end") => {
                comments[first..=at].fill(true);
                start = None;
            }
            _ => {}
        }
    }
    comments
}
