//! OpenCppCoverage: the first row of `index.html`, which a script draws from numbers in the page.
//!
//! ```text
//! .set('tooltips', ['cover 120 lines (75%)', 'uncover 40 lines (25%)'])
//! ```
//!
//! A module's page looks the same, but lies in a folder below: its style sheet is elsewhere. Before 0.9.7 there is no
//! row of the total: the first is a module's, with a link to its page. Before 0.9.9 the page does not name the tool.

use super::{Found, Measure, Page};
use crate::coverage::syntax::html::{after, between, count, has, percent, split};

pub fn page(page: &Page) -> Option<Found> {
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
