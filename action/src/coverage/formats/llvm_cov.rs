//! llvm-cov: the last row of `index.html`, the pages of source files, and `llvm-cov export`.
//!
//! ```html
//! <td><pre>Totals</pre></td><td class='column-entry-red'><pre>  16.01% (530/3311)</pre></td>…
//! ```
//!
//! `llvm-cov show` without `-output-dir` has no total, but the same pages of source files.
//!
//! Its counts are those of functions: a line of two functions counts twice, and that of a macro's definition not at all.

mod export;

use std::collections::BTreeMap;

use memchr::memchr;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, split, texts, unescaped};

pub use export::read as export;

/// The tool's name.
pub const TOOL: &str = "llvm-cov";

const KINDS: [(&str, &str); 4] = [
    ("Line Coverage", "lines"),
    ("Branch Coverage", "branches"),
    ("Function Coverage", "functions"),
    ("Region Coverage", "regions"),
];

pub fn page(page: &Page) -> Option<Measures> {
    if is_show(page.html) {
        return Some(Vec::new());
    }
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

/// Without `-output-dir`, `llvm-cov show` writes all source files on one page, and no total. Other pages start with a
/// headline.
fn is_show(html: &str) -> bool {
    after(html, "</head><body>").is_some_and(|body| body.starts_with(SHOW) && has(html, ROW))
}

const SHOW: &str = "<div class='centered'><table><div class='source-name-title'><pre>";
/// The path above the table of a source file.
const TITLE: &str = "<div class='source-name-title'><pre>";
/// A line in it.
const ROW: &str = "<td class='line-number'><a name='L";
/// A branch, or an expanded macro or an instance of a template, which has a table of its own.
const PART: &str = "<div class='expansion-view'>";
const BRANCH: &str = "<pre>  Branch (";

/// A page of one or more source files.
///
/// ```html
/// <div class='source-name-title'><pre>/src/calc.c</pre></div> …
/// <tr><td class='line-number'><a name='L9' href='#L9'><pre>9</pre></a></td><td class='uncovered-line'><pre>0</pre></td>…
/// <div class='expansion-view'><pre>  Branch (<span …>6:9</span>…): [<span class='None'>True</span>: <span
/// class='covered-line'>1</span>, <span class='red branch'>False</span>: <span class='uncovered-line'>0</span>]
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    if !has(page.html, TITLE) || !has(page.html, ROW) {
        return false;
    }
    if !page.html.trim_end().ends_with("</html>") {
        lines.fail("a page of a source file is truncated");
    }
    let (mut rest, mut line, mut open) = (page.html, None, 0_usize);
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        let tag = &rest[at..];
        rest = &tag[1..];
        if open > 0 {
            // Skips to the end of the part, which may have others in it.
            match tag {
                _ if tag.starts_with("<div") => open += 1,
                _ if tag.starts_with("</div>") => open -= 1,
                _ => {}
            }
        } else if let Some(path) = tag.strip_prefix(TITLE) {
            lines.file(&unescaped(split(path, "<").map_or("", |(path, _)| path)));
        } else if let Some(row) = tag.strip_prefix(ROW) {
            line = add_line(row, lines);
        } else if let Some(part) = tag.strip_prefix(PART) {
            open = 1;
            if let (Some(line), Some(branches)) = (line, part.strip_prefix(BRANCH)) {
                add_branches(line, split(branches, "</div>").map_or("", |(branches, _)| branches), lines);
            }
        }
    }
    true
}

/// Bytes of a row up to its count.
const MAX_ROW: usize = 256;

/// The rest of a row from its number on. Only a line with code has a count.
fn add_line(row: &str, lines: &mut Lines) -> Option<u64> {
    // A page of broken rows would be searched to its end for each of them.
    let row = &row[..row.floor_char_boundary(MAX_ROW)];
    let (number, rest) = split(row, "'")?;
    let (class, rest) = split(between(rest, "<td class='", "</td>")?, "'")?;
    let hit = match class {
        "covered-line" => Hit::Yes,
        "uncovered-line" => Hit::No,
        _ => return None,
    };
    let number = number.parse().ok().filter(|_| has(rest, "<pre>"))?;
    lines.line(number, hit);
    Some(number)
}

/// A line has several conditions, each at its own place. That of a template is repeated for each instance. A condition
/// that is always the same has no counts.
fn add_branches(line: u64, branches: &str, lines: &mut Lines) {
    let mut conditions: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for (place, outcomes) in branches.split("  Branch (").filter_map(|branch| split(branch, "[")) {
        let outcomes = parts(outcomes, "<span class='").filter_map(|outcome| {
            let is_taken = outcome.starts_with("covered-line'>");
            (is_taken || outcome.starts_with("uncovered-line'>")).then_some(is_taken)
        });
        let outcomes: Vec<bool> = outcomes.take(2).collect();
        if let [when_true, when_false] = outcomes[..] {
            let condition = conditions.entry(place).or_default();
            *condition = [condition[0] | when_true, condition[1] | when_false];
        }
    }
    let taken = conditions.values().flatten().filter(|is_taken| **is_taken).count() as u64;
    if !conditions.is_empty() {
        lines.branches(line, taken, 2 * conditions.len() as u64);
    }
}
