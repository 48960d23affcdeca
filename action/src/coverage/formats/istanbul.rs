//! istanbul, also used by nyc, c8, jest and vitest: the head of `index.html`, the data in the page of `html-spa`,
//! `coverage-summary.json`, and `coverage-final.json`.
//!
//! ```html
//! <span class="strong">99.87% </span>
//! <span class="quiet">Lines</span>
//! <span class='fraction'>1655/1657</span>
//! ```
//!
//! A folder's or file's page has the same head, with its name in the title instead of `All files`.

mod coverage_final;

use std::io::BufRead;

use anyhow::Result;
pub use coverage_final::coverage_final;
use memchr::memmem;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, percent, split, texts, unescaped};
use crate::coverage::syntax::json::{self, Values};

pub fn page(page: &Page) -> Option<Measures> {
    let (head, body) = split(page.html, "<body>")?;
    if between(head, "<title>", "</title>")?.trim() != "Code coverage report for All files" {
        return None;
    }
    let head = split(body, "<div class=\"body\">").map(|(head, _)| head).filter(|head| has(head, OLD));
    Some(head.map_or_else(|| metrics(body), old_metrics))
}

/// Before 0.4: `Lines: <span class="metric">86.67% <small>(13 / 15)</small></span>`.
fn old_metrics(head: &str) -> Measures {
    let named = |(label, metric): (&str, _)| {
        let number = after(head, &format!("{label}: {OLD}"))?;
        Measure::shown(metric, percent(split(number, "<")?.0)?, Some(old_counts(number)?))
    };
    KINDS.into_iter().filter_map(named).collect()
}

fn old_counts(number: &str) -> Option<(u64, u64)> {
    counts(between(number, "<small>", "</small>")?)
}

const OLD: &str = "<span class=\"metric\">";
const KINDS: [(&str, &str); 4] =
    [("Lines", "lines"), ("Branches", "branches"), ("Functions", "functions"), ("Statements", "statements")];

/// The numbers in the head of a page.
pub fn metrics(body: &str) -> Measures {
    let texts = texts(split(body, "status-line").unwrap_or((body, "")).0);
    let named = |name: &str, metric| {
        let at = texts.iter().position(|text| text == name)?;
        let shown = percent(texts.get(at.checked_sub(1)?)?)?;
        Measure::shown(metric, shown, texts.get(at + 1).and_then(|text| counts(text)))
    };
    KINDS.into_iter().filter_map(|(name, metric)| named(name, metric)).collect()
}

/// A source file's page: one span per line of the file, in order.
///
/// ```html
/// <td class="line-coverage quiet"><span class="cline-any cline-yes">1x</span>
/// <span class="cline-any cline-neutral">&nbsp;</span>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let title = between(page.html, "<title>", "</title>");
    let path = title.and_then(|title| title.trim().strip_prefix("Code coverage report for "));
    // The column of line numbers, or that of the hits. An index has neither.
    let Some(path) = path.filter(|_| has(page.html, "<td class=\"line-co")) else { return false };
    if !lines.file(&unescaped(path)) {
        return true;
    }
    let column = |class| between(page.html, &format!("<td class=\"line-coverage{class}\">"), "</td>");
    if let Some(column) = column(" quiet").or_else(|| column("")) {
        add_lines(column, "<span class=\"cline-any cline-", lines);
        add_shown(page.html, lines);
    }
    true
}

/// Adds a line for each `mark`, which the kind of the line follows.
pub fn add_lines(column: &str, mark: &str, lines: &mut Lines) {
    for (at, number) in memmem::find_iter(column.as_bytes(), mark).zip(1..) {
        match column.get(at + mark.len()..).and_then(|rest| rest.split(['"', '\'']).next()) {
            Some("yes") => lines.line(number, Hit::Yes),
            Some("no") => lines.line(number, Hit::No),
            _ => {}
        }
    }
}

/// Adds the counts of lines that the head of a page shows.
pub fn add_shown(html: &str, lines: &mut Lines) {
    let fraction = after(html, ">Lines</span>").and_then(|rest| between(rest, "fraction'>", "</span>"));
    let old = || old_counts(after(html, &format!("Lines: {OLD}"))?);
    if let Some((covered, total)) = fraction.and_then(counts).or_else(old) {
        lines.shown(covered, total);
    }
}

/// A metric, and the paths of its percentage and counts.
type Kind = (&'static str, [&'static str; 3]);

macro_rules! kind {
    ($root:literal, $metric:literal) => {
        (
            $metric,
            [
                concat!($root, "/", $metric, "/pct"),
                concat!($root, "/", $metric, "/covered"),
                concat!($root, "/", $metric, "/total"),
            ],
        )
    };
}

const SUMMARY: [Kind; 4] =
    [kind!("total", "lines"), kind!("total", "branches"), kind!("total", "functions"), kind!("total", "statements")];
const TREE: [Kind; 4] = [
    kind!("metrics", "lines"),
    kind!("metrics", "branches"),
    kind!("metrics", "functions"),
    kind!("metrics", "statements"),
];

pub fn summary(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    Ok(found(&json::read(input, &SUMMARY.map(|(_, paths)| paths).concat())?, &SUMMARY))
}

/// `window.data = {"file":"","metrics":{…},"children":[…]}`: the page's script draws the root's metrics.
pub fn spa(page: &Page) -> Option<Measures> {
    let data = after(after(page.html, "<div id=\"app\" class=\"app\">")?, "window.data = ")?;
    found(&json::read_text(data, &TREE.map(|(_, paths)| paths).concat())?, &TREE)
}

/// The percentage is `Unknown` if nothing was measured.
fn found(values: &Values, kinds: &[Kind]) -> Option<Measures> {
    let measure = |(metric, [shown, covered, total]): &Kind| {
        let counts = values.counts(covered, total)?;
        Some(values.percent(shown).and_then(|shown| Measure::shown(metric, shown, Some(counts))))
    };
    let all: Vec<_> = kinds.iter().map(measure).collect::<Option<_>>()?;
    Some(all.into_iter().flatten().collect())
}
