//! Cobertura's XML, which many tools write: the attributes of its root, and the lines of its classes. And its own HTML,
//! whose index only frames `frame-summary.html`.

use std::collections::HashSet;
use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, texts, unescaped};
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut found, mut methods, mut method_lines) = (None, None, MethodLines::default());
    xml::walk(input, |depth, element| {
        if depth == 0 && element.is("coverage") && element.text("line-rate").is_some() {
            found = Some(totals(element));
        }
        // Lines of methods are repeated in the class, and some tools list there where a method is declared.
        methods = methods.filter(|methods| depth > *methods);
        if element.is("methods") {
            methods = methods.or(Some(depth));
        } else if lines.is_on() {
            method_lines.add(element, methods.is_some());
            if methods.is_none() {
                add(element, lines);
            }
        }
        if found.is_some() && lines.is_on() { Continue(()) } else { Break(()) }
    })?;
    method_lines.end(lines);
    Ok(found)
}

/// The lines of methods, as dotnet-coverage counts them: a line with a lambda belongs to two methods.
#[derive(Default)]
struct MethodLines {
    covered: u64,
    total: u64,
    /// Those of the current class, until the class itself lists them.
    open: HashSet<u64>,
    is_incomplete: bool,
}

impl MethodLines {
    fn add(&mut self, element: &Element, is_in_method: bool) {
        if element.is("class") {
            self.is_incomplete |= !self.open.is_empty();
            self.open.clear();
        }
        let (true, Some(number)) = (element.is("line"), element.number("number")) else { return };
        if is_in_method {
            self.covered += u64::from(element.number("hits") > Some(0));
            self.total += 1;
            self.is_incomplete |= self.open.len() >= MAX_CLASS;
            if !self.is_incomplete {
                self.open.insert(number);
            }
        } else {
            self.open.remove(&number);
        }
    }

    fn end(self, lines: &mut Lines) {
        if self.total > 0 && self.open.is_empty() && !self.is_incomplete {
            lines.count(self.covered, self.total);
        }
    }
}

/// Lines of one class.
const MAX_CLASS: usize = 1_000_000;

fn totals(root: &Element) -> Measures {
    let lines = measure(root, "lines", "line-rate", "lines");
    // Without branches, tools write a rate of 0 or 1.
    let branches = measure(root, "branches", "branch-rate", "branches");
    lines.into_iter().chain(branches).collect()
}

fn add(element: &Element, lines: &mut Lines) {
    if element.is("class") {
        lines.file(&element.unescaped("filename").unwrap_or_default());
    } else if element.is("line") {
        let [number, hits, conditions] = element.texts(["number", "hits", "condition-coverage"]);
        let Some(number) = number.and_then(|number| number.parse().ok()) else { return };
        let hits = hits.and_then(|hits| hits.parse().ok()).unwrap_or_default();
        let branches = conditions.as_deref().and_then(share);
        let is_partly = branches.is_some_and(|(taken, total)| taken < total);
        lines.line(number, if hits > 0 && is_partly { Hit::Partly } else { Hit::of(hits) });
        if let Some((taken, total)) = branches {
            lines.branches(number, taken, total);
        }
    }
}

/// `50% (1/2)`.
fn share(text: &str) -> Option<(u64, u64)> {
    counts(text.split_once('(')?.1.strip_suffix(')')?)
}

/// Prefers the counts, because the rate is rounded; by coverage.py to four digits.
fn measure(root: &Element, metric: &'static str, rate: &str, counted: &str) -> Option<Measure> {
    match root.counts(&format!("{counted}-covered"), &format!("{counted}-valid")) {
        Some(counts) => Measure::counted(metric, counts, 2),
        None if metric == "branches" => None,
        // Some tools write the decimal comma of the user's language.
        None => Measure::shown(metric, Percent::from_rate(&root.text(rate)?.replace(',', "."), 2)?, None),
    }
}

/// ```html
/// <b>All Packages</b></td><td class="value">2</td> … 77%</td> … <span class="text">7/9</span> … 25%</td> …
/// ```
pub fn page(page: &Page) -> Option<Measures> {
    if !has(page.html, "<frame src=\"frame-summary.html\"") || !has(page.html, "<title>Coverage Report</title>") {
        return None;
    }
    let summary = (page.read_sibling)("frame-summary.html")?;
    let row = after(&summary, "<b>All Packages</b>")?.split("<a href=\"frame-summary-").next()?;
    let row = texts(row);
    let mut cells = row.iter().skip(1).peekable();
    let mut measure = |metric| {
        let shown = cells.next()?;
        let counts = cells.next_if(|text| percent(text).is_none()).and_then(|text| counts(text));
        Measure::shown(metric, percent(shown)?, counts)
    };
    Some([measure("lines"), measure("branches")].into_iter().flatten().collect())
}

/// A source file's page names it without its ending, such as `package.Class`.
///
/// ```html
/// <td class="numLineCover">&nbsp;12</td>  <td class="nbHitsUncovered"><a title="Line 12: Conditional coverage 50%
/// (1/2).">&nbsp;4</a></td>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let name = between(page.html, "<h5>Coverage Report - ", "</h5>");
    let table = after(page.html, "class=\"src\">").filter(|_| has(page.html, "Cobertura</a>"));
    let (Some(name), Some(table)) = (name, table) else { return false };
    if lines.file(&format!("{}.java", unescaped(name).trim().replace('.', "/"))) {
        parts(table, "<td class=\"numLineCover\">&nbsp;").for_each(|row| add_row(row, lines));
    }
    true
}

fn add_row(row: &str, lines: &mut Lines) {
    let (number, rest) = row.split_once('<').unwrap_or_default();
    let Some(cell) = between(rest, "<td class=\"nbHits", "</td>") else { return };
    let hits = after(cell, "&nbsp;").and_then(|hits| hits.split('<').next());
    let (Ok(number), Some(Ok(hits))) = (number.parse(), hits.map(str::parse)) else { return };
    let is_partly = hits > 0 && cell.starts_with("Uncovered");
    lines.line(number, if is_partly { Hit::Partly } else { Hit::of(hits) });
    if let Some((taken, total)) = between(cell, " (", ")").and_then(counts) {
        lines.branches(number, taken, total);
    }
}
