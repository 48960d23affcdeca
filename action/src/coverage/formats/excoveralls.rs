//! Elixir's ExCoveralls: the head of `excoveralls.html`, and the source files below it.
//!
//! ```html
//! <div id='stats' class='medium'>
//!   <div class='percentage'>66.6</div> <div class='sloc'>3</div> <div class='hits'>7</div> <div class='misses'>1</div>
//! ```
//!
//! A source file has the same. `hits` is the sum of the hits of all lines. The line numbers shown start at 0.

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, count, has, parts, split, unescaped};

pub fn page(page: &Page) -> Option<Measures> {
    let (head, _) = halves(page)?;
    let shown = Percent::parse(between(head, "<div class='percentage'>", "</div>")?.trim())?;
    Some(Measure::shown("lines", shown, Some(counts(head)?)).into_iter().collect())
}

/// The head, and the source files.
fn halves<'a>(page: &Page<'a>) -> Option<(&'a str, &'a str)> {
    split(page.html, "<div id='files'>").filter(|(head, _)| has(head, "<h1 id='overview'>Coverage</h1>"))
}

fn counts(html: &str) -> Option<(u64, u64)> {
    let number = |class: &str| count(between(html, &format!("<div class='{class}'>"), "</div>")?);
    let (total, missed) = (number("sloc")?, number("misses")?);
    Some((total.checked_sub(missed)?, total))
}

pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some((_, files)) = halves(page) else { return false };
    for file in parts(files, "<div class='file'>") {
        let (Some((head, source)), Some(path)) = (split(file, "<tbody>"), between(file, "<h2 id='", "'>")) else {
            continue;
        };
        if lines.file(&unescaped(path)) {
            for (row, number) in parts(source, "<tr").zip(1..) {
                match row.split('>').next() {
                    Some(" class='hit'") => lines.line(number, Hit::Yes),
                    Some(" class='miss'") => lines.line(number, Hit::No),
                    _ => {}
                }
            }
            if let Some((covered, total)) = counts(head) {
                lines.shown(covered, total);
            }
        }
    }
    true
}
