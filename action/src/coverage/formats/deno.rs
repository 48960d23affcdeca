//! Deno's `coverage --html`: istanbul's page heads and colours, in other markup and with its own title.
//!
//! ```html
//! <title>Coverage report for all files</title> … <h1>All files</h1>
//! <span class='strong'>58.82%</span>
//! <span class='quiet'>Lines</span>
//! <span class='fraction'>10/17</span>
//! ```

use super::{Lines, Measures, Page, istanbul};
use crate::coverage::syntax::html::{between, has, split};

const TITLE: &str = "<title>Coverage report for ";

pub fn page(page: &Page) -> Option<Measures> {
    let (head, body) = body(page.html)?;
    let is_index = between(head, TITLE, "</title>")? == "all files" && has(body, "<h1>All files</h1>");
    is_index.then(|| istanbul::metrics(body))
}

/// A source file's page. Its title has the path as it is, without entities.
///
/// ```html
/// <td class='line-coverage quiet'><pre><span class='cline-any cline-yes' title='This line is covered 1 time'>x1</span>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some((head, body)) = body(page.html) else { return false };
    let column = between(body, "<td class='line-coverage quiet'>", "</td>");
    let (Some(path), Some(column)) = (between(head, TITLE, "</title>"), column) else { return false };
    if lines.file(path) {
        istanbul::add_lines(column, "<span class='cline-any cline-", lines);
        istanbul::add_shown(body, lines);
    }
    true
}

/// The page's head and body, if it is Deno's.
fn body(html: &str) -> Option<(&str, &str)> {
    split(html, "<body>").filter(|(_, body)| has(body, ">Deno v"))
}
