//! PHPUnit's php-code-coverage: the first row of `index.html`, and the pages of source files.
//!
//! ```html
//! <td class="success">Total</td> … <td class="success small"><div align="right">96.99%</div></td>
//! <td class="success small"><div align="right">645&nbsp;/&nbsp;665</div></td> …
//! ```
//!
//! A folder's or file's page has such a row too: there the breadcrumb starts with a link to the index.

use std::borrow::Cow;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, parts, percent, split, texts, unescaped};

const MAX_CELLS: usize = 30;
/// In the footer, since 3.0 and before.
const MADE_BY: [&str; 2] = ["php-code-coverage", "PHP_CodeCoverage"];
const KINDS: [(&str, &str); 4] = [
    ("Lines", "lines"),
    ("Branches", "branches"),
    ("Functions and Methods", "functions"),
    // PHPUnit 3.6.
    ("Functions / Methods", "functions"),
];

pub fn page(page: &Page) -> Option<Measures> {
    let total = Total::read(page.html).filter(|_| is_made_by_it(page.html) && is_index(page.html))?;
    let measure = |(name, metric)| {
        let (shown, counts) = total.column(name)?;
        Measure::shown(metric, shown, counts)
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}

fn is_made_by_it(html: &str) -> bool {
    MADE_BY.iter().any(|made_by| has(html, made_by))
}

fn is_index(html: &str) -> bool {
    let breadcrumb = between(html, "<ol class=\"breadcrumb\">", "</ol>")
        .or_else(|| between(html, "<ul class=\"breadcrumb\">", "</ul>"))
        .and_then(|breadcrumb| between(breadcrumb, "<li", "</li>"));
    // PHPUnit 3.6 also links the current folder.
    let folders = || between(html, "Current directory:</td>", "</tr>").is_some_and(|links| !has(links, "</a> / <a "));
    breadcrumb.map_or_else(folders, |first| !has(first, "<a "))
}

/// The columns of a page's table, each with its first cell, and the cells of the first row.
struct Total {
    columns: Vec<(String, usize)>,
    cells: Vec<Vec<String>>,
}

impl Total {
    fn read(html: &str) -> Option<Self> {
        let table = after(html, "<table class=\"table table-bordered\">").and_then(|table| split(table, "</thead>"));
        let (head, body) = table.or_else(|| split(after(html, "<td class=\"tableHead\">&nbsp;</td>")?, "</tr>"))?;
        let row = between(body, ">Total</td>", "</tr>")?;
        let cells = parts(row, "<td").take(MAX_CELLS).map(|cell| texts(&format!("<{cell}"))).collect();
        let mut at = 0;
        let columns = parts(head, "colspan=\"").take(MAX_CELLS).filter_map(|part| {
            let (width, name) = part.split_once('"')?;
            let name = texts(&format!("<{name}")).into_iter().next().filter(|name| name != "Code Coverage")?;
            let start = at;
            at += usize::from(width.parse::<u8>().ok()?);
            Some((name, start))
        });
        Some(Self { columns: columns.collect(), cells })
    }

    /// Each column has three cells: a bar, the percentage, and the counts.
    fn column(&self, name: &str) -> Option<(Percent, Option<(u64, u64)>)> {
        let at = self.columns.iter().find(|(column, _)| column == name)?.1;
        let text = |at: usize| self.cells.get(at)?.first();
        Some((percent(text(at + 1)?)?, text(at + 2).and_then(|text| counts(text))))
    }
}

/// A source file's page. With branch coverage there are also pages of its branches and of its paths.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let is_of_branches = has(page.html, "<strong>Fully covered</strong>");
    let Some(path) = path(page.html).filter(|_| is_made_by_it(page.html) && !is_of_branches) else { return false };
    if lines.file(&path) {
        parts(page.html, "<tr class=\"").filter_map(row).for_each(|(number, hit)| lines.line(number, hit));
        parts(page.html, "<span class=\"lineNum\" id=\"container")
            .filter_map(span)
            .for_each(|(number, hit)| lines.line(number, hit));
        let total = Total::read(page.html).and_then(|total| total.column("Lines")?.1);
        if let Some((covered, total)) = total {
            lines.shown(covered, total);
        }
    }
    true
}

fn path(html: &str) -> Option<Cow<'_, str>> {
    match between(html, "Current file:</td>", "</tr>") {
        Some(links) => Some(texts(&links.replace("</a> / <a", "</a><a")).join("/").into()),
        None => {
            let title = between(html, "<title>", "</title>").filter(|_| has(html, "codeLine\">"))?;
            Some(unescaped(title.trim().strip_prefix("Code Coverage for ")?))
        }
    }
}

/// `<tr class="success popin"><td><div align="right"><a name="12"></a>…`, or
/// `<tr class="covered-by-small-tests popin d-flex"><td …><a id="12" href="#12">…`.
fn row(part: &str) -> Option<(u64, Hit)> {
    let (classes, rest) = part.split_once('"')?;
    let hit = match classes.split(' ').next()? {
        "danger" => Hit::No,
        "success" | "covered-by-small-tests" | "covered-by-medium-tests" | "covered-by-large-tests" => Hit::Yes,
        // `warning` is dead code, which is not counted.
        _ => return None,
    };
    let anchor = rest.split_once("<a ")?.1;
    let number = anchor.strip_prefix("id=\"").or_else(|| anchor.strip_prefix("name=\""))?;
    Some((number.split_once('"')?.0.parse().ok()?, hit))
}

/// PHPUnit 3.6: `<span class="lineNum" id="container12">…</span><span class="lineCov">`.
fn span(part: &str) -> Option<(u64, Hit)> {
    let (number, rest) = part.split_once('"')?;
    let (_, rest) = rest.split_once("</span><span class=\"line")?;
    let hit = match rest.split_once('"')?.0 {
        "Cov" => Hit::Yes,
        "NoCov" => Hit::No,
        _ => return None,
    };
    Some((number.parse().ok()?, hit))
}
