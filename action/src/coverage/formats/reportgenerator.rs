//! ReportGenerator, also used for Coverlet's reports: the cards of the summary, the pages of classes, `Summary.xml`,
//! `Summary.json`, and a class's XML.
//!
//! ```html
//! <tr><th>Line coverage:</th><td class="limit-width right" title="80 of 92">86.9%</td></tr>
//! ```
//!
//! Before 5.0 the counts are in the text: `<td>86.9% (80 of 92)</td>`. A class's page has the same rows; its headline
//! starts with a link back to the summary.

use std::io::BufRead;
use std::ops::ControlFlow::{self, Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, counts, has, parts, percent, split, texts, unescaped};
use crate::coverage::syntax::json;
use crate::coverage::syntax::xml::{self, Element, Node};

pub fn page(page: &Page) -> Option<Measures> {
    let headline = between(page.html, "<h1", "</h1>").filter(|_| has(page.html, "ReportGenerator"))?;
    // Before 4.0 a class's page had the same headline.
    let is_class = has(page.html, "class=\"back\"") || has(page.html, "<th>Class:</th>");
    let is_index = texts(&format!("<h1{headline}")).first()?.starts_with("Summary") && !is_class;
    let rest = after(page.html, "</h1>").filter(|_| is_index)?;
    let line_counts = ["Covered lines:", "Coverable lines:"];
    // Before 2.5 with a capital letter.
    let lines = ["Line coverage:", "Line Coverage:"];
    let lines = lines.into_iter().find_map(|label| measure(rest, label, "lines", line_counts));
    let branches = measure(rest, "Branch coverage:", "branches", ["Covered branches:", "Total branches:"]);
    Some(lines.into_iter().chain(branches).collect())
}

fn measure(html: &str, label: &str, metric: &'static str, counted: [&str; 2]) -> Option<Measure> {
    let cell = |label: &str| texts(split(after(html, &format!("<th>{label}</th>"))?, "</tr>")?.0).into_iter().next();
    let shown = cell(label)?;
    let (shown, share) = shown.split_once(' ').unwrap_or((&shown, ""));
    let number = |label| count(&cell(label)?);
    Measure::shown(metric, percent(shown)?, counts(share).or_else(|| number(counted[0]).zip(number(counted[1]))))
}

/// A class's page: a heading and a table for each of its source files.
///
/// ```html
/// <h2 id="srcacs">/src/a.cs</h2>
/// <tr class="coverableline" title="Covered (4 visits, 1 of 2 branches are covered)"
/// data-coverage="{'AllTestMethods': {'VC': '4', 'LVS': 'orange'}}">… <a id="file0_line12"></a><code>12</code>…
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    if !has(page.html, "<table class=\"lineAnalysis\">") || !has(page.html, "ReportGenerator") {
        return false;
    }
    for file in parts(page.html, "<h2 id=\"") {
        let path = between(file, "\">", "</h2>").unwrap_or_default();
        if lines.file(&unescaped(path)) {
            let hits = parts(file, "<tr ").filter_map(|row| add_row(row, lines));
            // A line of two classes is counted twice.
            let (covered, total) = hits.fold((0, 0), |sum, hit| (sum.0 + u64::from(hit), sum.1 + 1));
            lines.count(covered, total);
        }
    }
    true
}

/// Returns whether the line is hit.
fn add_row(row: &str, lines: &mut Lines) -> Option<bool> {
    let (title, rest) = row.split_once("data-coverage=\"{'AllTestMethods': {'VC': '")?;
    let visits = rest.split('\'').next()?.parse().ok()?;
    let number = between(rest, "<code>", "</code>")?.parse().ok()?;
    let branches = branches(title);
    let is_partly = rest.get(..MAX_STATUS).is_some_and(|status| has(status, "'LVS': 'orange'"))
        || branches.is_some_and(|(taken, total)| taken < total);
    lines.line(number, if visits > 0 && is_partly { Hit::Partly } else { Hit::of(visits) });
    if let Some((taken, total)) = branches {
        lines.branches(number, taken, total);
    }
    Some(visits > 0)
}

/// Bytes from the count of visits to the end of the status, which is `orange` since 2.5 if branches were missed.
const MAX_STATUS: usize = 40;

