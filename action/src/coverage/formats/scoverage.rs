//! Scoverage: `index.html` only frames `overview.html`, which has the total; the pages of source files, and
//! `scoverage.xml`. Both list statements, of which a line can have several.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Statements;
use crate::coverage::syntax::html::{after, between, count, has, labelled, parts, texts, unescaped};
use crate::coverage::syntax::xml::{self, Element};

pub fn page(page: &Page) -> Option<Measures> {
    if !has(page.html, "Scoverage Code Coverage") || !has(page.html, "src=\"overview.html\"") {
        return None;
    }
    let overview = (page.read_sibling)("overview.html")?;
    let texts: Vec<String> = texts(between(&overview, "<div class=\"stats\">", "</table>")?)
        .into_iter()
        // The number and the percent sign are on separate lines.
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let number = |label: &str| count(texts.get(texts.iter().position(|text| text == label)? + 1)?);
    let measure = |label, metric, invoked, total| {
        let shown = labelled(&texts, label, metric)?.percent;
        Measure::shown(metric, shown, number(invoked).zip(number(total)))
    };
    let all = [
        measure("Statement coverage:", "statements", "Invoked statements:", "Total statements:"),
        measure("Branch coverage:", "branches", "Invoked branches:", "Total branches:"),
    ];
    Some(all.into_iter().flatten().collect())
}

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut found, mut statements) = (None, Statements::default());
    xml::walk(input, |depth, element| {
        if depth == 0 && element.is("scoverage") {
            let counts = element.counts("statements-invoked", "statement-count");
            found = Some(counts.and_then(|counts| Measure::counted("statements", counts, 2)).into_iter().collect());
        } else if element.is("statement") {
            add(element, &mut statements, lines);
        }
        if found.is_some() && lines.is_on() { Continue(()) } else { Break(()) }
    })?;
    statements.end(lines);
    Ok(found)
}

fn add(element: &Element, statements: &mut Statements, lines: &mut Lines) {
    let path = element.unescaped("source").unwrap_or_default();
    let is_ignored = element.text("ignored").is_some_and(|ignored| ignored == "true");
    if let Some(line) = element.number("line").filter(|_| !is_ignored) {
        statements.add(line, element.number("invocation-count") > Some(0), &path, lines);
    }
}

/// A source file's page has a table of its statements.
///
/// ```html
/// <tr><td>12</td><td>4</td> … <td style="background: #AEF1AE">scala.Predef.println("")</td></tr>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let title = between(page.html, "<title id=\"title\">", "</title>");
    let path = title.and_then(|title| title.trim().strip_suffix(".html"));
    let table = after(page.html, "class=\"table statementlist\">").and_then(|rest| rest.split("</table>").next());
    let (Some(path), Some(table)) = (path, table) else { return false };
    let path = unescaped(path);
    let mut statements = Statements::default();
    parts(table, "<tr>").filter_map(statement).for_each(|(line, hit)| statements.add(line, hit, &path, lines));
    statements.end(lines);
    true
}

fn statement(row: &str) -> Option<(u64, bool)> {
    let line = between(row, "<td>", "</td>")?.trim().parse().ok()?;
    let color = between(row, "<td style=\"background: ", "\">")?;
    Some((line, color == "#AEF1AE"))
}
