//! OpenCppCoverage: the first row of `index.html`, which a script draws from numbers in the page.
//!
//! ```text
//! .set('tooltips', ['cover 120 lines (75%)', 'uncover 40 lines (25%)'])
//! ```
//!
//! A module's page looks the same, but lies in a folder below: its style sheet is elsewhere. Before 0.9.7 there is no
//! row of the total: the first is a module's, with a link to its page. Before 0.9.9 the page does not name the tool.

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, has, parts, percent, split, unescaped};

/// The colors of covered and uncovered lines.
const COVERED: &str = "background-color:#dfd\">";
const UNCOVERED: &str = "background-color:#fdd\">";

pub fn page(page: &Page) -> Option<Measures> {
    let head = between(page.html, "<head>", "</head>")?;
    let is_index = has(head, "\"third-party/css/style.css\"") && has(head, "\"third-party/RGraph/");
    let pie = split(after(page.html, "new RGraph.Pie(").filter(|_| is_index)?, ".draw()")?.0;
    let row = between(after(page.html, "id=\"rounded-corner\"")?, "<tbody>", "</tr>")?;
    if has(row, "<a ") {
        return Some(Vec::new());
    }
    let lines = |word: &str| count(between(pie, &format!("'{word} "), " lines (")?);
    let shown = percent(between(after(pie, "'cover ")?, " lines (", ")")?)?;
    let counts = lines("cover").zip(lines("uncover")).map(|(hit, missed)| (hit, hit.saturating_add(missed)));
    Some(Measure::shown("lines", shown, counts).into_iter().collect())
}

/// A module's page names its source files, whose own pages are in a folder beside it. A file of two modules counts twice.
///
/// ```html
/// <tr> <td> <canvas …>Cover 75%</canvas> </td> <td>12</td> <td> <a href="calc/calc.c.html">/src/calc.c</a> </td> </tr>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let head = between(page.html, "<head>", "</head>").filter(|head| has(head, "\"../third-party/RGraph/"));
    let Some(table) = head.and_then(|_| between(after(page.html, "id=\"rounded-corner\"")?, "<tbody>", "</tbody>"))
    else {
        return false;
    };
    for row in parts(table, "<tr>") {
        let link = after(row, "<a href=\"").and_then(|row| split(split(row, "</a>")?.0, "\">"));
        let Some((file, path)) = link else { continue };
        if let (true, Some(html)) = (lines.file(&unescaped(path.trim())), (page.read_sibling)(&unescaped(file))) {
            add_file(&html, lines);
        }
    }
    true
}

/// A source file's page. A colored part has one or more lines.
///
/// ```html
/// <pre class="prettyprint lang-cpp linenums">
/// #include &lt;stdio.h&gt;
/// <span style = "background-color:#dfd">int main(void) {
///     puts(sign(1));</span>
/// }</pre>
/// ```
fn add_file(html: &str, lines: &mut Lines) -> Option<()> {
    let source = split(after(html, "<pre class=\"prettyprint")?, ">")?.1;
    // Browsers drop the line break after the tag as well. On Windows it has two characters.
    let source = source.trim_start_matches('\r').strip_prefix('\n').unwrap_or(source);
    let (mut color, mut sum) = (None, (0, 0));
    for (number, text) in (1..).zip(split(source, "</pre>")?.0.split('\n')) {
        if has(text, COVERED) {
            color = Some(Hit::Yes);
        } else if has(text, UNCOVERED) {
            color = Some(Hit::No);
        }
        if let Some(hit) = color {
            lines.line(number, hit);
            sum = (sum.0 + u64::from(hit != Hit::No), sum.1 + 1);
        }
        if has(text, "</span>") {
            color = None;
        }
    }
    lines.count(sum.0, sum.1);
    Some(())
}
