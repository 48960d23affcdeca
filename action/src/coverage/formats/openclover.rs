//! OpenClover: `index.html` only leads to `dashboard.html`, whose first bar is the total of statements, branches and
//! methods together, which OpenClover calls elements. And the pages of source files; for its XML see `clover`.
//!
//! ```html
//! Code coverage <small> 8 classes, 22 / 36 elements </small> …
//! <div class="barGraphValue"><span class="sortValue">0.61</span>61.1%</div>
//! ```

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, split, unescaped};

pub fn page(page: &Page) -> Option<Measures> {
    if !has(page.html, "<body onload=\"location.href='") || !has(page.html, "img/clover.ico") {
        return None;
    }
    let dashboard = (page.read_sibling)("dashboard.html")?;
    let (head, bar) = split(&dashboard, "class=\"barGraphValue\">")?;
    let shown = percent(between(bar, "</span>", "</div>")?)?;
    let elements = head.rsplit("<small").next().and_then(|small| between(small, ",", "elements"));
    // In languages that group digits with a comma, another one can stand before.
    let counted = elements.map(|text| after(text, "classes,").unwrap_or(text)).and_then(counts);
    Some(Measure::shown("elements", shown, counted).into_iter().collect())
}

/// A source file's page: `<tr id="l12"><td align="right" class="lineCount Good">…<td align="right" class="coverageCount
/// Bad missedByTest">`. The number of a line is good if a part of it ran, and its count is good if all parts did.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let folders = between(page.html, "<ol class=\"aui-nav aui-nav-breadcrumbs\">", "</ol>");
    let headline = between(page.html, "<h1 class=\"aui-h2-clover\">", "</h1>");
    let table = after(page.html, "class=\"srcView\"");
    let (Some(folders), Some(headline), Some(table)) = (folders, headline, table) else { return false };
    let package = folders.rsplit("Package ").next().and_then(|rest| rest.split('<').next());
    let file = headline.trim().strip_prefix("File ");
    let (Some(package), Some(file)) = (package, file) else { return false };
    let folder = if package == "default-pkg" { String::new() } else { format!("{}/", package.replace('.', "/")) };
    // Tests are not counted.
    let is_test = has(folders, "testsrc-pkg-summary.html");
    if !is_test && lines.file(&unescaped(&format!("{folder}{file}"))) {
        parts(table, "<tr id=\"l").filter_map(row).for_each(|(number, hit)| lines.line(number, hit));
    }
    true
}

fn row(part: &str) -> Option<(u64, Hit)> {
    let (number, rest) = part.split_once('"')?;
    let (_, rest) = rest.split_once("class=\"lineCount ")?;
    let is_hit = rest.starts_with("Good");
    let (_, rest) = rest.split_once("class=\"coverageCount ")?;
    let hit = match (is_hit, rest.starts_with("Good"), rest.starts_with("Bad")) {
        (true, true, _) => Hit::Yes,
        (true, _, true) => Hit::Partly,
        (false, _, true) => Hit::No,
        _ => return None,
    };
    Some((number.parse().ok()?, hit))
}