/// `1 of 2 branches are covered`, in English.
fn branches(title: &str) -> Option<(u64, u64)> {
    let (taken, rest) = title.split_once(" of ")?;
    let taken = taken.rsplit(|letter: char| !letter.is_ascii_digit()).next()?;
    Some((taken.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

/// Metrics: the elements with their percentage, covered and total counts; in JSON in lower case.
const KINDS: [(&str, [&str; 3]); 2] = [
    ("lines", ["Linecoverage", "Coveredlines", "Coverablelines"]),
    ("branches", ["Branchcoverage", "Coveredbranches", "Totalbranches"]),
];

/// A percentage, covered and total counts.
type Values = [(Option<Percent>, Option<u64>, Option<u64>); KINDS.len()];

fn found(values: Values) -> Measures {
    let measures = values.into_iter().zip(KINDS);
    measures.filter_map(|((shown, one, other), (metric, _))| Measure::shown(metric, shown?, one.zip(other))).collect()
}

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    const PATHS: [[&str; 3]; 2] = [
        ["summary/linecoverage", "summary/coveredlines", "summary/coverablelines"],
        ["summary/branchcoverage", "summary/coveredbranches", "summary/totalbranches"],
    ];
    let values = json::read(input, PATHS.as_flattened())?;
    let is_summary = values.count(PATHS[0][2]).is_some();
    let values =
        PATHS.map(|[shown, covered, total]| (values.percent(shown), values.count(covered), values.count(total)));
    Ok(is_summary.then(|| found(values)))
}

/// A summary, or one class.
#[derive(Default)]
struct Report {
    is_report: bool,
    is_class: bool,
    in_summary: bool,
    /// The place in `KINDS` of the element that is open.
    open: Option<(usize, usize)>,
    values: Values,
}

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let mut report = Report::default();
    xml::walk_nodes(input, |depth, node| match node {
        Node::Element(element) => report.element(depth, element, lines),
        Node::Text(text) => {
            report.text(depth, text);
            Continue(())
        }
    })?;
    // The total of one class is not that of a report.
    Ok(report.is_report.then(|| if report.is_class { Vec::new() } else { found(report.values) }))
}

impl Report {
    fn element(&mut self, depth: usize, element: &Element, lines: &mut Lines) -> ControlFlow<()> {
        match depth {
            0 => self.is_report = element.is("CoverageReport") && element.text("scope").is_some(),
            1 => self.in_summary = element.is("Summary"),
            2 if self.in_summary => {
                self.is_class |= element.is("Class");
                self.open = place(element);
            }
            _ if !self.in_summary => add(element, lines),
            _ => {}
        }
        let is_needed = depth == 0 || self.in_summary || lines.is_on();
        if self.is_report && is_needed { Continue(()) } else { Break(()) }
    }

    fn text(&mut self, depth: usize, text: &str) {
        let Some((kind, place)) = self.open.filter(|_| self.in_summary && depth == 3) else { return };
        let (shown, covered, total) = &mut self.values[kind];
        match place {
            // Before 5.0 with a percent sign.
            0 => *shown = Percent::parse(text.trim_end_matches('%')),
            1 => *covered = text.parse().ok(),
            _ => *total = text.parse().ok(),
        }
    }
}

/// The place in `KINDS`. Before 2.5 some names had other capital letters.
fn place(element: &Element) -> Option<(usize, usize)> {
    KINDS.iter().enumerate().find_map(|(kind, (_, names))| {
        let place = names.iter().position(|name| element.name().eq_ignore_ascii_case(name))?;
        Some((kind, place))
    })
}

fn add(element: &Element, lines: &mut Lines) {
    if element.is("File") {
        lines.file(&element.unescaped("name").unwrap_or_default());
    } else if let (true, Some(number)) = (element.is("LineAnalysis"), element.number("line")) {
        match element.text("coverage").as_deref() {
            Some("Covered") => lines.line(number, Hit::Yes),
            Some("PartiallyCovered") => lines.line(number, Hit::Partly),
            Some("NotCovered") => lines.line(number, Hit::No),
            _ => return,
        }
        if let Some((taken, total)) = element.counts("coveredbranches", "totalbranches").filter(|(_, total)| *total > 0)
        {
            lines.branches(number, taken, total);
        }
    }
}
