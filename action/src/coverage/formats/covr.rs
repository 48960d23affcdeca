//! R's covr: the headline of `covr::report`, and the source files on the same page.
//!
//! ```html
//! <h2>calc coverage - 62.50%</h2> <div class="tabbable"> <ul class="nav nav-tabs" data-tabsetid="covr"> …
//! <div id="files"> <div id="R/calc.R" class="hidden"> … <tr class="covered"> <td class="num">2</td> …
//! ```
//!
//! The headline counts lines of brackets alone as well, which the source files leave out.

use memchr::memmem;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, has, parts, percent, split, unescaped};

pub fn page(page: &Page) -> Option<Measures> {
    let (head, sources) = halves(page)?;
    let headline = between(head, "<h2>", "</h2>")?;
    let shown = percent(headline.rsplit_once(" coverage - ")?.1)?;
    let count = |mark: &str| memmem::find_iter(sources.as_bytes(), mark).count() as u64;
    let (covered, missed) = (count("<tr class=\"covered\">"), count("<tr class=\"missed\">"));
    Some(Measure::shown("lines", shown, Some((covered, covered + missed))).into_iter().collect())
}

/// The page before its source files, and these.
fn halves<'a>(page: &Page<'a>) -> Option<(&'a str, &'a str)> {
    split(page.html, "<div id=\"files\">").filter(|(head, _)| has(head, "data-tabsetid=\"covr\""))
}

pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some((_, sources)) = halves(page) else { return false };
    for file in parts(sources, "<div id=\"") {
        if file.split('"').next().is_some_and(|path| lines.file(&unescaped(path))) {
            add(file, lines);
        }
    }
    true
}

fn add(source: &str, lines: &mut Lines) {
    for row in parts(source, "<tr class=\"") {
        let hit = match row.split('"').next() {
            Some("covered") => Hit::Yes,
            Some("missed") => Hit::No,
            _ => continue,
        };
        if let Some(number) = between(row, "<td class=\"num\">", "</td>").and_then(|number| number.parse().ok()) {
            lines.line(number, hit);
        }
    }
}
