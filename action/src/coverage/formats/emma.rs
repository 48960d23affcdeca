//! EMMA: the first table of `index.html`, the pages of source files, and `coverage.xml`. It counts a line that is
//! covered partly as a part of a line.
//!
//! ```html
//! <H2>OVERALL COVERAGE SUMMARY</H2><TABLE><TR><TH CLASS="f">name</TH> … <TH>line, %</TH></TR>
//! <TR CLASS="o"><TD CLASS="f">all classes</TD> … <TD>70%  (7/10)</TD></TR></TABLE>
//! ```
//!
//! Its spaces are non-breaking; in the encoding of an old system, such a byte is replaced.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, has, parts, percent, split, texts, unescaped};
use crate::coverage::syntax::xml;

const KINDS: [(&str, &str); 3] = [("line, %", "lines"), ("block, %", "blocks"), ("method, %", "functions")];

fn with_spaces(html: &str) -> String {
    html.replace(['\u{a0}', '\u{fffd}'], " ").replace("&nbsp;", " ")
}

pub fn page(page: &Page) -> Option<Measures> {
    let is_index = has(page.html, "EMMA") && has(page.html, "OVERALL");
    let html = is_index.then(|| with_spaces(page.html)).filter(|html| has(html, "<TITLE>EMMA Coverage Report"))?;
    let table = between(after(&html, "OVERALL COVERAGE SUMMARY</H")?, "<TABLE", "</TABLE>")?;
    let (head, row) = split(table, "</TR>")?;
    let (heads, cells) = (texts(&format!("<{head}")), texts(row));
    let measure = |(name, metric)| {
        let at = heads.iter().position(|head| head == name)?;
        measure(metric, cells.get(at)?)
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}

/// `70%  (7/10)`; a part of a line is `(7.2/10)`.
fn measure(metric: &'static str, text: &str) -> Option<Measure> {
    let (shown, counts) = text.split_once('(')?;
    let (covered, total) = counts.trim_end_matches(')').split_once('/')?;
    Measure::shown(metric, percent(shown)?, covered.parse().ok().zip(total.parse().ok()))
}

/// The totals are those of the element `all`.
pub fn xml(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let (mut is_report, mut found) = (false, None);
    xml::walk(input, |depth, element| {
        match depth {
            0 => is_report = element.is("report"),
            1 if !element.is("stats") && !element.is("data") => is_report = false,
            2 if element.is("all") => found = Some(Measures::new()),
            3 if element.is("coverage") => {
                let kind = element.text("type").unwrap_or_default();
                let known = KINDS.into_iter().find(|(name, _)| *name == kind);
                let measure = known.and_then(|(_, metric)| measure(metric, &element.text("value")?));
                found.iter_mut().for_each(|found| found.extend(measure.clone()));
            }
            3 if element.is("package") => return Break(()),
            _ => {}
        }
        if is_report { Continue(()) } else { Break(()) }
    })?;
    Ok(found.filter(|_| is_report))
}

/// A source file's page: `<TR CLASS="c"><TD CLASS="l"><A NAME="1">12</A></TD>`; `p` is covered partly, and `z` is not.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    if !has(page.html, "EMMA") || !has(page.html, "<TABLE CLASS=\"s\"") {
        return false;
    }
    let html = with_spaces(page.html);
    let file = between(&html, "COVERAGE SUMMARY FOR SOURCE FILE [<SPAN CLASS=\"in\">", "</SPAN>");
    let folders = between(&html, "<TD CLASS=\"nv\">", "</TD>");
    let (Some(file), Some(folders)) = (file, folders) else { return false };
    let package = texts(folders).into_iter().rfind(|text| !text.starts_with([']', '['])).unwrap_or_default();
    let folder = if package == "default package" { String::new() } else { format!("{}/", package.replace('.', "/")) };
    if lines.file(&unescaped(&format!("{folder}{file}"))) {
        parts(&html, "<TR CLASS=\"").filter_map(row).for_each(|(number, hit)| lines.line(number, hit));
    }
    true
}

fn row(part: &str) -> Option<(u64, Hit)> {
    let (class, rest) = part.split_once("\"><TD CLASS=\"l\"")?;
    let hit = match class {
        "c" => Hit::Yes,
        "p" => Hit::Partly,
        "z" => Hit::No,
        _ => return None,
    };
    let (_, cell) = rest.split_once('>')?;
    let number = if cell.starts_with('<') { cell.split_once('>')?.1 } else { cell };
    Some((number.split('<').next()?.trim().parse().ok()?, hit))
}
